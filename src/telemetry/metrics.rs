//! What is counted and timed, for `/metrics`.
//!
//! A [`Metrics`] has a registry of its own, so that two services in one process stay apart. Labels are static texts or
//! bounded in number; nothing of a tenant's content is ever one.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Unit,
};

use crate::domain::TenantId;

use super::{
    engine::{Engine, StateLabels},
    families::Families,
    histogram::Histogram,
    process::Process,
    tenants::Tenants,
};

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// That of OpenMetrics 1.0.
    OpenMetrics,
    /// That of Prometheus 0.0.4, which is older and which every tool reads.
    Prometheus,
}

impl MetricsFormat {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Bounds for evaluations, in microseconds: from a few comparisons to the largest budget.
const EVALUATION_BOUNDS_US: &[u64] =
    &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000];
/// Bounds for requests and SQL, in microseconds: from an answer out of memory to a time-out.
const REQUEST_BOUNDS_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// The counters of one service; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    families: Families,
    http: Http,
    decisions: Decisions,
    engine: Engine,
    database: Database,
    tenants: Tenants,
}

type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

struct Http {
    requests: Family<RouteLabels, Counter>,
    seconds: HistogramFamily<RouteLabels>,
    in_flight: Gauge,
    refused: Family<AnswerLabels, Counter>,
}

struct Decisions {
    made: Counter,
    stale: Counter,
    rules: Counter,
    matched: Counter,
    errors: Family<CodeLabels, Counter>,
    seconds: Histogram,
}

struct Database {
    in_use: Family<PoolLabels, Gauge>,
    idle: Family<PoolLabels, Gauge>,
    wait_seconds: HistogramFamily<PoolLabels>,
    statement_seconds: HistogramFamily<StatementLabels>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    statement: &'static str,
}

/// Why a tenant's rule set left memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It was not used for a while.
    Idle,
    /// It was the least recently used one, and there were too many.
    Evicted,
}

impl Metrics {
    /// Nothing counted yet. `tenants_max` tenants get counts of their own.
    pub fn new(tenants_max: usize) -> Self {
        let mut families = Families::new();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        families.add("build", "The running version", Info::new(build.to_vec()));
        let http = Http::register(&mut families);
        let decisions = Decisions::register(&mut families);
        let engine = Engine::register(&mut families);
        let database = Database::register(&mut families);
        let tenants = Tenants::new(tenants_max);
        families.collect(tenants.clone());
        families.collect_of_process(Process::this());
        Self(Arc::new(Inner { families, http, decisions, engine, database, tenants }))
    }

    /// Everything, as text.
    pub fn encode(&self, format: MetricsFormat) -> Result<String, fmt::Error> {
        match format {
            MetricsFormat::OpenMetrics => self.0.families.open_metrics(),
            MetricsFormat::Prometheus => self.0.families.prometheus(),
        }
    }

    /// A request of `route` (its pattern, never its path) was answered with `status`, `took` after it came.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        let labels = RouteLabels { route, status: status_class(status) };
        self.0.http.requests.get_or_create(&labels).inc();
        self.0.http.seconds.get_or_create(&labels).observe(took);
    }

    /// A request came in. Pair it with [`Metrics::request_ended`].
    pub fn request_begun(&self) {
        self.0.http.in_flight.inc();
    }

    /// A request was answered, or given up.
    pub fn request_ended(&self) {
        self.0.http.in_flight.dec();
    }

    /// A credential was not valid, and answered 401, or 429 where there were too many.
    pub fn credential_refused(&self, is_limited: bool) {
        let status = if is_limited { "429" } else { "401" };
        self.0.http.refused.get_or_create(&AnswerLabels { status }).inc();
    }

    /// A request of a tenant that exists was answered with `status`.
    pub fn tenant_request(&self, tenant: TenantId, status: u16) {
        self.0.tenants.count(tenant, status >= 400);
    }

    /// A decision was made in `took`: of `evaluated` rules, `matched` matched.
    pub fn decision(&self, evaluated: usize, matched: usize, took: Duration) {
        let decisions = &self.0.decisions;
        decisions.made.inc();
        decisions.rules.inc_by(wide(evaluated));
        decisions.matched.inc_by(wide(matched));
        decisions.seconds.observe(took);
    }

    /// A decision was made with a rule set that may be old, since the database is out of reach.
    pub fn stale_decision(&self) {
        self.0.decisions.stale.inc();
    }

    /// A rule ended with an error.
    pub fn rule_error(&self, code: &'static str) {
        self.0.decisions.errors.get_or_create(&CodeLabels { code }).inc();
    }

    /// A request has to wait for its rule set.
    pub fn resident_miss(&self) {
        self.0.engine.resident_misses.inc();
    }

    /// A rule set that was not in memory was loaded in `took`.
    pub fn cold_load(&self, took: Duration) {
        self.0.engine.cold_loads.inc();
        self.0.engine.load_seconds.observe(took);
    }

    /// A rule set in memory was replaced by a newer one, loaded in `took`.
    pub fn reload(&self, took: Duration) {
        self.0.engine.reloads.inc();
        self.0.engine.load_seconds.observe(took);
    }

    /// A rule set could not be loaded.
    pub fn load_failure(&self) {
        self.0.engine.load_failures.inc();
    }

    /// A rule set was compiled: this many programs anew, this many carried over.
    pub fn programs(&self, compiled: usize, reused: usize) {
        self.0.engine.programs_compiled.inc_by(wide(compiled));
        self.0.engine.programs_reused.inc_by(wide(reused));
    }

    /// A change was served `took` after its transaction began.
    pub fn propagation(&self, took: Duration) {
        self.0.engine.propagation_seconds.observe(took);
    }

    /// The connection that listens for changes was made anew.
    pub fn listener_reconnect(&self) {
        self.0.engine.listener_reconnects.inc();
    }

    /// Reconciling found a change that no notification had told.
    pub fn reconcile_catch(&self) {
        self.0.engine.reconcile_catches.inc();
    }

    /// A tenant was stored at an older revision than is served, in the same history of the database.
    pub fn revision_regression(&self) {
        self.0.engine.revision_regressions.inc();
    }

    /// A rule set left memory.
    pub fn departure(&self, departure: Departure) {
        match departure {
            Departure::Idle => self.0.engine.idle_stops.inc(),
            Departure::Evicted => self.0.engine.evictions.inc(),
        };
    }

    /// A tenant's actor failed too often.
    pub fn quarantine(&self) {
        self.0.engine.quarantines.inc();
    }

    /// A tenant's actor failed and was started again.
    pub fn actor_restart(&self) {
        self.0.engine.restarts.inc();
    }

    /// Tenants in memory that are in this state now.
    pub fn resident_tenants(&self, state: &'static str, count: usize) {
        self.0.engine.resident_tenants.get_or_create(&StateLabels { state }).set(signed(count));
    }

    /// Bytes that the rule sets in memory take now, as estimated.
    pub fn memory_bytes(&self, bytes: u64) {
        self.0.engine.memory_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A message was sent to the supervisor. Pair it with [`Metrics::mailbox_taken`].
    pub fn mailbox_given(&self) {
        self.0.engine.mailbox_messages.inc();
    }

    /// The supervisor begins with a message.
    pub fn mailbox_taken(&self) {
        self.0.engine.mailbox_messages.dec();
    }

    /// Messages that tenants' actors have not begun with now: all together, and those of the actor that has the most.
    pub fn tenant_mailboxes(&self, messages: usize, messages_max: usize) {
        self.0.engine.tenant_mailbox_messages.set(signed(messages));
        self.0.engine.tenant_mailbox_messages_max.set(signed(messages_max));
    }

    /// Connections of a pool now.
    pub fn pool(&self, pool: &'static str, in_use: usize, idle: usize) {
        let labels = PoolLabels { pool };
        self.0.database.in_use.get_or_create(&labels).set(signed(in_use));
        self.0.database.idle.get_or_create(&labels).set(signed(idle));
    }

    /// A connection of a pool was had (or not) after `waited`.
    pub fn pool_wait(&self, pool: &'static str, waited: Duration) {
        self.0.database.wait_seconds.get_or_create(&PoolLabels { pool }).observe(waited);
    }

    /// The SQL statement of this name took so long.
    pub fn sql(&self, statement: &'static str, took: Duration) {
        self.0.database.statement_seconds.get_or_create(&StatementLabels { statement }).observe(took);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Http {
    fn register(families: &mut Families) -> Self {
        let http = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(request_histogram),
            in_flight: Gauge::default(),
            refused: Family::default(),
        };
        families.add("http_requests", "Requests answered, by route and class of status", http.requests.clone());
        let help = "Time from a request to its answer, by route and class of status";
        families.add_with_unit("http_request", help, Unit::Seconds, http.seconds.clone());
        families.add("http_requests_in_flight", "Requests that are not answered yet", http.in_flight.clone());
        let help = "Invalid credentials, by status of the answer: 401, or 429 beyond the limit";
        families.add("invalid_credentials", help, http.refused.clone());
        http
    }
}

impl Decisions {
    fn register(families: &mut Families) -> Self {
        let decisions = Self {
            made: families.counter("decisions", "Decisions made"),
            stale: families.counter("decisions_stale", "Decisions made while the database was unreachable"),
            rules: families.counter("rules_evaluated", "Rules evaluated, in all decisions"),
            matched: families.counter("rules_matched", "Rules that matched, in all decisions"),
            errors: Family::default(),
            seconds: Histogram::new(EVALUATION_BOUNDS_US),
        };
        families.add("rule_errors", "Rule evaluations that ended with an error, by code", decisions.errors.clone());
        families.add_with_unit(
            "evaluation",
            "Time of a decision, from its facts to its results",
            Unit::Seconds,
            decisions.seconds.clone(),
        );
        decisions
    }
}

impl Database {
    fn register(families: &mut Families) -> Self {
        let database = Self {
            in_use: Family::default(),
            idle: Family::default(),
            wait_seconds: Family::new_with_constructor(request_histogram),
            statement_seconds: Family::new_with_constructor(request_histogram),
        };
        families.add("pool_in_use", "Database connections in use, by pool", database.in_use.clone());
        families.add("pool_idle", "Idle database connections, by pool", database.idle.clone());
        let help = "Time spent waiting for a database connection, by pool";
        families.add_with_unit("pool_wait", help, Unit::Seconds, database.wait_seconds.clone());
        let help = "Duration of SQL statements, by name";
        families.add_with_unit("sql", help, Unit::Seconds, database.statement_seconds.clone());
        database
    }
}

/// A histogram for what takes from an answer out of memory to a time-out.
pub(super) fn request_histogram() -> Histogram {
    Histogram::new(REQUEST_BOUNDS_US)
}

fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(metrics: &Metrics, start: &str) -> Option<String> {
        let text = metrics.encode(MetricsFormat::OpenMetrics).unwrap();
        text.lines().find_map(|line| line.strip_prefix(start).map(|rest| rest.trim().to_owned()))
    }

    #[test]
    fn what_is_told_is_what_can_be_read() {
        let metrics = Metrics::new(1);
        metrics.request("/api/v1/evaluate", 200, Duration::from_millis(2));
        metrics.request("/api/v1/evaluate", 204, Duration::from_millis(3));
        metrics.request("/api/v1/evaluate", 422, Duration::from_secs(60));
        metrics.decision(10, 3, Duration::from_micros(7));
        metrics.rule_error("cost_exceeded");
        metrics.pool("requests", 2, 8);
        metrics.sql("load_snapshot", Duration::from_micros(300));
        metrics.departure(Departure::Evicted);
        for (start, value) in [
            ("tenet_http_requests_total{route=\"/api/v1/evaluate\",status=\"2xx\"}", "2"),
            ("tenet_http_request_seconds_sum{route=\"/api/v1/evaluate\",status=\"2xx\"}", "0.005"),
            ("tenet_http_request_seconds_bucket{le=\"0.0025\",route=\"/api/v1/evaluate\",status=\"2xx\"}", "1"),
            ("tenet_http_request_seconds_bucket{le=\"10.0\",route=\"/api/v1/evaluate\",status=\"4xx\"}", "0"),
            ("tenet_http_request_seconds_bucket{le=\"+Inf\",route=\"/api/v1/evaluate\",status=\"4xx\"}", "1"),
            ("tenet_decisions_total", "1"),
            ("tenet_rules_evaluated_total", "10"),
            ("tenet_rules_matched_total", "3"),
            ("tenet_rule_errors_total{code=\"cost_exceeded\"}", "1"),
            ("tenet_evaluation_seconds_bucket{le=\"0.000005\"}", "0"),
            ("tenet_evaluation_seconds_bucket{le=\"0.00001\"}", "1"),
            ("tenet_pool_in_use{pool=\"requests\"}", "2"),
            ("tenet_pool_idle{pool=\"requests\"}", "8"),
            ("tenet_sql_seconds_count{statement=\"load_snapshot\"}", "1"),
            ("tenet_evictions_total", "1"),
            ("tenet_idle_stops_total", "0"),
            (concat!("tenet_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), "1"),
        ] {
            assert_eq!(
                line(&metrics, start).as_deref(),
                Some(value),
                "{start}\n{}",
                metrics.encode(MetricsFormat::OpenMetrics).unwrap()
            );
        }
    }

    #[test]
    fn tenants_beyond_the_cap_are_counted_together() {
        let metrics = Metrics::new(1);
        let (busy, quiet) = (TenantId::generate(), TenantId::generate());
        (0..3).for_each(|_| metrics.tenant_request(busy, 200));
        metrics.encode(MetricsFormat::OpenMetrics).unwrap();
        metrics.tenant_request(busy, 500);
        metrics.tenant_request(quiet, 422);
        let text = metrics.encode(MetricsFormat::OpenMetrics).unwrap();
        assert!(text.contains(&format!("tenet_tenant_requests_total{{tenant=\"{busy}\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("tenet_tenant_errors_total{{tenant=\"{busy}\"}} 1\n")), "{text}");
        assert!(text.contains("tenet_tenant_requests_total{tenant=\"other\"} 4\n"), "{text}");
        assert!(text.contains("tenet_tenant_errors_total{tenant=\"other\"} 1\n"), "{text}");
        assert!(!text.contains(&quiet.to_string()), "{text}");
    }

    #[test]
    fn services_in_one_process_do_not_share_counts() {
        let (one, other) = (Metrics::new(1), Metrics::new(1));
        one.resident_miss();
        one.clone().resident_miss();
        assert_eq!(line(&one, "tenet_resident_misses_total").as_deref(), Some("2"));
        assert_eq!(line(&other, "tenet_resident_misses_total").as_deref(), Some("0"));
    }

    #[test]
    fn the_documentation_lists_every_metric_and_no_other() {
        let text = Metrics::new(1).encode(MetricsFormat::OpenMetrics).unwrap();
        let help = |line: &str| {
            let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
            Some((name.to_owned(), help.trim_end_matches('.').to_owned()))
        };
        let told: Vec<(String, String)> = text.lines().filter_map(help).collect();
        let page = include_str!("../../docs/operations.md");
        let row = |line: &str| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
            let name = cells[0].trim_end_matches('`');
            let is_metric = name.starts_with("tenet_") || name.starts_with("process_");
            is_metric.then(|| (name.to_owned(), cells[3].to_owned()))
        };
        let documented: Vec<(String, String)> = page.lines().filter_map(row).collect();
        let sorted = |mut rows: Vec<(String, String)>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(documented), sorted(told));
    }
}
