//! The handle: what the doors may ask of the engine.

pub mod admin;
pub mod changes;
pub mod record;
pub mod decide;
pub mod pressure;
pub mod gate;
pub mod attempt;
pub mod replay;
pub mod resolve;
pub mod runtime;
mod write_lock;

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorRef};
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{interval, timeout},
};
use tracing::{error, warn};

use self::{gate::Gate, replay::PastSets, write_lock::WriteLocks};
use crate::{
    auth::Auth,
    config::limits,
    domain::{Node, NodeId},
    engine::{
        error::Error,
        follow::{self, counts, heartbeat, record as recording},
        message::SupervisorMsg,
        metrics::Metrics,
        options::EngineOptions,
        pool::Pool,
        shared::Shared,
        supervisor::Supervisor,
    },
    store::Store,
};

/// How long stopping waits for what was counted to be written.
const FLUSH_WAIT: Duration = Duration::from_secs(1);
/// How long stopping waits for the database to hear of it.
const GOODBYE_WAIT: Duration = Duration::from_millis(500);

/// Batches of recorded decisions that are stored at once.
const RECORDERS: usize = 2;
/// How long stopping waits until what was recorded is stored.
const RECORDED_WAIT: Duration = Duration::from_secs(1);

/// Handle on the engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

/// What the handle holds.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<Gate>,
    node: NodeId,
    supervisor: ActorRef<SupervisorMsg>,
    /// Where dear decisions are made; `None`: where they are asked for.
    pool: Option<Pool>,
    write_locks: WriteLocks,
    /// Places for callers that wait for a load: the supervisor's mailbox has no bound of its own.
    pub(super) waiting: Arc<Semaphore>,
    /// True once a part that must not end has ended.
    failed: watch::Receiver<bool>,
    /// True once each pinned tenant was loaded, or could not be.
    pub(super) pinned_loaded: watch::Receiver<bool>,
    watcher: JoinHandle<()>,
    /// Rule sets of the past, for replays.
    past_sets: PastSets,
}

/// What readiness is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether the listener hears.
    pub listening: bool,
    /// Milliseconds since this node last compared itself with the database.
    pub synchronised_ago_ms: u64,
    /// Tenants held in memory.
    pub resident_tenants: usize,
}

impl Engine {
    /// Starts the supervisor and begins to follow the database.
    pub async fn start(store: Store, auth: Auth, metrics: Metrics, options: EngineOptions) -> Result<Self, Error> {
        let shared = Arc::new(Shared::new(store, auth, metrics, options));
        let (supervisor, supervising) = Supervisor::spawn(None, Supervisor, shared.clone())
            .await
            .map_err(|_| Error::Internal("the supervisor could not be started"))?;
        let gap = Arc::new(Notify::new());
        let mut parts = JoinSet::new();
        parts.spawn(follow::listen(shared.clone(), shared.store.listener(), gap.clone()));
        parts.spawn(follow::reconcile(shared.clone(), shared.store.reconciler(), gap));
        parts.spawn(follow::retention::purge(shared.clone()));
        for _ in 0..RECORDERS {
            parts.spawn(recording::run(shared.clone()));
        }
        parts.spawn(shared.auth.clone().run());
        parts.spawn(sweep(shared.clone(), sweep_interval(shared.options.idle_stop)));
        let node = NodeId::generate();
        parts.spawn(heartbeat::beat(shared.clone(), node));
        parts.spawn(counts::flush(shared.clone()));
        parts.spawn(counts::merge(shared.clone()));
        let (pinned_sender, pinned_loaded) = watch::channel(false);
        parts.spawn(admin::keep_pinned(shared.clone(), pinned_sender));
        parts.spawn(async move {
            let _ = supervising.await;
        });
        let (failed_sender, failed) = watch::channel(false);
        let watcher = tokio::spawn(async move {
            // None of them ends while the engine runs.
            if let Some(ended) = parts.join_next().await {
                error!(panicked = ended.is_err(), "a part of the engine ended");
                let _ = failed_sender.send(true);
            }
        });
        let waiting = Arc::new(Semaphore::new(limits::LOAD_WAITERS_MAX));
        let write_locks = WriteLocks::default();
        let gate = Arc::new(Gate::new(shared.options.gate, shared.options.shared_rates.clone(), &shared.metrics));
        let threads = shared.options.evaluation_threads;
        let pool = (threads > 0).then(|| Pool::new(threads));
        let inner = Inner {
            gate,
            shared,
            node,
            pool,
            supervisor,
            write_locks,
            waiting,
            failed,
            pinned_loaded,
            watcher,
            past_sets: PastSets::default(),
        };
        let engine = Self { inner: Arc::new(inner) };
        let weak = Arc::downgrade(&engine.inner);
        engine.inner.shared.store.breakers().know_limits(move |tenant| {
            let engine = Self { inner: weak.upgrade()? };
            engine.known_limits(tenant)
        });
        Ok(engine)
    }

    /// This process among those that serve the database.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// The nodes that live, the longest-serving first.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        Ok(self.inner.shared.store.nodes().await?)
    }

    /// What readiness is judged by.
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        Health {
            listening: shared.freshness.is_listening(),
            synchronised_ago_ms: shared.freshness.age_ms(shared.clock.now_ms()),
            resident_tenants: shared.registry.len(),
        }
    }

    /// Ends when a part of the engine that must not end has ended: then the process must end too.
    pub async fn failed(&self) {
        let mut failed = self.inner.failed.clone();
        // An error means that the watcher was stopped on purpose.
        if failed.wait_for(|failed| *failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops following the database, then all actors.
    pub async fn stop(&self) {
        recording::finish(&self.inner.shared, RECORDED_WAIT).await;
        self.inner.watcher.abort();
        if let Some(pool) = &self.inner.pool {
            pool.stop();
        }
        let supervisor = &self.inner.supervisor;
        supervisor.stop_children_and_wait(None, None).await;
        let _ = supervisor.stop_and_wait(None, None).await;
        let Shared { counting, store, .. } = &*self.inner.shared;
        if !matches!(timeout(FLUSH_WAIT, counting.flush_all(store)).await, Ok(Ok(()))) {
            warn!("the last counts of decisions could not be written");
        }
        // Left, the row would say for a while that this node lives.
        if let Ok(Err(error)) = timeout(GOODBYE_WAIT, self.inner.shared.store.forget_node(self.inner.node)).await {
            warn!(error = &error as &dyn std::error::Error, "cannot tell the database that this node stops");
        }
    }
}

/// How often tenants that nobody uses are looked for: often enough that none stays much longer than it should.
fn sweep_interval(idle_stop: Duration) -> Duration {
    (idle_stop / 10).clamp(Duration::from_millis(10), Duration::from_secs(10))
}

async fn sweep(shared: Arc<Shared>, every: Duration) {
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        if shared.tell(SupervisorMsg::Sweep).is_err() {
            return;
        }
    }
}
