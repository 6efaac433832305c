//! What is counted of counting.

use std::time::Duration;

use super::{signed, wide};
use crate::telemetry::{Counter, Gauge, Histogram, MetricRegistry, Unit};

/// The metrics of counts of decisions.
#[derive(Debug, Clone)]
pub struct CountMetrics {
    waiting: Gauge,
    dropped: Counter,
    flush_seconds: Histogram,
    merge_seconds: Histogram,
    lag_seconds: Gauge,
}

impl CountMetrics {
    /// All at zero, and registered.
    pub(super) fn register(registry: &mut MetricRegistry) -> Self {
        let seconds = Histogram::of_requests;
        Self {
            waiting: registry.register(
                "count_deltas",
                "Counts of decisions that wait in memory to be written",
                Gauge::default(),
            ),
            dropped: registry
                .counter("counts_dropped", "Counts of decisions that were left out because too many waited in memory"),
            flush_seconds: registry.register_with_unit(
                "count_flush",
                "Time to write the counts of decisions that this node has made",
                Unit::Seconds,
                seconds(),
            ),
            merge_seconds: registry.register_with_unit(
                "count_merge",
                "Time to merge a tenant's counts into hours and days",
                Unit::Seconds,
                seconds(),
            ),
            lag_seconds: registry.register_with_unit(
                "count_lag",
                "How long the oldest counts of any tenant have not been merged",
                Unit::Seconds,
                Gauge::default(),
            ),
        }
    }

    /// So many counts wait to be written.
    pub fn waiting(&self, counts: usize) {
        self.waiting.set(signed(counts));
    }

    /// So many counts were left out.
    pub fn dropped(&self, counts: usize) {
        self.dropped.inc_by(wide(counts));
    }

    /// What was counted was written, or was not.
    pub fn flushed(&self, took: Duration) {
        self.flush_seconds.observe(took);
    }

    /// A tenant's counts were merged.
    pub fn merged(&self, took: Duration) {
        self.merge_seconds.observe(took);
    }

    /// The oldest counts wait for so long to be merged.
    pub fn lag(&self, lag: Duration) {
        self.lag_seconds.set(i64::try_from(lag.as_secs()).unwrap_or(i64::MAX));
    }
}
