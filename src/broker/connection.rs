//! Both connections to the broker, and what is built on them: made together, and thrown away together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dashmap::DashSet;
use lapin::{
    Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    runtime::default_runtime,
    tcp::OwnedTLSConfig,
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{ANSWER_MAX, Address, Broker, DEAD, Error, Metrics, answered};
use crate::{
    breakers::{Breakers, Dependency},
    domain::TenantId,
};

/// Messages that wait for their confirmation at once.
pub(super) const WINDOW: usize = 1_000;
/// Channels on one connection: the broker allows 2,047 unless told otherwise, and some of them are for a moment only.
const CHANNELS_MAX: usize = 500;
/// How often it is looked at whether the connections still stand.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a new attempt waits: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// A connection with channels of consumers.
struct Consuming {
    connection: Connection,
    room: Arc<Semaphore>,
}

/// What is connected.
pub(super) struct Live {
    address: Address,
    publishing: Connection,
    /// In confirm mode.
    pub publisher: Channel,
    pub window: Arc<Semaphore>,
    /// Of their own, so that an alarm that blocks publishers leaves consumers alone.
    consuming: Mutex<Vec<Consuming>>,
    /// Queues that are known to be there.
    pub declared: DashSet<TenantId>,
    /// Queues that have confirmed a message.
    pub proven: DashSet<TenantId>,
    /// Something went wrong that the connections do not tell.
    suspect: AtomicBool,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

impl Live {
    async fn connect(address: &Address) -> Result<Self, Error> {
        let publishing = connect(address, "tenet publishing").await?;
        let publisher = answered(publishing.create_channel()).await?;
        answered(publisher.confirm_select(ConfirmSelectOptions::default())).await?;
        let consuming = Consuming::connect(address).await?;
        declare_dead(&consuming.connection).await?;
        Ok(Self {
            address: address.clone(),
            publishing,
            publisher,
            window: Arc::new(Semaphore::new(WINDOW)),
            consuming: Mutex::new(vec![consuming]),
            declared: DashSet::new(),
            proven: DashSet::new(),
            suspect: AtomicBool::new(false),
        })
    }

    /// Whether the broker has blocked publishers.
    pub fn is_blocked(&self) -> bool {
        self.publishing.status().blocked()
    }

    /// All of it is thrown away and built anew.
    pub fn distrust(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    async fn is_sound(&self) -> bool {
        !self.suspect.load(Ordering::Relaxed)
            && self.publishing.status().connected()
            && self.publisher.status().connected()
            && self.consuming.lock().await.iter().all(|consuming| consuming.connection.status().connected())
    }

    /// A channel for a moment: what goes wrong on it ends it and nothing else.
    pub async fn channel(&self) -> Result<Channel, Error> {
        let consuming = self.consuming.lock().await;
        let first = consuming.first().ok_or(Error::NotConnected)?;
        answered(first.connection.create_channel()).await
    }

    /// A channel to consume from, and its place on a connection.
    pub async fn consuming_channel(&self) -> Result<(Channel, OwnedSemaphorePermit), Error> {
        let mut consuming = self.consuming.lock().await;
        for known in consuming.iter() {
            if let Ok(place) = known.room.clone().try_acquire_owned() {
                return Ok((answered(known.connection.create_channel()).await?, place));
            }
        }
        let next = Consuming::connect(&self.address).await?;
        let channel = answered(next.connection.create_channel()).await?;
        let place = next.room.clone().try_acquire_owned().map_err(|_| Error::NotConnected)?;
        consuming.push(next);
        Ok((channel, place))
    }
}

impl Consuming {
    async fn connect(address: &Address) -> Result<Self, Error> {
        let connection = connect(address, "tenet consuming").await?;
        Ok(Self { connection, room: Arc::new(Semaphore::new(CHANNELS_MAX)) })
    }
}

async fn connect(address: &Address, name: &str) -> Result<Connection, Error> {
    let mut uri: lapin::uri::AMQPUri = address.url.expose().parse().map_err(|_| Error::NotConnected)?;
    // A broker that hangs is noticed by this: within twice the time.
    uri.query.heartbeat.get_or_insert(5);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let authorities = address.authorities.as_ref().map(|authorities| authorities.pem().to_owned());
    let tls = OwnedTLSConfig { identity: None, cert_chain: authorities };
    let runtime = default_runtime()?;
    answered(Connection::connect_uri_with_config(uri, properties, tls, runtime)).await
}

/// Where messages go that were delivered too often.
async fn declare_dead(connection: &Connection) -> Result<(), Error> {
    let channel = answered(connection.create_channel()).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    answered(channel.exchange_declare(DEAD.into(), ExchangeKind::Fanout, durable, FieldTable::default())).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    answered(channel.queue_declare(DEAD.into(), durable, arguments)).await?;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    answered(channel.queue_bind(DEAD.into(), DEAD.into(), "".into(), options, none)).await
}

/// Connects, and connects again whenever something is wrong, until it is stopped.
pub(super) async fn keep(broker: Broker, address: Address, metrics: Metrics, mut stop: watch::Receiver<bool>) {
    let mut wait = RETRY_FIRST;
    while !*stop.borrow() {
        let connected = tokio::select! {
            connected = timeout(ANSWER_MAX * 4, Live::connect(&address)) => connected.unwrap_or(Err(Error::NoAnswer)),
            _ = stop.changed() => return,
        };
        match connected {
            Ok(live) => {
                wait = RETRY_FIRST;
                info!("the broker is connected");
                let live = Arc::new(live);
                broker.set_live(Some(live.clone()));
                broker.breakers.probe_now(Dependency::Broker);
                metrics.connected(true);
                watch_over(&live, &broker.breakers, &metrics, &mut stop).await;
                broker.set_live(None);
                metrics.connected(false);
                if !*stop.borrow() {
                    warn!("the connection to the broker is thrown away, and made anew");
                }
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the broker cannot be connected now"),
        }
        tokio::select! {
            () = sleep(wait) => {}
            _ = stop.changed() => {}
        }
        wait = (wait * 2).min(RETRY_LAST);
    }
}

/// Until something is wrong.
async fn watch_over(live: &Live, breakers: &Breakers, metrics: &Metrics, stop: &mut watch::Receiver<bool>) {
    let mut was_blocked = false;
    while !*stop.borrow() && live.is_sound().await {
        let is_blocked = live.is_blocked();
        metrics.blocked(is_blocked);
        if was_blocked && !is_blocked {
            breakers.probe_now(Dependency::Broker);
        }
        was_blocked = is_blocked;
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}
