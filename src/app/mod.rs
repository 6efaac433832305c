//! The whole service: store, engine and doors, started in this order and stopped in reverse.

mod metrics;
mod place;
mod queue;

use std::{
    net::SocketAddr,
    num::NonZero,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::TimeDelta;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use self::{metrics::Metrics, queue::Queue};
use crate::{
    auth::{Auth, AuthOptions},
    breakers::Breakers,
    client::Authorities,
    config::Settings,
    engine::{Engine, EngineOptions, GateOptions},
    http::{self, HttpOptions, Part, Readiness, Rooms, Stop, Stopper},
    ingest::{self, AppendOptions, BeforeDeciding, Ingest, IngestOptions},
    shared::{self, SharedKeys, SharedRates},
    store::{self, Observer, Store, StoreOptions},
};
#[cfg(feature = "rabbitmq")]
use crate::{broker, config::QueueKind};

/// Of the time that stopping may take, what is kept for actors and connections when requests use up theirs.
const STOP_RESERVE: Duration = Duration::from_secs(2);
/// How often a service that starts looks whether it hears of changes yet.
const LISTENING_POLL: Duration = Duration::from_millis(10);
/// Signals that follow the first so closely are the same one: to a process and to its group, say.
const SIGNAL_REPEATS: Duration = Duration::from_millis(300);

/// A service that accepts requests.
pub struct App {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    serving: JoinHandle<std::io::Result<()>>,
    stopper: Stopper,
    readiness: Readiness,
    engine: Engine,
    ingest: Ingest,
    consuming: ingest::Running,
    queue: Queue,
    store: Store,
    stop_deadline: Duration,
    stop_delay: Duration,
}

impl App {
    /// Starts the service on a migrated database: when this answers, it accepts requests, and is ready as soon as it
    /// hears of changes.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let metrics = Metrics::register(settings.telemetry.metrics_tenants_max);
        let readiness = Readiness::default();
        let mut options = store_options(&settings, metrics.store.observer())?;
        options.breakers = Breakers::new(metrics.breakers);
        let store = open_store(options, &readiness).await?;
        check_operator_key(&settings, &store).await?;
        let auth = Auth::open(store.clone(), metrics.auth, AuthOptions::from(&settings)).await;
        let auth = auth.context("cannot use `TENET_JWT_JWKS`")?;
        let authorities = authorities(&settings)?;
        let (shared_keys, shared_rates) = share(&settings, authorities.as_ref(), store.breakers(), metrics.shared)?;
        let options = EngineOptions { shared_rates, ..engine_options(&settings) };
        let engine = Engine::start(store.clone(), auth.clone(), metrics.engine, options).await?;
        let mut registry = metrics.registry;
        registry.before_scrape(measure(metrics.store, store.clone(), engine.clone()));
        #[cfg(feature = "rabbitmq")]
        let address = settings.events.rabbitmq_url.clone().map(|url| broker::Address { url, authorities });
        let change = place::Change {
            settings: &settings,
            store: &store,
            engine: &engine,
            ingest: &metrics.ingest,
            #[cfg(feature = "rabbitmq")]
            broker: &metrics.broker,
            #[cfg(feature = "rabbitmq")]
            address: address.as_ref(),
        };
        change.make().await?;
        #[cfg(feature = "rabbitmq")]
        let queue = Queue::start(
            address.filter(|_| settings.events.queue == QueueKind::RabbitMq),
            store.breakers().clone(),
            shared_keys,
            metrics.broker,
        );
        #[cfg(not(feature = "rabbitmq"))]
        let queue = Queue::start(shared_keys);
        let (ingest, consuming) = Ingest::start(
            store.clone(),
            engine.clone(),
            metrics.ingest,
            engine.node(),
            ingest_options(&settings),
            queue.place(),
        );
        let server = http::bind(
            HttpOptions::from(&settings),
            Rooms { auth, engine: engine.clone(), ingest: ingest.clone(), store: store.clone() },
            metrics.http,
            registry,
            readiness.clone(),
        )?;
        let (address, admin_address, stopper) = (server.address(), server.admin_address(), server.stopper());
        let serving = tokio::spawn(server.run());
        announce(&engine, &readiness);
        Ok(Self {
            address,
            admin_address,
            serving,
            stopper,
            readiness,
            engine,
            ingest,
            consuming,
            queue,
            store,
            stop_deadline: settings.http.shutdown_deadline,
            stop_delay: settings.http.shutdown_delay.min(settings.http.shutdown_deadline / 2),
        })
    }

    /// Warns of a login that may do more than it needs. Not for a database that was started for this process alone. The
    /// service runs already, and goes on if the database does not answer.
    pub async fn check_login(&self) {
        match self.store.login_is_superuser().await {
            Ok(false) => {}
            Ok(true) => warn!(
                "the login of DATABASE_URL is a superuser; the service switches to its restricted role, \
                 but a login without superuser rights is safer"
            ),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the login cannot be checked now"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for operators, if they have an address of their own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Serves until SIGTERM or SIGINT, then stops gracefully; a second signal ends it at once.
    pub async fn run_until_signal(mut self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut next_signal = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let mut failed = None;
        tokio::select! {
            name = next_signal() => info!(signal = name, "stopping"),
            () = self.engine.failed() => failed = Some("a part of the engine ended"),
            _ = &mut self.serving => failed = Some("the HTTP server ended"),
        }
        let first_at = Instant::now();
        let second_signal = async {
            loop {
                let name = next_signal().await;
                if first_at.elapsed() > SIGNAL_REPEATS {
                    return name;
                }
            }
        };
        tokio::select! {
            () = self.stop() => {}
            name = second_signal => anyhow::bail!("a second signal, {name}, ended the service at once"),
        }
        failed.map_or(Ok(()), |what| anyhow::bail!("{what}, so the service stopped; start it again"))
    }

    /// Says that it stops, finishes what was accepted, stops the actors and closes the connections, within the deadline.
    pub async fn stop(self) {
        let begun = Instant::now();
        self.readiness.stopping();
        sleep(self.stop_delay).await;
        let for_requests = self.stop_deadline.saturating_sub(STOP_RESERVE).max(self.stop_deadline / 2);
        let for_requests = for_requests.saturating_sub(begun.elapsed());
        if timeout(for_requests, self.stopper.stop(Stop::Graceful)).await.is_err() {
            warn!("some requests did not finish in time and were aborted");
            // Aborted requests are not waited for.
            let _ = timeout(STOP_RESERVE / 4, self.stopper.stop(Stop::Now)).await;
        }
        let rest = async {
            self.ingest.stop(self.consuming).await;
            self.queue.stop().await;
            self.engine.stop().await;
            self.store.close().await;
        };
        // What requests left of the time is for what was counted.
        let for_rest = self.stop_deadline.saturating_sub(begun.elapsed()).max(STOP_RESERVE / 2);
        if timeout(for_rest, rest).await.is_err() {
            warn!("some database connections did not close in time");
        }
        info!("stopped");
    }
}

/// Whom connections to the broker and to Redis trust, beside those that browsers do.
fn authorities(settings: &Settings) -> anyhow::Result<Option<Authorities>> {
    let authorities = settings.events.authorities.as_deref().map(Authorities::read).transpose();
    authorities.context("cannot use `TENET_QUEUE_AUTHORITIES`")
}

/// Connects to a database that is migrated.
async fn open_store(options: StoreOptions, readiness: &Readiness) -> anyhow::Result<Store> {
    let store = Store::connect(options).await.context("cannot use the database")?;
    readiness.arrived(Part::Database);
    store.check_schema().await.context("cannot serve this database")?;
    readiness.arrived(Part::Migrations);
    Ok(store)
}

/// Tells when the engine is ready, in the time that it takes.
fn announce(engine: &Engine, readiness: &Readiness) {
    tokio::spawn(announce_listening(engine.clone(), readiness.clone()));
    tokio::spawn(announce_pinned(engine.clone(), readiness.clone()));
}

async fn announce_listening(engine: Engine, readiness: Readiness) {
    while !engine.health().listening {
        sleep(LISTENING_POLL).await;
    }
    readiness.arrived(Part::Listener);
}

async fn announce_pinned(engine: Engine, readiness: Readiness) {
    engine.pinned_loaded().await;
    readiness.arrived(Part::PinnedTenants);
}

/// What this node shares with others in Redis: nothing, without one.
#[cfg(feature = "redis")]
fn share(
    settings: &Settings,
    authorities: Option<&Authorities>,
    breakers: &Breakers,
    metrics: shared::Metrics,
) -> anyhow::Result<(SharedKeys, SharedRates)> {
    match &settings.events.redis_url {
        Some(url) => Ok(shared::connect(url, authorities, breakers.clone(), metrics)?),
        None => Ok(Default::default()),
    }
}

/// The settings ask for none: they were checked.
#[cfg(not(feature = "redis"))]
fn share(
    _: &Settings,
    _: Option<&Authorities>,
    _: &Breakers,
    _: shared::Metrics,
) -> anyhow::Result<(SharedKeys, SharedRates)> {
    Ok(Default::default())
}

/// Refuses to serve where no operator could call.
async fn check_operator_key(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    if settings.http.keys_stored && settings.http.operator_key.is_none() && store.operator_keys().await?.is_empty() {
        anyhow::bail!(
            "there is no operator key: set `TENET_OPERATOR_KEY` to a random key, \
             or create one with `tenet keys create --operator`"
        );
    }
    Ok(())
}

/// Sets the gauges of connections and of tenants in memory.
fn measure(metrics: store::Metrics, store: Store, engine: Engine) -> impl Fn() + Send + Sync {
    move || {
        store.pool_status().into_iter().for_each(|status| metrics.pool(status));
        metrics.tiers(store.guard());
        store.breakers().measure();
        engine.take_census();
    }
}

/// How the store is reached with `settings`.
pub fn store_options(settings: &Settings, observer: Observer) -> anyhow::Result<StoreOptions> {
    let database = &settings.database;
    let url = database.url.as_ref().context("no database is configured: set `DATABASE_URL`")?;
    Ok(StoreOptions {
        role: database.role.clone(),
        connections_max: u32::try_from(database.pool_size)?,
        load_connections_max: u32::try_from(database.load_pool_size)?,
        event_connections_max: u32::try_from(database.event_pool_size)?,
        acquire_timeout: database.acquire_timeout,
        statement_timeout: database.statement_timeout,
        lock_timeout: database.lock_timeout,
        observer,
        ..StoreOptions::new(url.expose())
    })
}

fn ingest_options(settings: &Settings) -> IngestOptions {
    let events = &settings.events;
    let key_window = TimeDelta::from_std(events.key_window).unwrap_or(TimeDelta::days(7));
    IngestOptions {
        append: AppendOptions { flush_interval: events.flush_interval, key_window },
        lease: events.lease,
        idle_stop: events.consumer_idle_stop,
        clock_margin: TimeDelta::seconds(60),
        before_deciding: BeforeDeciding::default(),
    }
}

fn engine_options(settings: &Settings) -> EngineOptions {
    let engine = &settings.engine;
    EngineOptions {
        idle_stop: engine.idle_stop,
        residents_max: engine.resident_tenants_max,
        resident_bytes_max: u64::try_from(engine.resident_bytes_max.0).unwrap_or(u64::MAX),
        reconcile_interval: engine.reconcile_interval,
        stale_after: engine.stale_after,
        min_revision_wait: engine.min_revision_wait,
        history_retention: settings.database.history_retention,
        gate: GateOptions {
            is_limiting: engine.rate_limits.unwrap_or(true),
            in_hand_max: engine.concurrent_requests_max,
        },
        count_flush: engine.analytics_flush,
        evaluation_threads: engine.evaluation_threads.unwrap_or_else(|| cores().saturating_sub(1).max(1)),
        ..EngineOptions::default()
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
