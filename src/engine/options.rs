//! What the engine can be told.

use std::time::Duration;

/// The engine's settings. Their meaning for operators stands in `docs/configuration.md`.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How long a tenant stays in memory unused.
    pub idle_stop: Duration,
    /// Tenants in memory at most.
    pub residents_max: usize,
    /// How often this node asks the database what changed.
    pub reconcile_interval: Duration,
    /// How long without an answer before decisions are marked stale.
    pub stale_after: Duration,
    /// How long an evaluation waits for the revision it asks for.
    pub min_revision_wait: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            idle_stop: Duration::from_secs(15 * 60),
            residents_max: 100_000,
            reconcile_interval: Duration::from_secs(1),
            stale_after: Duration::from_secs(2),
            min_revision_wait: Duration::from_millis(500),
        }
    }
}
