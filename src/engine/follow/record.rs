//! Storing what the recorder took: batch after batch, with the same ids again if the database did not answer.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use tracing::warn;

use crate::{
    engine::{
        metrics::Dropped,
        recorder::{BATCH, Entry},
        shared::Shared,
    },
    error::ErrorKind,
    store::{self, RecordedDecision},
};

/// How often the ring is emptied.
const INTERVAL: Duration = Duration::from_millis(200);
/// The wait after the database did not take a batch.
const RETRY: Duration = Duration::from_secs(1);

/// Stores what was recorded, for ever.
pub async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match store(&shared).await {
            Ok(BATCH) => continue,
            Ok(_) => INTERVAL,
            Err(()) => RETRY,
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.recorder.woken(), if wait == INTERVAL => {}
        }
    }
}

/// Waits until all is stored, but not beyond `wait`: what is left then is dropped.
pub async fn finish(shared: &Shared, wait: Duration) {
    let deadline = Instant::now() + wait;
    shared.recorder.wake();
    while shared.recorder.len() > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
        shared.recorder.wake();
    }
    let left = shared.recorder.len();
    if left > 0 {
        shared.metrics.log.dropped(Dropped::Stopped, left as u64);
        warn!(left, "recorded decisions could not be stored before the node stopped");
    }
}

/// Stores a batch; answers how many entries it had. An error if the database cannot take any now.
async fn store(shared: &Shared) -> Result<usize, ()> {
    let batch = shared.recorder.take();
    let count = batch.len();
    if count == 0 {
        return Ok(0);
    }
    // Reading facts and hashing rule sets is work that would delay others here.
    let made = spawn_blocking(move || {
        let rows: Vec<RecordedDecision> = batch.iter().map(Entry::row).collect();
        (batch, rows)
    });
    let Ok((batch, mut rows)) = made.await else {
        shared.recorder.done(count);
        shared.metrics.log.dropped(Dropped::Failed, count as u64);
        return Ok(count);
    };
    match shared.store.record_decisions(&mut rows).await {
        Ok(stored) => {
            shared.recorder.done(count);
            shared.metrics.log.recorded(stored);
            shared.metrics.log.dropped(Dropped::Deleted, (count as u64).saturating_sub(stored));
            for entry in batch {
                // Whoever waited may have given up.
                let _ = entry.stored.map(|stored| stored.send(()));
            }
            Ok(count)
        }
        Err(error) if is_passing(&error) => {
            // With the same ids again. Whoever waits is told that it is not certain.
            let batch = batch.into_iter().map(|entry| Entry { stored: None, ..entry }).collect();
            shared.recorder.put_back(batch);
            warn!(error = &error as &dyn std::error::Error, "decisions cannot be recorded now");
            Err(())
        }
        Err(error) => {
            shared.recorder.done(count);
            shared.metrics.log.dropped(Dropped::Failed, count as u64);
            warn!(error = &error as &dyn std::error::Error, count, "decisions cannot be recorded");
            Ok(count)
        }
    }
}

/// Whether the same statement may succeed later.
fn is_passing(error: &store::Error) -> bool {
    error.kind() == ErrorKind::Unavailable && !matches!(error, store::Error::NoPartition { .. })
}
