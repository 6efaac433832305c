//! What all actors and tasks of one engine share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ractor::ActorRef;
use tokio::sync::Semaphore;

use crate::{
    auth::Auth,
    config::limits,
    domain::TenantId,
    engine::{
        clock::Clock,
        counting::Counting,
        error::Error,
        freshness::Freshness,
        message::SupervisorMsg,
        metrics::Metrics,
        options::EngineOptions,
        recorder::{Entry, Recorder},
        registry::{Registry, Room},
        resident::hints::Want,
        sweep_throttle::SweepThrottle,
    },
    store::Store,
};

/// What all actors and tasks of one engine share.
#[derive(Debug)]
pub struct Shared {
    /// The database.
    pub store: Store,
    /// What is counted.
    pub metrics: Metrics,
    /// The settings.
    pub options: EngineOptions,
    /// When the engine began, and how long ago that is.
    pub clock: Clock,
    /// The tenants in memory.
    pub registry: Registry,
    /// How recently this node was known to hold what the database holds.
    pub freshness: Freshness,
    /// Who calls; it is told of tenants that changed.
    pub auth: Auth,
    /// How many nodes serve the database, as far as is known.
    pub live_nodes: AtomicU64,
    /// Evaluations that are to be recorded.
    pub recorder: Recorder,
    /// Loads that may be under way at once.
    pub loads: Semaphore,
    /// Whether the supervisor has been asked to sweep.
    pub sweep_throttle: SweepThrottle,
    /// What was decided and is not written yet, in numbers.
    pub counting: Counting,
    /// Set by the supervisor when it starts.
    pub supervisor: OnceLock<ActorRef<SupervisorMsg>>,
}

impl Shared {
    /// For an engine that begins now. Its supervisor is not started yet.
    pub fn new(store: Store, auth: Auth, metrics: Metrics, options: EngineOptions) -> Self {
        let clock = Clock::start();
        Self {
            freshness: Freshness::new(options.stale_after, clock.began()),
            auth,
            registry: Registry::new(clock),
            clock,
            live_nodes: AtomicU64::new(1),
            recorder: Recorder::default(),
            loads: Semaphore::new(limits::LOADS_MAX),
            sweep_throttle: SweepThrottle::default(),
            supervisor: OnceLock::new(),
            counting: Counting::new(metrics.clone()),
            store,
            metrics,
            options,
        }
    }

    /// Sends to the supervisor; an error says that it does not run.
    pub fn tell(&self, message: SupervisorMsg) -> Result<(), Error> {
        let supervisor = self.supervisor.get().ok_or(Error::Stopping)?;
        self.metrics.mailbox_given();
        supervisor.cast(message).map_err(|_| {
            self.metrics.mailbox_taken();
            Error::Stopping
        })
    }

    /// How much there may be in memory.
    pub fn room(&self) -> Room {
        Room { count_max: self.options.residents_max, bytes_max: self.options.resident_bytes_max }
    }

    /// If over the limit, asks the supervisor to evict.
    pub fn make_room(self: &Arc<Self>) {
        if !self.room().is_exceeded(self.registry.len(), self.registry.memory_bytes()) {
            return;
        }
        // A supervisor that does not run ends the process anyway.
        match self.sweep_throttle.ask(self.clock.now_ms()) {
            None => {}
            Some(Duration::ZERO) => _ = self.tell(SupervisorMsg::Sweep),
            Some(wait) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = shared.tell(SupervisorMsg::Sweep);
                });
            }
        }
    }

    /// Hands an evaluation to the recorder; answers whether it took it. What it did not take is counted.
    pub fn record(&self, entry: Entry) -> bool {
        let taken = self.recorder.record(entry, self.live_nodes.load(Ordering::Relaxed));
        if let Err(reason) = taken {
            self.metrics.log.dropped(reason, 1);
        }
        taken.is_ok()
    }

    /// Passes on that the database may hold something newer of a tenant in memory.
    pub fn hint(&self, tenant: TenantId, want: Want) {
        if self.registry.hint(tenant, want, self.freshness.synchronised_at_ms()) {
            // A supervisor that does not run ends the process anyway.
            let _ = self.tell(SupervisorMsg::Changed { tenant });
        }
    }
}
