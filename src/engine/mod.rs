//! The actors: one supervisor, one actor per resident tenant; what follows the database; and the handle that the rest
//! of the program sees.
//!
//! A tenant's actor is the only writer of its rule set, which it publishes in the registry. Decisions take the
//! published set and run on the caller's task: no mailbox, no SQL.

mod catch_up;
mod error;
mod follow;
mod freshness;
mod handle;
mod hints;
mod options;
mod publication;
mod registry;
mod reload;
mod supervisor;
mod tenant;
#[cfg(test)]
mod tests;
mod writers;

use tokio::sync::Semaphore;

use self::{freshness::Freshness, registry::Registry, reload::Want};
use crate::{domain::TenantId, store::Store, telemetry::Metrics};

pub use self::{
    error::Error,
    handle::{Changed, Checked, Engine, Health, Served},
    options::EngineOptions,
};

/// What all actors and tasks of one engine share.
#[derive(Debug)]
pub struct Shared {
    store: Store,
    metrics: Metrics,
    options: EngineOptions,
    registry: Registry,
    freshness: Freshness,
    /// Loads that may be under way at once.
    loads: Semaphore,
}

impl Shared {
    /// Tells a tenant's actor that the database may hold something newer; tenants that are not in memory need none.
    fn hint(&self, tenant: TenantId, want: Want) {
        self.registry.hint(tenant, want, self.freshness.synchronised_at_ms());
    }
}
