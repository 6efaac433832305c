//! What is counted of the engine: decisions, tenants in memory, their loads and their actors, following the database.

mod counts;
mod load;
mod log;

use std::time::Duration;

use counts::CountMetrics;
use load::LoadMetrics;
pub use log::Dropped;
use log::LogMetrics;

use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, MetricRegistry, Unit};

/// Bounds for evaluations, in microseconds: from a few comparisons to the largest budget.
const EVALUATION_BOUNDS_US: &[u64] =
    &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000];

/// The metrics of the engine.
#[derive(Debug, Clone)]
pub struct Metrics {
    decisions: Counter,
    decisions_stale: Counter,
    rules_evaluated: Counter,
    rules_matched: Counter,
    rule_errors: Family<CodeLabels, Counter>,
    evaluation_seconds: Histogram,
    resident_misses: Counter,
    cold_loads: Counter,
    load_failures: Counter,
    reloads: Counter,
    load_seconds: Histogram,
    programs_compiled: Counter,
    programs_reused: Counter,
    propagation_seconds: Histogram,
    listener_reconnects: Counter,
    reconcile_catches: Counter,
    revision_regressions: Counter,
    idle_stops: Counter,
    evictions: Counter,
    restarts: Counter,
    quarantines: Counter,
    resident_tenants: Family<StateLabels, Gauge>,
    memory_bytes: Gauge,
    mailbox_messages: Gauge,
    tenant_mailbox_messages: Gauge,
    tenant_mailbox_messages_max: Gauge,
    admissions: Family<AdmissionLabels, Counter>,
    /// What is counted of the evaluation pool and of pressure.
    pub load: LoadMetrics,
    /// What is counted of counting.
    pub counts: CountMetrics,
    /// What is counted of the recorder.
    pub log: LogMetrics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AdmissionLabels {
    tier: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
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
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let propagation_help = "Time from the start of a change's transaction until this node serves it";
        let load_help = "Time to load a rule set";
        let memory_help = "Estimated memory of the rule sets in memory";
        let supervisor_mailbox_help = "Messages waiting for the supervisor";
        let mailboxes_help = "Messages waiting for tenant actors, in all";
        let mailbox_help = "Messages waiting for the tenant actor with the longest queue";
        let evaluation = Histogram::new(EVALUATION_BOUNDS_US);
        let evaluation_help = "Time of a decision, from its facts to its results";
        let error_help = "Rule evaluations that ended with an error, by code";
        Self {
            load: LoadMetrics::register(registry),
            counts: CountMetrics::register(registry),
            log: LogMetrics::register(registry),
            decisions: registry.counter("decisions", "Decisions made"),
            decisions_stale: registry.counter("decisions_stale", "Decisions made while the database was unreachable"),
            rules_evaluated: registry.counter("rules_evaluated", "Rules evaluated, in all decisions"),
            rules_matched: registry.counter("rules_matched", "Rules that matched, in all decisions"),
            resident_misses: registry.counter(
                "resident_misses",
                "Requests that waited for a rule set because it was not in memory or too old",
            ),
            cold_loads: registry.counter("cold_loads", "Rule sets loaded because they were not in memory"),
            load_failures: registry.counter("load_failures", "Failed loads of rule sets"),
            reloads: registry
                .counter("reloads", "Rule sets loaded again; a change made on this node is served without one"),
            programs_compiled: registry.counter("programs_compiled", "Expressions compiled"),
            programs_reused: registry.counter("programs_reused", "Expressions taken over from the previous rule set"),
            listener_reconnects: registry
                .counter("listener_reconnects", "Reconnections of the connection that listens for changes"),
            reconcile_catches: registry
                .counter("reconcile_catches", "Changes found by polling, whose notification was lost"),
            revision_regressions: registry.counter(
                "revision_regressions",
                "Loads that found an older revision than the served one: a restore without a new epoch",
            ),
            idle_stops: registry.counter("idle_stops", "Rule sets removed from memory because they were not used"),
            evictions: registry.counter("evictions", "Rule sets removed from memory because there were too many"),
            restarts: registry.counter("actor_restarts", "Restarts of tenant actors that failed"),
            quarantines: registry.counter("quarantines", "Tenants quarantined because their actor failed too often"),
            admissions: registry.register(
                "admission",
                "Requests of tenants, by what the gate said: admitted, or refused for the rate, the number in hand, or the \
                 node's load",
                Family::default(),
            ),
            rule_errors: registry.register("rule_errors", error_help, Family::default()),
            evaluation_seconds: registry.register_with_unit("evaluation", evaluation_help, Unit::Seconds, evaluation),
            load_seconds: registry.register_with_unit("load", load_help, Unit::Seconds, Histogram::of_requests()),
            propagation_seconds: registry.register_with_unit(
                "propagation",
                propagation_help,
                Unit::Seconds,
                Histogram::of_requests(),
            ),
            resident_tenants: registry.register("resident_tenants", "Tenants in memory, by state", Family::default()),
            memory_bytes: registry.register_with_unit("rule_sets", memory_help, Unit::Bytes, Gauge::default()),
            mailbox_messages: registry.register(
                "supervisor_mailbox_messages",
                supervisor_mailbox_help,
                Gauge::default(),
            ),
            tenant_mailbox_messages: registry.register("tenant_mailbox_messages", mailboxes_help, Gauge::default()),
            tenant_mailbox_messages_max: registry.register(
                "tenant_mailbox_messages_max",
                mailbox_help,
                Gauge::default(),
            ),
        }
    }

    /// Counts what the gate says of the requests of a tier.
    pub fn admission(&self, tier: &'static str, outcome: &'static str) -> Counter {
        self.admissions.get_or_create(&AdmissionLabels { tier, outcome }).clone()
    }

    /// A decision was made in `took`: of `evaluated` rules, `matched` matched.
    pub fn decision(&self, evaluated: usize, matched: usize, took: Duration) {
        self.decisions.inc();
        self.rules_evaluated.inc_by(wide(evaluated));
        self.rules_matched.inc_by(wide(matched));
        self.evaluation_seconds.observe(took);
    }

    /// A decision was made with a rule set that may be old, since the database is out of reach.
    pub fn stale_decision(&self) {
        self.decisions_stale.inc();
    }

    /// A rule ended with an error.
    pub fn rule_error(&self, code: &'static str) {
        self.rule_errors.get_or_create(&CodeLabels { code }).inc();
    }

    /// A request has to wait for its rule set.
    pub fn resident_miss(&self) {
        self.resident_misses.inc();
    }

    /// A rule set that was not in memory was loaded in `took`.
    pub fn cold_load(&self, took: Duration) {
        self.cold_loads.inc();
        self.load_seconds.observe(took);
    }

    /// A rule set in memory was replaced by a newer one, loaded in `took`.
    pub fn reload(&self, took: Duration) {
        self.reloads.inc();
        self.load_seconds.observe(took);
    }

    /// A rule set could not be loaded.
    pub fn load_failure(&self) {
        self.load_failures.inc();
    }

    /// A rule set was compiled: this many programs anew, this many carried over.
    pub fn programs(&self, compiled: usize, reused: usize) {
        self.programs_compiled.inc_by(wide(compiled));
        self.programs_reused.inc_by(wide(reused));
    }

    /// A change was served `took` after its transaction began.
    pub fn propagation(&self, took: Duration) {
        self.propagation_seconds.observe(took);
    }

    /// The connection that listens for changes was made anew.
    pub fn listener_reconnect(&self) {
        self.listener_reconnects.inc();
    }

    /// Reconciling found a change that no notification had told.
    pub fn reconcile_catch(&self) {
        self.reconcile_catches.inc();
    }

    /// A tenant was stored at an older revision than is served, in the same history of the database.
    pub fn revision_regression(&self) {
        self.revision_regressions.inc();
    }

    /// A rule set left memory.
    pub fn departure(&self, departure: Departure) {
        match departure {
            Departure::Idle => self.idle_stops.inc(),
            Departure::Evicted => self.evictions.inc(),
        };
    }

    /// A tenant's actor failed too often.
    pub fn quarantine(&self) {
        self.quarantines.inc();
    }

    /// A tenant's actor failed and was started again.
    pub fn actor_restart(&self) {
        self.restarts.inc();
    }

    /// Tenants in memory that are in this state now.
    pub fn resident_tenants(&self, state: &'static str, count: usize) {
        self.resident_tenants.get_or_create(&StateLabels { state }).set(signed(count));
    }

    /// Bytes that the rule sets in memory take now, as estimated.
    pub fn memory_bytes(&self, bytes: u64) {
        self.memory_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A message was sent to the supervisor. Pair it with [`Metrics::mailbox_taken`].
    pub fn mailbox_given(&self) {
        self.mailbox_messages.inc();
    }

    /// The supervisor begins with a message.
    pub fn mailbox_taken(&self) {
        self.mailbox_messages.dec();
    }

    /// Messages that tenants' actors have not begun with now: all together, and those of the actor that has the most.
    pub fn tenant_mailboxes(&self, messages: usize, messages_max: usize) {
        self.tenant_mailbox_messages.set(signed(messages));
        self.tenant_mailbox_messages_max.set(signed(messages_max));
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
