//! What is counted of the engine: tenants in memory, their loads and their actors, and following the database.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{
    histogram::Histogram,
    metrics::{counter, request_histogram},
};

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
    pub fn register(registry: &mut Registry) -> Self {
        let engine = Self {
            resident_misses: counter(
                registry,
                "resident_misses",
                "Requests that waited for a rule set: it was not in memory, or too old",
            ),
            cold_loads: counter(registry, "cold_loads", "Rule sets loaded that were not in memory"),
            load_failures: counter(registry, "load_failures", "Rule sets that could not be loaded"),
            reloads: counter(
                registry,
                "reloads",
                "Rule sets loaded again; a change made on this node is served without one",
            ),
            load_seconds: request_histogram(),
            programs_compiled: counter(registry, "programs_compiled", "Expressions compiled"),
            programs_reused: counter(registry, "programs_reused", "Expressions carried over from the set before"),
            propagation_seconds: request_histogram(),
            listener_reconnects: counter(registry, "listener_reconnects", "Connections to hear of changes made anew"),
            reconcile_catches: counter(registry, "reconcile_catches", "Changes found that no notification had told"),
            revision_regressions: counter(
                registry,
                "revision_regressions",
                "Loads that found an older revision than is served: a restore without a new epoch",
            ),
            idle_stops: counter(registry, "idle_stops", "Rule sets dropped because nobody used them"),
            evictions: counter(registry, "evictions", "Rule sets dropped because there were too many"),
            restarts: counter(registry, "actor_restarts", "Tenant actors that failed and were started again"),
            quarantines: counter(
                registry,
                "quarantines",
                "Tenants put in quarantine because their actor failed too often",
            ),
            resident_tenants: Family::default(),
            memory_bytes: Gauge::default(),
            mailbox_messages: Gauge::default(),
            tenant_mailbox_messages: Gauge::default(),
            tenant_mailbox_messages_max: Gauge::default(),
        };
        registry.register("resident_tenants", "Tenants in memory, by state", engine.resident_tenants.clone());
        let help = "Memory of the rule sets in memory, as estimated";
        registry.register_with_unit("rule_sets", help, Unit::Bytes, engine.memory_bytes.clone());
        let help = "Messages that the supervisor has not begun with";
        registry.register("supervisor_mailbox_messages", help, engine.mailbox_messages.clone());
        let help = "Messages that tenants' actors have not begun with, all together";
        registry.register("tenant_mailbox_messages", help, engine.tenant_mailbox_messages.clone());
        let help = "Messages that one tenant's actor has not begun with, the most of any";
        registry.register("tenant_mailbox_messages_max", help, engine.tenant_mailbox_messages_max.clone());
        registry.register_with_unit("load", "Time to load a rule set", Unit::Seconds, engine.load_seconds.clone());
        let help = "Time from the begin of a change's transaction to serving it on this node";
        registry.register_with_unit("propagation", help, Unit::Seconds, engine.propagation_seconds.clone());
        engine
    }
}
