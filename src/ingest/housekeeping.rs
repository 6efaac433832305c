//! What is done for the tables of events now and then: days are made ahead and dropped when they are over; what a tenant
//! keeps for less time, and what deleted tenants have left, is deleted a little at a time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{Shared, stop::Stop};
use crate::{
    domain::{Quota, System, TenantId, TenantScope},
    store,
};

/// How often.
const INTERVAL: Duration = Duration::from_secs(600);
/// The same after a failure: somebody else holds a lock.
const RETRY: Duration = Duration::from_secs(5);
/// How often events are looked for that are kept no longer.
const RETENTION_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Between two deletions, so that they leave room for others.
const PAUSE: Duration = Duration::from_millis(50);
/// Tenants that are asked for at once.
const TENANTS_READ: i64 = 500;
/// From so few days ahead on it is an alarm.
const DAYS_AHEAD_MIN: i64 = 3;

pub async fn run(shared: Arc<Shared>, stop: Stop) {
    let mut retention_at = Instant::now() + INTERVAL;
    while !stop.is_set() {
        let wait = tokio::select! {
            biased;
            wait = keep_all(&shared, &mut retention_at) => wait,
            () = stop.wait() => return,
        };
        tokio::select! {
            biased;
            () = sleep(wait) => {}
            () = shared.tenant_deleted.notified() => {}
            () = stop.wait() => {}
        }
    }
}

/// Does what is due; answers when to do it again.
async fn keep_all(shared: &Shared, retention_at: &mut Instant) -> Duration {
    let mut wait = INTERVAL;
    if let Err(error) = keep_partitions(shared).await {
        warn!(error = &error as &dyn std::error::Error, "partitions of events cannot be kept now");
        wait = RETRY;
    }
    if let Ok(days) = shared.store.event_partition_days_ahead().await {
        shared.metrics.partition_days_ahead(days);
        if days < DAYS_AHEAD_MIN {
            error!(days, "partitions for coming events are missing; events are refused when their day comes");
        }
    }
    match forget_deleted(shared).await {
        Ok(true) => {}
        Ok(false) => wait = RETRY,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "events of deleted tenants cannot be deleted now");
            wait = RETRY;
        }
    }
    if *retention_at <= Instant::now() {
        match delete_old(shared, shared.now()).await {
            Ok(()) => *retention_at = Instant::now() + RETENTION_INTERVAL,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "old events cannot be deleted now");
                wait = RETRY;
            }
        }
    }
    wait
}

async fn keep_partitions(shared: &Shared) -> Result<(), store::Error> {
    let made = shared.store.make_event_partitions().await?;
    let now = shared.now();
    let dropped = shared
        .store
        .drop_event_partitions(now - TimeDelta::days(days_max() + 1), now - shared.options.append.key_window)
        .await?;
    if made + dropped > 0 {
        info!(made, dropped, "partitions of events");
    }
    Ok(())
}

/// Days that an event is kept at most.
fn days_max() -> i64 {
    i64::try_from(Quota::EventRetentionDays.grant_max()).unwrap_or(90)
}

/// Deletes what deleted tenants have left; answers whether nothing is left.
async fn forget_deleted(shared: &Shared) -> Result<bool, store::Error> {
    let mut is_done = true;
    for tenant in shared.store.deleted_tenants_with_events().await? {
        // Its rows tell that there is something left to delete.
        if !shared.queue.delete(tenant).await {
            warn!(%tenant, "the queue of a deleted tenant cannot be deleted now");
            is_done = false;
            continue;
        }
        shared.store.delete_all_events(TenantScope::of_system(System::Consumer, tenant), shared.now()).await?;
        info!(%tenant, "deleted the events of a deleted tenant");
        sleep(PAUSE).await;
    }
    Ok(is_done)
}

/// Deletes what tenants keep for less time than others.
async fn delete_old(shared: &Shared, now: DateTime<Utc>) -> Result<(), store::Error> {
    let mut after = TenantId(Uuid::nil());
    loop {
        let tenants = shared.store.tenants_with_events(after, TENANTS_READ).await?;
        let Some(last) = tenants.last() else { return Ok(()) };
        after = *last;
        for tenant in tenants {
            let scope = TenantScope::of_system(System::Consumer, tenant);
            let Some(found) = shared.store.tenant(scope).await? else { continue };
            let days = i64::try_from(found.quota(Quota::EventRetentionDays)).unwrap_or(days_max());
            // A day at a time: each statement then touches the partitions of one.
            for age in (days..=days_max()).rev() {
                let (from, to) = (now - TimeDelta::days(age + 1), now - TimeDelta::days(age));
                while shared.store.delete_events_between(scope, from, to).await? > 0 {
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
