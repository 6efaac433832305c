//! What is measured of Redis.

use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, MetricRegistry};

/// The metrics of Redis.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "nobody is asked"))]
pub struct Metrics {
    answers: Gauge,
    keys: Family<OutcomeLabels, Counter>,
    blocks: Family<OutcomeLabels, Counter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let answers_help = "1 while Redis answers in time, 0 also where none is used";
        let keys_help = "Idempotency keys that Redis was asked for: `known`, `unknown` or `unanswered`";
        let blocks_help =
            "Blocks of tenants' rates that Redis was asked for: `taken`, `empty` (none is left) or `unanswered`";
        Self {
            answers: registry.register("redis_answers", answers_help, Gauge::default()),
            keys: registry.register("redis_keys", keys_help, Family::default()),
            blocks: registry.register("shared_rate_blocks", blocks_help, Family::default()),
        }
    }

    /// Redis answers in time, or does not.
    #[cfg(feature = "redis")]
    pub(super) fn answers(&self, is_answering: bool) {
        self.answers.set(i64::from(is_answering));
    }

    /// A block of a rate was asked for, with one outcome.
    #[cfg(feature = "redis")]
    pub(super) fn block(&self, outcome: &'static str) {
        self.blocks.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// So many keys were looked up, with one outcome.
    #[cfg(feature = "redis")]
    pub(super) fn looked_up(&self, outcome: &'static str, keys: usize) {
        if keys > 0 {
            self.keys.get_or_create(&OutcomeLabels { outcome }).inc_by(u64::try_from(keys).unwrap_or(u64::MAX));
        }
    }
}
