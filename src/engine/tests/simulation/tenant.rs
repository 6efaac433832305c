//! The actor of a tenant in a simulated process, as `engine::tenant` does it, and its loads.

use super::{
    history::Happened,
    node::{Actor, ActorId, Answer, Entry, LoadResult, Set, ToActor, ToSupervisor},
    strategy::Registration,
    world::{MS, NodeEvent, SECOND, World},
};
use crate::{
    domain::TenantId,
    engine::{
        resident::hints::Want,
        tenant::{
            publication::{Publication, Version},
            reload::{Action, Input, ReloadState},
        },
    },
};

/// A tenant's actor, as `tenant::State` does it.
impl World {
    pub fn hint(&mut self, node: usize, tenant: TenantId, want: Want) {
        let Some(entry) = self.nodes[node].registry.get(&tenant).copied() else { return };
        let known_ms = self.nodes[node].freshness.synchronised_at_ms();
        let resident = &self.nodes[node].residents[&entry.resident];
        let installed = resident.set.map(|set| set.version.revision);
        if resident.hints.is_news(want, installed) && resident.hints.keep(want, known_ms) {
            self.tell_actor(node, entry.actor, ToActor::Hinted);
        }
        if self.is_quarantined(node, tenant) {
            self.tell_supervisor(node, ToSupervisor::Changed(tenant));
        }
    }

    pub fn tell_actor(&mut self, node: usize, actor: ActorId, message: ToActor) {
        // One that has ended takes nothing.
        if let Some(keeper) = self.nodes[node].actors.get_mut(&actor) {
            keeper.mailbox.push_back(message);
            let delay = self.random.delay(100, 30 * MS);
            self.node_after(delay, node, NodeEvent::Turn { actor });
        }
    }

    pub fn turn(&mut self, node: usize, id: ActorId) {
        let Some(mut actor) = self.nodes[node].actors.remove(&id) else { return };
        if actor.fails {
            self.tell(Happened::Disturbed);
            for waiter in actor.waiters {
                self.answer(node, waiter, &Answer::NoLoad);
            }
            for message in actor.mailbox {
                if let ToActor::Ensure(waiter) = message {
                    self.answer(node, waiter, &Answer::NoLoad);
                }
            }
            self.tell_supervisor(node, ToSupervisor::Failed(id));
            return;
        }
        let Some(message) = actor.mailbox.pop_front() else {
            self.nodes[node].actors.insert(id, actor);
            return;
        };
        match message {
            ToActor::Stop => {
                for waiter in actor.waiters {
                    self.tell_supervisor(node, ToSupervisor::Ensure(waiter));
                }
                return;
            }
            ToActor::Ensure(waiter) => {
                if let Some(waiter) = self.answer_if_served(node, actor.resident, waiter) {
                    let min = self.nodes[node].waiters.get(&waiter).and_then(|waiter| waiter.revision_min);
                    actor.waiters.push(waiter);
                    self.advance(node, id, &mut actor, Input::Hint(min.map_or(Want::Fresh, Want::AtLeast)));
                }
            }
            ToActor::Hinted => {
                if let Some(want) = self.nodes[node].residents[&actor.resident].hints.take() {
                    self.advance(node, id, &mut actor, Input::Hint(want));
                }
            }
            ToActor::Loaded(Ok(Some(set))) => {
                if self.publish(node, id, &actor, set) == Publication::Unordered {
                    self.advance(node, id, &mut actor, Input::Hint(Want::Fresh));
                }
                if self.is_quarantined(node, actor.tenant) {
                    self.tell_supervisor(node, ToSupervisor::Loaded(actor.tenant));
                }
                self.answer_all(node, &mut actor);
                self.advance(node, id, &mut actor, Input::Loaded);
            }
            ToActor::Loaded(Ok(None)) => {
                for waiter in std::mem::take(&mut actor.waiters) {
                    self.answer(node, waiter, &Answer::NoTenant);
                }
                actor.reload = ReloadState::Idle;
                self.tell_supervisor(node, ToSupervisor::Gone(actor.tenant, id));
            }
            ToActor::Loaded(Err(())) => self.load_failed(node, id, &mut actor),
            ToActor::Committed(set) => {
                let served = self.nodes[node].residents[&actor.resident].set.map(|served| served.version);
                match (self.strategy.handover)(served, set.version) {
                    Publication::Publish => {
                        self.install(node, id, &actor, set);
                        self.answer_all(node, &mut actor);
                    }
                    Publication::Unordered => self.advance(node, id, &mut actor, Input::Hint(Want::Fresh)),
                    Publication::Known | Publication::Overtaken | Publication::Regression => {}
                }
            }
            ToActor::RetryDue => self.advance(node, id, &mut actor, Input::RetryDue),
        }
        self.nodes[node].actors.insert(id, actor);
    }

    pub fn load_failed(&mut self, node: usize, id: ActorId, actor: &mut Actor) {
        let has_set = self.nodes[node].residents[&actor.resident].set.is_some();
        for waiter in std::mem::take(&mut actor.waiters) {
            let waits = self.nodes[node].waiters.get(&waiter).is_some_and(|waiter| waiter.revision_min.is_some());
            if waits && has_set {
                actor.waiters.push(waiter);
            } else {
                self.answer(node, waiter, &Answer::NoLoad);
            }
        }
        let jitter_permille = u16::try_from(self.random.range(0, 1000)).unwrap();
        self.advance(node, id, actor, Input::Failed { jitter_permille });
    }

    /// Answers a caller if what is served will do, and gives it back otherwise.
    pub fn answer_if_served(&mut self, node: usize, resident: u64, waiter: u64) -> Option<u64> {
        let min = self.nodes[node].waiters.get(&waiter)?.revision_min;
        match self.nodes[node].residents[&resident].set {
            Some(set) if min.is_none_or(|min| set.version.revision >= min) => {
                self.answer(node, waiter, &Answer::Set(set));
                None
            }
            _ => Some(waiter),
        }
    }

    fn answer_all(&mut self, node: usize, actor: &mut Actor) {
        let waiters = std::mem::take(&mut actor.waiters);
        actor.waiters = waiters.into_iter().filter_map(|w| self.answer_if_served(node, actor.resident, w)).collect();
    }

    pub fn publish(&mut self, node: usize, id: ActorId, actor: &Actor, set: Set) -> Publication {
        let served = self.nodes[node].residents[&actor.resident].set.map(|served| served.version);
        let publication = (self.strategy.publication)(served, actor.before_load, set.version);
        match publication {
            Publication::Known | Publication::Overtaken | Publication::Unordered => {}
            Publication::Regression => self.tell(Happened::Alarm { node, tenant: actor.tenant }),
            Publication::Publish => self.install(node, id, actor, set),
        }
        self.register_late(node, id, actor);
        publication
    }

    fn install(&mut self, node: usize, id: ActorId, actor: &Actor, set: Set) {
        let (tenant, resident) = (actor.tenant, actor.resident);
        self.nodes[node].residents.get_mut(&resident).unwrap().set = Some(set);
        self.tell(Happened::Installed { node, resident, tenant, version: set.version });
        self.register_late(node, id, actor);
    }

    fn register_late(&mut self, node: usize, id: ActorId, actor: &Actor) {
        let (tenant, resident) = (actor.tenant, actor.resident);
        if self.strategy.registration == Registration::AfterTheFirstLoad {
            self.nodes[node].registry.insert(tenant, Entry { resident, actor: id });
        }
    }

    pub fn advance(&mut self, node: usize, id: ActorId, actor: &mut Actor, input: Input) {
        let resident = &self.nodes[node].residents[&actor.resident];
        let resident_set = resident.set;
        let installed = resident_set.map(|set| set.version.revision);
        let (next, action) = (self.strategy.step)(actor.reload, installed, input);
        actor.reload = next;
        if next == ReloadState::Idle {
            resident.hints.settle();
        }
        match action {
            Some(Action::Load) => {
                actor.before_load = resident_set.map(|set| set.version);
                self.begin_load(node, id);
            }
            Some(Action::RetryAfter(wait)) => {
                let wait = u64::try_from(wait.as_micros()).unwrap();
                self.node_after(wait, node, NodeEvent::RetryDue { actor: id });
            }
            None => {}
        }
    }
}

/// Loads: a bounded number at once, each one snapshot.
impl World {
    pub fn begin_load(&mut self, node: usize, actor: ActorId) {
        if self.nodes[node].loads_free == 0 {
            self.nodes[node].load_line.push_back(actor);
            return;
        }
        self.nodes[node].loads_free -= 1;
        let began = self.now;
        let delay = self.service_time(MS, 40 * MS);
        self.node_after(delay, node, NodeEvent::LoadStep { actor, step: 0, row: None, parts: (0, 0), began });
    }

    pub fn load_step(
        &mut self,
        node: usize,
        actor: ActorId,
        (step, began): (u8, u64),
        row: Option<Version>,
        parts: (u64, u64),
    ) {
        let deadline = began + 5 * SECOND;
        let delay = self.service_time(MS, 40 * MS);
        let failed = NodeEvent::LoadEnds { actor, result: Err(()) };
        if self.is_silent || self.now + delay > deadline {
            self.node_after(deadline.saturating_sub(self.now), node, failed);
            return;
        }
        if !self.database.is_up || (self.loads_fail && self.random.permille(700)) {
            self.node_after(delay, node, failed);
            return;
        }
        let Some(tenant) = self.nodes[node].actors.get(&actor).map(|actor| actor.tenant) else {
            self.node_after(delay, node, failed);
            return;
        };
        let (row, parts) = self.read(tenant, step, row, parts);
        if step < 2 && row.is_some() {
            self.node_after(delay, node, NodeEvent::LoadStep { actor, step: step + 1, row, parts, began });
            return;
        }
        let compiling = self.random.delay(2 * MS, 100 * MS);
        let result = Ok(row.map(|version| Set { version, parts }));
        self.node_after(delay + compiling, node, NodeEvent::LoadEnds { actor, result });
    }

    pub fn load_ends(&mut self, node: usize, actor: ActorId, result: LoadResult) {
        self.nodes[node].loads_free += 1;
        self.tell_actor(node, actor, ToActor::Loaded(result));
        if let Some(next) = self.nodes[node].load_line.pop_front() {
            self.begin_load(node, next);
        }
    }
}
