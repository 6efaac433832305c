//! Telling other nodes of events: one that is accepted here and whose tenant's queue another node has is told of within a
//! moment. A signal may be lost; the owner looks by itself all the same.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};
use tracing::{debug, warn};

use super::{Shared, stop::Stop};
use crate::domain::TenantId;

/// How long tenants are gathered for one signal: meanwhile this node may have taken a queue that nobody had.
const GATHER: Duration = Duration::from_millis(10);
/// Between two signals; with what is gathered, one in 50 ms.
const PAUSE: Duration = Duration::from_millis(40);
/// How long to wait before a lost connection is made anew.
const RECONNECT: Duration = Duration::from_secs(1);

/// Tenants with events that nobody was told of.
#[derive(Debug, Default)]
pub struct Signals {
    untold: Mutex<BTreeSet<TenantId>>,
    news: Notify,
}

impl Signals {
    /// An event of the tenant is stored, and its queue is not this node's.
    pub fn add(&self, tenant: TenantId) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.news.notify_one();
    }

    fn take(&self) -> BTreeSet<TenantId> {
        mem::take(&mut self.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells others of this node's events.
pub async fn tell(shared: Arc<Shared>, stop: Stop) {
    let telling = async {
        loop {
            shared.owner.signals.news.notified().await;
            sleep(GATHER).await;
            let untold = shared.owner.signals.take();
            let tenants: Vec<_> = untold.into_iter().filter(|tenant| shared.owner.view(*tenant).is_none()).collect();
            if tenants.is_empty() {
                continue;
            }
            if let Err(error) = shared.store.signal_events(&tenants).await {
                debug!(error = &error as &dyn std::error::Error, "other nodes cannot be told of events now");
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        biased;
        () = telling => {}
        () = stop.wait() => {}
    }
}

/// Hears of other nodes' events.
pub async fn hear(shared: Arc<Shared>, stop: Stop) {
    let hearing = async {
        let mut listener = shared.store.event_listener();
        loop {
            match listener.next().await {
                Ok(tenants) => tenants.into_iter().for_each(|tenant| shared.owner.wake(tenant)),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "signals of events cannot be heard now");
                    sleep(RECONNECT).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = hearing => {}
        () = stop.wait() => {}
    }
}
