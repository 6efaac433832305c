//! Every setting: its names outside, its bounds and its meaning. `docs/configuration.md` is held to this table.

use super::{Settings, value::Value};

/// A setting, as the outside knows it.
pub struct Setting {
    /// Section and key in the TOML file: `http.listen`.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Least and greatest value allowed, where it is a number, a size (in bytes) or a time (in milliseconds).
    pub bounds: Option<(u64, u64)>,
    /// Whether its value must not be printed.
    pub secret: bool,
    unit: &'static str,
    /// What a value looks like.
    pub(super) expects: &'static str,
    /// Takes a value over into the settings, if the text writes one; answers its measure, if bounds are to hold.
    pub(super) assign: fn(&mut Settings, &str) -> Option<Option<u64>>,
    /// The value as text.
    show: fn(&Settings) -> String,
}

impl Setting {
    /// The value in `settings`, as text; of a secret, only that there is one.
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }

    /// What its bounds count.
    pub(super) fn unit(&self) -> &'static str {
        self.unit
    }

    /// The default, as text; empty if there is none.
    pub fn default_text(&self) -> String {
        self.show(&Settings::default())
    }
}

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

/// What the type of a field expects; the field is named and never read.
const fn expects<T: Value>(_field: fn(&Settings) -> &T) -> &'static str {
    T::EXPECTS
}

/// What the measure of a field counts.
const fn unit<T: Value>(_field: fn(&Settings) -> &T) -> &'static str {
    T::UNIT
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting!("TENET_LISTEN", http.listen, "Address and port to serve on."),
    setting!(
        "TENET_ADMIN_LISTEN",
        http.admin_listen,
        "A second address, for inside: `/metrics` and everything that asks for an operator are then served there alone, in plain HTTP. `tenet health` asks there, too."
    ),
    setting!(
        "TENET_TLS_CERTIFICATE",
        http.tls_certificate,
        "PEM file with the certificate, and those that lead to its root, that `TENET_LISTEN` is served with (TLS 1.2 and 1.3). Read at the start."
    ),
    setting!("TENET_TLS_KEY", http.tls_key, "PEM file with the certificate's private key."),
    setting!(
        "TENET_HOSTS",
        http.hosts,
        "Names that the service answers under, without ports, separated by commas; a request with another `Host` is 421, but for `/healthz`, `/readyz` and what comes to `TENET_ADMIN_LISTEN`. Without it any name is answered under, or, where no key is asked for, names of this machine alone."
    ),
    setting!(
        "TENET_CORS_ORIGINS",
        http.cors_origins,
        "Origins of web pages that may call from a browser, such as `https://console.example.org`, separated by commas. Without it none may."
    ),
    setting!(
        "TENET_OPERATOR_KEY",
        http.operator_key,
        "Key with which an operator may do everything (`Authorization: Bearer <key>`); 16 characters at least. `tenet serve` requires it, or one made with `tenet keys create --operator`.",
        secret
    ),
    setting!(
        "TENET_KEY_PEPPER",
        http.key_pepper,
        "Secret that the hashes of stored keys are made with (HMAC-SHA-256), so that a copy of the database alone is not enough to test a guess. The same on every node; another one makes all stored keys invalid.",
        secret
    ),
    setting!(
        "TENET_AUTH_FAILURES_PER_ADDRESS",
        http.auth_failures_per_address,
        "Invalid credentials that are answered 401 per address (IPv6: per /64) and minute; beyond it they are answered 429. Valid ones never are.",
        1..=1_000_000_000
    ),
    setting!(
        "TENET_AUTH_FAILURES_PER_KEY",
        http.auth_failures_per_key,
        "The same for each key that they name, wherever they come from.",
        1..=1_000_000_000
    ),
    setting!("TENET_HTTP_WORKERS", http.workers, "Threads that answer requests; 0 is one per core.", 0..=1_024),
    setting!(
        "TENET_CONNECTIONS_MAX",
        http.connections_max,
        "Client connections at once, over all workers; more wait to be accepted.",
        1..=1_000_000
    ),
    setting!(
        "TENET_BODY_LIMIT",
        http.body_limit,
        "Largest request body, on every route without a limit of its own; more is 413.",
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
    setting!("TENET_BATCH_ITEMS_MAX", http.batch_items_max, "Items of a JSON batch at most.", 1..=1_000_000),
    setting!(
        "TENET_BODY_DEADLINE",
        http.body_deadline,
        "How long a request's body may take to arrive; then the request is refused.",
        100..=600_000
    ),
    setting!(
        "TENET_NDJSON_IDLE_DEADLINE",
        http.ndjson_idle_deadline,
        "How long the sender of an NDJSON batch may be silent.",
        100..=3_600_000
    ),
    setting!(
        "TENET_SHUTDOWN_DEADLINE",
        http.shutdown_deadline,
        "How long a stop waits for requests that were accepted.",
        100..=600_000
    ),
    setting!(
        "TENET_SHUTDOWN_DELAY",
        http.shutdown_delay,
        "How long a node that was told to stop goes on accepting requests, with `/readyz` at 503 and each answer the last of its connection, so that balancers hear of it: of `TENET_SHUTDOWN_DEADLINE`, and half of that at most. `tenet dev` does not wait.",
        0..=600_000
    ),
    setting!(
        "TENET_JWT_ISSUER",
        jwt.issuer,
        "Issuer of tokens (`iss`) that people and services may prove themselves with, in place of a key. Without it none is believed."
    ),
    setting!(
        "TENET_JWT_AUDIENCE",
        jwt.audience,
        "What the tokens must be made for (`aud`), separated by commas; one of them is enough. Required with an issuer."
    ),
    setting!(
        "TENET_JWT_ALGORITHM",
        jwt.algorithm,
        "What its tokens are signed with: `RS256`, `ES256` or `EdDSA`, and nothing else. Required with an issuer."
    ),
    setting!(
        "TENET_JWT_JWKS",
        jwt.jwks,
        "The issuer's public keys (JWKS): the path of a file, or an `https://` address. Required with an issuer. A file must be there at the start; while an address has never answered, tokens are 503."
    ),
    setting!(
        "TENET_JWT_AUTHORITIES",
        jwt.authorities,
        "PEM file with the authorities one of which must have signed the certificate of that address. Without it those that browsers trust."
    ),
    setting!(
        "TENET_JWT_REFRESH_INTERVAL",
        jwt.refresh_interval,
        "Time between two looks at these keys. A token with a key that is not known has them looked at as well, every 10 s at most.",
        1_000..=86_400_000
    ),
    setting!("TENET_JWT_TENANT_CLAIM", jwt.tenant_claim, "Claim with the tenant's id."),
    setting!("TENET_JWT_ROLE_CLAIM", jwt.role_claim, "Claim with the role, a text."),
    setting!(
        "TENET_JWT_ROLES",
        jwt.roles,
        "What values of that claim mean, as `value=role`, separated by commas; any other is refused. Roles are `owner`, `admin`, `editor`, `evaluator`, `ingester`, `auditor`, and `operator`, which is bound to no tenant. Without it the first six mean themselves, and nobody is an operator."
    ),
    setting!(
        "DATABASE_URL",
        database.url,
        "The PostgreSQL database, as `postgresql://user:password@host/database`. `tenet serve` requires it; without it `tenet dev` starts a database of its own.",
        secret
    ),
    setting!(
        "DATABASE_MIGRATION_URL",
        database.migration_url,
        "The same database with another login, used for migrations alone. `DATABASE_URL` if it is not set.",
        secret
    ),
    setting!(
        "TENET_DATABASE_ROLE",
        database.role,
        "The restricted role that migrations make and that the service works as on every connection."
    ),
    setting!(
        "TENET_POOL_SIZE",
        database.pool_size,
        "Database connections for what requests read and write.",
        1..=1_000
    ),
    setting!(
        "TENET_LOAD_POOL_SIZE",
        database.load_pool_size,
        "Database connections kept apart for loading rule sets, so that busy writers do not delay them.",
        1..=1_000
    ),
    setting!(
        "TENET_ACQUIRE_TIMEOUT",
        database.acquire_timeout,
        "How long a request waits for a database connection; then it is refused with 503.",
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
        "How long one SQL statement waits for a lock; then the request is refused with 503.",
        10..=60_000
    ),
    setting!(
        "TENET_MIN_REVISION_WAIT",
        engine.min_revision_wait,
        "How long an evaluation waits for its `minRevision`; then it is refused with 503.",
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
        "Rule sets in memory at most; beyond it the least recently used one goes.",
        1..=10_000_000
    ),
    setting!(
        "TENET_RESIDENT_BYTES_MAX",
        engine.resident_bytes_max,
        "Memory for rule sets, as estimated; beyond it the least recently used one goes.",
        1_048_576..=1_125_899_906_842_624
    ),
    setting!(
        "TENET_RECONCILE_INTERVAL",
        engine.reconcile_interval,
        "Time between two looks at the change log, which find what a notification did not tell.",
        10..=60_000
    ),
    setting!(
        "TENET_STALE_AFTER",
        engine.stale_after,
        "How long the database may be out of reach before decisions are marked `stale`.",
        100..=600_000
    ),
    setting!("TENET_LOG_FORMAT", telemetry.log_format, "Form of log lines: `pretty` for people, `json` for machines."),
    setting!(
        "TENET_LOG",
        telemetry.log_filter,
        "Which log lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by module such as `info,tenet::engine=debug`."
    ),
    setting!(
        "TENET_METRICS_TENANTS_MAX",
        telemetry.metrics_tenants_max,
        "Tenants that have counts of their own in `/metrics`: the busiest. All others are counted together.",
        0..=10_000
    ),
];
