//! The settings, in groups, with their defaults.
//!
//! `table` has the outside name and the meaning of each. A group is a section of the TOML file and a field
//! of it a key there. Nothing here derives `Debug`: settings hold secrets.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{ByteSize, JwtSettings, LogFormat, QueueKind, Secret, TierName};

/// Everything that can be set.
#[derive(Clone, Default)]
pub struct Settings {
    /// The HTTP service.
    pub http: HttpSettings,
    /// The trusted issuer of tokens.
    pub jwt: JwtSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// How rule sets are held in memory.
    pub engine: EngineSettings,
    /// How events are stored and consumed.
    pub events: EventSettings,
    /// Logs and metrics.
    pub telemetry: TelemetrySettings,
}

/// The HTTP service.
#[derive(Clone)]
pub struct HttpSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where operators and `/metrics` are served; `None`: at `listen`.
    pub admin_listen: Option<SocketAddr>,
    /// File with the certificate that `listen` is served with.
    pub tls_certificate: Option<PathBuf>,
    /// File with its key.
    pub tls_key: Option<PathBuf>,
    /// Accepted names in `Host`; empty: any.
    pub hosts: Vec<String>,
    /// Origins of pages that may call from a browser.
    pub cors_origins: Vec<String>,
    /// An operator's key; `None` with keys in the database, or on loopback for development.
    pub operator_key: Option<Secret>,
    /// The HMAC key of the hashes of stored keys.
    pub key_pepper: Option<Secret>,
    /// Whether operators may use keys that are stored in the database. Not a setting: `tenet serve` sets it.
    pub keys_stored: bool,
    /// Whether a caller without a key may do everything. Not a setting: `tenet dev` sets it, on loopback.
    pub keys_optional: bool,
    /// Invalid credentials allowed from an address in a minute.
    pub auth_failures_per_address: usize,
    /// Invalid credentials allowed for a key in a minute.
    pub auth_failures_per_key: usize,
    /// Threads that answer requests; 0 is one per core.
    pub workers: usize,
    /// Connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// Body of a request, unless its route has a limit of its own.
    pub body_limit: ByteSize,
    /// Body that replaces all rules of a tenant.
    pub rules_body_limit: ByteSize,
    /// Body of a JSON batch.
    pub batch_body_limit: ByteSize,
    /// Line of an NDJSON batch; the whole has no limit.
    pub ndjson_line_limit: ByteSize,
    /// Items of a JSON batch.
    pub batch_items_max: usize,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
    /// How long an NDJSON batch may send nothing.
    pub ndjson_idle_deadline: Duration,
    /// How long a stop waits for what was accepted.
    pub shutdown_deadline: Duration,
    /// How long requests are still accepted when a stop has begun.
    pub shutdown_delay: Duration,
    /// Whether operators may have the database fail, to try what happens then.
    pub faults: bool,
}

/// The database.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// The database; `None` only in development, before a private cluster is started.
    pub url: Option<Secret>,
    /// The database, with another login, for migrations.
    pub migration_url: Option<Secret>,
    /// The role that the service works as.
    pub role: String,
    /// Connections for reads and writes that requests ask for.
    pub pool_size: usize,
    /// Connections kept for loading rule sets.
    pub load_pool_size: usize,
    /// Connections kept for storing and settling events.
    pub event_pool_size: usize,
    /// How long a request waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long it is known what a revision held that was replaced.
    pub history_retention: Duration,
}

/// How rule sets are held in memory.
#[derive(Clone)]
pub struct EngineSettings {
    /// How long an evaluation waits for its `minRevision`.
    pub min_revision_wait: Duration,
    /// How long an unused rule set is kept.
    pub idle_stop: Duration,
    /// Rule sets held at once; the least recently used goes first.
    pub resident_tenants_max: usize,
    /// Bytes of compiled rules held at once, as estimated; the least recently used goes first.
    pub resident_bytes_max: ByteSize,
    /// Time between looks at the change log.
    pub reconcile_interval: Duration,
    /// How long the database may be silent before answers say `stale`.
    pub stale_after: Duration,
    /// Whether tenants' rates and numbers of requests in hand are limited; `None`: yes, but for development.
    pub rate_limits: Option<bool>,
    /// Requests in hand at once.
    pub concurrent_requests_max: usize,
    /// Dear decisions that are made at once; `None`: one fewer than there are cores.
    pub evaluation_threads: Option<usize>,
    /// How often counts of decisions are written.
    pub analytics_flush: Duration,
    /// The tier of a new tenant that names none.
    pub default_tier: TierName,
}

/// Logs and metrics.
#[derive(Clone)]
pub struct TelemetrySettings {
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_filter: String,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Tenants with counts of their own in the metrics; the others are summed.
    pub metrics_tenants_max: usize,
}

impl HttpSettings {
    /// Whether a caller without a key may do everything, which is for loopback addresses alone.
    pub fn is_open(&self) -> bool {
        self.keys_optional || (self.operator_key.is_none() && !self.keys_stored)
    }
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_listen: None,
            tls_certificate: None,
            tls_key: None,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            operator_key: None,
            key_pepper: None,
            keys_stored: false,
            keys_optional: false,
            auth_failures_per_address: 60,
            auth_failures_per_key: 20,
            workers: 0,
            connections_max: 2_000,
            body_limit: ByteSize(256 << 10),
            rules_body_limit: ByteSize(16 << 20),
            batch_body_limit: ByteSize(16 << 20),
            ndjson_line_limit: ByteSize(256 << 10),
            batch_items_max: 10_000,
            body_deadline: Duration::from_secs(10),
            ndjson_idle_deadline: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(10),
            shutdown_delay: Duration::from_secs(2),
            faults: false,
        }
    }
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            migration_url: None,
            role: "tenet_app".to_owned(),
            pool_size: 10,
            load_pool_size: 4,
            event_pool_size: 4,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            history_retention: Duration::from_secs(400 * 24 * 60 * 60),
        }
    }
}

/// How events are stored and consumed.
#[derive(Clone)]
pub struct EventSettings {
    /// Where they wait until they are decided.
    pub queue: QueueKind,
    /// How RabbitMQ is reached.
    pub rabbitmq_url: Option<Secret>,
    /// How the Redis is reached that remembers idempotency keys.
    pub redis_url: Option<Secret>,
    /// PEM file with the certificate authorities trusted for both.
    pub authorities: Option<PathBuf>,
    /// Whether both may be reached over a network without TLS.
    pub plaintext: bool,
    /// Whether events that wait elsewhere are decided first. Not a setting: `tenet serve --drain` sets it.
    pub drain: bool,
    /// How long the first event of a statement waits for others.
    pub flush_interval: Duration,
    /// How long a queue stays with a node that does not renew its lease.
    pub lease: Duration,
    /// How long a consumer without an event stays.
    pub consumer_idle_stop: Duration,
    /// How long an idempotency key counts.
    pub key_window: Duration,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(2),
            lease: Duration::from_secs(15),
            queue: QueueKind::Postgres,
            rabbitmq_url: None,
            redis_url: None,
            authorities: None,
            plaintext: false,
            drain: false,
            consumer_idle_stop: Duration::from_secs(30),
            key_window: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            min_revision_wait: Duration::from_millis(500),
            idle_stop: Duration::from_secs(15 * 60),
            resident_tenants_max: 100_000,
            resident_bytes_max: ByteSize(8 << 30),
            reconcile_interval: Duration::from_secs(1),
            stale_after: Duration::from_secs(2),
            rate_limits: None,
            concurrent_requests_max: 2_000,
            evaluation_threads: None,
            analytics_flush: Duration::from_secs(5),
            default_tier: TierName::default(),
        }
    }
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Pretty,
            log_filter: "info,actix_server=warn,actix_http=off,sqlx=error,lapin=off".to_owned(),
            access_log: false,
            metrics_tenants_max: 50,
        }
    }
}
