//! All that this module has from outside: the database, the engine, the broker, the time and chance.
//!
//! In the tests of this library they are those of a simulated world (`tests/simulation`), as types of `loom` are put in
//! the place of those of the standard library. Whatever uses them is the same code.

#[cfg(not(all(test, feature = "rabbitmq")))]
pub use self::real::*;
#[cfg(all(test, feature = "rabbitmq"))]
pub use super::tests::simulation::outside::*;

#[cfg(not(all(test, feature = "rabbitmq")))]
mod real {
    #[cfg(feature = "rabbitmq")]
    pub use crate::broker::{Broker, Deliveries};
    #[cfg(feature = "rabbitmq")]
    use crate::domain::EventId;
    use crate::domain::{Tenant, random_permille};
    use crate::engine::{self, Work};
    pub use crate::{engine::Engine, store::Store};
    use chrono::{DateTime, Utc};

    /// Events that are settled in one transaction at most.
    pub const BATCH_EVENTS_MAX: usize = 200;
    /// Events for which a worker more is worth a transaction more.
    pub const SHARE_MIN: usize = 16;

    /// This node's time.
    pub fn now(_: &Store) -> DateTime<Utc> {
        Utc::now()
    }

    /// An id of this moment.
    #[cfg(feature = "rabbitmq")]
    pub fn event_id(_: &Broker) -> EventId {
        EventId::generate()
    }

    /// A number from 0 to 1000, another each time.
    pub fn jitter_permille(_: &Store) -> u16 {
        random_permille()
    }

    /// Works off the threads that wait for answers, in the tenant's turn.
    pub async fn work<T: Send + 'static>(
        engine: &Engine,
        tenant: &Tenant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, engine::Error> {
        engine.in_turn(tenant, Work::Events, work).await
    }
}
