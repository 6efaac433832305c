//! Consuming a queue: a channel of its own, whose messages come in by themselves and stay the broker's until they are
//! acknowledged. When this is dropped, the broker gives what is left to whoever consumes next, in the same order.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use chrono::Utc;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    protocol::constants::REPLY_SUCCESS,
    types::{AMQPValue, FieldTable},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit},
    task::JoinHandle,
};

use super::{Broker, DEAD, Error, Message, Undecodable, answered, queue_of, tenant_of};
use crate::domain::TenantId;

/// Messages that a consumer has in its hands at once.
pub(super) const PREFETCH: u16 = 200;

/// A message that was delivered.
#[derive(Debug)]
pub struct Delivered {
    /// What it is acknowledged by.
    pub tag: u64,
    /// How often it was delivered before.
    pub redelivered: u64,
    /// The tenant whose queue it was in; `None` if that cannot be told.
    pub tenant: Option<TenantId>,
    /// The event in it.
    pub message: Result<Message, Undecodable>,
}

/// The messages of a queue.
#[derive(Debug)]
pub struct Deliveries {
    channel: Channel,
    arrived: Arc<Arrived>,
    pump: JoinHandle<()>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct Arrived {
    messages: Mutex<Vec<Delivered>>,
    is_over: AtomicBool,
}

impl Broker {
    /// Consumes a tenant's queue, which holds `limit` messages if it is new; without a limit none is made. `wake` is rung when a message comes.
    pub async fn consume(&self, tenant: TenantId, limit: Option<u64>, wake: Arc<Notify>) -> Result<Deliveries, Error> {
        self.live()?.ensure_queue(tenant, limit).await?;
        self.consume_queue(queue_of(tenant), Some(tenant), wake).await
    }

    /// Consumes what was delivered too often, of all tenants. Of all nodes that do, the broker chooses one.
    pub async fn consume_dead(&self, wake: Arc<Notify>) -> Result<Deliveries, Error> {
        self.consume_queue(DEAD.to_owned(), None, wake).await
    }

    async fn consume_queue(
        &self,
        queue: String,
        tenant: Option<TenantId>,
        wake: Arc<Notify>,
    ) -> Result<Deliveries, Error> {
        let (channel, place) = self.live()?.consuming_channel().await?;
        answered(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let consumer = answered(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default())).await?;
        let arrived = Arc::<Arrived>::default();
        let pump = tokio::spawn(pump(consumer, tenant, arrived.clone(), wake));
        Ok(Deliveries { channel, arrived, pump, _place: place })
    }
}

impl Deliveries {
    /// What has arrived since it was asked last.
    pub fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.arrived.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether messages still come in. Once they do not, they never will again.
    pub fn is_open(&self) -> bool {
        self.channel.status().connected() && !self.arrived.is_over.load(Ordering::Acquire)
    }

    /// Says that messages are done with. If that does not reach the broker, it delivers them again.
    pub async fn acknowledge(&self, tags: &[u64]) -> Result<(), Error> {
        for &tag in tags {
            answered(self.channel.basic_ack(tag, BasicAckOptions::default())).await?;
        }
        Ok(())
    }

    /// Takes no more, and gives back all that is not acknowledged, in one step. Cancelling first would be two: whoever waits
    /// at the queue would get what comes later before what is given back.
    pub async fn close(&self) -> Result<(), Error> {
        close(&self.channel).await
    }
}

impl Drop for Deliveries {
    /// The consumer would cancel itself: it goes after the channel is closed.
    fn drop(&mut self) {
        let (channel, pump) = (self.channel.clone(), self.pump.abort_handle());
        match Handle::try_current() {
            Ok(runtime) if channel.status().connected() => {
                runtime.spawn(async move {
                    let _ = close(&channel).await;
                    pump.abort();
                });
            }
            _ => pump.abort(),
        }
    }
}

async fn close(channel: &Channel) -> Result<(), Error> {
    answered(channel.close(REPLY_SUCCESS, "OK".into())).await
}

async fn pump(mut consumer: Consumer, tenant: Option<TenantId>, arrived: Arc<Arrived>, wake: Arc<Notify>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let delivered = delivered(tenant, &delivery);
        arrived.messages.lock().unwrap_or_else(PoisonError::into_inner).push(delivered);
        wake.notify_one();
    }
    arrived.is_over.store(true, Ordering::Release);
    wake.notify_one();
}

fn delivered(tenant: Option<TenantId>, delivery: &Delivery) -> Delivered {
    let tenant = tenant.or_else(|| first_queue(&delivery.properties).as_deref().and_then(tenant_of));
    let message = match tenant {
        Some(tenant) => Message::decode(tenant, &delivery.data, Utc::now()),
        None => Err(Undecodable("the message does not tell which queue it was in".to_owned())),
    };
    Delivered { tag: delivery.delivery_tag, redelivered: deliveries(&delivery.properties), tenant, message }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// How often the broker has delivered a message before.
fn deliveries(properties: &BasicProperties) -> u64 {
    let count = header(properties, "x-delivery-count").map(|count| match count {
        AMQPValue::ShortShortInt(count) => i64::from(*count),
        AMQPValue::ShortShortUInt(count) => i64::from(*count),
        AMQPValue::ShortInt(count) => i64::from(*count),
        AMQPValue::ShortUInt(count) => i64::from(*count),
        AMQPValue::LongInt(count) => i64::from(*count),
        AMQPValue::LongUInt(count) => i64::from(*count),
        AMQPValue::LongLongInt(count) => *count,
        _ => 0,
    });
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
}

/// The queue that a dead message came from.
fn first_queue(properties: &BasicProperties) -> Option<String> {
    match header(properties, "x-first-death-queue")? {
        AMQPValue::LongString(name) => String::from_utf8(name.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(name) => Some(name.as_str().to_owned()),
        _ => None,
    }
}
