//! Which tenants are in memory, and what each serves: the one place that decisions look at.

mod seat;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use foldhash::quality::RandomState;
use ractor::{ActorId, ActorRef};

pub use self::seat::{Room, Seat};
use crate::{
    domain::{Revision, Tenant, TenantId},
    engine::{
        clock::{Clock, millis},
        message::{self, CountedMsg, HintHold, TenantMsg},
        options::FIRST_LOAD_WAIT,
        resident::{Resident, hints::Want, live_set::LiveSet},
    },
};

/// A tenant in memory together with the actor that keeps it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is known of it.
    pub resident: Arc<Resident>,
    /// Who keeps it.
    pub actor: ActorRef<CountedMsg>,
    /// What it serves. Nobody else holds it for long.
    set: Option<Arc<LiveSet>>,
}

impl Entry {
    /// What it serves; `None` before the first load has ended.
    pub fn set(&self) -> Option<&Arc<LiveSet>> {
        self.set.as_ref()
    }

    /// The revision that it serves.
    pub fn revision(&self) -> Option<Revision> {
        self.set.as_ref().map(|set| set.revision())
    }

    /// How long it has been known at `now_ms` to serve an older revision than is stored.
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        self.resident.lag_ms(self.revision(), now_ms)
    }

    /// Holds its hints while a commit is under way.
    pub fn hold_hints(&self) -> HintHold {
        let (resident, actor) = (self.resident.clone(), self.actor.clone());
        // An actor that has failed is told when it is started again.
        HintHold::new(self.resident.clone(), move || {
            let _ = message::send(&actor, &resident, TenantMsg::Hinted);
        })
    }

    /// Sends to its actor. One that has failed takes nothing: then the message comes back.
    pub fn send(&self, message: TenantMsg) -> Result<(), Option<TenantMsg>> {
        message::send(&self.actor, &self.resident, message)
    }
}

/// What a decision needs of a tenant in memory.
#[derive(Debug)]
pub struct Serving {
    /// What it serves.
    pub set: Arc<LiveSet>,
    /// Since when it may be behind, on the clock of the node's freshness.
    pub behind_since_ms: u64,
}

/// All tenants in memory. Only the supervisor adds and removes.
#[derive(Debug)]
pub struct Registry {
    entries: DashMap<TenantId, Entry, RandomState>,
    /// Tenants that have been removed, and whose actor has not ended yet: how many such actors.
    leaving: DashMap<TenantId, usize>,
    memory_bytes: Arc<AtomicU64>,
    clock: Clock,
}

impl Registry {
    /// An empty one, whose last uses are times of `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { entries: DashMap::default(), leaving: DashMap::new(), memory_bytes: Arc::default(), clock }
    }

    /// The time by the clock of the last uses.
    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// `tenant`, with what it serves, if it is in memory and loaded. Counts as a use of it at `now_ms`.
    #[inline]
    pub fn serving(&self, tenant: TenantId, now_ms: u64) -> Option<Serving> {
        let entry = self.entries.get(&tenant)?;
        entry.resident.used(now_ms);
        // First the time: a set that is published in between makes it too early, not too late.
        let behind_since_ms = entry.resident.hints.behind_since_ms();
        Some(Serving { set: entry.set.clone()?, behind_since_ms })
    }

    /// What `read` makes of the settings of a tenant in memory. No use of it.
    #[inline]
    pub fn settings<T>(&self, tenant: TenantId, read: impl FnOnce(&Tenant) -> T) -> Option<T> {
        let entry = self.entries.get(&tenant)?;
        entry.set.as_ref().map(|set| read(set.tenant()))
    }

    /// Decisions of `tenant` are made with `set` from now on, if `resident` is still what is known of it. Answers
    /// whether it is. Only the tenant's actor calls this.
    pub fn publish(&self, tenant: TenantId, resident: &Arc<Resident>, set: Arc<LiveSet>) -> bool {
        let Some(mut entry) = self.entries.get_mut(&tenant).filter(|entry| Arc::ptr_eq(&entry.resident, resident))
        else {
            return false;
        };
        let before = entry.set.replace(set.clone());
        // Many rules take a while to drop, and others of the registry would wait for it.
        drop(entry);
        resident.published(&set, before.as_deref());
        true
    }

    /// The tenant, if it is in memory.
    pub fn entry(&self, tenant: TenantId) -> Option<Entry> {
        self.entries.get(&tenant).map(|entry| entry.value().clone())
    }

    /// The tenant, if it is in memory and `resident` is what is known of it.
    pub fn entry_of(&self, tenant: TenantId, resident: &Arc<Resident>) -> Option<Entry> {
        self.entry(tenant).filter(|entry| Arc::ptr_eq(&entry.resident, resident))
    }

    /// A place for a tenant that is about to get an actor.
    pub fn vacancy(&self) -> Arc<Resident> {
        Arc::new(Resident::new(self.now_ms(), self.memory_bytes.clone()))
    }

    /// Adds a tenant, or gives one another actor: then it goes on serving what it served.
    pub fn insert(&self, tenant: TenantId, resident: Arc<Resident>, actor: ActorRef<CountedMsg>) -> Entry {
        let set = self.entry_of(tenant, &resident).and_then(|entry| entry.set);
        let entry = Entry { resident, actor, set };
        self.entries.insert(tenant, entry.clone());
        entry
    }

    /// Removes a tenant.
    pub fn remove(&self, tenant: TenantId) -> Option<Entry> {
        self.entries.remove(&tenant).map(|(_, entry)| entry)
    }

    /// Removes a tenant if `actor` keeps it.
    pub fn remove_of(&self, tenant: TenantId, actor: ActorId) -> Option<Entry> {
        self.entries.remove_if(&tenant, |_, entry| entry.actor.get_id() == actor).map(|(_, entry)| entry)
    }

    /// Removes a tenant if it still has not been used for its idle time.
    pub fn remove_idle(&self, tenant: TenantId, idle_stop: Duration) -> Option<Entry> {
        let now_ms = self.now_ms();
        let idle = |seat: Seat| !seat.stays && seat.is_idle(now_ms);
        self.entries.remove_if(&tenant, |_, entry| idle(seat(tenant, entry, idle_stop, now_ms))).map(|(_, entry)| entry)
    }

    /// The tenants in memory, as far as leaving it is concerned: those that nobody has used for their idle time, and the
    /// others as well if there are more than `room` allows. `idle_stop` is for those without a time of their own.
    pub fn seats(&self, idle_stop: Duration, room: Room) -> Vec<Seat> {
        let now_ms = self.now_ms();
        let is_crowded = room.is_exceeded(self.len(), self.memory_bytes());
        let seats = self.entries.iter().map(|entry| seat(*entry.key(), entry.value(), idle_stop, now_ms));
        // There may be very many, and hardly ever one that is to leave.
        seats.filter(|seat| is_crowded || seat.is_idle(now_ms)).collect()
    }

    /// Tells a tenant's actor that the database may hold something newer; tenants that are not in memory need none.
    /// Answers whether that is for the supervisor to act on: the tenant is in quarantine, where no actor runs, and has
    /// not been tried with it. `known_ms`: as in [`Hints::keep`](crate::engine::resident::hints::Hints::keep).
    pub fn hint(&self, tenant: TenantId, want: Want, known_ms: u64) -> bool {
        let Some(entry) = self.entries.get(&tenant) else { return false };
        // The entry is locked: nothing is published between the two looks.
        let served = entry.revision();
        if entry.resident.hints.is_news(want, served) && entry.resident.hint(want, served, self.now_ms(), known_ms) {
            // An actor that has failed is told when it is started again.
            let _ = entry.send(TenantMsg::Hinted);
        }
        entry.resident.is_quarantined() && (want == Want::Fresh || entry.resident.take_untried())
    }

    /// The tenants in memory with the revision each serves.
    pub fn revisions(&self) -> Vec<(TenantId, Option<Revision>)> {
        self.entries.iter().map(|entry| (*entry.key(), entry.revision())).collect()
    }

    /// The tenants in memory whose id is greater than `after`, in order.
    pub fn ids_after(&self, after: Option<TenantId>) -> Vec<TenantId> {
        let beyond = |id: &TenantId| after.is_none_or(|after| *id > after);
        let mut ids: Vec<TenantId> = self.entries.iter().map(|entry| *entry.key()).filter(beyond).collect();
        ids.sort_unstable();
        ids
    }

    /// Looks at every tenant in memory.
    pub fn each(&self, mut look: impl FnMut(TenantId, &Entry)) {
        self.entries.iter().for_each(|entry| look(*entry.key(), entry.value()));
    }

    /// A tenant that was removed has an actor that has not ended yet.
    pub fn begin_leaving(&self, tenant: TenantId) {
        *self.leaving.entry(tenant).or_insert(0) += 1;
    }

    /// The actor of a tenant that was removed has ended.
    pub fn has_left(&self, tenant: TenantId) {
        if let Some(mut actors) = self.leaving.get_mut(&tenant) {
            *actors = actors.saturating_sub(1);
        }
        self.leaving.remove_if(&tenant, |_, actors| *actors == 0);
    }

    /// Whether an actor of a tenant that was removed has not ended yet.
    pub fn is_leaving(&self, tenant: TenantId) -> bool {
        self.leaving.contains_key(&tenant)
    }

    /// The tenants removed whose actor has not ended yet.
    pub fn leaving(&self) -> Vec<TenantId> {
        self.leaving.iter().map(|entry| *entry.key()).collect()
    }

    /// What the rules of all tenants take, as estimated, those among them whose actor has not ended yet.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// How many tenants are in memory.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn seat(tenant: TenantId, entry: &Entry, idle_stop: Duration, now_ms: u64) -> Seat {
    let resident = &entry.resident;
    let settings = entry.set.as_ref().map(|set| set.tenant());
    let own = settings.and_then(|tenant| tenant.idle_stop_seconds).map(|time| Duration::from_secs(time.into()));
    Seat {
        tenant,
        used_at_ms: resident.used_at_ms(),
        idle_stop_ms: millis(own.unwrap_or(idle_stop)),
        memory_bytes: resident.memory_bytes(),
        stays: settings.is_none() && is_awaited(resident.used_at_ms(), now_ms)
            || resident.is_quarantined()
            || settings.is_some_and(|tenant| tenant.pinned),
    }
}

/// Whether callers may wait for the first load of a tenant that was asked for at `used_at_ms`. One that was stopped
/// meanwhile would begin again, and never end where loads take longer than the time between two stops.
pub fn is_awaited(used_at_ms: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(used_at_ms) < millis(FIRST_LOAD_WAIT)
}
