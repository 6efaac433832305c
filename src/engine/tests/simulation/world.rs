//! The world of a run: a database, some nodes, clients, faults, and a clock that jumps from event to event.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    database::{Backup, Database, Row},
    history::{Happened, History},
    node::{self, ActorId, Node, Set},
    random::Random,
    strategy::{Isolation, Strategy},
};
use crate::{
    domain::{Revision, TenantId},
    engine::tenant::publication::Version,
    store::{Moment, TenantHead},
};

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000 * MS;
/// How long nothing more is changed or disturbed at the end of a run.
pub const QUIET: u64 = 14 * SECOND;

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Everything goes wrong that can.
    Everything,
    /// Nobody asks every second: the listener alone must lose nothing, as long as the server tells of lost connections.
    ListenerAlone,
    /// Nothing goes wrong, and tenants leave memory all the time, so that nearly every request crosses a stop.
    Crossings,
}

/// Requests of a run of [`Scenario::Crossings`].
pub const CROSSINGS: u64 = 10_000;

/// What happens next. `incarnation` tells events for a process that was killed meanwhile.
#[derive(Debug, Clone)]
pub enum Event {
    Write { by: Option<(usize, u32)>, tenant: TenantId, transaction: u64, early_number: bool, is_deletion: bool },
    Commit { transaction: u64 },
    Acknowledge { node: usize, incarnation: u32, tenant: TenantId, set: Set },
    Serve { node: usize, incarnation: u32, tenant: TenantId, version: Version, until: u64 },
    LongTransaction { transaction: u64, ends: bool },
    Heard { node: usize, session: u64, tenant: TenantId, revision: Revision },
    Fault(Fault),
    Begin { node: usize },
    Request { node: usize, tenant: TenantId, min: Option<Version> },
    Decide { node: usize, incarnation: u32, decision: Happened },
    GiveUp { node: usize, incarnation: u32, waiter: u64 },
    Node { node: usize, incarnation: u32, event: NodeEvent },
}

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum NodeEvent {
    Connect,
    Connected { session: u64 },
    Lost,
    Tick,
    Asked { began: u64, compare: bool },
    Answered { began: u64, compare: bool, moment: Option<Moment> },
    Comparing { began: u64, tenants: Vec<TenantId> },
    Compared { began: u64, heads: Option<Vec<TenantHead>> },
    Supervise,
    Turn { actor: ActorId },
    LoadStep { actor: ActorId, step: u8, row: Option<Version>, parts: (u64, u64), began: u64 },
    LoadEnds { actor: ActorId, result: node::LoadResult },
    RetryDue { actor: ActorId },
    Restart { tenant: TenantId },
    Sweep,
}

#[derive(Debug, Clone)]
pub enum Fault {
    Crash { node: usize },
    KillListener { node: usize },
    HalfOpenListener { node: usize },
    Outage { length: u64, is_silent: bool },
    OutageEnds,
    Slow { length: u64 },
    SlowEnds,
    LoadsFail { length: u64 },
    LoadsFailEnds,
    Panic { node: usize },
    Backup,
    Restore { begins_epoch: bool, into_younger: bool },
}

/// A write under way.
pub struct Writing {
    by: Option<(usize, u32)>,
    tenant: TenantId,
    is_deletion: bool,
}

pub struct World {
    pub strategy: Strategy,
    pub scenario: Scenario,
    pub random: Random,
    pub now: u64,
    pub origin: Instant,
    pub queue: BTreeMap<(u64, u64), Event>,
    pub sequence: u64,
    pub history: History,
    pub database: Database,
    pub nodes: Vec<Node>,
    pub tenants: Vec<TenantId>,
    pub idle_stop: u64,
    pub is_silent: bool,
    pub is_slow: bool,
    pub loads_fail: bool,
    pub drops_permille: u64,
    pub writing: BTreeMap<u64, Writing>,
    pub backup: Option<Backup>,
    pub sessions: BTreeSet<(usize, u64)>,
    /// When the last fault ends.
    pub active_until: u64,
    pub ends_at: u64,
    pub next_id: u64,
}

impl World {
    pub fn new(seed: u64, strategy: Strategy, scenario: Scenario) -> Self {
        let mut random = Random::new(seed);
        let tenants: Vec<TenantId> =
            (1..=random.range(2, 4)).map(|n| TenantId(uuid::Uuid::from_u128(u128::from(n)))).collect();
        let active = if random.permille(100) { 70 * SECOND } else { random.range(8, 20) * SECOND };
        let mut world = Self {
            database: Database::new(tenants.iter().copied()),
            nodes: Vec::new(),
            idle_stop: if random.permille(500) { random.range(50, 3_000) * MS } else { 1_000 * SECOND },
            drops_permille: if random.permille(500) { random.range(0, 1000) } else { 0 },
            strategy,
            scenario,
            random,
            now: 0,
            origin: Instant::now(),
            queue: BTreeMap::new(),
            sequence: 0,
            history: Vec::new(),
            tenants,
            is_silent: false,
            is_slow: false,
            loads_fail: false,
            writing: BTreeMap::new(),
            backup: None,
            sessions: BTreeSet::new(),
            active_until: active,
            ends_at: active + QUIET,
            next_id: 1,
        };
        world.tell_truth();
        for node in 0..usize::try_from(world.random.range(2, 3)).unwrap() {
            world.nodes.push(Node::new(0, false, world.instant()));
            let at = world.random.range(0, 500 * MS);
            world.at(at, Event::Begin { node });
        }
        if scenario == Scenario::Crossings {
            world.idle_stop = 0;
            world.plan_crossings();
        } else {
            world.plan(active);
        }
        world
    }

    /// Runs to the end; answers what happened.
    pub fn run(mut self) -> History {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > self.ends_at {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.now = self.ends_at;
        for node in 0..self.nodes.len() {
            for tenant in self.tenants.clone() {
                let served = self.nodes[node].served(tenant);
                self.tell(Happened::AtTheEnd { node, tenant, served });
            }
        }
        self.history
    }

    pub fn instant(&self) -> Instant {
        self.instant_at(self.now)
    }

    pub fn instant_at(&self, at: u64) -> Instant {
        self.origin + Duration::from_micros(at)
    }

    pub fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    pub fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Something for a node, if it still lives then.
    pub fn node_after(&mut self, delay: u64, node: usize, event: NodeEvent) {
        let incarnation = self.nodes[node].incarnation;
        self.after(delay, Event::Node { node, incarnation, event });
    }

    pub fn tell(&mut self, happened: Happened) {
        self.history.push((self.now, happened));
    }

    /// The truth of all tenants, where it may have changed for many.
    pub fn tell_truth(&mut self) {
        for tenant in self.tenants.clone() {
            let (epoch, row) = (self.database.epoch, self.database.row(tenant));
            self.tell(Happened::Truth { tenant, epoch, row });
        }
    }

    /// How long the server takes for something.
    pub fn service_time(&mut self, usual: u64, rare: u64) -> u64 {
        let time = self.random.delay(usual, rare);
        if self.is_slow { time * self.random.range(5, 60) } else { time }
    }

    fn lives(&self, node: usize, incarnation: u32) -> bool {
        self.nodes[node].is_alive && self.nodes[node].incarnation == incarnation
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Write { by, tenant, transaction, early_number, is_deletion } => {
                self.write(by, tenant, transaction, early_number, is_deletion);
            }
            Event::Commit { transaction } => self.commit(transaction),
            Event::Acknowledge { node, incarnation, tenant, set } => {
                if self.lives(node, incarnation) {
                    self.committed(node, tenant, set);
                }
            }
            Event::Serve { node, incarnation, tenant, version, until } => {
                if self.lives(node, incarnation) {
                    self.serve(node, tenant, version, until);
                }
            }
            Event::LongTransaction { transaction, ends: false } if self.database.is_up => {
                self.database.begin(transaction);
            }
            Event::LongTransaction { transaction, .. } => drop(self.database.end(None, transaction)),
            Event::Heard { node, session, tenant, revision } => {
                if self.sessions.contains(&(node, session)) {
                    self.heard(node, tenant, revision);
                }
            }
            Event::Fault(fault) => self.fault_happens(&fault),
            Event::Begin { node } => self.begin(node),
            Event::Request { node, tenant, min } => {
                if self.nodes[node].is_alive {
                    self.request(node, tenant, min);
                }
            }
            Event::Decide { node, incarnation, decision } => {
                if self.lives(node, incarnation) {
                    self.decided(node, decision);
                }
            }
            Event::GiveUp { node, incarnation, waiter } => {
                if self.lives(node, incarnation) {
                    self.give_up(node, waiter);
                }
            }
            Event::Node { node, incarnation, event } => {
                if self.lives(node, incarnation) {
                    self.node_event(node, event);
                }
            }
        }
    }

    fn write(
        &mut self,
        by: Option<(usize, u32)>,
        tenant: TenantId,
        transaction: u64,
        early_number: bool,
        is_deletion: bool,
    ) {
        let reachable = self.database.is_up && !self.is_silent;
        let by = by.map(|(node, _)| (node, self.nodes[node].incarnation));
        if !reachable || by.is_some_and(|(node, _)| !self.nodes[node].is_alive) {
            return;
        }
        // Somebody's transaction may have written elsewhere before it comes to this tenant.
        if early_number {
            self.database.begin(transaction);
        }
        self.writing.insert(transaction, Writing { by, tenant, is_deletion });
        if self.database.lock(tenant, transaction) {
            self.locked(transaction);
        }
    }

    /// The row is had: compiling, writing and committing take their time.
    fn locked(&mut self, transaction: u64) {
        self.database.begin(transaction);
        let delay = self.service_time(8 * MS, 900 * MS);
        self.after(delay, Event::Commit { transaction });
    }

    fn commit(&mut self, transaction: u64) {
        let Some(Writing { by, tenant, is_deletion }) = self.writing.remove(&transaction) else { return };
        // A process that was killed takes its transaction with it, and some think better of it.
        let gone = by.is_some_and(|(node, incarnation)| !self.lives(node, incarnation));
        // At the end nothing is changed any more, however long it took.
        let is_late = self.now + 3 * SECOND > self.ends_at;
        let committed = if gone || is_late || self.random.permille(50) {
            None
        } else {
            self.database.commit(tenant, transaction, is_deletion)
        };
        if let Some(next) = self.database.end(Some(tenant), transaction) {
            self.locked(next);
        }
        let Some(row) = committed else { return };
        let whole = self.database.logged(tenant);
        assert!(whole.is_sorted_by(|one, next| one + 1 == *next), "I6: {tenant} has the revisions {whole:?}");
        let epoch = self.database.epoch;
        self.tell(Happened::Truth { tenant, epoch, row: (!is_deletion).then_some(row) });
        self.notify(tenant, row);
        if let Some((node, incarnation)) = by.filter(|_| !is_deletion) {
            let delay = self.service_time(MS, 50 * MS);
            let version = Version { epoch, revision: row.revision };
            let set = Set { version, parts: (row.schema, row.rules) };
            self.after(delay, Event::Acknowledge { node, incarnation, tenant, set });
        }
    }

    /// Every session that listens is told: late, twice, in another order, or, where it is not the server that would
    /// have to tell, not at all.
    fn notify(&mut self, tenant: TenantId, row: Row) {
        for (node, session) in self.sessions.clone() {
            if self.scenario == Scenario::Everything && self.random.permille(self.drops_permille) {
                continue;
            }
            for _ in 0..self.random.range(1, 11) / 10 + 1 {
                let rare = if self.scenario == Scenario::Everything { 3 * SECOND } else { 200 * MS };
                let delay = self.random.delay(3 * MS, rare);
                self.after(delay, Event::Heard { node, session, tenant, revision: row.revision });
            }
        }
    }

    /// A node's session listens from now on.
    pub fn listens(&mut self, node: usize, session: u64) {
        self.sessions.insert((node, session));
    }

    /// Ends what a node listens with, if it does.
    pub fn lose(&mut self, node: usize) -> bool {
        let listening = self.sessions.len();
        self.sessions.retain(|(of, _)| *of != node);
        self.sessions.len() < listening
    }

    /// What a load sees when it asks, and later if it asks again.
    pub fn read(
        &self,
        tenant: TenantId,
        step: u8,
        row: Option<Version>,
        parts: (u64, u64),
    ) -> (Option<Version>, (u64, u64)) {
        let now = self.database.row(tenant);
        match (step, now, self.strategy.isolation) {
            (0, now, _) => {
                let version = now.map(|row| Version { epoch: self.database.epoch, revision: row.revision });
                (version, now.map_or((0, 0), |row| (row.schema, row.rules)))
            }
            (1, Some(now), Isolation::ReadCommitted) => (row, (now.schema, parts.1)),
            (_, Some(now), Isolation::ReadCommitted) => (row, (parts.0, now.rules)),
            _ => (row, parts),
        }
    }
}
