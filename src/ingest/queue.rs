//! The seam to where events wait: a queue takes them in, a source hands a tenant's events out in their order, and what
//! came of them is settled where they came from.
//!
//! Whatever the queue, who consumes it, what is to be tried again and dead letters are rows of the database.

#![cfg_attr(
    not(feature = "rabbitmq"),
    expect(unused_variables, dead_code, reason = "with one queue alone, nothing is asked of the other")
)]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{sync::Notify, task::JoinHandle};

#[cfg(feature = "rabbitmq")]
use super::brokered::{Brokered, Hand, Waiting};
use super::{Error, Shared, appender::Appender, stop::Stop};
use crate::{
    config::limits::EVENTS_READ_MAX,
    domain::{Accepted, EventId, TenantId, TenantScope},
    store::{self, Behind, Found, Lease, NewEvent, Settled, Settlement},
};

/// Where events wait until they are decided.
#[derive(Debug, Clone)]
pub enum Queue {
    /// In the database, as rows of a log.
    Log(Appender),
    /// In the broker.
    #[cfg(feature = "rabbitmq")]
    Brokered(Brokered),
}

/// Why a source cannot be opened, or hands nothing out.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It does not open now.
    #[cfg(feature = "rabbitmq")]
    #[error(transparent)]
    Opening(#[from] super::brokered::OpenError),
    /// It is closed, and another one has to be opened.
    #[error("the queue's connection is closed")]
    Closed,
}

impl Queue {
    /// What goes on in the background, until it is stopped.
    pub fn start(&self, shared: &Arc<Shared>, stop: &Stop) -> Vec<JoinHandle<()>> {
        match self {
            Self::Log(_) => Vec::new(),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.start(shared, stop),
        }
    }

    /// Whether it can be consumed now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Log(_) => true,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.is_ready(),
        }
    }

    /// Takes events of one tenant in, in their order; answers what became of each. The tenant may have `limit` events
    /// that are not decided.
    pub async fn append(
        &self,
        events: Vec<NewEvent>,
        limit: Option<u64>,
    ) -> Result<Vec<Result<Accepted, Error>>, Error> {
        match self {
            Self::Log(appender) => appender.append(events).await,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.append(events, limit).await,
        }
    }

    /// How many events of a tenant wait outside the database; `None` while that is not known.
    pub async fn waiting(&self, tenant: TenantId) -> Option<u64> {
        match self {
            Self::Log(_) => Some(0),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.waiting(tenant).await,
        }
    }

    /// The events of a tenant whose queue was taken at `taken_at`. `wake` is rung when one comes.
    pub async fn open(
        &self,
        shared: &Shared,
        scope: TenantScope,
        lease: Lease,
        taken_at: DateTime<Utc>,
        wake: &Arc<Notify>,
    ) -> Result<Source, SourceError> {
        let log = Log { position: lease.position, behind_until: above(taken_at, shared.options.clock_margin) };
        match self {
            Self::Log(_) => Ok(Source::Log(log)),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => Ok(Source::Brokered(queue.open(shared, scope, log, wake.clone()).await?)),
        }
    }

    /// A tenant's queue was given back because there was nothing in it.
    pub async fn finished(&self, tenant: TenantId) {
        match self {
            // Whoever stores an event marks the queue under the lock under which it was given back.
            Self::Log(_) => {}
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.finished(tenant).await,
        }
    }

    /// A tenant was deleted: nothing of its queue is to be left, but for rows. Answers whether that is so.
    pub async fn delete(&self, tenant: TenantId) -> bool {
        match self {
            Self::Log(_) => true,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(queue) => queue.delete(tenant).await.is_ok(),
        }
    }
}

/// Above every id that was made until `time`, whatever the clock that it was made by.
fn above(time: DateTime<Utc>, margin: TimeDelta) -> EventId {
    EventId(store::event_id_floor(time + margin))
}

/// A tenant's events, in the order in which they are decided.
#[derive(Debug)]
pub enum Source {
    /// Rows beyond a position.
    Log(Log),
    /// What is left of such rows, and then messages.
    #[cfg(feature = "rabbitmq")]
    Brokered(Waiting),
}

impl Source {
    /// The next events, if there are any.
    pub async fn next(&mut self, shared: &Shared, scope: TenantScope) -> Result<Found, SourceError> {
        match self {
            Self::Log(log) => Ok(log.next(shared, scope).await?),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(waiting) => waiting.next(shared, scope).await,
        }
    }

    /// All events up to here are settled.
    pub fn reached(&mut self, seen: EventId) {
        match self {
            Self::Log(log) => log.reached(seen),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(waiting) => waiting.reached(seen),
        }
    }

    /// Something failed: some of what was handed out may be settled.
    pub fn doubt(&mut self, shared: &Shared) {
        let until = above(shared.now(), shared.options.clock_margin);
        match self {
            Self::Log(log) => log.doubt(until),
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(waiting) => waiting.doubt(until),
        }
    }

    /// Whether nobody else gets its events while it is open.
    pub fn keeps_events(&self) -> bool {
        match self {
            Self::Log(_) => false,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(_) => true,
        }
    }

    /// Takes no more events, if they would be taken from others, and gives back at once what it did not settle; answers
    /// whether it had none.
    pub async fn close(&self) -> bool {
        match self {
            Self::Log(_) => true,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(waiting) => waiting.close().await,
        }
    }

    /// Where what came of its events is written.
    pub fn settler(&self) -> Settler {
        match self {
            Self::Log(_) => Settler::Rows,
            #[cfg(feature = "rabbitmq")]
            Self::Brokered(waiting) => Settler::Hand(waiting.hand()),
        }
    }
}

/// The rows of a tenant's log beyond a position.
#[derive(Debug)]
pub struct Log {
    /// Everything up to here is settled, as far as this node settles it.
    position: EventId,
    /// What an earlier owner may have settled without noting it ends here.
    behind_until: EventId,
}

impl Log {
    /// Rows that follow.
    pub async fn next(&self, shared: &Shared, scope: TenantScope) -> Result<Found, store::Error> {
        let behind = if self.position < self.behind_until { Behind::AnotherOwner } else { Behind::Nobody };
        let limit = u32::try_from(EVENTS_READ_MAX).unwrap_or(u32::MAX);
        shared.store.events_after(scope, self.position, behind, limit, shared.now()).await
    }

    /// All rows up to here are settled.
    pub fn reached(&mut self, seen: EventId) {
        self.position = seen;
    }

    /// Some of the rows up to here may be settled.
    pub fn doubt(&mut self, until: EventId) {
        self.behind_until = until;
    }
}

/// Where what came of events is written. Cheap to clone: each worker has one.
#[derive(Debug, Clone)]
pub enum Settler {
    /// To rows that are there.
    Rows,
    /// To rows that are stored with it, for messages in hand.
    #[cfg(feature = "rabbitmq")]
    Hand(Arc<Hand>),
}

impl Settler {
    /// Writes what came of events, in one transaction.
    pub async fn settle(
        &self,
        shared: &Shared,
        scope: TenantScope,
        settlements: Vec<Settlement>,
    ) -> Result<Settled, store::Error> {
        match self {
            Self::Rows => shared.store.settle_events(scope, settlements).await,
            #[cfg(feature = "rabbitmq")]
            Self::Hand(hand) => hand.settle(shared, scope, settlements).await,
        }
    }
}
