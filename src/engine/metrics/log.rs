//! What is counted of the recorder of evaluations.

use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, MetricRegistry};

/// Why an evaluation is not recorded though it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The ring is full.
    Full,
    /// The tenant has recorded as many as it may in a day.
    Quota,
    /// The tenant was deleted meanwhile.
    Deleted,
    /// The database refused it.
    Failed,
    /// The node stopped first.
    Stopped,
}

impl Dropped {
    /// What it is called in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quota => "quota",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// The metrics of the recorder.
#[derive(Debug, Clone)]
pub struct LogMetrics {
    recorded: Counter,
    dropped: Family<ReasonLabels, Counter>,
    entries: Gauge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

impl LogMetrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let dropped_help = "Evaluations that should have been recorded and were not, by reason";
        Self {
            recorded: registry.counter("decisions_recorded", "Evaluations recorded"),
            dropped: registry.register("decisions_dropped", dropped_help, Family::default()),
            entries: registry.register("recorder_entries", "Evaluations waiting to be recorded", Gauge::default()),
        }
    }

    /// So many evaluations are stored.
    pub fn recorded(&self, count: u64) {
        self.recorded.inc_by(count);
    }

    /// So many evaluations are not.
    pub fn dropped(&self, reason: Dropped, count: u64) {
        if count > 0 {
            self.dropped.get_or_create(&ReasonLabels { reason: reason.name() }).inc_by(count);
        }
    }

    /// So many wait.
    pub fn waiting(&self, count: usize) {
        self.entries.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
