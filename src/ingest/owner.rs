//! Which queues this node consumes: it looks every second for tenants with something to decide and no owner, starts a
//! consumer for each, renews all leases in one statement, and lets consumers end.
//!
//! Consumers start and stop themselves. One that panics leaves its lease to run out and is started again with what it
//! had noted; that nothing has its effect twice does not depend on it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    Shared,
    consumer::{Consumer, Ended},
    progress::{Progress, View},
    signals::Signals,
    stop::Stop,
};
use crate::{
    config::limits::CONSUMERS_MAX,
    domain::{EventId, System, TenantId, TenantScope},
    store::SeenQueue,
};

/// How often queues without an owner are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two looks that events cause: most events of a tenant without a consumer here are another node's.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A consumer that runs here.
#[derive(Debug, Clone)]
struct Running {
    progress: Arc<Progress>,
    wake: Arc<Notify>,
}

/// Who consumes what on this node.
#[derive(Debug, Default)]
pub struct Owner {
    running: DashMap<TenantId, Running>,
    /// Rung when a tenant without a consumer here got an event.
    news: Notify,
    /// For the nodes that have these tenants' queues.
    pub signals: Signals,
}

impl Owner {
    /// This node has stored an event of the tenant.
    pub fn stored(&self, tenant: TenantId) {
        match self.running.get(&tenant) {
            Some(running) => running.wake.notify_one(),
            // Nobody has its queue, or another node.
            None => {
                self.news.notify_one();
                self.signals.add(tenant);
            }
        }
    }

    /// Another node has stored an event of the tenant.
    pub fn wake(&self, tenant: TenantId) {
        if let Some(running) = self.running.get(&tenant) {
            running.wake.notify_one();
        }
    }

    /// What is with a tenant's consumer here.
    pub fn view(&self, tenant: TenantId) -> Option<View> {
        self.running.get(&tenant).map(|running| running.progress.view())
    }

    /// Looks at once what there is to do.
    pub fn look(&self) {
        self.news.notify_one();
    }

    /// How far a tenant's consumer here is.
    pub fn position(&self, tenant: TenantId) -> Option<EventId> {
        self.running.get(&tenant).and_then(|running| running.progress.held(tenant)).map(|held| held.position)
    }

    /// A tenant's queue is to be given back.
    pub fn pause(&self, tenant: TenantId) {
        if let Some(running) = self.running.get(&tenant) {
            running.progress.pause();
            running.wake.notify_one();
        }
    }

    /// A tenant's queue is another node's by now.
    pub fn lose(&self, tenant: TenantId) {
        if let Some(running) = self.running.get(&tenant) {
            running.progress.lose();
        }
    }

    /// Whether a tenant's consumer runs here.
    #[cfg(feature = "rabbitmq")]
    pub fn is_running(&self, tenant: TenantId) -> bool {
        self.running.contains_key(&tenant)
    }

    /// How many consumers run here.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// How many workers they have, all together.
    fn workers(&self) -> usize {
        self.running.iter().map(|running| running.progress.view().workers).sum()
    }
}

/// Runs until it is stopped; then ends all consumers, each with what it has begun.
pub fn start(shared: Arc<Shared>, stop: Stop) -> JoinHandle<()> {
    tokio::spawn(run(shared, stop))
}

async fn run(shared: Arc<Shared>, stop: Stop) {
    let mut consumers: JoinSet<(TenantId, Ended)> = JoinSet::new();
    let mut tasks: HashMap<tokio::task::Id, TenantId> = HashMap::new();
    let mut look = interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_rung, mut look_at) = (false, Instant::now());
    let mut renew = interval(shared.options.lease / 3);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_set() {
        tokio::select! {
            // In this order: when looking takes long, leases are renewed all the same.
            biased;
            () = stop.wait() => {}
            _ = renew.tick() => renew_leases(&shared, Which::All).await,
            Some(ended) = consumers.join_next_with_id() => forget(&shared, &mut tasks, ended),
            _ = look.tick() => {
                look_at_queues(&shared, &stop, &mut consumers, &mut tasks).await;
                renew_leases(&shared, Which::Moved).await;
            }
            () = shared.owner.news.notified(), if !is_rung => is_rung = true,
            () = sleep_until(look_at), if is_rung => {
                look_at_queues(&shared, &stop, &mut consumers, &mut tasks).await;
                (is_rung, look_at) = (false, Instant::now() + LOOK_PAUSE);
            }
        }
    }
    while let Some(ended) = consumers.join_next_with_id().await {
        forget(&shared, &mut tasks, ended);
    }
}

/// Ends the consumers of paused queues, and starts those that are missing.
async fn look_at_queues(
    shared: &Arc<Shared>,
    stop: &Stop,
    consumers: &mut JoinSet<(TenantId, Ended)>,
    tasks: &mut HashMap<tokio::task::Id, TenantId>,
) {
    if !shared.queue.is_ready() {
        return;
    }
    let room = CONSUMERS_MAX.saturating_sub(shared.owner.len());
    let found = match shared.store.look_at_queues(shared.node, u32::try_from(room).unwrap_or(u32::MAX)).await {
        Ok(found) => found,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "queues cannot be looked for now");
            return;
        }
    };
    for seen in found {
        let tenant = match seen {
            SeenQueue::WithoutOwner(tenant) => tenant,
            SeenQueue::Paused(tenant) => {
                shared.owner.pause(tenant);
                continue;
            }
        };
        if shared.owner.running.contains_key(&tenant) {
            continue;
        }
        let running = Running { progress: Arc::default(), wake: Arc::default() };
        shared.owner.running.insert(tenant, running.clone());
        let scope = TenantScope::of_system(System::Consumer, tenant);
        let consumer = Consumer::new(shared.clone(), scope, running.progress, running.wake, stop.clone());
        let task = consumers.spawn(async move { (tenant, consumer.run().await) });
        tasks.insert(task.id(), tenant);
    }
    shared.metrics.consumers(shared.owner.len(), shared.owner.workers());
}

fn forget(
    shared: &Shared,
    tasks: &mut HashMap<tokio::task::Id, TenantId>,
    ended: Result<(tokio::task::Id, (TenantId, Ended)), tokio::task::JoinError>,
) {
    let task = match &ended {
        Ok((task, _)) => *task,
        Err(error) => error.id(),
    };
    let Some(tenant) = tasks.remove(&task) else { return };
    shared.owner.running.remove(&tenant);
    shared.metrics.consumers(shared.owner.len(), shared.owner.workers());
    match ended {
        Ok((_, (_, Ended::NotTaken))) => {}
        Ok((_, (_, ended))) => info!(%tenant, reason = ?ended, "stopped consuming events"),
        Err(error) => error!(%tenant, %error, "a consumer of events panicked"),
    }
}

/// Which leases are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Those of queues that got on since: others read from the position that is noted.
    Moved,
}

async fn renew_leases(shared: &Shared, which: Which) {
    let mut held = Vec::new();
    for entry in &shared.owner.running {
        let progress = &entry.value().progress;
        let has_moved = progress.has_moved();
        held.extend(progress.held(*entry.key()).filter(|_| has_moved || which == Which::All));
    }
    if held.is_empty() {
        return;
    }
    held.sort_by_key(|queue| queue.tenant);
    match shared.store.renew_queues(shared.node, &held, shared.options.lease).await {
        Ok(renewed) => {
            let lost = held.iter().filter(|queue| !renewed.contains(&queue.tenant));
            for queue in lost {
                // It may be locked by whoever stores events, and be renewed the next time; or it is another's.
                shared.check_lost(queue).await;
            }
        }
        Err(error) => warn!(error = &error as &dyn std::error::Error, "leases of queues cannot be renewed now"),
    }
}
