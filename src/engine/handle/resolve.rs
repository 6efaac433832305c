//! What decisions are made with: the rule set that a tenant serves, at once if it is in memory, else when it is loaded.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use super::Engine;
#[cfg(test)]
use crate::ruleset::RuleSet;
use crate::{
    domain::{Quota, Revision, TenantId, TenantScope, TenantStatus},
    engine::{
        error::Error,
        message::{Missing, SupervisorMsg, Waiter},
        options::FIRST_LOAD_WAIT,
        registry::Serving,
        resident::{hints::NOT_BEHIND, live_set::LiveSet},
    },
    ruleset::Decision,
};

/// A rule set to decide with.
#[derive(Debug, Clone)]
pub struct Served {
    /// The set.
    pub set: Arc<LiveSet>,
    /// Whether it may be older than the promised bound: the database has been out of reach for longer, or this tenant
    /// is known to be behind for longer.
    pub stale: bool,
}

impl Served {
    /// A set that nobody else serves.
    #[cfg(test)]
    pub fn of(rules: RuleSet) -> Self {
        Self { set: Arc::new(LiveSet::new(rules, Arc::default())), stale: false }
    }

    /// Counts a decision made with the set.
    pub fn decided(&self, decision: &Decision<'_>, took: Duration) {
        self.set.decided(decision, took);
    }
}

impl Engine {
    /// The tenant's rule set, loaded if need be. With `min_revision`, at least that revision: waits for it as long as
    /// the setting allows. A suspended tenant has none to decide with.
    #[inline]
    pub async fn rule_set(&self, scope: TenantScope, min_revision: Option<Revision>) -> Result<Served, Error> {
        let tenant = scope.id();
        let served = match self.served(tenant) {
            Some(served) if min_revision.is_none_or(|revision| served.set.revision() >= revision) => served,
            // In a box: decisions that need not wait have a small future.
            served => Box::pin(self.awaited(tenant, min_revision, served.map(|served| served.set))).await?,
        };
        if served.set.tenant().status == TenantStatus::Suspended {
            return Err(Error::TenantSuspended);
        }
        Ok(served)
    }

    /// How much a tenant in memory may use of something. No use of it, and nothing is loaded.
    pub fn known_quota(&self, scope: TenantScope, quota: Quota) -> Option<u64> {
        let entry = self.inner.shared.registry.entry(scope.id())?;
        entry.set().map(|set| set.tenant().quota(quota))
    }

    /// What is served of a tenant in memory. Counts as a use of it.
    #[inline]
    fn served(&self, tenant: TenantId) -> Option<Served> {
        let shared = &*self.inner.shared;
        let now_ms = shared.clock.now_ms();
        let Serving { set, behind_since_ms } = shared.registry.serving(tenant, now_ms)?;
        Some(Served { set, stale: shared.freshness.is_stale_since(behind_since_ms, now_ms) })
    }

    async fn awaited(
        &self,
        tenant: TenantId,
        min_revision: Option<Revision>,
        served: Option<Arc<LiveSet>>,
    ) -> Result<Served, Error> {
        let shared = &self.inner.shared;
        shared.metrics.resident_miss();
        let set = self.wait_for(tenant, min_revision, served).await?;
        let entry = shared.registry.entry(tenant);
        let behind_since_ms = entry.map_or(NOT_BEHIND, |entry| entry.resident.hints.behind_since_ms());
        let stale = shared.freshness.is_stale_since(behind_since_ms, shared.clock.now_ms());
        Ok(Served { set, stale })
    }

    async fn wait_for(
        &self,
        tenant: TenantId,
        min_revision: Option<Revision>,
        served: Option<Arc<LiveSet>>,
    ) -> Result<Arc<LiveSet>, Error> {
        let set = match served {
            Some(set) => set,
            None => self.ensure(tenant, None, FIRST_LOAD_WAIT).await?.ok_or(Error::LoadFailed)?,
        };
        if min_revision.is_none_or(|revision| set.revision() >= revision) {
            return Ok(set);
        }
        let reached = self.ensure(tenant, min_revision, self.inner.shared.options.min_revision_wait).await?;
        reached.ok_or_else(|| Error::RevisionNotReached { current: set.revision() })
    }

    /// Has the tenant's actor see to it that a set of at least `revision_min` is served; `None` if that takes longer
    /// than `wait`.
    pub(super) async fn ensure(
        &self,
        tenant: TenantId,
        revision_min: Option<Revision>,
        wait: Duration,
    ) -> Result<Option<Arc<LiveSet>>, Error> {
        let permit = self.inner.waiting.clone().try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { revision_min, reply, _permit: Some(permit) };
        let ensure = SupervisorMsg::Ensure { tenant, waiter };
        self.inner.shared.tell(ensure)?;
        match timeout(wait, answer).await {
            Err(_) => Ok(None),
            Ok(Ok(Ok(set))) => Ok(Some(set)),
            Ok(Ok(Err(Missing::Tenant))) => Err(Error::TenantNotFound),
            // The actor failed before it could answer.
            Ok(Ok(Err(Missing::Load)) | Err(_)) => Err(Error::LoadFailed),
        }
    }
}
