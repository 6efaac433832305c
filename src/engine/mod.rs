//! The actors: one supervisor, one actor per resident tenant; what follows the database; and the handle that the rest
//! of the program sees.
//!
//! A tenant's actor is the only writer of its rule set, which it publishes in the registry. Decisions take the
//! published set and run on the caller's task: no mailbox, no SQL.

mod clock;
mod counted_msg;
mod error;
mod exit;
mod follow;
mod freshness;
mod handle;
mod keys;
mod options;
mod registry;
mod resident;
mod supervisor;
mod sweep_throttle;
mod tenant;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ractor::ActorRef;
use tokio::sync::Semaphore;

use self::{
    clock::Clock, freshness::Freshness, keys::Keys, registry::Registry, sweep_throttle::SweepThrottle,
    tenant::reload::Want,
};
use crate::{domain::TenantId, store::Store, telemetry::Metrics};

pub use self::{
    error::Error,
    handle::{
        Changed, Checked, Engine, Health,
        resolve::Served,
        runtime::{ResidentRuntime, RuntimeState, TenantRuntime},
    },
    keys::Pepper,
    options::{Compiler, EngineOptions},
    resident::{
        Failure, LastLoad,
        live_set::{LiveSet, Used},
    },
};

/// What all actors and tasks of one engine share.
#[derive(Debug)]
pub struct Shared {
    store: Store,
    metrics: Metrics,
    options: EngineOptions,
    clock: Clock,
    registry: Registry,
    freshness: Freshness,
    /// Keys that are known to be valid.
    keys: Keys,
    /// Loads that may be under way at once.
    loads: Semaphore,
    /// Whether the supervisor has been asked to make room.
    sweep_throttle: SweepThrottle,
    /// Set by the supervisor when it starts.
    supervisor: OnceLock<ActorRef<supervisor::Msg>>,
}

impl Shared {
    /// Sends to the supervisor; an error says that it does not run.
    fn tell(&self, message: supervisor::Msg) -> Result<(), Error> {
        let supervisor = self.supervisor.get().ok_or(Error::Stopping)?;
        self.metrics.mailbox_given();
        supervisor.cast(message).map_err(|_| {
            self.metrics.mailbox_taken();
            Error::Stopping
        })
    }

    /// A tenant has come into memory, or takes more of it: if that is more than may be, has the supervisor make room.
    fn make_room(self: &Arc<Self>) {
        let (count, bytes) = (self.registry.len(), self.registry.memory_bytes());
        if !self.options.room().is_exceeded(count, bytes) {
            return;
        }
        // A supervisor that does not run ends the process anyway.
        match self.sweep_throttle.ask(self.clock.now_ms()) {
            None => {}
            Some(Duration::ZERO) => _ = self.tell(supervisor::Msg::Sweep),
            Some(wait) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = shared.tell(supervisor::Msg::Sweep);
                });
            }
        }
    }

    /// Passes on that the database may hold something newer of a tenant in memory.
    fn hint(&self, tenant: TenantId, want: Want) {
        if self.registry.hint(tenant, want, self.freshness.synchronised_at_ms()) {
            // A supervisor that does not run ends the process anyway.
            let _ = self.tell(supervisor::Msg::Changed { tenant });
        }
    }
}

/// A number from 0 to 1000, another each time.
fn jitter_permille() -> u16 {
    // The low bits of a version 7 id are random.
    u16::try_from(uuid::Uuid::now_v7().as_u128() % 1001).unwrap_or(500)
}
