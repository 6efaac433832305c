//! What is counted of the evaluation pool and of the pressure on a node.

use std::time::Duration;

use super::{StateLabels, signed};
use crate::{
    domain::micros,
    telemetry::{Counter, EncodeLabelSet, Family, Gauge, Histogram, HistogramFamily, MetricRegistry, Unit},
};

/// The metrics of the pool and of pressure.
#[derive(Debug, Clone)]
pub struct LoadMetrics {
    inline_exceeded: Counter,
    turn_wait_seconds: HistogramFamily<TierLabels>,
    evaluation_pool: Family<StateLabels, Gauge>,
    evaluation_micros: Family<TierLabels, Counter>,
    pressure: Gauge,
    thread_delay_seconds: Histogram,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    tier: &'static str,
}

impl LoadMetrics {
    /// All at zero, and registered.
    pub(super) fn register(registry: &mut MetricRegistry) -> Self {
        Self {
            inline_exceeded: registry.counter(
                "inline_exceeded",
                "Decisions that were begun by the thread of their request, and made in the evaluation pool because they cost too much",
            ),
            turn_wait_seconds: registry.register_with_unit(
                "admission_wait",
                "Time until work has its first turn in the evaluation pool, by tier",
                Unit::Seconds,
                Histogram::family_of_requests(),
            ),
            evaluation_pool: registry.register(
                "evaluation_pool",
                "Work of the evaluation pool, by whether it is being evaluated or waits for a turn",
                Family::default(),
            ),
            evaluation_micros: registry.register(
                "evaluation_micros",
                "Microseconds that decisions took, by tier",
                Family::default(),
            ),
            pressure: registry.register(
                "pressure",
                "1 while a thread that answers requests is late, or the evaluation pool is, and tenants that ask for more than their share are refused",
                Gauge::default(),
            ),
            thread_delay_seconds: registry.register_with_unit(
                "request_thread_delay",
                "How late threads that answer requests come, less their waits for a core: the least of each 100 ms",
                Unit::Seconds,
                Histogram::of_requests(),
            ),
        }
    }

    /// A decision cost too much for the thread of its request.
    pub fn inline_exceeded(&self) {
        self.inline_exceeded.inc();
    }

    /// Work had its first turn in the evaluation pool after so long.
    pub fn turn_wait(&self, tier: &'static str, waited: Duration) {
        self.turn_wait_seconds.get_or_create(&TierLabels { tier }).observe(waited);
    }

    /// What the evaluation pool does now.
    pub fn evaluation_pool(&self, state: &'static str, pieces: usize) {
        self.evaluation_pool.get_or_create(&StateLabels { state }).set(signed(pieces));
    }

    /// What decisions of a tier took by now.
    pub fn evaluation(&self, tier: &'static str, took: Duration) {
        let counter = self.evaluation_micros.get_or_create(&TierLabels { tier });
        counter.inc_by(micros(took).saturating_sub(counter.get()));
    }

    /// Whether a thread that answers requests, or the evaluation pool, is late now.
    pub fn pressure(&self, is_on: bool) {
        self.pressure.set(i64::from(is_on));
    }

    /// A thread that answers requests came so late for a while.
    pub fn thread_delay(&self, delay: Duration) {
        self.thread_delay_seconds.observe(delay);
    }
}
