//! The seam to where events wait: a queue takes them in, a source hands a tenant's events out in their order, and what
//! came of them is settled where they came from.
//!
//! Whatever the queue, who consumes it, what is to be tried again and dead letters are rows of the database.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Error, Shared, appender::Appender};
use crate::{
    config::limits::EVENTS_READ_MAX,
    domain::{Accepted, EventId, TenantScope},
    store::{self, Behind, Found, Lease, NewEvent, Settled, Settlement},
};

/// Where events wait until they are decided.
#[derive(Debug, Clone)]
pub enum Queue {
    /// In the database, as rows of a log.
    Log(Appender),
}

impl Queue {
    /// Takes events of one tenant in, in their order; answers what became of each.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<Vec<Result<Accepted, Error>>, Error> {
        match self {
            Self::Log(appender) => appender.append(events).await,
        }
    }

    /// The events of a tenant whose queue was taken at `taken_at`.
    pub fn open(&self, shared: &Shared, lease: Lease, taken_at: DateTime<Utc>) -> Source {
        match self {
            Self::Log(_) => Source::Log(Log {
                position: lease.position,
                behind_until: above(taken_at, shared.options.clock_margin),
            }),
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
}

impl Source {
    /// The next events, if there are any.
    pub async fn next(&self, shared: &Shared, scope: TenantScope) -> Result<Found, store::Error> {
        match self {
            Self::Log(log) => log.next(shared, scope).await,
        }
    }

    /// All events up to here are settled.
    pub fn reached(&mut self, seen: EventId) {
        match self {
            Self::Log(log) => log.position = seen,
        }
    }

    /// Something failed: some of what was handed out may be settled.
    pub fn doubt(&mut self, margin: TimeDelta) {
        match self {
            Self::Log(log) => log.behind_until = above(Utc::now(), margin),
        }
    }

    /// Where what came of its events is written.
    pub fn settler(&self) -> Settler {
        match self {
            Self::Log(_) => Settler::Rows,
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
    async fn next(&self, shared: &Shared, scope: TenantScope) -> Result<Found, store::Error> {
        let behind = if self.position < self.behind_until { Behind::AnotherOwner } else { Behind::Nobody };
        let limit = u32::try_from(EVENTS_READ_MAX).unwrap_or(u32::MAX);
        shared.store.events_after(scope, self.position, behind, limit, Utc::now()).await
    }
}

/// Where what came of events is written. Cheap to clone: each worker has one.
#[derive(Debug, Clone)]
pub enum Settler {
    /// To rows that are there.
    Rows,
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
        }
    }
}
