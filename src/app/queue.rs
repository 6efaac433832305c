//! Where events wait: in the database, or in a broker that is connected for as long as the service runs.

use crate::ingest::Place;
#[cfg(feature = "rabbitmq")]
use crate::{
    breakers::Breakers,
    broker::{self, Broker, Keeping},
    config::{EventSettings, QueueKind, Settings},
    shared::{self, SharedKeys},
};

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
    pub fn start(
        settings: &Settings,
        breakers: &Breakers,
        of_broker: broker::Metrics,
        of_shared: shared::Metrics,
    ) -> Result<Self, shared::UrlError> {
        let events = &settings.events;
        let Some(url) = events.rabbitmq_url.as_ref().filter(|_| events.queue == QueueKind::RabbitMq) else {
            return Ok(Self { brokered: None });
        };
        let keys = shared_keys(events, of_shared)?;
        let (broker, keeping) = Broker::start(url, breakers.clone(), of_broker);
        Ok(Self { brokered: Some(Brokered { broker, keeping, keys }) })
    }

    /// The database is connected already.
    #[cfg(not(feature = "rabbitmq"))]
    pub fn start() -> Self {
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

#[cfg(feature = "redis")]
fn shared_keys(events: &EventSettings, metrics: shared::Metrics) -> Result<SharedKeys, shared::UrlError> {
    events.redis_url.as_ref().map_or_else(|| Ok(SharedKeys::default()), |url| SharedKeys::connect(url, metrics))
}

/// The settings ask for none: they were checked.
#[cfg(all(feature = "rabbitmq", not(feature = "redis")))]
fn shared_keys(_: &EventSettings, _: shared::Metrics) -> Result<SharedKeys, shared::UrlError> {
    Ok(SharedKeys::default())
}
