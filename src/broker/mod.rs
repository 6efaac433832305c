//! RabbitMQ as the place where events wait: a queue for each tenant. The only place that names `lapin`.
//!
//! Whatever fails on a connection, all of it is thrown away, and connections, topology and consumers are built anew
//! (`docs/decisions/0011-a-lost-connection-to-the-broker-is-thrown-away.md`). Whoever consumes a queue has a channel of
//! its own, so that an acknowledgement never reaches a channel that did not deliver the message. Nothing here decides
//! events or knows what becomes of them.

mod connection;
mod consume;
mod error;
mod message;
mod metrics;
mod publish;
mod queues;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use self::connection::Live;
use crate::{breakers::Breakers, client::Authorities, config::Secret, domain::TenantId};

pub use self::{
    consume::{Delivered, Deliveries},
    error::Error,
    message::{Message, Undecodable},
    metrics::Metrics,
    queues::QueueCounts,
};

/// How long the broker may take to answer anything.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Where messages go that were delivered too often.
const DEAD: &str = "tenet.dead";

/// The name of a tenant's queue.
fn queue_of(tenant: TenantId) -> String {
    format!("tenet.events.{tenant}")
}

/// The tenant of a queue.
fn tenant_of(queue: &str) -> Option<TenantId> {
    queue.strip_prefix("tenet.events.")?.parse().ok()
}

/// How the broker is reached.
#[derive(Clone)]
pub struct Address {
    /// Where it is, and who connects.
    pub url: Secret,
    /// Who may have signed its certificate, beside those that browsers trust.
    pub authorities: Option<Authorities>,
}

/// Handle on the broker; cheap to clone.
#[derive(Debug, Clone)]
pub struct Broker {
    live: Arc<RwLock<Option<Arc<Live>>>>,
    breakers: Breakers,
}

/// The task that keeps the connections.
#[derive(Debug)]
pub struct Keeping {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Broker {
    /// Begins to connect, and goes on with that for ever. Nothing is refused because the broker does not answer yet.
    pub fn start(address: Address, breakers: Breakers, metrics: Metrics) -> (Self, Keeping) {
        let broker = Self { live: Arc::default(), breakers };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(connection::keep(broker.clone(), address, metrics, stopped));
        (broker, Keeping { task, stop })
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.live().is_ok()
    }

    /// What is connected now.
    fn live(&self) -> Result<Arc<Live>, Error> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Error::NotConnected)
    }

    fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }
}

impl Keeping {
    /// Closes the connections.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// What the broker answers, if it does so in time.
async fn answered<T>(asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Error> {
    match timeout(ANSWER_MAX, asked).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => Err(Error::NoAnswer),
    }
}
