//! Which tenants are in memory, and what each serves: the one place that decisions look at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use ractor::{ActorId, ActorRef};

use super::{
    hints::Hints,
    reload::{self, Want},
    tenant,
};
use crate::{
    domain::{Revision, TenantId},
    ruleset::RuleSet,
};

/// One tenant in memory. Outlives a failed actor, so that decisions go on while another one takes its place.
#[derive(Debug)]
pub struct Resident {
    set: ArcSwapOption<RuleSet>,
    used_at_ms: AtomicU64,
    /// What its actor is to look into.
    pub hints: Hints,
}

impl Resident {
    fn new(now_ms: u64) -> Self {
        Self { set: ArcSwapOption::empty(), used_at_ms: AtomicU64::new(now_ms), hints: Hints::new() }
    }

    /// What is served now.
    pub fn set(&self) -> Option<Arc<RuleSet>> {
        self.set.load_full()
    }

    /// The revision served now.
    pub fn revision(&self) -> Option<Revision> {
        self.set.load().as_ref().map(|set| set.revision())
    }

    /// Serves `set` from now on. Only the tenant's actor calls this.
    pub fn publish(&self, set: Arc<RuleSet>) {
        self.set.store(Some(set));
    }
}

/// A tenant in memory together with the actor that keeps it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it serves.
    pub resident: Arc<Resident>,
    /// Who keeps it.
    pub actor: ActorRef<tenant::Msg>,
}

/// All tenants in memory. Only the supervisor adds and removes.
#[derive(Debug)]
pub struct Registry {
    entries: DashMap<TenantId, Entry>,
    began: Instant,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self { entries: DashMap::new(), began: Instant::now() }
    }

    /// Milliseconds since the registry was made: the clock of the last uses.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What `tenant` serves, if it is in memory and loaded, and since when it may be behind. Counts as a use of it:
    /// one relaxed store.
    pub fn serving(&self, tenant: TenantId) -> Option<(Arc<RuleSet>, u64)> {
        let entry = self.entries.get(&tenant)?;
        entry.resident.used_at_ms.store(self.now_ms(), Ordering::Relaxed);
        // First the time: a set that is published in between makes it too early, not too late.
        let behind_since_ms = entry.resident.hints.behind_since_ms();
        Some((entry.resident.set()?, behind_since_ms))
    }

    /// The tenant, if it is in memory.
    pub fn entry(&self, tenant: TenantId) -> Option<Entry> {
        self.entries.get(&tenant).map(|entry| entry.value().clone())
    }

    /// A place for a tenant that is about to get an actor.
    pub fn vacancy(&self) -> Arc<Resident> {
        Arc::new(Resident::new(self.now_ms()))
    }

    /// Adds a tenant, or gives one another actor.
    pub fn insert(&self, tenant: TenantId, entry: Entry) {
        self.entries.insert(tenant, entry);
    }

    /// Removes a tenant.
    pub fn remove(&self, tenant: TenantId) -> Option<Entry> {
        self.entries.remove(&tenant).map(|(_, entry)| entry)
    }

    /// Removes a tenant if `actor` keeps it.
    pub fn remove_of(&self, tenant: TenantId, actor: ActorId) -> Option<Entry> {
        self.entries.remove_if(&tenant, |_, entry| entry.actor.get_id() == actor).map(|(_, entry)| entry)
    }

    /// Removes a tenant if it has not been used for `idle`.
    pub fn remove_idle(&self, tenant: TenantId, idle: Duration) -> Option<Entry> {
        let before = self.idle_before(idle)?;
        self.entries.remove_if(&tenant, |_, entry| used_at(entry) <= before).map(|(_, entry)| entry)
    }

    /// Tenants that have not been used for `idle`, and beyond `count_max` those used least recently.
    pub fn evictable(&self, idle: Duration, count_max: usize) -> Evictable {
        let mut used: Vec<(u64, TenantId)> =
            self.entries.iter().map(|entry| (used_at(entry.value()), *entry.key())).collect();
        let before = self.idle_before(idle);
        let surplus_count = used.len().saturating_sub(count_max);
        if surplus_count > 0 {
            used.sort_unstable();
        }
        let surplus = used.iter().take(surplus_count).map(|(_, tenant)| *tenant).collect();
        let idle = used.iter().skip(surplus_count).filter(|(at, _)| before.is_some_and(|before| *at <= before));
        Evictable { surplus, idle: idle.map(|(_, tenant)| *tenant).collect() }
    }

    fn idle_before(&self, idle: Duration) -> Option<u64> {
        self.now_ms().checked_sub(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX))
    }

    /// Tells a tenant's actor that the database may hold something newer; tenants that are not in memory need none.
    /// `known_ms`: as in [`Hints::keep`].
    pub fn hint(&self, tenant: TenantId, want: Want, known_ms: u64) {
        let Some(entry) = self.entries.get(&tenant) else { return };
        if reload::is_news(want, entry.resident.revision()) && entry.resident.hints.keep(want, known_ms) {
            // An actor that has failed is told when it is started again.
            let _ = entry.actor.cast(tenant::Msg::Hinted);
        }
    }

    /// The tenants in memory with the revision each serves.
    pub fn revisions(&self) -> Vec<(TenantId, Option<Revision>)> {
        self.entries.iter().map(|entry| (*entry.key(), entry.resident.revision())).collect()
    }

    /// How many tenants are in memory.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Tenants that may leave memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Evictable {
    /// Because there are too many.
    pub surplus: Vec<TenantId>,
    /// Because nobody has used them.
    pub idle: Vec<TenantId>,
}

fn used_at(entry: &Entry) -> u64 {
    entry.resident.used_at_ms.load(Ordering::Relaxed)
}
