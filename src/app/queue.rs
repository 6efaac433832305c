//! Where events wait: in the database, or in a broker that is connected for as long as the service runs.

use crate::ingest::Place;
#[cfg(feature = "rabbitmq")]
use crate::{
    broker::{Broker, Keeping, Metrics},
    config::{QueueKind, Settings},
};

/// What is kept of the queue while the service runs.
pub(super) struct Queue {
    #[cfg(feature = "rabbitmq")]
    broker: Option<(Broker, Keeping)>,
}

impl Queue {
    /// Begins to connect, if there is something to connect to.
    #[cfg(feature = "rabbitmq")]
    pub fn start(settings: &Settings, metrics: Metrics) -> Self {
        let url = settings.events.rabbitmq_url.as_ref().filter(|_| settings.events.queue == QueueKind::RabbitMq);
        Self { broker: url.map(|url| Broker::start(url, metrics)) }
    }

    /// The database is connected already.
    #[cfg(not(feature = "rabbitmq"))]
    pub fn start() -> Self {
        Self {}
    }

    /// Where events wait.
    pub fn place(&self) -> Place {
        #[cfg(feature = "rabbitmq")]
        if let Some((broker, _)) = &self.broker {
            return Place::RabbitMq(broker.clone());
        }
        Place::Postgres
    }

    /// Closes what was connected.
    pub async fn stop(self) {
        #[cfg(feature = "rabbitmq")]
        if let Some((_, keeping)) = self.broker {
            keeping.stop().await;
        }
    }
}
