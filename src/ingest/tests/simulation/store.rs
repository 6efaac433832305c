//! The database as a process sees it: the methods of `store::Store` that events are stored and consumed by.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Mutant,
    tables::{LeftOut, Tables},
    world::{Link, State},
};
use crate::{
    domain::{
        Accepted, Author, EventFailure, EventId, EventOutcome, NodeId, QueuedEvent, RedriveId, TenantId, TenantScope,
    },
    store::{
        self, Behind, Duplicate, Error, Found, HeldQueue, Lease, Received, ReceivedEvent, Redrive, RedriveOrder,
        SeenQueue, Settled, Settlement, Waiting,
    },
};

#[derive(Debug, Clone)]
pub struct Store(pub Link);

/// What hears of other processes' events.
pub struct EventListener(Link);

impl From<store::Store> for Store {
    fn from(_: store::Store) -> Self {
        unreachable!("the service is not started in tests of the library")
    }
}

impl State {
    pub fn tables(&mut self, scope: TenantScope) -> &mut Tables {
        self.tables.get_mut(&scope.id()).unwrap()
    }

    fn left_out(&self) -> LeftOut {
        LeftOut {
            primary_key: self.mutant == Mutant::LeaseIsTrusted,
            last_look: self.mutant == Mutant::FinishedWithoutALook,
            what_is_settled: self.mutant == Mutant::SettledIsNotLookedFor,
        }
    }

    /// No position is beyond an event that nothing leads to any more.
    fn check_position(&mut self, tenant: TenantId) {
        if let Some(number) = self.tables[&tenant].forgotten() {
            self.violates("position", format!("event {number} is before the position, undecided and not waiting"));
        }
    }

    fn settle(&mut self, scope: TenantScope, settlements: &[Settlement], by: (usize, u32)) -> Settled {
        let (now, left_out, mut settled) = (self.database_time(), self.left_out(), Settled::default());
        for settlement in settlements {
            let Some(number) = self.tables(scope).events.get(&settlement.id).map(|row| row.number) else { continue };
            self.tell(|| format!("event {number}: {} attempts, {:?}", settlement.attempts, settlement.outcome));
            if !self.tables(scope).settle(settlement, now, left_out, &mut settled) {
                continue;
            }
            let broken = match &settlement.outcome {
                EventOutcome::Decided { .. } => self.ledger.effect(number),
                EventOutcome::Dead { failure, .. } => self.ledger.died(number, failure.name(), settlement.attempts),
                EventOutcome::Retry { failure: EventFailure::Crashed, .. } => {
                    self.ledger.marked(number, by);
                    None
                }
                EventOutcome::Retry { failure: EventFailure::Panic, .. }
                    if settlement.attempts > self.ledger.failures(number) =>
                {
                    Some(("attempts", format!("event {number} has used up {}", settlement.attempts)))
                }
                EventOutcome::Retry { .. } => None,
            };
            if let Some((invariant, told)) = broken {
                self.violates(invariant, told);
            }
        }
        settled
    }

    /// Hands events out, as a mutant would that counts what did not fail by itself.
    fn handed_out(&self, mut events: Vec<QueuedEvent>) -> Vec<QueuedEvent> {
        if self.mutant == Mutant::OutageCounts {
            for event in &mut events {
                event.attempts += self.failed_settlements.get(&event.id).copied().unwrap_or_default();
            }
        }
        events
    }
}

impl Store {
    fn by(&self) -> (usize, u32) {
        (self.0.place, self.0.life)
    }

    pub async fn look_at_queues(&self, node: NodeId, limit: u32) -> Result<Vec<SeenQueue>, Error> {
        let look = |state: &mut State| {
            let now = state.database_time();
            let is_paused = |tables: &Tables| {
                tables
                    .queue
                    .as_ref()
                    .is_some_and(|queue| queue.is_paused && queue.owner.is_some_and(|(owner, _)| owner == node))
            };
            let all = || state.tables.iter();
            let paused = all().filter(|(_, tables)| is_paused(tables));
            let free = all().filter(|(_, tables)| tables.is_without_owner(now)).take(limit as usize);
            paused
                .map(|(tenant, _)| SeenQueue::Paused(*tenant))
                .chain(free.map(|(tenant, _)| SeenQueue::WithoutOwner(*tenant)))
                .collect()
        };
        self.0.ask("look at queues", look).await
    }

    pub async fn take_queue(&self, scope: TenantScope, node: NodeId, time: Duration) -> Result<Option<Lease>, Error> {
        let time = TimeDelta::from_std(time).unwrap();
        let take = |state: &mut State| {
            let now = state.database_time();
            let lease = state.tables(scope).take(node, time, now);
            state.tell(|| format!("{:?} takes {scope}: {lease:?}", self.0));
            lease
        };
        self.0.ask("take queue", take).await
    }

    pub async fn renew_queues(&self, node: NodeId, held: &[HeldQueue], time: Duration) -> Result<Vec<TenantId>, Error> {
        let time = TimeDelta::from_std(time).unwrap();
        let renew = |state: &mut State| {
            let until = state.database_time() + time;
            let mut renewed = Vec::new();
            for queue in held {
                // Locked by somebody else.
                let is_skipped = state.random.permille(50);
                let tables = state.tables.get_mut(&queue.tenant).unwrap();
                // As far as was read, for a mutant that notes that.
                let ahead = tables.events.keys().next_back().copied();
                let position = match state.mutant {
                    Mutant::PositionBeforeTheEffect => ahead.map_or(queue.position, |id| id.max(queue.position)),
                    _ => queue.position,
                };
                let Some(row) = tables.held(node, queue).filter(|_| !is_skipped) else { continue };
                row.owner = Some((node, until));
                if position > row.position {
                    (row.position, row.crashes) = (position, 0);
                }
                renewed.push(queue.tenant);
            }
            renewed.iter().for_each(|tenant| state.check_position(*tenant));
            renewed
        };
        self.0.ask("renew queues", renew).await
    }

    pub async fn is_queue_held(&self, node: NodeId, held: &HeldQueue) -> Result<bool, Error> {
        let is_held = |state: &mut State| state.tables.get_mut(&held.tenant).unwrap().held(node, held).is_some();
        self.0.ask("check lease", is_held).await
    }

    pub async fn give_back_queue(&self, node: NodeId, held: HeldQueue) -> Result<(), Error> {
        let give_back = |state: &mut State| {
            let Some(row) = state.tables.get_mut(&held.tenant).unwrap().held(node, &held) else { return };
            row.owner = None;
            if held.position > row.position {
                (row.position, row.crashes) = (held.position, 0);
            }
            state.check_position(held.tenant);
        };
        self.0.ask("give back queue", give_back).await
    }

    pub async fn finish_queue(
        &self,
        scope: TenantScope,
        node: NodeId,
        held: HeldQueue,
        _: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let finish = |state: &mut State| {
            let left_out = state.left_out();
            let is_finished = state.tables(scope).finish(node, &held, left_out);
            state.check_position(scope.id());
            is_finished
        };
        self.0.ask("finish queue", finish).await
    }

    pub async fn count_pending(
        &self,
        scope: TenantScope,
        position: Option<EventId>,
        limit: u64,
        _: DateTime<Utc>,
    ) -> Result<u64, Error> {
        self.0.ask("count pending", |state| state.tables(scope).count_pending(position).min(limit)).await
    }

    pub async fn events_after(
        &self,
        scope: TenantScope,
        position: EventId,
        behind: Behind,
        _: u32,
        _: DateTime<Utc>,
    ) -> Result<Found, Error> {
        let read = |state: &mut State| {
            let mut found = state.tables(scope).events_after(position, behind);
            found.events = state.handed_out(found.events);
            if state.mutant == Mutant::WaitingIsLeftOut {
                found.waiting.clear();
            }
            found
        };
        self.0.ask("read events", read).await
    }

    pub async fn due_events(&self, scope: TenantScope, limit: u32) -> Result<Vec<QueuedEvent>, Error> {
        let read = |state: &mut State| {
            let now = state.database_time();
            let by_id = state.mutant == Mutant::RetriesInTheOrderOfIds;
            let events = state.tables(scope).due_events(limit, now, by_id);
            state.handed_out(events)
        };
        self.0.ask("read due events", read).await
    }

    pub async fn waiting(&self, scope: TenantScope) -> Result<Waiting, Error> {
        let read = |state: &mut State| {
            let now = state.database_time();
            state.tables(scope).waiting(now)
        };
        self.0.ask("read what waits", read).await
    }

    pub async fn settle_events(&self, scope: TenantScope, settlements: Vec<Settlement>) -> Result<Settled, Error> {
        if settlements.is_empty() {
            return Ok(Settled::default());
        }
        let settled = self.0.ask("settle events", |state| state.settle(scope, &settlements, self.by())).await;
        if settled.is_err() {
            let mut state = self.0.state();
            for settlement in &settlements {
                *state.failed_settlements.entry(settlement.id).or_default() += 1;
            }
        }
        settled
    }

    pub async fn receive_events(
        &self,
        scope: TenantScope,
        events: &[ReceivedEvent],
        _: TimeDelta,
    ) -> Result<Received, Error> {
        if events.is_empty() {
            return Ok(Received::default());
        }
        let receive = |state: &mut State| {
            let mut received = Received::default();
            let mut settlements = Vec::new();
            for ReceivedEvent { id, draft, attempts, outcome } in events {
                match state.tables(scope).receive(*id, draft) {
                    None => {
                        let (kind, ordering_key) = (draft.kind.clone(), draft.ordering_key.clone());
                        let waits = state.tables(scope).waits(ordering_key.as_ref());
                        let (attempts, outcome) = match outcome {
                            _ if !waits || *attempts == 0 || state.mutant == Mutant::KeyNotLookedAt => {
                                received.stored.push(*id);
                                (*attempts, outcome.clone())
                            }
                            EventOutcome::Decided { .. } => (*attempts - 1, EventOutcome::behind()),
                            EventOutcome::Retry { failure: EventFailure::Crashed, .. } => {
                                (*attempts - 1, outcome.clone())
                            }
                            EventOutcome::Retry { .. } | EventOutcome::Dead { .. } => {
                                received.stored.push(*id);
                                (*attempts, outcome.clone())
                            }
                        };
                        settlements.push(Settlement { id: *id, kind, ordering_key, attempts, outcome });
                    }
                    Some(Accepted::Duplicate(first)) if first != *id => {
                        received.duplicates.push(Duplicate { id: *id, first: None });
                    }
                    Some(_) => {}
                }
            }
            received.settled = state.settle(scope, &settlements, self.by());
            if received.settled.retried > 0 && state.mutant != Mutant::NobodyIsToldOfRetries {
                let now = state.database_time();
                state.tables(scope).mark(now);
            }
            received
        };
        self.0.ask("receive events", receive).await
    }

    pub async fn mark_queues(&self, tenants: &[TenantId]) -> Result<bool, Error> {
        let mark = |state: &mut State| {
            let now = state.database_time();
            tenants.iter().for_each(|tenant| state.tables.get_mut(tenant).unwrap().mark(now));
            false
        };
        self.0.ask("mark queues", mark).await
    }

    pub async fn active_tenants(&self, after: TenantId, _: i64) -> Result<Vec<TenantId>, Error> {
        let list = |state: &mut State| state.tables.keys().copied().filter(|tenant| *tenant > after).collect();
        self.0.ask("list tenants", list).await
    }

    pub async fn create_redrive(
        &self,
        scope: TenantScope,
        order: &RedriveOrder,
        author: &Author,
    ) -> Result<Option<Redrive>, Error> {
        let create = |state: &mut State| {
            let (now, rate) = (state.database_time(), order.rate_per_second);
            let matched = state.tables(scope).create_redrive(usize::try_from(rate).unwrap(), now);
            Some(Redrive {
                id: RedriveId(uuid::Uuid::nil()),
                matched: matched as i64,
                redriven: 0,
                rate_per_second: rate,
                state: "running".to_owned(),
                actor: author.actor.clone(),
                created_at: now,
                ended_at: None,
            })
        };
        self.0.ask("create redrive", create).await
    }

    pub async fn continue_redrive(&self, scope: TenantScope) -> Result<i64, Error> {
        let bring_back = |state: &mut State| {
            let now = state.database_time();
            state.tables(scope).bring_back(now) as i64
        };
        self.0.ask("continue redrive", bring_back).await
    }

    pub async fn signal_events(&self, tenants: &[TenantId]) -> Result<(), Error> {
        let signal = |state: &mut State| {
            for process in &mut state.processes {
                process.signalled.extend(tenants);
                process.signal.notify_one();
            }
        };
        self.0.ask("signal events", signal).await
    }

    pub fn event_listener(&self) -> EventListener {
        EventListener(self.0.clone())
    }
}

impl EventListener {
    pub async fn next(&mut self) -> Result<Vec<TenantId>, Error> {
        let signal = self.0.state().processes[self.0.place].signal.clone();
        signal.notified().await;
        self.0.ask("hear", |state| std::mem::take(&mut state.processes[self.0.place].signalled)).await
    }
}
