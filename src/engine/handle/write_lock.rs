//! One writer per tenant at a time, and a short queue of others.
//!
//! The place in the queue is taken before a connection, so that one tenant's writers cannot use up the pool.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{config::limits, domain::TenantId};

/// The queues of all tenants that are being written to.
#[derive(Debug, Default)]
pub struct WriteLocks {
    queues: DashMap<TenantId, Queue>,
}

/// One tenant's queue.
#[derive(Debug, Clone)]
struct Queue {
    lock: Arc<Semaphore>,
    /// Places for the writer and for those that wait.
    places: Arc<Semaphore>,
}

impl Queue {
    fn new() -> Self {
        let places = Arc::new(Semaphore::new(1 + limits::WRITERS_WAITING_MAX));
        Self { lock: Arc::new(Semaphore::new(1)), places }
    }
}

/// The right to write to a tenant; released when dropped.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    locks: &'a WriteLocks,
    tenant: TenantId,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl WriteLocks {
    /// Waits for the right to write to `tenant`; `None` if the queue is full.
    pub async fn lock(&self, tenant: TenantId) -> Option<WriteGuard<'_>> {
        // Taken while the map entry is locked: a queue with a place taken is never removed.
        let (place, lock) = {
            let queue = self.queues.entry(tenant).or_insert_with(Queue::new);
            (queue.places.clone().try_acquire_owned().ok()?, queue.lock.clone())
        };
        // From here on the queue is cleaned up even if the caller goes away while waiting.
        let mut waiting = Waiting { locks: self, tenant, place: Some(place) };
        let lock = lock.acquire_owned().await.ok()?;
        let place = waiting.place.take()?;
        Some(WriteGuard { locks: self, tenant, permits: Some((lock, place)) })
    }

    fn leave(&self, tenant: TenantId) {
        self.queues.remove_if(&tenant, |_, queue| queue.places.available_permits() == 1 + limits::WRITERS_WAITING_MAX);
    }
}

/// A place in the queue; given back when dropped before the lock is acquired.
struct Waiting<'a> {
    locks: &'a WriteLocks,
    tenant: TenantId,
    place: Option<OwnedSemaphorePermit>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            drop(place);
            self.locks.leave(self.tenant);
        }
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        drop(self.permits.take());
        self.locks.leave(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_writes_eight_wait_and_the_tenth_is_refused() {
        let locks = Arc::new(WriteLocks::default());
        let tenant = TenantId::generate();
        let first = locks.lock(tenant).await.unwrap();
        let waiting: Vec<_> = (0..limits::WRITERS_WAITING_MAX)
            .map(|_| {
                let locks = locks.clone();
                tokio::spawn(async move { locks.lock(tenant).await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(locks.lock(tenant).await.is_none());
        assert!(locks.lock(TenantId::generate()).await.is_some(), "another tenant does not wait");
        drop(first);
        for task in waiting {
            assert!(task.await.unwrap());
        }
        assert!(locks.queues.is_empty(), "an empty queue is removed");
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_leaves_no_place_taken() {
        let locks = Arc::new(WriteLocks::default());
        let tenant = TenantId::generate();
        let first = locks.lock(tenant).await.unwrap();
        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.lock(tenant).await.is_some() })
        };
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(first);
        assert!(locks.queues.is_empty());
    }
}
