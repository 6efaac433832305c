//! Following the database: the listener, which is quick, and reconciling, which is certain.
//!
//! A notification is a hint and may be lost. What holds the promised bound is the question asked every second, on a
//! connection of its own, what changed since the last one.

pub mod catch_up;
pub mod counts;
pub mod heartbeat;
pub mod record;
pub mod retention;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{error, info, warn};

use self::catch_up::Schedule;
use crate::{
    domain::{Revision, TenantId},
    engine::{
        resident::hints::{Want, is_news},
        shared::Shared,
    },
    store::{self, ChangeCursor, Heard, Listener, Poll, Reconciler, TenantHead},
};

/// How long one question may take: with the interval and a load it stays below the bound of 2 s.
const POLL_DEADLINE: Duration = Duration::from_millis(500);
/// How long comparing every tenant in memory may take.
const COMPARE_DEADLINE: Duration = Duration::from_secs(10);
/// Tenants compared by one statement.
const COMPARE_CHUNK: usize = 10_000;
/// The first wait before the listener connects again; doubled up to [`RECONNECT_MAX`].
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
/// The longest wait before the listener connects again.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Passes on what is heard. `gap` wakes [`reconcile`] when something may have been missed.
pub async fn listen(shared: Arc<Shared>, mut listener: Listener, gap: Arc<Notify>) {
    let mut wait = RECONNECT_FIRST;
    loop {
        match listener.next().await {
            Ok(Heard::Change(tenant, revision)) => {
                shared.auth.suspect(tenant);
                shared.hint(tenant, Want::AtLeast(revision));
            }
            Ok(Heard::Gap) => {
                info!("listening for changes");
                wait = RECONNECT_FIRST;
                shared.freshness.set_listening(true);
                gap.notify_one();
            }
            Err(error) => {
                if shared.freshness.is_listening() {
                    warn!(error = &error as &dyn std::error::Error, "lost the connection that listens for changes");
                }
                shared.freshness.set_listening(false);
                shared.metrics.listener_reconnect();
                sleep(wait).await;
                wait = (wait * 2).min(RECONNECT_MAX);
            }
        }
    }
}

/// Asks again and again what changed.
pub async fn reconcile(shared: Arc<Shared>, mut reconciler: Reconciler, gap: Arc<Notify>) {
    let mut ticks = interval(shared.options.reconcile_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cursor = ChangeCursor::default();
    let mut schedule = Schedule::default();
    let mut reachable = true;
    loop {
        let heard_gap = tokio::select! {
            _ = ticks.tick() => false,
            () = gap.notified() => true,
        };
        let began = Instant::now();
        let compare = schedule.is_due(heard_gap, began);
        match catch_up(&shared, &mut reconciler, &mut cursor, compare).await {
            Ok(compared) => {
                if compared {
                    schedule.compared(began);
                }
                shared.freshness.synchronised(began);
                if !reachable {
                    info!("the database answers again");
                }
                reachable = true;
            }
            Err(error) => {
                schedule.failed();
                if reachable {
                    warn!(error = &error as &dyn std::error::Error, "cannot ask the database what changed");
                }
                reachable = false;
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CatchUpError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the database did not answer in time")]
    Deadline(#[from] tokio::time::error::Elapsed),
}

/// Asks once. Answers whether every tenant in memory was compared.
async fn catch_up(
    shared: &Shared,
    reconciler: &mut Reconciler,
    cursor: &mut ChangeCursor,
    compare: bool,
) -> Result<bool, CatchUpError> {
    // It bounds itself, more generously: a node that connects slowly must not be one that never does.
    reconciler.connect().await?;
    let discontinuity = match timeout(POLL_DEADLINE, reconciler.poll(cursor)).await?? {
        Poll::Changes(heads) => {
            for head in heads {
                shared.auth.suspect(head.tenant_id);
                look_into(shared, head.tenant_id, catch_up::told(head.revision));
            }
            false
        }
        Poll::Discontinuity => {
            error!("the database is another one than before, or was restored: loading every tenant again");
            // A revision of another history says nothing, even if it is the same number.
            shared.registry.revisions().into_iter().for_each(|(tenant, _)| shared.hint(tenant, Want::Fresh));
            true
        }
    };
    if compare || discontinuity {
        shared.auth.suspect_all();
    }
    if compare && !discontinuity {
        timeout(COMPARE_DEADLINE, compare_all(shared)).await??;
    }
    Ok(compare || discontinuity)
}

/// Compares every tenant in memory with the database.
async fn compare_all(shared: &Shared) -> Result<(), store::Error> {
    for chunk in shared.registry.revisions().chunks(COMPARE_CHUNK) {
        let heads = shared.store.heads_unlike(chunk).await?;
        if heads.is_empty() {
            continue;
        }
        // What was served when the question was asked: what is served now may have been committed since.
        let asked: HashMap<TenantId, Option<Revision>> = chunk.iter().copied().collect();
        for TenantHead { tenant_id, revision } in heads {
            let served = asked.get(&tenant_id).copied().flatten();
            look_into(shared, tenant_id, catch_up::compared(revision, served));
        }
    }
    Ok(())
}

/// Passes on a hint that nobody sent, and counts it if it tells anything.
fn look_into(shared: &Shared, tenant: TenantId, want: Want) {
    let Some(entry) = shared.registry.entry(tenant) else { return };
    let served = entry.revision();
    if served.is_some() && want != Want::Fresh && is_news(want, served) {
        shared.metrics.reconcile_catch();
    }
    shared.hint(tenant, want);
}
