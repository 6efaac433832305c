//! What an operator may do to one tenant on this node, and the tenants that every node keeps in memory.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::warn;

use super::Engine;
use crate::{
    domain::{TenantId, TenantScope},
    engine::{
        error::Error,
        message::{Missing, SupervisorMsg, TenantMsg, Waiter},
        options::FIRST_LOAD_WAIT,
        shared::Shared,
    },
};

/// How often the pinned tenants are looked for that are not in memory.
const PINNED_INTERVAL: Duration = Duration::from_secs(2);

impl Engine {
    /// Loads a tenant, if it is not in memory.
    pub async fn load_tenant(&self, scope: TenantScope) -> Result<(), Error> {
        let tenant = scope.id();
        let entry = self.inner.shared.registry.entry(tenant);
        if entry.is_none_or(|entry| entry.revision().is_none()) {
            self.ensure(tenant, None, FIRST_LOAD_WAIT).await?.ok_or(Error::LoadFailed)?;
        }
        Ok(())
    }

    /// Lets go of a tenant. The next request for it brings it back.
    pub async fn stop_tenant(&self, scope: TenantScope) -> Result<(), Error> {
        let tenant = scope.id();
        let (reply, stopped) = oneshot::channel();
        self.inner.shared.tell(SupervisorMsg::Stop { tenant, reply })?;
        if stopped.await.map_err(|_| Error::Stopping)? { Ok(()) } else { Err(Error::TenantPinned) }
    }

    /// Reads a tenant and compiles all of it anew, whether anything has changed or not.
    pub async fn reload_tenant(&self, scope: TenantScope) -> Result<(), Error> {
        let Some(entry) = self.inner.shared.registry.entry(scope.id()) else { return self.load_tenant(scope).await };
        let (reply, reloaded) = oneshot::channel();
        let asked = entry.send(TenantMsg::Reload(reply)).is_ok();
        let answer = if asked { timeout(FIRST_LOAD_WAIT, reloaded).await } else { Ok(Ok(Err(Missing::Load))) };
        match answer {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(Missing::Tenant))) => Err(Error::TenantNotFound),
            _ if entry.resident.is_quarantined() => Err(Error::TenantQuarantined),
            _ => Err(Error::LoadFailed),
        }
    }

    /// Has a tenant in quarantine tried again, with a clean record. Any other is left as it is.
    pub async fn release_tenant(&self, scope: TenantScope) -> Result<(), Error> {
        let tenant = scope.id();
        let (reply, released) = oneshot::channel();
        self.inner.shared.tell(SupervisorMsg::Release { tenant, reply })?;
        released.await.map_err(|_| Error::Stopping)
    }

    /// Waits until each pinned tenant has been loaded, or could not be.
    pub async fn pinned_loaded(&self) {
        let mut loaded = self.inner.pinned_loaded.clone();
        // An error means that the engine is stopping.
        let _ = loaded.wait_for(|loaded| *loaded).await;
    }
}

/// Sees to it that pinned tenants are in memory. Tells `loaded` when each was loaded once, or could not be: one that
/// cannot be loaded must not keep a node from serving all others.
pub(super) async fn keep_pinned(shared: Arc<Shared>, loaded: watch::Sender<bool>) {
    let mut ticks = interval(PINNED_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match shared.store.pinned_tenants().await {
            Ok(pinned) => {
                let absent = pinned.into_iter().filter(|tenant| shared.registry.entry(*tenant).is_none());
                let loads = absent.map(|tenant| warm_up(&shared, tenant));
                futures_util::future::join_all(loads).await;
                loaded.send_replace(true);
            }
            Err(error) if !*loaded.borrow() => {
                warn!(error = &error as &dyn std::error::Error, "cannot ask the database which tenants are pinned");
            }
            // Reconciling says it.
            Err(_) => {}
        }
    }
}

async fn warm_up(shared: &Shared, tenant: TenantId) {
    let (reply, loaded) = oneshot::channel();
    let waiter = Waiter { revision_min: None, reply, _permit: None };
    if shared.tell(SupervisorMsg::Ensure { tenant, waiter }).is_err() {
        return;
    }
    if !matches!(timeout(FIRST_LOAD_WAIT, loaded).await, Ok(Ok(Ok(_)))) {
        warn!(%tenant, "a pinned tenant cannot be loaded");
    }
}
