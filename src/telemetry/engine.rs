//! What is counted of the engine: tenants in memory, their loads and their actors, and following the database.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Unit,
};

use super::{families::Families, histogram::Histogram, metrics::request_histogram};

/// The counters of the engine.
pub(super) struct Engine {
    pub resident_misses: Counter,
    pub cold_loads: Counter,
    pub load_failures: Counter,
    pub reloads: Counter,
    pub load_seconds: Histogram,
    pub programs_compiled: Counter,
    pub programs_reused: Counter,
    pub propagation_seconds: Histogram,
    pub listener_reconnects: Counter,
    pub reconcile_catches: Counter,
    pub revision_regressions: Counter,
    pub idle_stops: Counter,
    pub evictions: Counter,
    pub restarts: Counter,
    pub quarantines: Counter,
    pub resident_tenants: Family<StateLabels, Gauge>,
    pub memory_bytes: Gauge,
    pub mailbox_messages: Gauge,
    pub tenant_mailbox_messages: Gauge,
    pub tenant_mailbox_messages_max: Gauge,
}

/// What a tenant in memory is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StateLabels {
    pub state: &'static str,
}

impl Engine {
    /// All at zero, and registered.
    pub fn register(families: &mut Families) -> Self {
        let engine = Self {
            resident_misses: families.counter(
                "resident_misses",
                "Requests that waited for a rule set because it was not in memory or too old",
            ),
            cold_loads: families.counter("cold_loads", "Rule sets loaded because they were not in memory"),
            load_failures: families.counter("load_failures", "Failed loads of rule sets"),
            reloads: families
                .counter("reloads", "Rule sets loaded again; a change made on this node is served without one"),
            load_seconds: request_histogram(),
            programs_compiled: families.counter("programs_compiled", "Expressions compiled"),
            programs_reused: families.counter("programs_reused", "Expressions taken over from the previous rule set"),
            propagation_seconds: request_histogram(),
            listener_reconnects: families
                .counter("listener_reconnects", "Reconnections of the connection that listens for changes"),
            reconcile_catches: families
                .counter("reconcile_catches", "Changes found by polling, whose notification was lost"),
            revision_regressions: families.counter(
                "revision_regressions",
                "Loads that found an older revision than the served one: a restore without a new epoch",
            ),
            idle_stops: families.counter("idle_stops", "Rule sets removed from memory because they were not used"),
            evictions: families.counter("evictions", "Rule sets removed from memory because there were too many"),
            restarts: families.counter("actor_restarts", "Restarts of tenant actors that failed"),
            quarantines: families.counter("quarantines", "Tenants quarantined because their actor failed too often"),
            resident_tenants: Family::default(),
            memory_bytes: Gauge::default(),
            mailbox_messages: Gauge::default(),
            tenant_mailbox_messages: Gauge::default(),
            tenant_mailbox_messages_max: Gauge::default(),
        };
        families.add("resident_tenants", "Tenants in memory, by state", engine.resident_tenants.clone());
        let help = "Estimated memory of the rule sets in memory";
        families.add_with_unit("rule_sets", help, Unit::Bytes, engine.memory_bytes.clone());
        let help = "Messages waiting for the supervisor";
        families.add("supervisor_mailbox_messages", help, engine.mailbox_messages.clone());
        let help = "Messages waiting for tenant actors, in all";
        families.add("tenant_mailbox_messages", help, engine.tenant_mailbox_messages.clone());
        let help = "Messages waiting for the tenant actor with the longest queue";
        families.add("tenant_mailbox_messages_max", help, engine.tenant_mailbox_messages_max.clone());
        families.add_with_unit("load", "Time to load a rule set", Unit::Seconds, engine.load_seconds.clone());
        let help = "Time from the start of a change's transaction until this node serves it";
        families.add_with_unit("propagation", help, Unit::Seconds, engine.propagation_seconds.clone());
        engine
    }
}
