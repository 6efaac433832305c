//! What is measured of breakers.

use super::Dependency;
use crate::{
    admission::BreakerState,
    domain::Tier,
    telemetry::{Counter, EncodeLabelSet, Family, Gauge, MetricRegistry},
};

/// The metrics of breakers.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    states: Family<BreakerLabels, Gauge>,
    transitions: Family<TransitionLabels, Counter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakerLabels {
    dependency: &'static str,
    tier: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabels {
    dependency: &'static str,
    tier: &'static str,
    to: &'static str,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let states_help = "State of a circuit breaker: 0 closed, 1 half-open, 2 open";
        let transitions_help = "How often a circuit breaker became `open`, `half_open` or `closed`";
        let metrics = Self {
            states: registry.register("breaker_state", states_help, Family::default()),
            transitions: registry.register("breaker_transitions", transitions_help, Family::default()),
        };
        for dependency in Dependency::ALL {
            for tier in Tier::ALL {
                for to in [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed] {
                    drop(metrics.transitions.get_or_create(&TransitionLabels::of(dependency, tier, to)));
                }
            }
        }
        metrics
    }

    pub(super) fn state(&self, dependency: Dependency, tier: Tier, state: BreakerState) {
        let labels = BreakerLabels { dependency: dependency.name(), tier: tier.name() };
        self.states.get_or_create(&labels).set(match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }

    pub(super) fn transition(&self, dependency: Dependency, tier: Tier, to: BreakerState) {
        self.transitions.get_or_create(&TransitionLabels::of(dependency, tier, to)).inc();
    }
}

impl TransitionLabels {
    fn of(dependency: Dependency, tier: Tier, to: BreakerState) -> Self {
        let to = match to {
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Closed => "closed",
        };
        Self { dependency: dependency.name(), tier: tier.name(), to }
    }
}
