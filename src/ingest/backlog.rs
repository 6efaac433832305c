//! How many undecided events each tenant has, so that it has no more than it may: counted now and then, and since then
//! by what this node accepts.

use std::time::Duration;

use dashmap::DashMap;
use tokio::time::Instant;

use super::{Error, Shared};
use crate::domain::{Quota, QuotaExceeded, TenantId, TenantScope};

/// How often a tenant's events are counted at most; and no more than this share of the time is spent on it.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
const COUNT_SHARE: u32 = 20;
/// From so many tenants on, those that have sent nothing for a while are forgotten.
const TENANTS_MAX: usize = 20_000;
/// How long a full tenant is told to wait.
const RETRY_SECONDS: std::ops::RangeInclusive<u64> = 1..=300;

/// What is known of a tenant's undecided events.
#[derive(Debug, Clone, Copy)]
struct Backlog {
    counted_at: Instant,
    /// When they are counted again.
    count_at: Instant,
    /// How many there were then.
    pending: u64,
    /// How many this node has accepted since.
    accepted: u64,
    /// How many this node is about to store.
    reserved: u64,
    /// Whether they have been counted at all.
    is_counted: bool,
    /// How many are decided each second, as far as is known.
    decided_per_second: u64,
}

/// What is known of all tenants' undecided events.
#[derive(Debug, Default)]
pub struct Backlogs(DashMap<TenantId, Backlog>);

/// Places for events that are about to be stored. Given back when it is dropped.
#[derive(Debug)]
pub struct Reservation<'a> {
    backlogs: &'a Backlogs,
    tenant: TenantId,
    limit: u64,
    /// For how many there was room.
    granted: u64,
    /// How many there were, with those that others had reserved.
    pending: u64,
    decided_per_second: u64,
}

impl Reservation<'_> {
    /// For how many events there is room.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Why there is room for no more.
    pub fn refusal(&self) -> Error {
        full(self.pending, self.limit, self.decided_per_second)
    }

    /// So many of them have been stored, as events that were not known before.
    pub fn stored(self, events: u64) {
        if let Some(mut entry) = self.backlogs.0.get_mut(&self.tenant) {
            entry.accepted += events;
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(mut entry) = self.backlogs.0.get_mut(&self.tenant) {
            entry.reserved = entry.reserved.saturating_sub(self.granted);
        }
    }
}

/// Why a tenant that may have `limit` undecided events, and has `pending`, may send no more.
fn full(pending: u64, limit: u64, decided_per_second: u64) -> Error {
    let excess = pending.saturating_sub(limit - limit / 10);
    let seconds = excess.div_ceil(decided_per_second.max(1));
    Error::BacklogFull {
        exceeded: QuotaExceeded { quota: Quota::EventBacklog, limit, used: pending },
        retry_after: seconds.clamp(*RETRY_SECONDS.start(), *RETRY_SECONDS.end()),
    }
}

/// Why a queue that holds `limit` events takes no more; how fast they are decided is not known.
#[cfg(feature = "rabbitmq")]
pub fn full_queue(limit: u64) -> Error {
    full(limit, limit, 100)
}

impl Backlogs {
    /// Reserves room for up to `wanted` events of a tenant that may have `limit`.
    pub async fn reserve(&self, shared: &Shared, scope: TenantScope, limit: u64, wanted: u64) -> Reservation<'_> {
        if let Some(before) = self.due(scope.id()) {
            let began = Instant::now();
            let position = shared.owner.position(scope.id());
            // What cannot be counted cannot be stored either; who stores says so.
            if let Ok(pending) =
                shared.store.count_pending(scope, position, limit.saturating_add(1), shared.now()).await
            {
                self.counted(scope.id(), before, pending, began);
            }
        }
        self.take(scope.id(), limit, wanted)
    }

    fn take(&self, tenant: TenantId, limit: u64, wanted: u64) -> Reservation<'_> {
        let (mut granted, mut pending, mut decided_per_second) = (wanted, 0, 0);
        if let Some(mut entry) = self.0.get_mut(&tenant) {
            pending = entry.pending + entry.accepted + entry.reserved;
            granted = wanted.min(limit.saturating_sub(pending));
            decided_per_second = entry.decided_per_second;
            entry.reserved += granted;
        }
        Reservation { backlogs: self, tenant, limit, granted, pending, decided_per_second }
    }

    /// What was known, if it is time to count; others go on with that meanwhile, but for the first time.
    fn due(&self, tenant: TenantId) -> Option<Backlog> {
        let now = Instant::now();
        if self.0.len() >= TENANTS_MAX && !self.0.contains_key(&tenant) {
            self.0.retain(|_, backlog| now.duration_since(backlog.counted_at) < Duration::from_secs(60));
        }
        let mut is_due = false;
        let mut entry = self.0.entry(tenant).or_insert_with(|| {
            is_due = true;
            Backlog {
                counted_at: now,
                count_at: now,
                pending: 0,
                accepted: 0,
                reserved: 0,
                is_counted: false,
                decided_per_second: 100,
            }
        });
        let before = *entry;
        if !is_due && entry.is_counted && entry.count_at > now {
            return None;
        }
        entry.count_at = now + COUNT_INTERVAL;
        Some(before)
    }

    fn counted(&self, tenant: TenantId, before: Backlog, pending: u64, began: Instant) {
        let Some(mut entry) = self.0.get_mut(&tenant) else { return };
        let decided = (before.pending + before.accepted).saturating_sub(pending);
        let seconds = began.duration_since(before.counted_at).as_secs();
        if seconds > 0 && decided > 0 {
            entry.decided_per_second = (decided / seconds).max(1);
        }
        entry.pending = pending;
        entry.is_counted = true;
        // What was accepted while it was counted may be counted twice, until the next time.
        entry.accepted = entry.accepted.saturating_sub(before.accepted);
        entry.counted_at = began;
        entry.count_at = Instant::now() + COUNT_INTERVAL.max(began.elapsed() * COUNT_SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(backlogs: &Backlogs, pending: u64, decided_per_second: u64) -> Reservation<'_> {
        Reservation { backlogs, tenant: TenantId::generate(), limit: 1_000, granted: 0, pending, decided_per_second }
    }

    #[test]
    fn those_who_send_at_once_share_what_room_there_is() {
        let (backlogs, tenant) = (Backlogs::default(), TenantId::generate());
        let before = backlogs.due(tenant).unwrap();
        assert!(backlogs.due(tenant).is_some(), "nobody knows how many there are, until they are counted");
        backlogs.counted(tenant, before, 40, Instant::now());
        let (one, other) = (backlogs.take(tenant, 100, 50), backlogs.take(tenant, 100, 50));
        assert_eq!((one.granted(), other.granted()), (50, 10));
        // Forty of them were duplicates.
        one.stored(10);
        assert_eq!(backlogs.take(tenant, 100, 50).granted(), 40);
        drop(other);
        assert_eq!(backlogs.take(tenant, 100, 60).granted(), 50);
    }

    #[test]
    fn a_full_tenant_is_told_when_a_tenth_is_free() {
        let backlogs = Backlogs::default();
        let after = |pending, decided_per_second| match reservation(&backlogs, pending, decided_per_second).refusal() {
            Error::BacklogFull { retry_after, .. } => retry_after,
            error => panic!("{error}"),
        };
        assert_eq!(after(1_000, 10), 10);
        assert_eq!(after(1_000, 7), 15);
        assert_eq!(after(1_000, 1_000), 1);
        assert_eq!(after(1_000_000, 1), 300);
        assert_eq!(after(1_000, 0), 100);
    }

    #[test]
    fn what_is_accepted_counts_at_once_and_what_is_decided_at_the_next_count() {
        let (backlogs, tenant) = (Backlogs::default(), TenantId::generate());
        let before = backlogs.due(tenant).unwrap();
        backlogs.counted(tenant, before, 5, Instant::now());
        assert!(backlogs.due(tenant).is_none());
        backlogs.take(tenant, 100, 7).stored(7);
        let known = |backlogs: &Backlogs| backlogs.0.get(&tenant).map(|b| (b.pending, b.accepted)).unwrap();
        assert_eq!(known(&backlogs), (5, 7));
        let before = *backlogs.0.get(&tenant).unwrap();
        backlogs.take(tenant, 100, 1).stored(1);
        backlogs.counted(tenant, before, 2, Instant::now() + Duration::from_secs(2));
        assert_eq!(known(&backlogs), (2, 1));
        assert_eq!(backlogs.0.get(&tenant).unwrap().decided_per_second, 5);
    }
}
