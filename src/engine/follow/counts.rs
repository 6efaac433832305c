//! Counts of decisions: written again and again, merged into hours and days on whichever node comes first, and forgotten
//! when they are kept no longer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;
use uuid::Uuid;

use crate::{
    analytics::Kept,
    domain::{System, TenantId, TenantScope},
    engine::shared::Shared,
    store::{self, Merged},
};

/// How often a tenant's counts are merged.
const MERGE_INTERVAL: Duration = Duration::from_secs(60);
/// How often is looked whose are due.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Tenants that are found by one look.
const TENANTS_FOUND: i64 = 1_000;
/// How often old counts are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);
/// Between two deletions, so that they leave room for others.
const PAUSE: Duration = Duration::from_millis(20);

/// Writes what this node has counted, again and again.
pub async fn flush(shared: Arc<Shared>) {
    let mut ticks = interval(shared.options.count_flush);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_written = true;
    loop {
        ticks.tick().await;
        let flushed = shared.counting.flush(&shared.store).await;
        if let Err(error) = &flushed
            && is_written
        {
            warn!(error = error as &dyn std::error::Error, "counts of decisions cannot be written now; they wait");
        }
        is_written = flushed.is_ok();
    }
}

/// Merges what is due, again and again.
pub async fn merge(shared: Arc<Shared>) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forget_at = Instant::now() + FORGET_INTERVAL / 6;
    loop {
        ticks.tick().await;
        if let Err(error) = merge_due(&shared).await {
            warn!(error = &error as &dyn std::error::Error, "counts of decisions cannot be merged now");
        }
        if forget_at <= Instant::now() {
            match forget(&shared).await {
                Ok(()) => forget_at = Instant::now() + FORGET_INTERVAL,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "old counts of decisions cannot be deleted now");
                }
            }
        }
    }
}

async fn merge_due(shared: &Shared) -> Result<(), store::Error> {
    let queue = shared.store.counts_to_merge(MERGE_INTERVAL, TENANTS_FOUND).await?;
    shared.metrics.counts.lag(queue.lag);
    for tenant in queue.due {
        let began = Instant::now();
        let scope = TenantScope::of_system(System::Counts, tenant);
        if matches!(shared.store.merge_counts(scope).await?, Merged::Deltas(_)) {
            shared.metrics.counts.merged(began.elapsed());
        }
    }
    Ok(())
}

async fn forget(shared: &Shared) -> Result<(), store::Error> {
    let mut after = TenantId(Uuid::nil());
    loop {
        let tenants = shared.store.tiers_after(after, TENANTS_FOUND).await?;
        let Some((last, _)) = tenants.last() else { return Ok(()) };
        after = *last;
        for (tenant, tier) in tenants {
            let scope = TenantScope::of_system(System::Counts, tenant);
            while shared.store.delete_old_counts(scope, Kept::of(tier, Utc::now())).await? > 0 {
                sleep(PAUSE).await;
            }
        }
    }
}
