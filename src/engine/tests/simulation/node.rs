//! A simulated process: the engine's own automata, and around them what the actors' shells do, message by message.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    history::Happened,
    strategy::{Acknowledging, AnyCursor, Marking, Taking},
    world::{Event, MS, NodeEvent, SECOND, World},
};
use crate::{
    domain::{Revision, TenantId},
    engine::{
        follow::catch_up::Schedule,
        freshness::Freshness,
        resident::hints::{Hints, NOT_BEHIND, Want},
        supervisor::restart::RestartState,
        tenant::{publication::Version, reload::ReloadState},
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
    pub actors: BTreeMap<ActorId, Actor>,
    pub supervisor: VecDeque<ToSupervisor>,
    pub loads_free: usize,
    pub load_line: VecDeque<ActorId>,
    pub waiters: BTreeMap<u64, Waiter>,
    pub restarts: BTreeMap<TenantId, RestartState>,
}

#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub resident: u64,
    pub actor: ActorId,
}

pub struct Resident {
    pub set: Option<Set>,
    pub used_at: u64,
    pub hints: Hints,
}

pub struct Actor {
    pub tenant: TenantId,
    pub resident: u64,
    pub reload: ReloadState,
    pub before_load: Option<Version>,
    pub waiters: Vec<u64>,
    pub mailbox: VecDeque<ToActor>,
    pub fails: bool,
}

pub enum ToActor {
    Ensure(u64),
    Hinted,
    Loaded(LoadResult),
    Committed(Set),
    RetryDue,
    Stop,
}

pub enum ToSupervisor {
    Ensure(u64),
    Gone(TenantId, ActorId),
    Failed(ActorId),
    Restart(TenantId),
    Changed(TenantId),
    Loaded(TenantId),
    Sweep,
}

/// Who waits for a set.
pub struct Waiter {
    pub tenant: TenantId,
    pub revision_min: Option<Revision>,
    pub purpose: Purpose,
}

#[derive(Clone, Copy)]
pub enum Purpose {
    Decide { asked_at: u64, min: Option<Version> },
    Acknowledge { version: Version, until: u64 },
}

pub enum Answer {
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
    pub fn decide(&mut self, node: usize, tenant: TenantId, asked_at: u64, min: Option<Version>, set: Set) {
        let behind_since_ms = match self.strategy.marking {
            Marking::ByNodeAndTenant => self.nodes[node]
                .registry
                .get(&tenant)
                .map_or(NOT_BEHIND, |entry| self.nodes[node].residents[&entry.resident].hints.behind_since_ms()),
            Marking::ByNode => NOT_BEHIND,
        };
        let freshness = &self.nodes[node].freshness;
        let stale = freshness.is_stale_since(behind_since_ms, freshness.millis_at(self.instant()));
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
    pub fn committed(&mut self, node: usize, tenant: TenantId, set: Set) {
        if let Some(entry) = self.nodes[node].registry.get(&tenant).copied() {
            self.tell_actor(node, entry.actor, ToActor::Committed(set));
            self.hint(node, tenant, Want::AtLeast(set.version.revision));
        }
        self.serve(node, tenant, set.version, self.now + 2 * SECOND);
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
    pub fn acknowledged(&mut self, node: usize, tenant: TenantId, version: Version) {
        self.tell(Happened::Acknowledged { node, tenant, version });
        for min in [None, Some(version)] {
            if self.random.permille(400) {
                let reader = if min.is_none() { node } else { self.random.index(self.nodes.len()) };
                let delay = self.random.range(0, 20 * MS);
                self.after(delay, Event::Request { node: reader, tenant, min });
            }
        }
    }

    pub fn ensure(
        &mut self,
        node: usize,
        tenant: TenantId,
        revision_min: Option<Revision>,
        purpose: Purpose,
        wait: u64,
    ) {
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

    pub fn answer(&mut self, node: usize, waiter: u64, answer: &Answer) {
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
