//! The actors: one supervisor, one actor per resident tenant; what follows the database; and the handle that the rest
//! of the program sees.
//!
//! A tenant's actor is the only writer of its rule set, which it publishes in the registry. Decisions take the
//! published set and run on the caller's task: no mailbox, no SQL.
//!
//! The parts are listed from the ground up, and each imports only parts listed above it; `tests/tidy.rs` fails on an
//! import that points the other way.

mod clock;
mod error;
mod metrics;
mod options;
mod freshness;
mod sweep_throttle;
mod pool;
mod resident;
mod message;
mod registry;
mod counting;
mod recorder;
mod shared;
mod tenant;
mod supervisor;
mod follow;
mod handle;
#[cfg(test)]
pub(crate) mod tests;

pub use self::{
    error::Error,
    handle::{
        Engine, Health,
        attempt::Attempt,
        changes::{Changed, Checked},
        decide::{Ask, Decided, Submission, Work},
        gate::{Permit, RateRefused, Refused, TenantStanding, TierStanding},
        pressure::{NodeLoad, TenantLoad, ThreadWatch},
        record::{RecordWish, Recorded, ToBeStored},
        replay::{Difference, Inexact, ReplayWith, Replayed},
        resolve::Served,
        runtime::{ResidentRuntime, RuntimeState, TenantRuntime},
    },
    metrics::{Departure, Metrics},
    options::{Compiler, EngineOptions, GateOptions},
    pool::{TierWork, give_way},
    resident::{
        Failure, LastLoad,
        live_set::{LiveSet, Used},
    },
};
