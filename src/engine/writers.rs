//! Who may write: one writer of a tenant at a time, and a short line of others.
//!
//! The place in line is taken before a connection, so that one tenant's writers cannot hold the pool.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{config::limits, domain::TenantId};

/// The lines of all tenants that are being written to.
#[derive(Debug, Default)]
pub struct Writers {
    lines: DashMap<TenantId, Line>,
}

/// One tenant's line.
#[derive(Debug, Clone)]
struct Line {
    turn: Arc<Semaphore>,
    /// Places for the writer and those that wait.
    places: Arc<Semaphore>,
}

impl Line {
    fn new() -> Self {
        let places = Arc::new(Semaphore::new(1 + limits::WRITERS_WAITING_MAX));
        Self { turn: Arc::new(Semaphore::new(1)), places }
    }
}

/// The right to write to a tenant; given back when dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    writers: &'a Writers,
    tenant: TenantId,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Writers {
    /// Waits for the right to write to `tenant`; `None` if too many wait already.
    pub async fn turn(&self, tenant: TenantId) -> Option<Turn<'_>> {
        // The place is taken while the line is held in the map: a line with a place taken is never removed.
        let (place, turn) = {
            let line = self.lines.entry(tenant).or_insert_with(Line::new);
            (line.places.clone().try_acquire_owned().ok()?, line.turn.clone())
        };
        // From here on the line is cleaned up even if the caller goes away while it waits.
        let mut waiting = Waiting { writers: self, tenant, place: Some(place) };
        let turn = turn.acquire_owned().await.ok()?;
        let place = waiting.place.take()?;
        Some(Turn { writers: self, tenant, permits: Some((turn, place)) })
    }

    fn leave(&self, tenant: TenantId) {
        self.lines.remove_if(&tenant, |_, line| line.places.available_permits() == 1 + limits::WRITERS_WAITING_MAX);
    }
}

/// A place in line; given back when dropped before the turn came.
struct Waiting<'a> {
    writers: &'a Writers,
    tenant: TenantId,
    place: Option<OwnedSemaphorePermit>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            drop(place);
            self.writers.leave(self.tenant);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.permits.take());
        self.writers.leave(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_writes_eight_wait_and_the_tenth_is_refused() {
        let writers = Arc::new(Writers::default());
        let tenant = TenantId::generate();
        let first = writers.turn(tenant).await.unwrap();
        let waiting: Vec<_> = (0..limits::WRITERS_WAITING_MAX)
            .map(|_| {
                let writers = writers.clone();
                tokio::spawn(async move { writers.turn(tenant).await.is_some() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(writers.turn(tenant).await.is_none());
        assert!(writers.turn(TenantId::generate()).await.is_some(), "another tenant does not wait");
        drop(first);
        for task in waiting {
            assert!(task.await.unwrap());
        }
        assert!(writers.lines.is_empty(), "a line that nobody stands in is removed");
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_leaves_no_place_taken() {
        let writers = Arc::new(Writers::default());
        let tenant = TenantId::generate();
        let first = writers.turn(tenant).await.unwrap();
        let waiting = {
            let writers = writers.clone();
            tokio::spawn(async move { writers.turn(tenant).await.is_some() })
        };
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(first);
        assert!(writers.lines.is_empty());
    }
}
