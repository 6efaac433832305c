//! Every setting: its outside names, its bounds and its meaning. A test compares `docs/configuration.md` with it.

use super::{
    setting::{Setting, expects, unit},
    value::Value,
};

macro_rules! setting {
    ($variable:literal, $group:ident.$field:ident, $meaning:literal $(, $least:literal..=$most:literal)? $(, $secret:ident)?) => {
        Setting {
            key: concat!(stringify!($group), ".", stringify!($field)),
            variable: $variable,
            meaning: $meaning,
            bounds: setting!(@bounds $($least, $most)?),
            secret: setting!(@secret $($secret)?),
            unit: unit(|settings| &settings.$group.$field),
            expects: expects(|settings| &settings.$group.$field),
            assign: |settings, text| {
                let value = Value::parse(text)?;
                let measure = Value::measure(&value);
                settings.$group.$field = value;
                Some(measure)
            },
            show: |settings| Value::show(&settings.$group.$field),
        }
    };
    (@bounds) => { None };
    (@bounds $least:literal, $most:literal) => { Some(($least, $most)) };
    (@secret) => { false };
    (@secret secret) => { true };
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting!("TENET_LISTEN", http.listen, "Address and port to serve on."),
    setting!(
        "TENET_ADMIN_LISTEN",
        http.admin_listen,
        "A second address, for the internal network: `/metrics` and all routes for operators are then served only there, in plain HTTP. `tenet health` uses it, too."
    ),
    setting!(
        "TENET_TLS_CERTIFICATE",
        http.tls_certificate,
        "PEM file with the certificate chain for `TENET_LISTEN` (TLS 1.2 and 1.3). Read at start."
    ),
    setting!("TENET_TLS_KEY", http.tls_key, "PEM file with the certificate's private key."),
    setting!(
        "TENET_HOSTS",
        http.hosts,
        "Accepted names in the `Host` header, without ports, separated by commas; any other is answered 421, except on `/healthz`, `/readyz` and `TENET_ADMIN_LISTEN`. If not set, every name is accepted, or, where no key is required, only names of this machine."
    ),
    setting!(
        "TENET_CORS_ORIGINS",
        http.cors_origins,
        "Origins of web pages that may call from a browser, such as `https://console.example.org`, separated by commas. If not set, none may."
    ),
    setting!(
        "TENET_OPERATOR_KEY",
        http.operator_key,
        "An operator's key, which permits everything (`Authorization: Bearer <key>`); at least 16 characters. `tenet serve` requires it, or a key created with `tenet keys create --operator`.",
        secret
    ),
    setting!(
        "TENET_KEY_PEPPER",
        http.key_pepper,
        "HMAC-SHA-256 key for the hashes of stored keys, so that a copy of the database alone is not enough to test a guess. It must be the same on every node; changing it makes all stored keys invalid.",
        secret
    ),
    setting!(
        "TENET_AUTH_FAILURES_PER_ADDRESS",
        http.auth_failures_per_address,
        "Invalid credentials per address (IPv6: per /64) and minute that are answered 401; further ones are answered 429. Valid credentials are never limited.",
        1..=1_000_000_000
    ),
    setting!(
        "TENET_AUTH_FAILURES_PER_KEY",
        http.auth_failures_per_key,
        "The same per key that the credentials name, from all addresses together.",
        1..=1_000_000_000
    ),
    setting!("TENET_HTTP_WORKERS", http.workers, "Threads that handle requests; 0 means one per core.", 0..=1_024),
    setting!(
        "TENET_CONNECTIONS_MAX",
        http.connections_max,
        "Open client connections at most, over all workers; further ones wait to be accepted.",
        1..=1_000_000
    ),
    setting!(
        "TENET_BODY_LIMIT",
        http.body_limit,
        "Largest request body, on every route without its own limit; a larger one is answered 413.",
        1_024..=1_073_741_824
    ),
    setting!(
        "TENET_RULES_BODY_LIMIT",
        http.rules_body_limit,
        "Largest body of `PUT /tenants/{id}/rules`, which replaces all rules.",
        1_024..=1_073_741_824
    ),
    setting!(
        "TENET_BATCH_BODY_LIMIT",
        http.batch_body_limit,
        "Largest JSON body of `evaluate/batch`.",
        1_024..=1_073_741_824
    ),
    setting!(
        "TENET_NDJSON_LINE_LIMIT",
        http.ndjson_line_limit,
        "Longest line of an NDJSON batch; the batch as a whole has no limit.",
        1_024..=16_777_216
    ),
    setting!("TENET_BATCH_ITEMS_MAX", http.batch_items_max, "Largest number of items in a JSON batch.", 1..=1_000_000),
    setting!(
        "TENET_BODY_DEADLINE",
        http.body_deadline,
        "How long a request's body may take to arrive; then the request is answered 408.",
        100..=600_000
    ),
    setting!(
        "TENET_NDJSON_IDLE_DEADLINE",
        http.ndjson_idle_deadline,
        "How long an NDJSON batch may pause before it is ended.",
        100..=3_600_000
    ),
    setting!(
        "TENET_SHUTDOWN_DEADLINE",
        http.shutdown_deadline,
        "How long a graceful stop may take in all.",
        100..=600_000
    ),
    setting!(
        "TENET_SHUTDOWN_DELAY",
        http.shutdown_delay,
        "How long a stopping node still accepts requests, while `/readyz` answers 503 and each answer closes its connection, so that balancers notice. Counts towards `TENET_SHUTDOWN_DEADLINE`, and at most half of it is used. `tenet dev` does not wait.",
        0..=600_000
    ),
    setting!(
        "TENET_FAULTS",
        http.faults,
        "Whether operators may have calls to the database fail (`/api/v1/runtime/faults`), to try what happens then. Only on an address of this machine."
    ),
    setting!(
        "TENET_JWT_ISSUER",
        jwt.issuer,
        "Trusted issuer (`iss`) of the JSON web tokens that people and services may use in place of a key. If not set, tokens are not accepted."
    ),
    setting!(
        "TENET_JWT_AUDIENCE",
        jwt.audience,
        "Accepted audiences (`aud`), separated by commas; a token needs one of them. Required with an issuer."
    ),
    setting!(
        "TENET_JWT_ALGORITHM",
        jwt.algorithm,
        "Signature algorithm of the tokens: `RS256`, `ES256` or `EdDSA`. Required with an issuer."
    ),
    setting!(
        "TENET_JWT_JWKS",
        jwt.jwks,
        "The issuer's public keys (JWKS): the path of a file, or an `https://` address. Required with an issuer. A file must exist at start; until an address has answered once, requests with a token are answered 503."
    ),
    setting!(
        "TENET_JWT_AUTHORITIES",
        jwt.authorities,
        "PEM file with the certificate authorities trusted for that address. If not set, those that browsers trust."
    ),
    setting!(
        "TENET_JWT_REFRESH_INTERVAL",
        jwt.refresh_interval,
        "Interval at which these keys are fetched. A token with an unknown key also causes a fetch, at most every 10 s.",
        1_000..=86_400_000
    ),
    setting!("TENET_JWT_TENANT_CLAIM", jwt.tenant_claim, "Claim with the tenant's id."),
    setting!("TENET_JWT_ROLE_CLAIM", jwt.role_claim, "Claim with the role, a string."),
    setting!(
        "TENET_JWT_ROLES",
        jwt.roles,
        "Role for each value of that claim, as `value=role`, separated by commas; other values are refused. Roles are `owner`, `admin`, `editor`, `evaluator`, `ingester`, `auditor`, and `operator`, which belongs to no tenant. If not set, the first six stand for themselves, and no token is an operator's."
    ),
    setting!(
        "DATABASE_URL",
        database.url,
        "The PostgreSQL database, as `postgresql://user:password@host/database`. `tenet serve` requires it; without it `tenet dev` starts a private PostgreSQL.",
        secret
    ),
    setting!(
        "DATABASE_MIGRATION_URL",
        database.migration_url,
        "The same database with another login, used only for migrations. If not set, `DATABASE_URL`.",
        secret
    ),
    setting!(
        "TENET_DATABASE_ROLE",
        database.role,
        "The restricted role that migrations create and that the service switches to on every connection."
    ),
    setting!(
        "TENET_POOL_SIZE",
        database.pool_size,
        "Database connections for reads and writes of requests.",
        1..=1_000
    ),
    setting!(
        "TENET_LOAD_POOL_SIZE",
        database.load_pool_size,
        "Database connections reserved for loading rule sets, so that busy writers do not delay them.",
        1..=1_000
    ),
    setting!(
        "TENET_EVENT_POOL_SIZE",
        database.event_pool_size,
        "Database connections reserved for storing and deciding events.",
        2..=1_000
    ),
    setting!(
        "TENET_ACQUIRE_TIMEOUT",
        database.acquire_timeout,
        "How long a request waits for a database connection; then it is answered 503.",
        10..=60_000
    ),
    setting!(
        "TENET_STATEMENT_TIMEOUT",
        database.statement_timeout,
        "How long one SQL statement may run.",
        100..=600_000
    ),
    setting!(
        "TENET_LOCK_TIMEOUT",
        database.lock_timeout,
        "How long one SQL statement waits for a lock; then the request is answered 503.",
        10..=60_000
    ),
    setting!(
        "TENET_HISTORY_RETENTION",
        database.history_retention,
        "How long it is known what a revision held that was replaced.",
        86_400_000..=315_360_000_000
    ),
    setting!(
        "TENET_MIN_REVISION_WAIT",
        engine.min_revision_wait,
        "How long an evaluation waits for its `minRevision`; then it is answered 503.",
        0..=60_000
    ),
    setting!(
        "TENET_IDLE_STOP",
        engine.idle_stop,
        "How long a tenant's rule set stays in memory without being used.",
        100..=2_592_000_000
    ),
    setting!(
        "TENET_RESIDENT_TENANTS_MAX",
        engine.resident_tenants_max,
        "Largest number of rule sets in memory; beyond it the least recently used ones are evicted.",
        1..=10_000_000
    ),
    setting!(
        "TENET_RESIDENT_BYTES_MAX",
        engine.resident_bytes_max,
        "Largest memory for rule sets, as estimated; beyond it the least recently used ones are evicted.",
        1_048_576..=1_125_899_906_842_624
    ),
    setting!(
        "TENET_RECONCILE_INTERVAL",
        engine.reconcile_interval,
        "Interval at which the change log is read, to find changes whose notification was lost.",
        10..=60_000
    ),
    setting!(
        "TENET_STALE_AFTER",
        engine.stale_after,
        "How long the database may be unreachable before decisions are marked `stale`.",
        100..=600_000
    ),
    setting!(
        "TENET_RATE_LIMITS",
        engine.rate_limits,
        "Whether the quotas `requestsPerMinute`, `eventsPerMinute` and `concurrentRequests` are enforced. If not set, `on` in `tenet serve` and `off` in `tenet dev`."
    ),
    setting!(
        "TENET_CONCURRENT_REQUESTS_MAX",
        engine.concurrent_requests_max,
        "Requests that a node handles at once, of all tenants; further ones are answered 503. Tenants of the tier `free` together take at most 40 % of it, those of `pro` 70 %.",
        1..=1_000_000
    ),
    setting!(
        "TENET_EVALUATION_THREADS",
        engine.evaluation_threads,
        "Costly decisions and batches of events that a node evaluates at once, where tenants take turns; cheap decisions are made by the thread that reads the request. If not set, one fewer than there are cores, at least 1; with 0 each decision is made by its request's thread, and a costly one delays other requests.",
        0..=1_024
    ),
    setting!(
        "TENET_ANALYTICS_FLUSH",
        engine.analytics_flush,
        "How often a node writes how many decisions it has made; what it has not written is lost if it is killed.",
        100..=300_000
    ),
    setting!("TENET_DEFAULT_TIER", engine.default_tier, "Tier of a new tenant whose creator names none."),
    setting!(
        "TENET_QUEUE",
        events.queue,
        "Where events wait until they are decided: `postgres` or `rabbitmq`. It must be the same on every node; `tenet serve --drain` helps to change it."
    ),
    setting!(
        "TENET_RABBITMQ_URL",
        events.rabbitmq_url,
        "RabbitMQ for `TENET_QUEUE=rabbitmq`, such as `amqps://user:password@host/vhost`.",
        secret
    ),
    setting!(
        "TENET_REDIS_URL",
        events.redis_url,
        "Redis in which nodes share the rates of tenants, and idempotency keys for `TENET_QUEUE=rabbitmq`, such as `rediss://user:password@host:6379/0`.",
        secret
    ),
    setting!(
        "TENET_QUEUE_AUTHORITIES",
        events.authorities,
        "PEM file with the certificate authorities trusted for RabbitMQ and Redis, where those that browsers trust have not signed their certificates. Read at start."
    ),
    setting!(
        "TENET_QUEUE_PLAINTEXT",
        events.plaintext,
        "Whether a RabbitMQ or Redis on another machine may be reached without TLS: `on` or `off`."
    ),
    setting!(
        "TENET_EVENT_FLUSH_INTERVAL",
        events.flush_interval,
        "How long the first event of a statement waits for others that are stored with it.",
        0..=1_000
    ),
    setting!(
        "TENET_EVENT_LEASE",
        events.lease,
        "How long a tenant's queue of events stays with a node that does not renew its lease.",
        1_000..=600_000
    ),
    setting!(
        "TENET_CONSUMER_IDLE_STOP",
        events.consumer_idle_stop,
        "How long a consumer of events stays without an event.",
        100..=86_400_000
    ),
    setting!(
        "TENET_KEY_WINDOW",
        events.key_window,
        "How long an idempotency key counts: the same key within it is the same event.",
        1_000..=7_776_000_000
    ),
    setting!(
        "TENET_LOG_FORMAT",
        telemetry.log_format,
        "Format of log lines: `pretty` for people, `json` for machines."
    ),
    setting!(
        "TENET_LOG",
        telemetry.log_filter,
        "Which log lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module such as `info,tenet::engine=debug`."
    ),
    setting!(
        "TENET_ACCESS_LOG",
        telemetry.access_log,
        "Whether each request is logged when it is answered, whatever `TENET_LOG` says: `on` or `off`."
    ),
    setting!(
        "TENET_METRICS_TENANTS_MAX",
        telemetry.metrics_tenants_max,
        "Number of tenants with their own series in `/metrics`, the busiest. All others are counted together.",
        0..=10_000
    ),
];
