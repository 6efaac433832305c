//! How far a consumer is: written by it, read by whoever renews its lease and by those who look.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::{
    domain::{EventId, TenantId},
    store::{HeldQueue, Lease},
};

/// What a consumer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerState {
    /// It does not run on this node.
    Absent,
    /// It asks for the queue.
    Acquiring,
    /// It reads and decides.
    Running,
    /// It finishes what it has begun.
    Draining,
}

impl ConsumerState {
    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Acquiring => "acquiring",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

/// How far a consumer is.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lease: Option<Lease>,
    position: Option<EventId>,
    in_flight: usize,
    workers: usize,
    /// The position that was noted last.
    noted: Option<EventId>,
    is_paused: bool,
    is_lost: bool,
    last_failure: Option<Failure>,
}

/// Something that a consumer could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub message: String,
}

/// What can be seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What it does.
    pub state: ConsumerState,
    /// Events that are being decided.
    pub in_flight: usize,
    /// Workers of its last batch.
    pub workers: usize,
    /// What it could not do, the last time that there was something.
    pub last_failure: Option<Failure>,
}

impl Progress {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue was taken.
    pub fn begin(&self, lease: Lease) {
        let mut inner = self.inner();
        inner.lease = Some(lease);
        inner.position = Some(lease.position);
        inner.noted = Some(lease.position);
    }

    /// The queue was given back.
    pub fn end(&self) {
        *self.inner() = Inner::default();
    }

    /// Everything up to here is settled.
    pub fn reached(&self, position: EventId) {
        let mut inner = self.inner();
        // Messages come in the order of their queue, which need not be that of their ids.
        inner.position = inner.position.max(Some(position));
    }

    pub fn in_flight(&self, events: usize) {
        self.inner().in_flight = events;
    }

    pub fn workers(&self, workers: usize) {
        self.inner().workers = workers;
    }

    pub fn failed(&self, failure: Failure) {
        self.inner().last_failure = Some(failure);
    }

    /// Whether it has got on since it was asked last.
    pub fn has_moved(&self) -> bool {
        let mut inner = self.inner();
        let has_moved = inner.position != inner.noted;
        inner.noted = inner.position;
        has_moved
    }

    /// The queue is to be given back.
    pub fn pause(&self) {
        self.inner().is_paused = true;
    }

    /// Whether the queue is to be given back, or is another's.
    pub fn is_over(&self) -> bool {
        let inner = self.inner();
        inner.is_lost || inner.is_paused
    }

    /// The lease is another's by now.
    pub fn lose(&self) {
        self.inner().is_lost = true;
    }

    /// What is to be noted of the queue while it is held.
    pub fn held(&self, tenant: TenantId) -> Option<HeldQueue> {
        let inner = self.inner();
        let (lease, position) = (inner.lease?, inner.position?);
        let pending = i64::try_from(inner.in_flight).unwrap_or(i64::MAX);
        (!inner.is_lost).then_some(HeldQueue { tenant, token: lease.token, position, pending })
    }

    pub fn view(&self) -> View {
        let inner = self.inner();
        let state = match inner.lease {
            None => ConsumerState::Acquiring,
            Some(_) if inner.is_lost || inner.is_paused => ConsumerState::Draining,
            Some(_) => ConsumerState::Running,
        };
        View { state, in_flight: inner.in_flight, workers: inner.workers, last_failure: inner.last_failure.clone() }
    }
}
