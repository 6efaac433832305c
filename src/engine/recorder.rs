//! Recording evaluations beside the requests that ask for them: a ring of bounded size, emptied into the database every
//! 200 ms (`follow/record`). What finds no room is dropped; a request waits for nothing, unless it asked to.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::{metrics::Dropped, resident::live_set::LiveSet};
use crate::{
    domain::{Quota, RuleId, SchemaVersion, TenantId, micros},
    store::{LeftOut, RecordedDecision},
};

/// Entries that wait at most.
const ENTRIES_MAX: usize = 50_000;
/// Bytes that they have together at most.
const BYTES_MAX: usize = 64 << 20;
/// Bytes of facts that are kept with a decision at most.
pub const FACTS_BYTES_MAX: usize = 32 << 10;
/// Entries that one statement stores.
pub const BATCH: usize = 1_000;
/// Bytes that an entry has beside its facts, about.
const ENTRY_BYTES: usize = 512;
/// Tenants up to which the counts of the day are kept, and then begun anew.
const TENANTS_MAX: usize = 100_000;

/// An evaluation that is to be recorded, as the request left it.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// The set that decided.
    pub set: Arc<LiveSet>,
    /// The request that asked.
    pub request_id: Option<String>,
    /// The facts as they were sent; `None` if they are not kept.
    pub facts: Option<Box<str>>,
    /// Why they are not.
    pub left_out: Option<LeftOut>,
    /// Which rules were asked for, if not all that are active.
    pub selection: Option<Value>,
    /// The rules that matched.
    pub matched: Vec<RuleId>,
    /// The errors of rules: the rule, a code, a message.
    pub errors: Vec<Value>,
    /// Units of cost.
    pub cost: u64,
    /// How long it took.
    pub took: Duration,
    /// What the rules read as `now`.
    pub evaluated_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// Who waits until it is stored.
    pub stored: Option<oneshot::Sender<()>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let facts = self.facts.as_ref().map_or(0, |facts| facts.len());
        ENTRY_BYTES + facts + size_of::<RuleId>() * self.matched.len() + 128 * self.errors.len()
    }

    /// What is stored of it: sensitive facts never are.
    pub fn row(&self) -> RecordedDecision {
        let mut left_out = self.left_out;
        let facts = self.facts.as_ref().and_then(|facts| self.set.kept_facts(facts)).map(|(facts, is_less)| {
            left_out = left_out.or(is_less.then_some(LeftOut::Sensitive));
            facts
        });
        RecordedDecision {
            tenant: self.set.tenant().id,
            id: self.id,
            request_id: self.request_id.clone(),
            revision: self.set.revision(),
            schema_version: self.set.schema_version().unwrap_or(SchemaVersion(0)),
            rule_set_hash: self.set.hash(),
            matched: self.matched.clone(),
            errors: Value::Array(self.errors.clone()),
            cost: self.cost,
            micros: micros(self.took),
            evaluated_at: self.evaluated_at,
            decided_at: self.decided_at,
            facts,
            left_out,
            selection: self.selection.clone(),
        }
    }
}

/// The ring, and how much each tenant has recorded today.
#[derive(Debug, Default)]
pub struct Recorder {
    ring: Mutex<Ring>,
    wake: Notify,
    days: Mutex<Days>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Entries that are being stored.
    in_hand: usize,
}

/// What tenants have recorded on a day.
#[derive(Debug, Default)]
struct Days {
    day: i64,
    counts: HashMap<TenantId, u64>,
}

impl Days {
    /// Counts one more of a tenant, if it may have more than `limit` allows.
    fn count(&mut self, tenant: TenantId, day: i64, limit: u64) -> bool {
        if self.day != day || self.counts.len() > TENANTS_MAX {
            (self.day, self.counts) = (day, HashMap::new());
        }
        let count = self.counts.entry(tenant).or_default();
        let may = *count < limit;
        *count += u64::from(may);
        may
    }
}

impl Ring {
    fn push(&mut self, entry: Entry) -> Result<(), Dropped> {
        let bytes = entry.bytes();
        if self.entries.len() >= ENTRIES_MAX || self.bytes + bytes > BYTES_MAX {
            return Err(Dropped::Full);
        }
        self.bytes += bytes;
        self.entries.push_back(entry);
        Ok(())
    }

    fn take(&mut self) -> Vec<Entry> {
        let count = self.entries.len().min(BATCH);
        let batch: Vec<Entry> = self.entries.drain(..count).collect();
        self.bytes -= batch.iter().map(Entry::bytes).sum::<usize>();
        self.in_hand += batch.len();
        batch
    }

    /// Puts back what could not be stored.
    fn put_back(&mut self, batch: Vec<Entry>) {
        self.in_hand -= batch.len();
        self.bytes += batch.iter().map(Entry::bytes).sum::<usize>();
        batch.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Takes an entry in, if there is room for it and its tenant may record more today. Nodes share what it may equally.
    pub fn record(&self, entry: Entry, nodes: u64) -> Result<(), Dropped> {
        let tenant = entry.set.tenant();
        let limit = tenant.quota(Quota::DecisionLogRows).div_ceil(nodes.max(1));
        let day = entry.decided_at.timestamp().div_euclid(86_400);
        if !lock(&self.days).count(tenant.id, day, limit) {
            return Err(Dropped::Quota);
        }
        let is_awaited = entry.stored.is_some();
        let mut ring = lock(&self.ring);
        ring.push(entry)?;
        if is_awaited || ring.entries.len() == BATCH {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The next entries to be stored. Each is then [`Recorder::done`] or put back.
    pub fn take(&self) -> Vec<Entry> {
        lock(&self.ring).take()
    }

    /// So many entries that were taken are stored, or never will be.
    pub fn done(&self, count: usize) {
        let mut ring = lock(&self.ring);
        ring.in_hand = ring.in_hand.saturating_sub(count);
    }

    /// Puts back what could not be stored.
    pub fn put_back(&self, batch: Vec<Entry>) {
        lock(&self.ring).put_back(batch);
    }

    /// Wakes one of those that store.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends when there is something to be stored soon.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Entries that are not stored yet.
    pub fn len(&self) -> usize {
        let ring = lock(&self.ring);
        ring.entries.len() + ring.in_hand
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Tier,
        engine::Served,
        ruleset::{RuleSet, fixture},
    };

    fn entry(facts: &str) -> Entry {
        let mut snapshot = fixture::tenant();
        snapshot.tenant.tier = Tier::Free;
        Entry {
            id: Uuid::now_v7(),
            set: Served::of(RuleSet::compile(&snapshot, None)).set,
            request_id: None,
            facts: Some(facts.into()),
            left_out: None,
            selection: None,
            matched: Vec::new(),
            errors: Vec::new(),
            cost: 0,
            took: Duration::ZERO,
            evaluated_at: DateTime::UNIX_EPOCH,
            decided_at: DateTime::UNIX_EPOCH,
            stored: None,
        }
    }

    #[test]
    fn the_ring_takes_no_more_than_it_may_hold_and_forgets_no_byte() {
        let recorder = Recorder::default();
        let facts = "x".repeat(FACTS_BYTES_MAX);
        let mut taken = 0;
        while recorder.record(entry(&facts), 1).is_ok() {
            taken += 1;
        }
        assert!((1_900..2_100).contains(&taken), "{taken}");
        assert_eq!(recorder.record(entry(&facts), 1), Err(Dropped::Full));
        let mut ring = lock(&recorder.ring);
        let batch = ring.take();
        assert_eq!((batch.len(), ring.in_hand), (BATCH, BATCH));
        let first = batch[0].id;
        ring.put_back(batch);
        assert_eq!((ring.entries[0].id, ring.entries.len(), ring.in_hand), (first, taken, 0));
        while !ring.take().is_empty() {}
        assert_eq!((ring.bytes, ring.entries.len(), ring.in_hand), (0, 0, taken));
    }

    #[test]
    fn a_tenant_records_no_more_in_a_day_than_its_quota() {
        let (mut days, tenant) = (Days::default(), TenantId::generate());
        assert_eq!((0..5).filter(|_| days.count(tenant, 1, 3)).count(), 3);
        assert!(days.count(TenantId::generate(), 1, 3));
        assert_eq!((0..5).filter(|_| days.count(tenant, 2, 3)).count(), 3);
    }

    #[test]
    fn sensitive_facts_are_not_in_what_is_stored() {
        let definition = serde_json::json!({"facts": {"age": "int", "ssn": {"type": "string", "sensitive": true}}});
        let set = RuleSet::compile(&fixture::with_schema(&definition), None);
        let given = Entry { set: Served::of(set).set, ..entry(r#"{"age": 3, "ssn": "canary", "more": "canary"}"#) };
        let row = given.row();
        assert_eq!((row.facts.as_deref(), row.left_out), (Some(r#"{"age":3}"#), Some(LeftOut::Sensitive)));
    }
}
