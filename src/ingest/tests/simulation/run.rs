//! A run: processes that store and consume, senders that send again what was not answered, an operator, and what goes
//! wrong. All of it is drawn from the seed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    Mutant, Scenario,
    engine::Engine,
    ledger::{Fate, Violation},
    messages::Broker,
    store::Store,
    tables::number_in,
    world::{Link, State},
};
use crate::{
    domain::{NodeId, System, TenantId, TenantScope},
    ingest::{AppendOptions, BeforeDeciding, Ingest, IngestOptions, Metrics, Place, Running},
    shared::SharedKeys,
    telemetry::MetricRegistry,
};

/// As the service's settings, but shorter.
pub const LEASE: Duration = Duration::from_secs(3);
const IDLE_STOP: Duration = Duration::from_millis(1_500);
/// How far clocks are from each other at most, and the database's from itself.
const CLOCK_MARGIN: TimeDelta = TimeDelta::seconds(3);
/// How long nothing goes wrong any more before everything has to be done.
pub const QUIET: Duration = Duration::from_secs(150);

/// A process that runs.
pub struct Node {
    pub ingest: Ingest,
    pub running: Option<Running>,
}

/// What a run is held together by.
pub struct Run {
    world: Arc<Mutex<State>>,
    scenario: Scenario,
    pub tenants: Vec<TenantId>,
    pub nodes: Mutex<Vec<Option<Node>>>,
}

/// What came of a run.
pub struct Outcome {
    pub violation: Option<Violation>,
    pub digest: u64,
    pub counts: (usize, usize, usize),
}

/// Runs a seed, on a clock that jumps to whatever is next.
pub fn run(seed: u64, mutant: Mutant, scenario: Scenario, is_told: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let run = Arc::new(Run::new(seed, mutant, scenario, is_told));
        run.clone().live().await;
        let state = run.state();
        Outcome { violation: state.ledger.violation.clone(), digest: state.digest, counts: state.ledger.counts() }
    })
}

fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| Metrics::register(&mut MetricRegistry::default())).clone()
}

pub fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::of_system(System::Consumer, tenant)
}

impl Run {
    fn new(seed: u64, mutant: Mutant, scenario: Scenario, is_told: bool) -> Self {
        let mut draw = State::new(seed, mutant, &[], 0, false).random;
        let tenants: Vec<TenantId> =
            (1..=draw.range(1, 3)).map(|place| TenantId(Uuid::from_u128(u128::from(place)))).collect();
        let processes = draw.index(2) + 2;
        let state = State::new(seed, mutant, &tenants, processes, is_told);
        let nodes = (0..processes).map(|_| None).collect();
        Self { world: Arc::new(Mutex::new(state)), scenario, tenants, nodes: Mutex::new(nodes) }
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.world.lock().unwrap()
    }

    pub fn draw(&self, low: u64, high: u64) -> u64 {
        self.state().random.range(low, high)
    }

    pub fn draws(&self, permille: u64) -> bool {
        self.state().random.permille(permille)
    }

    pub fn start(&self, place: usize) {
        let life = {
            let mut state = self.state();
            state.note("starts", place as u64);
            let skew = state.random.range(0, 1_600) as i64 - 800;
            state.processes[place].skew = TimeDelta::milliseconds(skew);
            state.processes[place].life
        };
        let link = Link { world: self.world.clone(), place, life };
        let in_it = link.clone();
        let options = IngestOptions {
            append: AppendOptions { flush_interval: Duration::from_millis(2), key_window: TimeDelta::days(7) },
            lease: LEASE,
            idle_stop: IDLE_STOP,
            clock_margin: CLOCK_MARGIN,
            before_deciding: BeforeDeciding::new(move |facts| before_deciding(&in_it, facts)),
        };
        let node = NodeId(Uuid::from_u128((place as u128 + 1) << 32 | u128::from(life)));
        let at = match self.scenario {
            Scenario::Log => Place::Postgres,
            Scenario::Brokered => Place::rabbitmq(Broker(link.clone()), SharedKeys::default()),
        };
        let (ingest, running) = Ingest::start(Store(link.clone()), Engine(link), metrics(), node, options, at);
        self.nodes.lock().unwrap()[place] = Some(Node { ingest, running: Some(running) });
    }

    pub fn start_if_absent(&self, place: usize) {
        let is_absent = self.nodes.lock().unwrap()[place].is_none();
        if is_absent {
            self.start(place);
        }
    }

    /// A process ends at once, wherever it is.
    pub fn kill(&self, place: usize) {
        if let Some(node) = self.nodes.lock().unwrap()[place].take() {
            self.state().end(place);
            self.abort(node);
        }
    }

    fn abort(&self, node: Node) {
        if let Some(Running(tasks)) = node.running {
            tasks.iter().for_each(JoinHandle::abort);
        }
    }

    fn ingest(&self, place: usize) -> Option<Ingest> {
        self.nodes.lock().unwrap()[place].as_ref().map(|node| node.ingest.clone())
    }

    pub fn any_ingest(&self) -> Option<Ingest> {
        let places = self.nodes.lock().unwrap().len();
        let place = self.state().random.index(places);
        self.ingest(place)
    }

    async fn live(self: Arc<Self>) {
        let active = Duration::from_millis(self.draw(4_000, 10_000));
        let (errors, slow) = ([0, 5, 40][self.draw(0, 2) as usize], [5, 20, 60][self.draw(0, 2) as usize]);
        {
            let mut state = self.state();
            (state.errors_permille, state.slow_permille) = (errors, slow);
        }
        let places = self.nodes.lock().unwrap().len();
        (0..places).for_each(|place| self.start(place));
        let ends_at = Instant::now() + active;
        let reaper = tokio::spawn(self.clone().reap());
        let mut senders = Vec::new();
        for sender in 0..self.draw(1, 4) {
            senders.push(tokio::spawn(self.clone().send(sender, ends_at)));
        }
        let mut others = vec![tokio::spawn(self.clone().operate(ends_at))];
        for _ in 0..self.draw(0, 2) {
            others.push(tokio::spawn(self.clone().disturb(ends_at)));
        }
        tokio::time::sleep_until(ends_at).await;
        for task in others {
            task.await.unwrap();
        }
        self.calm();
        for task in senders {
            task.await.unwrap();
        }
        self.end().await;
        reaper.abort();
    }

    /// From here on nothing goes wrong.
    fn calm(&self) {
        let mut state = self.state();
        state.note("quiet", 0);
        (state.errors_permille, state.slow_permille) = (0, 0);
        (state.database_away_until, state.broker_away_until) = (None, None);
        state.processes.iter_mut().for_each(|process| process.unlinked_until = None);
        let now = state.database_time();
        state.tables.values_mut().filter(|tables| tables.queue.is_some()).for_each(|tables| tables.pause(false, now));
    }

    /// Waits until all is done, and looks whether it is.
    async fn end(&self) {
        let until = Instant::now() + QUIET;
        loop {
            sleep(Duration::from_millis(500)).await;
            let unfinished = self.state().unfinished();
            let consumers = {
                let nodes = self.nodes.lock().unwrap();
                nodes.iter().flatten().map(|node| node.ingest.shared.owner.len()).sum::<usize>()
            };
            let mut state = self.state();
            if state.ledger.violation.is_some() {
                return;
            }
            if unfinished.is_empty() && consumers == 0 {
                break;
            }
            if Instant::now() > until {
                // What is lost is told as that.
                break state.violates("quiet", format!("of {unfinished:?} something is left; {consumers} consumers"));
            }
        }
        let mut state = self.state();
        let open: BTreeSet<u64> = state.tables.values().flat_map(super::tables::Tables::open_letters).collect();
        if let Some((invariant, told)) = state.ledger.end(&open) {
            state.violates(invariant, told);
        }
    }

    /// Ends what an event has ended, and starts others in its place.
    async fn reap(self: Arc<Self>) {
        let kill = self.state().kill.clone();
        loop {
            kill.notified().await;
            let killed = std::mem::take(&mut self.state().killed);
            for place in killed {
                let node = self.nodes.lock().unwrap()[place].take();
                let Some(node) = node else { continue };
                self.abort(node);
                let wait = self.draw(50, 1_500);
                sleep(Duration::from_millis(wait)).await;
                self.start_if_absent(place);
            }
        }
    }
}

/// What becomes of an attempt.
fn before_deciding(link: &Link, facts: &str) {
    let number = number_in(facts);
    let mut state = link.state();
    if state.processes[link.place].life != link.life {
        return;
    }
    state.note("tries", number);
    match state.ledger.tried(number) {
        Fate::Fine | Fate::Invalid | Fate::Changing => return,
        Fate::Panics(_) => {}
        Fate::Kills => {
            state.end(link.place);
            state.killed.push(link.place);
            state.kill.notify_one();
        }
    }
    drop(state);
    // Without a word: it is meant.
    std::panic::resume_unwind(Box::new("an event that fails"));
}
