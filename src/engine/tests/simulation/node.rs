//! A simulated process: the engine's own automata, and around them what the actors' shells do, message by message.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    history::Happened,
    strategy::{Acknowledging, AnyCursor, Marking, Registration, Taking},
    world::{Event, MS, NodeEvent, SECOND, World},
};
use crate::{
    domain::{Revision, TenantId},
    engine::{
        catch_up::Schedule,
        freshness::Freshness,
        hints::{Hints, NOT_BEHIND},
        publication::{Publication, Version},
        registry::is_awaited,
        reload::{self, Action, Input, State, Want},
        restart,
    },
};

pub type ActorId = u64;

/// What a load ends with; `None`: there is no such tenant.
pub type LoadResult = Result<Option<Set>, ()>;

/// A compiled rule set.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub version: Version,
    pub parts: (u64, u64),
}

pub struct Node {
    pub incarnation: u32,
    pub is_alive: bool,
    pub freshness: Freshness,
    pub schedule: Schedule,
    pub cursor: AnyCursor,
    /// The listener has told of a gap, and reconciling has not looked yet.
    pub gap: bool,
    pub tick_waits: bool,
    pub reconciles: bool,
    pub is_linked: bool,
    pub reconnect_wait: u64,
    pub registry: BTreeMap<TenantId, Entry>,
    pub residents: BTreeMap<u64, Resident>,
    actors: BTreeMap<ActorId, Actor>,
    supervisor: VecDeque<ToSupervisor>,
    loads_free: usize,
    load_line: VecDeque<ActorId>,
    waiters: BTreeMap<u64, Waiter>,
    restarts: BTreeMap<TenantId, restart::State>,
}

#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub resident: u64,
    pub actor: ActorId,
}

pub struct Resident {
    pub set: Option<Set>,
    used_at: u64,
    hints: Hints,
}

struct Actor {
    tenant: TenantId,
    resident: u64,
    reload: State,
    waiters: Vec<u64>,
    mailbox: VecDeque<ToActor>,
    fails: bool,
}

enum ToActor {
    Ensure(u64),
    Hinted,
    Loaded(LoadResult),
    RetryDue,
    Stop,
}

enum ToSupervisor {
    Ensure(u64),
    Gone(TenantId, ActorId),
    Failed(ActorId),
    Restart(TenantId),
    Changed(TenantId),
    Loaded(TenantId),
    Sweep,
}

/// Who waits for a set.
struct Waiter {
    tenant: TenantId,
    revision_min: Option<Revision>,
    purpose: Purpose,
}

#[derive(Clone, Copy)]
enum Purpose {
    Decide { asked_at: u64, min: Option<Version> },
    Acknowledge { version: Version, until: u64 },
}

enum Answer {
    Set(Set),
    NoTenant,
    NoLoad,
}

impl Node {
    pub fn new(incarnation: u32, is_alive: bool, now: Instant) -> Self {
        Self {
            incarnation,
            is_alive,
            freshness: Freshness::new(Duration::from_secs(2), now),
            schedule: Schedule::default(),
            cursor: AnyCursor::default(),
            gap: false,
            tick_waits: false,
            reconciles: false,
            is_linked: false,
            reconnect_wait: 50 * MS,
            registry: BTreeMap::new(),
            residents: BTreeMap::new(),
            actors: BTreeMap::new(),
            supervisor: VecDeque::new(),
            loads_free: 2,
            load_line: VecDeque::new(),
            waiters: BTreeMap::new(),
            restarts: BTreeMap::new(),
        }
    }

    pub fn is_listening(&self) -> bool {
        self.freshness.is_listening()
    }

    pub fn served(&self, tenant: TenantId) -> Option<Version> {
        let entry = self.registry.get(&tenant)?;
        self.residents[&entry.resident].set.map(|set| set.version)
    }
}

/// Requests, writers, and those that wait.
impl World {
    pub fn begin(&mut self, node: usize) {
        let now = self.instant();
        self.nodes[node] = Node::new(self.nodes[node].incarnation, true, now);
        self.tell(Happened::Began { node });
        self.node_after(0, node, NodeEvent::Connect);
        self.node_after(0, node, NodeEvent::Tick);
        self.node_after(self.idle_stop / 10, node, NodeEvent::Sweep);
    }

    pub fn request(&mut self, node: usize, tenant: TenantId, min: Option<Version>) {
        let asked_at = self.now;
        let entry = self.nodes[node].registry.get(&tenant).copied();
        let served = entry.and_then(|entry| {
            let resident = self.nodes[node].residents.get_mut(&entry.resident)?;
            resident.used_at = asked_at;
            resident.set
        });
        match served {
            Some(set) if min.is_none_or(|min| set.version.revision >= min.revision) => {
                self.decide(node, tenant, asked_at, min, set);
            }
            Some(_) => {
                let purpose = Purpose::Decide { asked_at, min };
                self.ensure(node, tenant, min.map(|min| min.revision), purpose, 500 * MS);
            }
            None => self.ensure(node, tenant, None, Purpose::Decide { asked_at, min }, 10 * SECOND),
        }
    }

    /// Takes the set now, and has decided a little later.
    fn decide(&mut self, node: usize, tenant: TenantId, asked_at: u64, min: Option<Version>, set: Set) {
        let behind_since_ms = match self.strategy.marking {
            Marking::ByNodeAndTenant => self.nodes[node]
                .registry
                .get(&tenant)
                .map_or(NOT_BEHIND, |entry| self.nodes[node].residents[&entry.resident].hints.behind_since_ms()),
            Marking::ByNode => NOT_BEHIND,
        };
        let stale = self.nodes[node].freshness.is_stale_since(behind_since_ms, self.instant());
        let taken_at = self.now;
        let (version, parts) = (set.version, set.parts);
        let decision = Happened::Decided { node, tenant, asked_at, taken_at, min, version, parts, stale };
        let delay = self.random.delay(200, 20 * MS);
        let incarnation = self.nodes[node].incarnation;
        self.after(delay, Event::Decide { node, incarnation, decision });
    }

    pub fn decided(&mut self, node: usize, mut decision: Happened) {
        if let (Taking::Twice, Happened::Decided { tenant, parts, .. }) = (self.strategy.taking, &mut decision) {
            let entry = self.nodes[node].registry.get(tenant);
            let again = entry.and_then(|entry| self.nodes[node].residents[&entry.resident].set);
            parts.1 = again.map_or(parts.1, |set| set.parts.1);
        }
        self.tell(decision);
    }

    /// This node has committed: it answers when it serves what it wrote.
    pub fn committed(&mut self, node: usize, tenant: TenantId, version: Version) {
        if self.nodes[node].registry.contains_key(&tenant) {
            self.hint(node, tenant, Want::AtLeast(version.revision));
        }
        self.serve(node, tenant, version, self.now + 2 * SECOND);
    }

    /// Waits until what was written is served, if the tenant is in memory, whatever fails meanwhile.
    pub fn serve(&mut self, node: usize, tenant: TenantId, version: Version, until: u64) {
        // What is served may be of the time before a restore: its numbers say nothing.
        if self.nodes[node].served(tenant).is_some_and(|served| served.epoch != version.epoch) {
            self.hint(node, tenant, Want::Fresh);
        }
        let in_memory = self.nodes[node].registry.contains_key(&tenant);
        if in_memory && self.now < until {
            let purpose = Purpose::Acknowledge { version, until };
            self.ensure(node, tenant, Some(version.revision), purpose, until - self.now);
        } else {
            self.acknowledged(node, tenant, version);
        }
    }

    /// The client hears of it, and tells others.
    fn acknowledged(&mut self, node: usize, tenant: TenantId, version: Version) {
        self.tell(Happened::Acknowledged { node, tenant, version });
        for min in [None, Some(version)] {
            if self.random.permille(400) {
                let reader = if min.is_none() { node } else { self.random.index(self.nodes.len()) };
                let delay = self.random.range(0, 20 * MS);
                self.after(delay, Event::Request { node: reader, tenant, min });
            }
        }
    }

    fn ensure(&mut self, node: usize, tenant: TenantId, revision_min: Option<Revision>, purpose: Purpose, wait: u64) {
        let waiter = self.id();
        self.nodes[node].waiters.insert(waiter, Waiter { tenant, revision_min, purpose });
        let incarnation = self.nodes[node].incarnation;
        self.after(wait, Event::GiveUp { node, incarnation, waiter });
        self.tell_supervisor(node, ToSupervisor::Ensure(waiter));
    }

    pub fn give_up(&mut self, node: usize, waiter: u64) {
        let Some(waiter) = self.nodes[node].waiters.remove(&waiter) else { return };
        match waiter.purpose {
            // It is committed either way.
            Purpose::Acknowledge { version, .. } => self.acknowledged(node, waiter.tenant, version),
            Purpose::Decide { asked_at, .. } => {
                let waits_for_revision = waiter.revision_min.is_some();
                self.tell(Happened::Refused { node, asked_at, waits_for_revision });
            }
        }
    }

    fn answer(&mut self, node: usize, waiter: u64, answer: &Answer) {
        let Some(Waiter { tenant, purpose, .. }) = self.nodes[node].waiters.remove(&waiter) else { return };
        match (purpose, answer) {
            (Purpose::Acknowledge { version, until }, Answer::Set(set)) if set.version.epoch != version.epoch => {
                let incarnation = self.nodes[node].incarnation;
                self.after(20 * MS, Event::Serve { node, incarnation, tenant, version, until });
            }
            (Purpose::Acknowledge { version, until }, Answer::NoLoad)
                if self.strategy.acknowledging == Acknowledging::WhenServed =>
            {
                let incarnation = self.nodes[node].incarnation;
                self.after(20 * MS, Event::Serve { node, incarnation, tenant, version, until });
            }
            (Purpose::Acknowledge { version, .. }, _) => self.acknowledged(node, tenant, version),
            (Purpose::Decide { asked_at, min }, Answer::Set(set)) => match min {
                Some(wanted) if set.version.revision < wanted.revision => {
                    let purpose = Purpose::Decide { asked_at, min };
                    self.ensure(node, tenant, Some(wanted.revision), purpose, 500 * MS);
                }
                _ => self.decide(node, tenant, asked_at, min, *set),
            },
            (Purpose::Decide { asked_at, .. }, Answer::NoTenant) => {
                self.tell(Happened::NotFound { node, tenant, asked_at });
            }
            (Purpose::Decide { asked_at, .. }, Answer::NoLoad) => {
                self.tell(Happened::Refused { node, asked_at, waits_for_revision: false });
            }
        }
    }
}

/// The supervisor, as `supervisor::State` does it.
impl World {
    fn tell_supervisor(&mut self, node: usize, message: ToSupervisor) {
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

    fn supervise(&mut self, node: usize) {
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

    fn restart(&mut self, node: usize, tenant: TenantId, input: restart::Input) {
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

    fn is_quarantined(&self, node: usize, tenant: TenantId) -> bool {
        self.nodes[node].restarts.get(&tenant).is_some_and(restart::State::is_quarantined)
    }

    /// Who keeps a tenant: in the registry, or, where that is done late, about to be.
    fn keeper(&self, node: usize, tenant: TenantId) -> Option<ActorId> {
        let registered = self.nodes[node].registry.get(&tenant).map(|entry| entry.actor);
        let late = self.strategy.registration == Registration::AfterTheFirstLoad;
        let unregistered =
            || self.nodes[node].actors.iter().find(|(_, actor)| actor.tenant == tenant).map(|(id, _)| *id);
        registered.or_else(|| if late { unregistered() } else { None })
    }

    fn start(&mut self, node: usize, tenant: TenantId, resident: Option<u64>) -> ActorId {
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
            reload: State::Idle,
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

    fn stop(&mut self, node: usize, tenant: TenantId, actor: ActorId) {
        self.nodes[node].registry.remove(&tenant);
        self.nodes[node].restarts.remove(&tenant);
        self.tell_actor(node, actor, ToActor::Stop);
    }

    fn sweep(&mut self, node: usize) {
        if self.nodes[node].freshness.is_stale(self.instant()) {
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

/// A tenant's actor, as `tenant::State` does it.
impl World {
    pub fn hint(&mut self, node: usize, tenant: TenantId, want: Want) {
        let Some(entry) = self.nodes[node].registry.get(&tenant).copied() else { return };
        let known_ms = self.nodes[node].freshness.synchronised_at_ms();
        let resident = &self.nodes[node].residents[&entry.resident];
        let installed = resident.set.map(|set| set.version.revision);
        if reload::is_news(want, installed) && resident.hints.keep(want, known_ms) {
            self.tell_actor(node, entry.actor, ToActor::Hinted);
        }
        if self.is_quarantined(node, tenant) {
            self.tell_supervisor(node, ToSupervisor::Changed(tenant));
        }
    }

    fn tell_actor(&mut self, node: usize, actor: ActorId, message: ToActor) {
        // One that has ended takes nothing.
        if let Some(keeper) = self.nodes[node].actors.get_mut(&actor) {
            keeper.mailbox.push_back(message);
            let delay = self.random.delay(100, 30 * MS);
            self.node_after(delay, node, NodeEvent::Turn { actor });
        }
    }

    fn turn(&mut self, node: usize, id: ActorId) {
        let Some(mut actor) = self.nodes[node].actors.remove(&id) else { return };
        if actor.fails {
            for waiter in actor.waiters {
                self.answer(node, waiter, &Answer::NoLoad);
            }
            for message in actor.mailbox {
                if let ToActor::Ensure(waiter) = message {
                    self.answer(node, waiter, &Answer::NoLoad);
                }
            }
            self.tell(Happened::Disturbed);
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
                self.publish(node, id, &actor, set);
                if self.is_quarantined(node, actor.tenant) {
                    self.tell_supervisor(node, ToSupervisor::Loaded(actor.tenant));
                }
                let waiters = std::mem::take(&mut actor.waiters);
                actor.waiters =
                    waiters.into_iter().filter_map(|w| self.answer_if_served(node, actor.resident, w)).collect();
                self.advance(node, id, &mut actor, Input::Loaded);
            }
            ToActor::Loaded(Ok(None)) => {
                for waiter in std::mem::take(&mut actor.waiters) {
                    self.answer(node, waiter, &Answer::NoTenant);
                }
                actor.reload = State::Idle;
                self.tell_supervisor(node, ToSupervisor::Gone(actor.tenant, id));
            }
            ToActor::Loaded(Err(())) => self.load_failed(node, id, &mut actor),
            ToActor::RetryDue => self.advance(node, id, &mut actor, Input::RetryDue),
        }
        self.nodes[node].actors.insert(id, actor);
    }

    fn load_failed(&mut self, node: usize, id: ActorId, actor: &mut Actor) {
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
    fn answer_if_served(&mut self, node: usize, resident: u64, waiter: u64) -> Option<u64> {
        let min = self.nodes[node].waiters.get(&waiter)?.revision_min;
        match self.nodes[node].residents[&resident].set {
            Some(set) if min.is_none_or(|min| set.version.revision >= min) => {
                self.answer(node, waiter, &Answer::Set(set));
                None
            }
            _ => Some(waiter),
        }
    }

    fn publish(&mut self, node: usize, id: ActorId, actor: &Actor, set: Set) {
        let (tenant, resident) = (actor.tenant, actor.resident);
        let served = self.nodes[node].residents[&resident].set.map(|served| served.version);
        match (self.strategy.publication)(served, set.version) {
            Publication::Known => {}
            Publication::Regression => self.tell(Happened::Alarm { node, tenant }),
            Publication::Publish => {
                self.nodes[node].residents.get_mut(&resident).unwrap().set = Some(set);
                self.tell(Happened::Installed { node, resident, tenant, version: set.version });
            }
        }
        if self.strategy.registration == Registration::AfterTheFirstLoad {
            self.nodes[node].registry.insert(tenant, Entry { resident, actor: id });
        }
    }

    fn advance(&mut self, node: usize, id: ActorId, actor: &mut Actor, input: Input) {
        let resident = &self.nodes[node].residents[&actor.resident];
        let installed = resident.set.map(|set| set.version.revision);
        let (next, action) = (self.strategy.step)(actor.reload, installed, input);
        actor.reload = next;
        if next == State::Idle {
            resident.hints.settle();
        }
        match action {
            Some(Action::Load) => self.begin_load(node, id),
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
    fn begin_load(&mut self, node: usize, actor: ActorId) {
        if self.nodes[node].loads_free == 0 {
            self.nodes[node].load_line.push_back(actor);
            return;
        }
        self.nodes[node].loads_free -= 1;
        let began = self.now;
        let delay = self.service_time(MS, 40 * MS);
        self.node_after(delay, node, NodeEvent::LoadStep { actor, step: 0, row: None, parts: (0, 0), began });
    }

    fn load_step(
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

    fn load_ends(&mut self, node: usize, actor: ActorId, result: LoadResult) {
        self.nodes[node].loads_free += 1;
        self.tell_actor(node, actor, ToActor::Loaded(result));
        if let Some(next) = self.nodes[node].load_line.pop_front() {
            self.begin_load(node, next);
        }
    }
}
