//! Forgetting what is kept no longer: old rows of the change log, what old revisions held, and recorded evaluations. Any
//! node does it, whichever comes first.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{interval, sleep};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    domain::{Quota, System, TenantId, TenantScope},
    engine::shared::Shared,
    store,
};

/// How often.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Between two deletions, so that they leave room for others.
const PAUSE: Duration = Duration::from_millis(50);
/// Tenants that are asked for at once.
const TENANTS_READ: i64 = 500;

/// Forgets what is kept no longer, again and again.
pub async fn purge(shared: Arc<Shared>) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = forget(&shared, Utc::now()).await {
            warn!(error = &error as &dyn std::error::Error, "cannot forget now what is kept no longer");
        }
    }
}

/// Forgets what is kept no longer.
pub async fn forget(shared: &Shared, now: DateTime<Utc>) -> Result<(), store::Error> {
    loop {
        match shared.store.purge_changes().await? {
            0 => break,
            forgotten => info!(forgotten, "forgot old rows of the change log"),
        }
    }
    shared.store.forget_history(now - shared.options.history_retention).await?;
    let mut after = TenantId(Uuid::nil());
    loop {
        let tenants = shared.store.tenants_with_recorded_decisions(after, TENANTS_READ).await?;
        let Some(last) = tenants.last() else { return Ok(()) };
        after = *last;
        for tenant in tenants {
            forget_decisions(shared, TenantScope::of_system(System::Retention, tenant), now).await?;
        }
    }
}

async fn forget_decisions(shared: &Shared, scope: TenantScope, now: DateTime<Utc>) -> Result<(), store::Error> {
    let found = shared.store.tenant(scope).await?;
    let days = |quota: u64| i64::try_from(quota).unwrap_or(i64::from(u16::MAX));
    let most = days(Quota::DecisionRetentionDays.grant_max());
    let kept = found.as_ref().map(|tenant| days(tenant.quota(Quota::DecisionRetentionDays)));
    // A day at a time: each statement then touches the partitions of one. Of a tenant that is gone all are deleted.
    for age in (kept.unwrap_or(-1)..=most).rev() {
        let (from, to) = (now - TimeDelta::days(age + 1), now - TimeDelta::days(age));
        while shared.store.delete_recorded_between(scope, from, to).await? > 0 {
            sleep(PAUSE).await;
        }
    }
    if found.is_none() {
        shared.store.forget_decision_log(scope).await?;
    }
    Ok(())
}
