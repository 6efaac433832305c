//! Writing what was counted. Nothing is forgotten before it is known to be written: what cannot be written now, or may be
//! written, waits with the ids that it had.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Counting, locked};
use crate::{
    domain::{System, TenantId, TenantScope},
    store::{self, CountBatch, Flushed, Store},
};

/// Counts that are taken to be written at once.
const FLUSHED_MAX: usize = 50_000;

/// How long a transaction is waited for that is still under way.
const UNDER_WAY: Duration = Duration::from_millis(20);

/// What is to be written, a transaction each.
pub type Waiting = VecDeque<(TenantId, CountBatch)>;

impl Counting {
    /// Writes what was counted, at most [`FLUSHED_MAX`] counts. After a failure the others are tried all the same.
    pub async fn flush(&self, store: &Store) -> Result<(), store::Error> {
        self.gather_all();
        let mut waiting = self.waiting.lock().await;
        if waiting.is_empty() {
            self.take(&mut waiting);
        }
        let (began, batches) = (Instant::now(), waiting.len());
        let mut failure = None;
        for _ in 0..batches {
            // It stays in its place until it is known what became of it: this may be given up while it waits.
            let Some((tenant, batch)) = waiting.front_mut() else { break };
            let scope = TenantScope::of_system(System::Counts, *tenant);
            match store.flush_counts(scope, batch).await {
                Ok(Flushed::Written) => {
                    let written = batch.len();
                    waiting.pop_front();
                    locked(&self.gathered).waiting -= written;
                }
                Ok(Flushed::UnderWay) => waiting.rotate_left(1),
                Err(error) => {
                    waiting.rotate_left(1);
                    failure = Some(error);
                }
            }
        }
        if batches > 0 {
            self.metrics.counts.flushed(began.elapsed());
        }
        let (gathered, waiting) = self.left();
        self.metrics.counts.waiting(gathered + waiting);
        failure.map_or(Ok(()), Err)
    }

    /// Writes all that was counted, as long as that succeeds.
    pub async fn flush_all(&self, store: &Store) -> Result<(), store::Error> {
        loop {
            self.flush(store).await?;
            match self.left() {
                (0, 0) => return Ok(()),
                (0, _) => sleep(UNDER_WAY).await,
                _ => {}
            }
        }
    }

    /// How many counts are in no batch yet, and how many are.
    fn left(&self) -> (usize, usize) {
        let gathered = locked(&self.gathered);
        (gathered.len, gathered.waiting)
    }

    /// Makes batches of what was gathered, with ids of their own.
    fn take(&self, waiting: &mut Waiting) {
        let mut gathered = locked(&self.gathered);
        let mut taken = 0;
        while taken < FLUSHED_MAX {
            let Some(tenant) = gathered.tenants.keys().next().copied() else { break };
            let Some(tally) = gathered.tenants.remove(&tenant) else { break };
            let rows = tally.rows();
            taken += rows.len();
            for rows in rows.chunks(FLUSHED_MAX) {
                waiting.push_back((tenant, CountBatch::new(rows.to_vec())));
            }
        }
        gathered.waiting += taken;
        gathered.len = gathered.tenants.values().map(crate::analytics::Tally::len).sum();
    }
}
