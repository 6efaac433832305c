//! What is counted of events: accepted, stored, decided, given up.

use std::time::Duration;

use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, MetricRegistry, Unit};

/// Bounds for events of a statement, of which it stores a thousand at most.
const BATCH_BOUNDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// The metrics of events.
#[derive(Debug, Clone)]
pub struct Metrics {
    accepted: Family<StatusLabels, Counter>,
    append_seconds: Histogram,
    append_batch: Histogram,
    settled: Family<OutcomeLabels, Counter>,
    age_seconds: Histogram,
    dead_letters: Family<ReasonLabels, Counter>,
    redriven: Counter,
    consumers: Gauge,
    workers: Gauge,
    partition_days_ahead: Gauge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let accepted_help = "Events sent, by what became of them: `accepted`, `duplicate`, or the code of the error";
        let append_help = "Time that a statement took to store events";
        let batch_help = "Events that a statement stored at once";
        let settled_help = "Events settled, by what came of them: `decided`, `retried`, `dead` or `duplicate`";
        let age_help = "Time from an event's acceptance to its decision";
        let consumers_help = "Tenants whose events this node consumes";
        let workers_help = "Workers of these consumers, as of their last batches";
        let days_help = "Days ahead of today for which events can be stored";
        let seconds = Histogram::of_requests;
        Self {
            accepted: registry.register("events_accepted", accepted_help, Family::default()),
            append_seconds: registry.register_with_unit("event_append", append_help, Unit::Seconds, seconds()),
            append_batch: registry.register("event_append_batch", batch_help, Histogram::of_counts(BATCH_BOUNDS)),
            settled: registry.register("events_decided", settled_help, Family::default()),
            age_seconds: registry.register_with_unit("event_age", age_help, Unit::Seconds, seconds()),
            dead_letters: registry.register("dead_letters", "Events given up, by reason", Family::default()),
            redriven: registry.counter("redriven", "Dead letters brought back"),
            consumers: registry.register("consumers", consumers_help, Gauge::default()),
            workers: registry.register("consumer_workers", workers_help, Gauge::default()),
            partition_days_ahead: registry.register("partition_days_ahead", days_help, Gauge::default()),
        }
    }

    /// An event was accepted, was a duplicate, or was refused.
    pub fn accepted(&self, status: &'static str) {
        self.accepted.get_or_create(&StatusLabels { status }).inc();
    }

    /// A statement stored events, or failed.
    pub fn appended(&self, events: u64, took: Duration) {
        self.append_batch.observe_count(events);
        self.append_seconds.observe(took);
    }

    /// Events were settled.
    pub fn settled(&self, outcome: &'static str, events: u64) {
        if events > 0 {
            self.settled.get_or_create(&OutcomeLabels { outcome }).inc_by(events);
        }
    }

    /// An event was decided so long after it was accepted.
    pub fn decided_after(&self, age: Duration) {
        self.age_seconds.observe(age);
    }

    /// An event was given up.
    pub fn dead_letter(&self, reason: &'static str) {
        self.dead_letters.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// So many dead letters were brought back.
    pub fn redriven(&self, events: i64) {
        self.redriven.inc_by(u64::try_from(events).unwrap_or_default());
    }

    /// So many consumers run here, with so many workers.
    pub fn consumers(&self, count: usize, workers: usize) {
        self.consumers.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.workers.set(i64::try_from(workers).unwrap_or(i64::MAX));
    }

    /// Events can be stored for so many days to come.
    pub fn partition_days_ahead(&self, days: i64) {
        self.partition_days_ahead.set(days);
    }
}
