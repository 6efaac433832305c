//! Telling the database which queues have something in them, so that somebody consumes them.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::Brokered;
use crate::{
    domain::TenantId,
    ingest::{Shared, stop::Stop},
};

/// How long the first tenant waits for others that are told with it.
const TELL_INTERVAL: Duration = Duration::from_millis(50);
/// The same for tenants whose queues are consumed here: their consumers may be about to end.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// How long a look at all queues takes at least.
const LOOK_TIME: Duration = Duration::from_secs(30);
/// Tenants that are asked for at once.
const TENANTS_READ: i64 = 500;

/// Tenants whose queues got something.
#[derive(Debug, Default)]
pub struct Announced {
    tenants: Mutex<BTreeSet<TenantId>>,
    news: Notify,
}

impl Announced {
    pub fn add(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.news.notify_one();
    }

    fn take(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut *self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells the database of queues that this node put something into.
pub async fn tell(queue: Brokered, shared: Arc<Shared>, stop: Stop) {
    // Consumed here, and told when their time comes.
    let (mut later, mut later_at) = (BTreeSet::new(), Instant::now());
    while !stop.is_set() {
        tokio::select! {
            biased;
            () = queue.announced.news.notified() => sleep(TELL_INTERVAL).await,
            () = sleep(TELL_AGAIN), if !later.is_empty() => {}
            () = stop.wait() => {}
        }
        let (here, mut tenants): (BTreeSet<_>, BTreeSet<_>) =
            queue.announced.take().into_iter().partition(|tenant| shared.owner.is_running(*tenant));
        later.extend(here);
        if stop.is_set() || later_at.elapsed() >= TELL_AGAIN {
            tenants.append(&mut later);
            later_at = Instant::now();
        }
        if tenants.is_empty() {
            continue;
        }
        let list: Vec<TenantId> = tenants.into_iter().collect();
        match shared.store.mark_queues(&list).await {
            Ok(has_deleted) => {
                shared.owner.look();
                if has_deleted {
                    shared.tenant_deleted.notify_one();
                }
            }
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, "queues cannot be marked now");
                later.extend(list);
            }
        }
    }
}

/// Looks for queues that have something in them and are consumed by nobody: whoever published it ended before it could
/// tell. A moment for each tenant, so that a round takes half a minute.
pub async fn look(queue: Brokered, shared: Arc<Shared>, stop: Stop) {
    let mut pause = Duration::from_secs(1);
    while !stop.is_set() {
        let (began, mut seen, mut after) = (Instant::now(), 0_u32, TenantId(Uuid::nil()));
        loop {
            let tenants = match shared.store.active_tenants(after, TENANTS_READ).await {
                Ok(tenants) => tenants,
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, "tenants cannot be listed now");
                    break;
                }
            };
            let Some(last) = tenants.last() else { break };
            after = *last;
            for tenant in tenants {
                seen += 1;
                look_at(&queue, &shared, tenant).await;
                tokio::select! {
                    biased;
                    () = sleep(pause) => {}
                    () = stop.wait() => return,
                }
            }
        }
        pause = LOOK_TIME / seen.max(30);
        tokio::select! {
            biased;
            () = sleep(LOOK_TIME.saturating_sub(began.elapsed())) => {}
            () = stop.wait() => {}
        }
    }
}

async fn look_at(queue: &Brokered, shared: &Shared, tenant: TenantId) {
    if shared.owner.is_running(tenant) {
        return;
    }
    match queue.broker.counts(tenant).await {
        Ok(Some(counts)) if counts.messages > 0 && counts.consumers == 0 => {
            info!(%tenant, messages = counts.messages, "found a queue that nobody consumes");
            queue.announced.add(tenant);
        }
        Ok(_) => {}
        Err(error) => warn!(error = &error as &dyn std::error::Error, "a queue cannot be looked at now"),
    }
}
