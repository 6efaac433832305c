//! The queues of tenants: declared with a tenant's first event, taken as they are after that.

use lapin::{
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use tracing::warn;

use super::{Broker, DEAD, Error, answered, connection::Live, error::reply_code, queue_of};
use crate::domain::TenantId;

/// How often a message may be delivered before it goes to the dead. Deaths of processes count, and restarts do.
const DELIVERIES_MAX: i64 = 20;
/// The broker's code for a queue that is there with other arguments.
const PRECONDITION_FAILED: u16 = 406;

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that are not with a consumer.
    pub messages: u32,
    /// Who consume it.
    pub consumers: u32,
}

impl Broker {
    /// What waits in a tenant's queue; `None` if there is no queue.
    pub async fn counts(&self, tenant: TenantId) -> Result<Option<QueueCounts>, Error> {
        match look(&*self.live()?, tenant).await {
            Ok(counts) => Ok(Some(counts)),
            Err(Error::NoQueue) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Counts the messages that were delivered too often and are not taken in yet.
    pub async fn count_dead(&self) -> Result<u64, Error> {
        Ok(u64::from(look_at(&*self.live()?, DEAD.to_owned()).await?.messages))
    }

    /// Deletes a tenant's queue with what is in it.
    pub async fn delete(&self, tenant: TenantId) -> Result<(), Error> {
        let live = self.live()?;
        live.declared.remove(&tenant);
        live.proven.remove(&tenant);
        let channel = live.channel().await?;
        match answered(channel.queue_delete(queue_of(tenant).into(), QueueDeleteOptions::default())).await {
            Ok(_) | Err(Error::NoQueue) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Live {
    /// Sees to it that a tenant's queue is there: one that holds `limit` messages, if it is not known. Without a limit
    /// none is made.
    pub async fn ensure_queue(&self, tenant: TenantId, limit: Option<u64>) -> Result<(), Error> {
        if self.declared.contains(&tenant) {
            return Ok(());
        }
        match (look(self, tenant).await, limit) {
            (Ok(_), Some(limit)) => warn_of_difference(self, tenant, limit).await?,
            (Ok(_), None) => {}
            (Err(Error::NoQueue), Some(limit)) => declare(self, tenant, limit).await.or_else(taken_as_it_is)?,
            (Err(error), _) => return Err(error),
        }
        self.declared.insert(tenant);
        Ok(())
    }
}

pub(super) async fn look(live: &Live, tenant: TenantId) -> Result<QueueCounts, Error> {
    look_at(live, queue_of(tenant)).await
}

async fn look_at(live: &Live, queue: String) -> Result<QueueCounts, Error> {
    let channel = live.channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue = answered(channel.queue_declare(queue.into(), passive, FieldTable::default())).await?;
    Ok(QueueCounts { messages: queue.message_count(), consumers: queue.consumer_count() })
}

async fn declare(live: &Live, tenant: TenantId, limit: u64) -> Result<(), Error> {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERIES_MAX));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(i64::try_from(limit).unwrap_or(i64::MAX)));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let channel = live.channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    answered(channel.queue_declare(queue_of(tenant).into(), durable, arguments)).await.map(drop)
}

/// A queue keeps the arguments that it was made with: whoever wants others deletes it while it is empty.
async fn warn_of_difference(live: &Live, tenant: TenantId, limit: u64) -> Result<(), Error> {
    match declare(live, tenant, limit).await {
        Err(error) => {
            if is_difference(&error) {
                warn!(%tenant, error = &error as &dyn std::error::Error, "the tenant's queue keeps its other arguments");
            }
            taken_as_it_is(error)
        }
        Ok(()) => Ok(()),
    }
}

fn is_difference(error: &Error) -> bool {
    matches!(error, Error::Failed(cause) if reply_code(cause) == Some(PRECONDITION_FAILED))
}

fn taken_as_it_is(error: Error) -> Result<(), Error> {
    if is_difference(&error) { Ok(()) } else { Err(error) }
}
