//! The listener and reconciling of a simulated process, as `engine::follow` does them.

use super::{
    strategy::{Cursor, Listening, Loss},
    world::{Event, MS, NodeEvent, SECOND, Scenario, World},
};
use crate::{
    domain::{Revision, TenantId},
    engine::{follow::catch_up, resident::hints::Want},
    store::{Moment, Poll, TenantHead},
};

/// As in `engine::follow`.
const POLL_DEADLINE: u64 = 500 * MS;
const COMPARE_DEADLINE: u64 = 10 * SECOND;
const RECONNECT_MAX: u64 = 5 * SECOND;

impl World {
    pub fn follow(&mut self, node: usize, event: NodeEvent) {
        match event {
            NodeEvent::Connect => self.connect(node),
            NodeEvent::Connected { session } => self.connected(node, session),
            NodeEvent::Lost => self.lost(node),
            NodeEvent::Tick => {
                if self.nodes[node].reconciles {
                    self.nodes[node].tick_waits = true;
                } else {
                    self.tick(node);
                }
            }
            NodeEvent::Asked { began, compare } => self.asked(node, began, compare),
            NodeEvent::Answered { began, compare, moment } => self.answered(node, began, compare, moment),
            NodeEvent::Comparing { began, tenants } => self.comparing(node, began, &tenants),
            NodeEvent::Compared { began, heads } => match heads {
                Some(heads) => {
                    heads.into_iter().for_each(|head| self.look_into(node, head, catch_up::compared));
                    self.caught_up(node, began, true);
                }
                None => self.failed(node),
            },
            _ => {}
        }
    }

    pub fn heard(&mut self, node: usize, tenant: TenantId, revision: Revision) {
        self.hint(node, tenant, Want::AtLeast(revision));
        // Requests that come while a set is loaded and swapped are the ones to look at.
        if self.random.permille(150) {
            let delay = self.random.range(0, 12 * MS);
            self.after(delay, Event::Request { node, tenant, min: None });
        }
    }

    fn connect(&mut self, node: usize) {
        if self.database.is_up && !self.is_silent {
            if self.strategy.listening == Listening::AfterComparing {
                self.gap(node);
            }
            let (session, delay) = (self.id(), self.service_time(30 * MS, 60 * MS));
            self.node_after(delay, node, NodeEvent::Connected { session });
        } else {
            let wait = self.nodes[node].reconnect_wait;
            self.nodes[node].reconnect_wait = (wait * 2).min(RECONNECT_MAX);
            self.node_after(wait, node, NodeEvent::Connect);
        }
    }

    fn connected(&mut self, node: usize, session: u64) {
        if !self.database.is_up || self.is_silent {
            self.lost(node);
            return;
        }
        let is_first = self.nodes[node].reconnect_wait == 50 * MS && !self.nodes[node].is_listening();
        self.nodes[node].reconnect_wait = 50 * MS;
        self.nodes[node].freshness.set_listening(true);
        self.listens(node, session);
        let says_so = self.strategy.loss == Loss::Noticed || is_first;
        if says_so && self.strategy.listening == Listening::BeforeComparing {
            self.gap(node);
        }
    }

    fn lost(&mut self, node: usize) {
        if self.strategy.loss == Loss::Noticed {
            self.nodes[node].freshness.set_listening(false);
        }
        let wait = self.nodes[node].reconnect_wait;
        self.nodes[node].reconnect_wait = (wait * 2).min(RECONNECT_MAX);
        self.node_after(wait, node, NodeEvent::Connect);
    }

    fn gap(&mut self, node: usize) {
        self.nodes[node].gap = true;
        if !self.nodes[node].reconciles {
            self.reconcile(node);
        }
    }

    fn tick(&mut self, node: usize) {
        if self.scenario != Scenario::ListenerAlone {
            self.node_after(SECOND, node, NodeEvent::Tick);
        }
        self.reconcile(node);
    }

    fn reconcile(&mut self, node: usize) {
        let heard_gap = std::mem::take(&mut self.nodes[node].gap);
        self.nodes[node].reconciles = true;
        let (began, now) = (self.now, self.instant());
        let compare = self.nodes[node].schedule.is_due(heard_gap, now);
        let delay = self.service_time(MS, 60 * MS);
        self.node_after(delay, node, NodeEvent::Asked { began, compare });
    }

    fn asked(&mut self, node: usize, began: u64, compare: bool) {
        let nothing = NodeEvent::Answered { began, compare, moment: None };
        let late = (began + POLL_DEADLINE).saturating_sub(self.now);
        if self.is_silent {
            // Connecting anew has more time than asking.
            let wait = if self.nodes[node].is_linked { late } else { 3 * SECOND };
            self.node_after(wait, node, nothing);
            return;
        }
        let delay = self.service_time(MS, 60 * MS);
        if !self.database.is_up {
            self.node_after(delay, node, nothing);
        } else if delay > late {
            self.node_after(late, node, nothing);
        } else {
            let kind = self.strategy.cursor;
            let since = self.nodes[node].cursor.since(kind);
            let moment = Some(self.database.moment(since, kind == Cursor::BelowTheOldest));
            self.node_after(delay, node, NodeEvent::Answered { began, compare, moment });
        }
    }

    fn answered(&mut self, node: usize, began: u64, compare: bool, moment: Option<Moment>) {
        let Some(moment) = moment else { return self.failed(node) };
        self.nodes[node].is_linked = true;
        let tenants: Vec<TenantId> = self.nodes[node].registry.keys().copied().collect();
        match self.nodes[node].cursor.advance(moment) {
            Poll::Changes(heads) => {
                heads.into_iter().for_each(|head| self.look_into(node, head, |stored, _| catch_up::told(stored)))
            }
            Poll::Discontinuity => {
                tenants.into_iter().for_each(|tenant| self.hint(node, tenant, Want::Fresh));
                return self.caught_up(node, began, true);
            }
        }
        if !compare {
            return self.caught_up(node, began, false);
        }
        let delay = self.service_time(MS, 60 * MS);
        self.node_after(delay, node, NodeEvent::Comparing { began, tenants });
    }

    fn comparing(&mut self, node: usize, began: u64, tenants: &[TenantId]) {
        let (heads, delay) = if self.is_silent {
            (None, COMPARE_DEADLINE / 3)
        } else {
            (self.database.is_up.then(|| self.database.heads(tenants)), self.service_time(2 * MS, 60 * MS))
        };
        self.node_after(delay, node, NodeEvent::Compared { began, heads });
    }

    fn look_into(&mut self, node: usize, head: TenantHead, judge: fn(Option<Revision>, Option<Revision>) -> Want) {
        if !self.nodes[node].registry.contains_key(&head.tenant_id) {
            return;
        }
        let served = self.nodes[node].served(head.tenant_id).map(|version| version.revision);
        self.hint(node, head.tenant_id, judge(head.revision, served));
    }

    fn caught_up(&mut self, node: usize, began: u64, compared: bool) {
        let at = self.instant_at(began);
        if compared {
            self.nodes[node].schedule.compared(at);
        }
        self.nodes[node].freshness.synchronised(at);
        self.rest(node);
    }

    fn failed(&mut self, node: usize) {
        self.nodes[node].is_linked = false;
        self.nodes[node].schedule.failed();
        self.rest(node);
    }

    /// Until the next tick or gap, one of which may have come meanwhile.
    fn rest(&mut self, node: usize) {
        self.nodes[node].reconciles = false;
        if std::mem::take(&mut self.nodes[node].tick_waits) {
            self.tick(node);
        } else if self.nodes[node].gap {
            self.reconcile(node);
        }
    }
}
