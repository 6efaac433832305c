//! Counts of decisions, from the threads that decide to the database.
//!
//! A thread adds to a tally that it shares with few others or none, so that no two take turns with one number; a decision
//! that matches nothing adds to one entry. Tallies are gathered when they are full, and each time counts are flushed.
//! What is written is in `flush`; how often, in `follow/counts`.

pub mod flush;

use std::{
    cell::Cell,
    collections::HashMap,
    mem::take,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;

use self::flush::Waiting;
use super::{clock, metrics::Metrics, resident::live_set::LiveSet};
use crate::{
    analytics::{Counts, Hour, Slot, Tally},
    domain::{DecisionSource, TenantId, micros},
    ruleset::{Decision, Query},
};

/// Tallies that threads have among them: more than there are threads that decide, as a rule.
const SHARDS: usize = 64;
/// Additions after which a tally is gathered.
const SHARD_ADDITIONS_MAX: usize = 4_096;
/// Counts that wait to be written. New ones beyond are left out.
const COUNTS_MAX: usize = 1_000_000;
/// The code of an error for want of a fact.
const MISSING: &str = "no_such_field";

/// What this node has counted and not written yet.
#[derive(Debug)]
pub struct Counting {
    shards: Box<[Shard]>,
    gathered: Mutex<Gathered>,
    /// What is being written, or is to be written again.
    waiting: tokio::sync::Mutex<Waiting>,
    metrics: Metrics,
}

/// In a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Additions>);

#[derive(Debug, Default)]
struct Additions {
    tenants: HashMap<TenantId, Tally, RandomState>,
    count: usize,
}

#[derive(Debug, Default)]
struct Gathered {
    tenants: HashMap<TenantId, Tally, RandomState>,
    /// How many counts these are, and how many of them are being written.
    len: usize,
    waiting: usize,
}

thread_local! {
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of this thread, from 0 on.
fn thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    THREAD.with(|thread| match thread.get() {
        Some(number) => number,
        None => {
            let number = THREADS.fetch_add(1, Ordering::Relaxed);
            thread.set(Some(number));
            number
        }
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counting {
    /// Nothing counted.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            gathered: Mutex::default(),
            waiting: tokio::sync::Mutex::default(),
            metrics,
        }
    }

    /// Counts a decision of a request.
    pub fn decided(&self, set: &LiveSet, query: &Query, decision: &Decision<'_>, took: Duration) {
        let now = clock::unix_seconds();
        let slot = Slot {
            hour: Hour(now.div_euclid(3_600)),
            revision: set.revision(),
            source: DecisionSource::Evaluate,
            project: Box::default(),
            kind: Box::default(),
        };
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let is_partial = query.rules.is_some() || query.tags.is_some();
        let has_matched = decision.matched_count > 0;
        let mut whole = Counts {
            decisions: 1,
            partial: i64::from(is_partial),
            matched: i64::from(has_matched),
            micros: number(micros(took)),
            cost: number(decision.cost),
            last_matched: if has_matched { now } else { 0 },
            ..Counts::default()
        };
        self.add(set.tenant().id, |tally| {
            let group = tally.group(slot);
            let mut additions = 1;
            if has_matched || decision.results.has_errors() {
                for (rule, matched, error) in decision.results.telling() {
                    let missing = i64::from(error.is_some_and(|error| error.code == MISSING));
                    let counts = Counts {
                        matched: i64::from(matched),
                        errors: i64::from(error.is_some()),
                        missing,
                        last_matched: if matched { now } else { 0 },
                        ..Counts::default()
                    };
                    whole.errors += counts.errors;
                    whole.missing += missing;
                    group.add_rule(rule, &counts);
                    additions += 1;
                }
            }
            if is_partial {
                for rule in set.asked_for(query) {
                    group.add_rule(rule, &Counts { selected: 1, ..Counts::default() });
                    additions += 1;
                }
            }
            group.add(&whole);
            additions
        });
    }

    /// Counts an event that was sent again.
    pub fn duplicate(&self, tenant: TenantId, at: DateTime<Utc>, project: &str, kind: &str) {
        self.add(tenant, |tally| {
            tally.add_duplicate(at, project, kind);
            1
        });
    }

    /// Adds to a tenant's counts; `add` answers how often it did.
    fn add(&self, tenant: TenantId, add: impl FnOnce(&mut Tally) -> usize) {
        let Some(shard) = self.shards.get(thread() % SHARDS) else { return };
        let mut additions = locked(&shard.0);
        additions.count += add(additions.tenants.entry(tenant).or_default());
        if additions.count >= SHARD_ADDITIONS_MAX {
            let full = take(&mut *additions);
            drop(additions);
            self.gather(full);
        }
    }

    /// Takes a tally over, as far as there is room.
    fn gather(&self, additions: Additions) {
        let mut gathered = locked(&self.gathered);
        let mut left_out = 0;
        for (tenant, tally) in additions.tenants {
            let room = COUNTS_MAX.saturating_sub(gathered.len + gathered.waiting);
            let (added, dropped) = gathered.tenants.entry(tenant).or_default().merge(tally, room);
            gathered.len += added;
            left_out += dropped;
        }
        drop(gathered);
        self.metrics.counts.dropped(left_out);
    }

    /// Takes over what all threads have counted.
    fn gather_all(&self) {
        for shard in &self.shards {
            let additions = take(&mut *locked(&shard.0));
            if additions.count > 0 {
                self.gather(additions);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::MetricRegistry;

    #[test]
    fn threads_count_together_and_nothing_is_lost_between_them() {
        const EACH: i64 = 10_000;
        let counting = Counting::new(Metrics::register(&mut MetricRegistry::new()));
        let tenants = [TenantId::generate(), TenantId::generate()];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..EACH {
                        let tenant = tenants[usize::try_from(number % 2).unwrap()];
                        counting.duplicate(tenant, DateTime::UNIX_EPOCH, "", if number % 3 == 0 { "a" } else { "b" });
                    }
                });
            }
        });
        counting.gather_all();
        let mut gathered = locked(&counting.gathered);
        assert_eq!(gathered.len, 4, "two types of two tenants");
        let rows = tenants.iter().flat_map(|tenant| gathered.tenants.remove(tenant).unwrap().rows());
        assert_eq!(rows.map(|row| row.counts.duplicates).sum::<i64>(), 4 * EACH);
    }

    #[test]
    fn when_there_is_no_room_what_is_known_goes_on_being_counted() {
        let counting = Counting::new(Metrics::register(&mut MetricRegistry::new()));
        let tenant = TenantId::generate();
        let count = |kind: &str| counting.duplicate(tenant, DateTime::UNIX_EPOCH, "", kind);
        count("known");
        counting.gather_all();
        locked(&counting.gathered).waiting = COUNTS_MAX - 1;
        for kind in ["known", "new", "known"] {
            count(kind);
            counting.gather_all();
        }
        let rows = locked(&counting.gathered).tenants.remove(&tenant).unwrap().rows();
        let counted: Vec<_> = rows.iter().map(|row| (&*row.slot.kind, row.counts.duplicates)).collect();
        assert_eq!(counted, [("known", 3)]);
    }
}
