//! How tenants are doing on this node: what operators see. Nothing is decided by it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Engine;
use crate::{
    domain::{Revision, Tenant, TenantId, TenantScope, Tier},
    engine::{
        error::Error,
        pool::TierWork,
        registry::Entry,
        resident::{Failure, LastLoad, live_set::Used},
        shared::Shared,
    },
    store::{Page, PageRequest},
};

/// The name of the list that cursors belong to.
const LIST: &str = "runtime tenants";
/// Tenants of the database that one page looks at, at most, where those in memory are left out.
const COLD_LOOKS_MAX: u32 = 5_000;

/// What a tenant is doing on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuntimeState {
    /// It is not in memory; the next request loads it.
    Cold,
    /// It is being loaded for the first time.
    Loading,
    /// It is served as the database has it.
    Ready,
    /// It is served, and for longer than promised it has not been known to be as the database has it.
    Stale,
    /// Its actor failed too often; its last good rule set is served, if it has one.
    Quarantined,
    /// It has left memory, and its actor has not ended yet.
    Stopping,
}

impl RuntimeState {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Cold, Self::Loading, Self::Ready, Self::Stale, Self::Quarantined, Self::Stopping];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Stale => "stale",
            Self::Quarantined => "quarantined",
            Self::Stopping => "stopping",
        }
    }
}

/// How a tenant is doing on this node.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantRuntime {
    /// The tenant as the database has it; `None` while the database does not answer.
    pub stored: Option<Tenant>,
    /// Its id.
    pub tenant_id: TenantId,
    /// What it is doing.
    pub state: RuntimeState,
    /// How it is in memory; `None` where it is not.
    pub resident: Option<ResidentRuntime>,
}

/// How a tenant in memory is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidentRuntime {
    /// The tenant as it is served; `None` before the first load.
    pub served: Option<Tenant>,
    /// How long it has been known to serve an older revision than is stored.
    pub lag_ms: u64,
    /// Active rules, broken ones among them.
    pub rules_active: usize,
    /// Rules and derived fields that do not compile.
    pub rules_broken: usize,
    /// What the rules take in memory, as estimated.
    pub memory_bytes: u64,
    /// What decisions have taken since it came into memory.
    pub used: Used,
    /// When it was used last.
    pub last_used_at: DateTime<Utc>,
    /// What was loaded last.
    pub last_load: Option<LastLoad>,
    /// How often a failed actor was started again.
    pub restarts: u32,
    /// What went wrong last.
    pub last_error: Option<Failure>,
}

/// What there is in memory, all together.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// How many tenants are in each state.
    states: HashMap<RuntimeState, usize>,
    /// What their rules take.
    memory_bytes: u64,
    /// Messages that their actors have not begun with.
    messages: usize,
    /// Those of the actor that has the most.
    messages_max: usize,
}

impl Shared {
    /// As decisions are marked.
    fn is_stale(&self, entry: &Entry) -> bool {
        self.freshness.is_stale_since(entry.resident.hints.behind_since_ms(), self.clock.now_ms())
    }

    fn state_of(&self, entry: &Entry) -> RuntimeState {
        let lag_ms = entry.lag_ms(self.clock.now_ms());
        if entry.resident.is_quarantined() {
            RuntimeState::Quarantined
        } else if entry.revision().is_none() {
            RuntimeState::Loading
        } else if self.is_stale(entry) || u128::from(lag_ms) > self.options.stale_after.as_millis() {
            RuntimeState::Stale
        } else {
            RuntimeState::Ready
        }
    }

    /// Looks at all tenants in memory.
    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        self.registry.each(|_, entry| {
            *census.states.entry(self.state_of(entry)).or_insert(0) += 1;
            census.memory_bytes += entry.resident.memory_bytes();
            let messages = entry.resident.mailbox.messages();
            census.messages += messages;
            census.messages_max = census.messages_max.max(messages);
        });
        census.states.insert(RuntimeState::Stopping, self.registry.leaving().len());
        census
    }

    fn runtime(&self, tenant_id: TenantId, stored: Option<Tenant>) -> TenantRuntime {
        let Some(entry) = self.registry.entry(tenant_id) else {
            let leaving = self.registry.is_leaving(tenant_id);
            let state = if leaving { RuntimeState::Stopping } else { RuntimeState::Cold };
            return TenantRuntime { stored, tenant_id, state, resident: None };
        };
        let (resident, now_ms) = (&entry.resident, self.clock.now_ms());
        let set = entry.set();
        let record = resident.record().clone();
        let unused_ms = i64::try_from(now_ms.saturating_sub(resident.used_at_ms())).unwrap_or(i64::MAX);
        let runtime = ResidentRuntime {
            served: set.map(|set| set.tenant().clone()),
            lag_ms: entry.lag_ms(now_ms),
            rules_active: set.map_or(0, |set| set.active_rules()),
            rules_broken: set.map_or(0, |set| set.broken().len()),
            memory_bytes: resident.memory_bytes(),
            used: resident.usage().read(),
            last_used_at: Utc::now() - TimeDelta::try_milliseconds(unused_ms).unwrap_or_default(),
            last_load: record.last_load,
            restarts: record.restarts,
            last_error: record.last_error.map(|failure| *failure),
        };
        TenantRuntime { stored, tenant_id, state: self.state_of(&entry), resident: Some(runtime) }
    }
}

impl Engine {
    /// Writes down what there is in memory, for the metrics.
    pub fn take_census(&self) {
        let shared = &self.inner.shared;
        let Census { states, memory_bytes, messages, messages_max } = shared.census();
        for state in RuntimeState::ALL.into_iter().filter(|state| *state != RuntimeState::Cold) {
            shared.metrics.resident_tenants(state.name(), states.get(&state).copied().unwrap_or(0));
        }
        shared.metrics.memory_bytes(memory_bytes);
        shared.metrics.log.waiting(shared.recorder.len());
        shared.metrics.tenant_mailboxes(messages, messages_max);
        shared.metrics.load.pressure(self.is_under_pressure());
        let work = Tier::ALL.map(|tier| self.pool_work(tier));
        shared.metrics.load.evaluation_pool("active", work.iter().map(|work| work.active).sum());
        shared.metrics.load.evaluation_pool("waiting", work.iter().map(|work| work.waiting).sum());
        for tier in Tier::ALL {
            shared.metrics.load.evaluation(tier.name(), self.tier_standing(tier).evaluation);
        }
    }

    /// How the work of a tier stands in the evaluation pool.
    pub fn pool_work(&self, tier: Tier) -> TierWork {
        self.inner.pool.as_ref().map_or_else(TierWork::default, |pool| pool.work_of(tier))
    }

    /// How a tenant is doing on this node. One in memory is told of also while the database does not answer.
    pub async fn runtime(&self, scope: TenantScope) -> Result<TenantRuntime, Error> {
        let tenant = scope.id();
        let shared = &self.inner.shared;
        let stored = match shared.store.tenant(scope).await {
            Ok(Some(stored)) => Some(stored),
            Ok(None) => return Err(Error::TenantNotFound),
            Err(_) if shared.registry.entry(tenant).is_some() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(shared.runtime(tenant, stored))
    }

    /// How tenants are doing on this node, in the order of their ids: those in one of `states`, or all if there are
    /// none. A page may hold fewer than asked for and still not be the last.
    pub async fn runtimes(&self, states: &[RuntimeState], page: &PageRequest) -> Result<Page<TenantRuntime>, Error> {
        let after: Option<TenantId> = page.after(LIST)?;
        if states.is_empty() || states.contains(&RuntimeState::Cold) {
            self.stored_runtimes(states, after, page).await
        } else {
            self.resident_runtimes(states, after, page).await
        }
    }

    /// Walks through the tenants in the database.
    async fn stored_runtimes(
        &self,
        states: &[RuntimeState],
        after: Option<TenantId>,
        page: &PageRequest,
    ) -> Result<Page<TenantRuntime>, Error> {
        let shared = &self.inner.shared;
        // Without a choice of states each row is shown; with one, many may not be.
        let looks = if states.is_empty() { page.limit + 1 } else { COLD_LOOKS_MAX };
        let stored = shared.store.tenants_by_id(after, looks).await?;
        let read_all = stored.len() < looks as usize;
        let last_looked_at = stored.last().map(|tenant| tenant.id);
        let runtimes = stored.into_iter().map(|tenant| shared.runtime(tenant.id, Some(tenant)));
        let shown = runtimes.filter(|runtime| states.is_empty() || states.contains(&runtime.state)).collect();
        let mut page = page.page(LIST, shown, |runtime| runtime.tenant_id);
        if page.next_cursor.is_none() && !read_all {
            page.next_cursor = last_looked_at.and_then(|id| PageRequest::cursor_at(LIST, &id));
        }
        Ok(page)
    }

    /// Walks through the tenants in memory; the database only adds what it has of them.
    async fn resident_runtimes(
        &self,
        states: &[RuntimeState],
        after: Option<TenantId>,
        page: &PageRequest,
    ) -> Result<Page<TenantRuntime>, Error> {
        let shared = &self.inner.shared;
        let mut ids = shared.registry.ids_after(after);
        if states.contains(&RuntimeState::Stopping) {
            let known: HashSet<TenantId> = ids.iter().copied().collect();
            let beyond = |id: &TenantId| after.is_none_or(|after| *id > after) && !known.contains(id);
            ids.extend(shared.registry.leaving().into_iter().filter(beyond));
            ids.sort_unstable();
        }
        let runtimes = ids.into_iter().map(|id| shared.runtime(id, None));
        let shown = runtimes.filter(|runtime| states.contains(&runtime.state)).take(page.limit as usize + 1).collect();
        let mut page: Page<TenantRuntime> = page.page(LIST, shown, |runtime: &TenantRuntime| runtime.tenant_id);
        let ids: Vec<TenantId> = page.items.iter().map(|runtime| runtime.tenant_id).collect();
        if let Ok(stored) = shared.store.tenants_of(&ids).await {
            let mut stored: HashMap<TenantId, Tenant> = stored.into_iter().map(|tenant| (tenant.id, tenant)).collect();
            page.items.iter_mut().for_each(|runtime| runtime.stored = stored.remove(&runtime.tenant_id));
        }
        Ok(page)
    }
}

impl TenantRuntime {
    /// The revision that this node serves.
    pub fn revision(&self) -> Option<Revision> {
        self.resident.as_ref()?.served.as_ref().map(|tenant| tenant.revision)
    }

    /// The tenant as it is known best.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.stored.as_ref().or_else(|| self.resident.as_ref()?.served.as_ref())
    }
}
