//! Where events wait: in the database, or in a broker that is connected for as long as the service runs.

#[cfg(feature = "rabbitmq")]
use crate::{
    breakers::Breakers,
    broker::{self, Address, Broker, Keeping},
};
use crate::{ingest::Place, shared::SharedKeys};

/// What is kept of the queue while the service runs.
pub(super) struct Queue {
    #[cfg(feature = "rabbitmq")]
    brokered: Option<Brokered>,
}

/// The broker, and what goes with it.
#[cfg(feature = "rabbitmq")]
struct Brokered {
    broker: Broker,
    keeping: Keeping,
    keys: SharedKeys,
}

impl Queue {
    /// Begins to connect, if there is something to connect to.
    #[cfg(feature = "rabbitmq")]
    pub fn start(address: Option<Address>, breakers: Breakers, keys: SharedKeys, metrics: broker::Metrics) -> Self {
        let Some(address) = address else { return Self { brokered: None } };
        let (broker, keeping) = Broker::start(address, breakers, metrics);
        Self { brokered: Some(Brokered { broker, keeping, keys }) }
    }

    /// The database is connected already, and knows idempotency keys by itself.
    #[cfg(not(feature = "rabbitmq"))]
    pub fn start(_: SharedKeys) -> Self {
        Self {}
    }

    /// Where events wait.
    pub fn place(&self) -> Place {
        #[cfg(feature = "rabbitmq")]
        if let Some(Brokered { broker, keys, .. }) = &self.brokered {
            return Place::rabbitmq(broker.clone(), keys.clone());
        }
        Place::Postgres
    }

    /// Closes what was connected.
    pub async fn stop(self) {
        #[cfg(feature = "rabbitmq")]
        if let Some(brokered) = self.brokered {
            brokered.keeping.stop().await;
        }
    }
}
