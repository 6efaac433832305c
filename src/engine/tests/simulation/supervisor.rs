//! The supervisor of a simulated process, as `engine::supervisor` does it.

use std::collections::VecDeque;

use super::{
    history::Happened,
    node::{Actor, ActorId, Answer, Entry, Resident, ToActor, ToSupervisor},
    strategy::Registration,
    world::{MS, NodeEvent, World},
};
use crate::{
    domain::TenantId,
    engine::{
        registry::is_awaited,
        resident::hints::{Hints, Want},
        supervisor::restart::{self, RestartState},
        tenant::reload::ReloadState,
    },
};

/// The supervisor, as `supervisor::State` does it.
impl World {
    pub fn tell_supervisor(&mut self, node: usize, message: ToSupervisor) {
        self.nodes[node].supervisor.push_back(message);
        let delay = self.random.delay(100, 20 * MS);
        self.node_after(delay, node, NodeEvent::Supervise);
    }

    pub fn node_event(&mut self, node: usize, event: NodeEvent) {
        match event {
            NodeEvent::Supervise => self.supervise(node),
            NodeEvent::Turn { actor } => self.turn(node, actor),
            NodeEvent::LoadStep { actor, step, row, parts, began } => {
                self.load_step(node, actor, (step, began), row, parts);
            }
            NodeEvent::LoadEnds { actor, result } => self.load_ends(node, actor, result),
            NodeEvent::RetryDue { actor } => self.tell_actor(node, actor, ToActor::RetryDue),
            NodeEvent::Restart { tenant } => self.tell_supervisor(node, ToSupervisor::Restart(tenant)),
            NodeEvent::Sweep => {
                self.tell_supervisor(node, ToSupervisor::Sweep);
                self.node_after((self.idle_stop / 10).max(10 * MS), node, NodeEvent::Sweep);
            }
            following => self.follow(node, following),
        }
    }

    pub fn supervise(&mut self, node: usize) {
        let Some(message) = self.nodes[node].supervisor.pop_front() else { return };
        match message {
            ToSupervisor::Ensure(waiter) => {
                let Some(tenant) = self.nodes[node].waiters.get(&waiter).map(|waiter| waiter.tenant) else { return };
                let actor = self.keeper(node, tenant).unwrap_or_else(|| self.start(node, tenant, None));
                if self.nodes[node].actors.contains_key(&actor) {
                    self.tell_actor(node, actor, ToActor::Ensure(waiter));
                } else {
                    self.answer(node, waiter, &Answer::NoLoad);
                }
            }
            ToSupervisor::Gone(tenant, actor) => {
                if self.keeper(node, tenant) == Some(actor) {
                    self.stop(node, tenant, actor);
                }
            }
            ToSupervisor::Failed(actor) => {
                let failed = self.nodes[node].registry.iter().find(|(_, entry)| entry.actor == actor);
                let Some((tenant, _)) = failed.map(|(tenant, entry)| (*tenant, *entry)) else { return };
                let jitter_permille = u16::try_from(self.random.range(0, 1000)).unwrap();
                self.restart(node, tenant, restart::Input::Failed { jitter_permille });
            }
            ToSupervisor::Restart(tenant) => self.restart(node, tenant, restart::Input::Due),
            ToSupervisor::Changed(tenant) => self.restart(node, tenant, restart::Input::Changed),
            ToSupervisor::Loaded(tenant) => self.restart(node, tenant, restart::Input::Loaded),
            ToSupervisor::Sweep => self.sweep(node),
        }
    }

    pub fn restart(&mut self, node: usize, tenant: TenantId, input: restart::Input) {
        let Some(entry) = self.nodes[node].registry.get(&tenant).copied() else { return };
        let before = self.nodes[node].restarts.remove(&tenant).unwrap_or_default();
        let (state, action) = restart::step(before, self.instant(), input);
        self.nodes[node].restarts.insert(tenant, state);
        match action {
            Some(restart::Action::Start) => {
                self.start(node, tenant, Some(entry.resident));
                self.nodes[node].residents[&entry.resident].hints.take();
                self.hint(node, tenant, Want::Fresh);
            }
            Some(restart::Action::DueAfter(wait)) => {
                let wait = u64::try_from(wait.as_micros()).unwrap();
                self.node_after(wait, node, NodeEvent::Restart { tenant });
            }
            None => {}
        }
    }

    pub fn is_quarantined(&self, node: usize, tenant: TenantId) -> bool {
        self.nodes[node].restarts.get(&tenant).is_some_and(RestartState::is_quarantined)
    }

    /// Who keeps a tenant: in the registry, or, where that is done late, about to be.
    pub fn keeper(&self, node: usize, tenant: TenantId) -> Option<ActorId> {
        let registered = self.nodes[node].registry.get(&tenant).map(|entry| entry.actor);
        let late = self.strategy.registration == Registration::AfterTheFirstLoad;
        let unregistered =
            || self.nodes[node].actors.iter().find(|(_, actor)| actor.tenant == tenant).map(|(id, _)| *id);
        registered.or_else(|| if late { unregistered() } else { None })
    }

    pub fn start(&mut self, node: usize, tenant: TenantId, resident: Option<u64>) -> ActorId {
        let id = self.id();
        let now = self.now;
        let resident = resident.unwrap_or(id);
        let empty = || Resident { set: None, used_at: now, hints: Hints::new() };
        self.nodes[node].residents.entry(resident).or_insert_with(empty);
        if let Some(entry) = self.nodes[node].registry.get(&tenant)
            && self.nodes[node].actors.contains_key(&entry.actor)
        {
            self.tell(Happened::TwoActors { node, tenant });
        }
        let actor = Actor {
            tenant,
            resident,
            reload: ReloadState::Idle,
            before_load: None,
            waiters: Vec::new(),
            mailbox: VecDeque::new(),
            fails: false,
        };
        self.nodes[node].actors.insert(id, actor);
        if self.strategy.registration == Registration::BeforeTheFirstLoad {
            self.nodes[node].registry.insert(tenant, Entry { resident, actor: id });
        }
        id
    }

    pub fn stop(&mut self, node: usize, tenant: TenantId, actor: ActorId) {
        self.nodes[node].registry.remove(&tenant);
        self.nodes[node].restarts.remove(&tenant);
        self.tell_actor(node, actor, ToActor::Stop);
    }

    pub fn sweep(&mut self, node: usize) {
        let freshness = &self.nodes[node].freshness;
        if freshness.is_stale(freshness.millis_at(self.instant())) {
            return;
        }
        let before = self.now.saturating_sub(self.idle_stop);
        let residents = &self.nodes[node].residents;
        let idle = |entry: &Entry| {
            let Resident { set, used_at, .. } = &residents[&entry.resident];
            let stays = set.is_none() && is_awaited(used_at / MS, self.now / MS);
            self.now >= self.idle_stop && *used_at <= before && !stays
        };
        let found = self.nodes[node].registry.iter().filter(|(_, entry)| idle(entry));
        let found: Vec<(TenantId, ActorId)> = found.map(|(tenant, entry)| (*tenant, entry.actor)).collect();
        for (tenant, actor) in found {
            self.stop(node, tenant, actor);
        }
    }

    /// One of the node's actors fails in its next turn.
    pub fn panic(&mut self, node: usize) {
        let of = self.random.index(self.nodes[node].actors.len().max(1));
        if let Some(actor) = self.nodes[node].actors.values_mut().nth(of) {
            actor.fails = true;
        }
    }
}
