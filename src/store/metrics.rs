//! What is counted of the database: connections and statements.

use std::time::Duration;

use super::{Guard, Observer, PoolStatus};
use crate::{
    admission::LaneStatus,
    domain::Tier,
    telemetry::{EncodeLabelSet, Family, Gauge, Histogram, HistogramFamily, MetricRegistry, Unit},
};

/// The metrics of the store.
#[derive(Debug, Clone)]
pub struct Metrics {
    in_use: Family<PoolLabels, Gauge>,
    idle: Family<PoolLabels, Gauge>,
    wait_seconds: HistogramFamily<PoolLabels>,
    statement_seconds: HistogramFamily<StatementLabels>,
    tier_connections: Family<TierLabels, Gauge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    tier: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatementLabels {
    statement: &'static str,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let (waits, statements) = (Histogram::family_of_requests(), Histogram::family_of_requests());
        let wait_help = "Time spent waiting for a database connection, by pool";
        let statement_help = "Duration of SQL statements, by name";
        Self {
            in_use: registry.register("pool_in_use", "Database connections in use, by pool", Family::default()),
            idle: registry.register("pool_idle", "Idle database connections, by pool", Family::default()),
            wait_seconds: registry.register_with_unit("pool_wait", wait_help, Unit::Seconds, waits),
            statement_seconds: registry.register_with_unit("sql", statement_help, Unit::Seconds, statements),
            tier_connections: registry.register(
                "tier_connections",
                "Database connections of tenants of a tier: active, pending (calls that wait for one), and the most they may be",
                Family::default(),
            ),
        }
    }

    /// Counts what a store observes.
    pub fn observer(&self) -> Observer {
        let (statements, waits) = (self.clone(), self.clone());
        Observer::new(
            move |statement, took| statements.statement(statement, took),
            move |pool, waited| waits.waited(pool, waited),
        )
    }

    /// Connections of a pool now.
    pub fn pool(&self, status: PoolStatus) {
        let labels = PoolLabels { pool: status.pool };
        self.in_use.get_or_create(&labels).set(i64::from(status.in_use));
        self.idle.get_or_create(&labels).set(i64::from(status.idle));
    }

    /// What the tiers have of the database now.
    pub fn tiers(&self, guard: &Guard) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for tier in Tier::ALL {
            let LaneStatus { active, pending, most } = guard.lane(tier);
            for (state, count) in [("active", active), ("pending", pending), ("max", most)] {
                let labels = TierLabels { tier: tier.name(), state };
                self.tier_connections.get_or_create(&labels).set(number(count));
            }
        }
    }

    /// A connection of a pool was had (or not) after `waited`.
    pub fn waited(&self, pool: &'static str, waited: Duration) {
        self.wait_seconds.get_or_create(&PoolLabels { pool }).observe(waited);
    }

    /// The SQL statement of this name took so long.
    pub fn statement(&self, statement: &'static str, took: Duration) {
        self.statement_seconds.get_or_create(&StatementLabels { statement }).observe(took);
    }
}
