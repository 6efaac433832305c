//! What is known of one tenant in memory, and the hints for its actor. What it serves is in the registry.
//!
//! Decisions read it, its actor writes it, and the supervisor marks it; it outlives a failed actor.

pub mod hints;
pub mod live_set;
mod mailbox;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};

use self::{
    hints::{Hints, Want},
    live_set::{LiveSet, Usage},
    mailbox::Mailbox,
};
use crate::{domain::Revision, ruleset::CompileReport};

/// What is known of one tenant in memory. Outlives a failed actor.
#[derive(Debug)]
pub struct Resident {
    used_at_ms: AtomicU64,
    /// What its actor is to look into.
    pub hints: Hints,
    /// The newest revision that the database is known to hold.
    known: AtomicI64,
    /// The revision last read to be compiled, whatever became of it.
    tried: AtomicI64,
    /// Since when it has been known to serve an older revision than is stored; 0 if it never was.
    behind_since_ms: AtomicU64,
    memory_bytes: AtomicU64,
    /// The bytes of all tenants of the registry, among which these are as long as this exists.
    total_bytes: Arc<AtomicU64>,
    quarantined: AtomicBool,
    /// Messages for its actor.
    pub mailbox: Mailbox,
    usage: Arc<Usage>,
    record: Mutex<Record>,
}

/// What happened to a tenant since it came into memory, for operators.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// How often another actor took a failed one's place.
    pub restarts: u32,
    /// What went wrong last.
    pub last_error: Option<Box<Failure>>,
    /// What was loaded last.
    pub last_load: Option<LastLoad>,
}

/// A load that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLoad {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long reading and compiling took.
    pub took: Duration,
    /// The revision read.
    pub revision: Revision,
    /// Rules and derived fields compiled, and those carried over from the set before.
    pub report: CompileReport,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in words for operators.
    pub message: String,
}

impl Resident {
    /// One that serves nothing yet, and counts as used at `now_ms`. What it will take counts among `total_bytes`.
    pub fn new(now_ms: u64, total_bytes: Arc<AtomicU64>) -> Self {
        Self {
            used_at_ms: AtomicU64::new(now_ms),
            hints: Hints::new(),
            known: AtomicI64::new(0),
            tried: AtomicI64::new(0),
            behind_since_ms: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            total_bytes,
            quarantined: AtomicBool::new(false),
            mailbox: Mailbox::default(),
            usage: Arc::default(),
            record: Mutex::default(),
        }
    }

    /// `set` is served from now on, in place of `before`. Only the registry calls this.
    pub fn published(&self, set: &LiveSet, before: Option<&LiveSet>) {
        let bytes = set.memory_bytes();
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total_bytes.fetch_sub(self.memory_bytes.swap(bytes, Ordering::Relaxed), Ordering::Relaxed);
        if before.is_some_and(|before| before.epoch() != set.epoch()) {
            // What was known is of another history.
            self.known.store(set.revision().0, Ordering::Relaxed);
        } else {
            self.known.fetch_max(set.revision().0, Ordering::Relaxed);
        }
    }

    /// Notes a use: one relaxed store, and none where it was noted already, so that cores need not take turns with it.
    #[inline]
    pub fn used(&self, now_ms: u64) {
        if self.used_at_ms() != now_ms {
            self.used_at_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// When it was used last, on the registry's clock.
    pub fn used_at_ms(&self) -> u64 {
        self.used_at_ms.load(Ordering::Relaxed)
    }

    /// What its rules take in memory, as estimated.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Where decisions are counted.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// How long it has been known at `now_ms` to be stored at a newer revision than `served`.
    pub fn lag_ms(&self, served: Option<Revision>, now_ms: u64) -> u64 {
        let behind_since_ms = self.behind_since_ms.load(Ordering::Relaxed);
        match served {
            Some(served) if behind_since_ms > 0 && served.0 < self.known.load(Ordering::Relaxed) => {
                now_ms.saturating_sub(behind_since_ms)
            }
            _ => 0,
        }
    }

    /// `revision` was read at `now_ms`, and is about to be compiled, while `served` is served.
    pub fn trying(&self, revision: Revision, served: Option<Revision>, now_ms: u64) {
        self.tried.store(revision.0, Ordering::Relaxed);
        // A tenant that serves nothing yet is not behind.
        self.learn(revision, served.unwrap_or(revision), now_ms);
    }

    /// The database holds `revision`, and this serves `served`.
    fn learn(&self, revision: Revision, served: Revision, now_ms: u64) {
        // Behind since the first revision that is not served, not since the newest.
        if self.known.load(Ordering::Relaxed) <= served.0 && served < revision {
            self.behind_since_ms.store(now_ms, Ordering::Relaxed);
        }
        self.known.fetch_max(revision.0, Ordering::Relaxed);
    }

    /// Whether the database holds something that has not been tried. From then on it counts as tried.
    pub fn take_untried(&self) -> bool {
        let known = self.known.load(Ordering::Relaxed);
        known > self.tried.fetch_max(known, Ordering::Relaxed)
    }

    /// Whether its actor failed too often.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Only the supervisor calls this.
    pub fn set_quarantined(&self, quarantined: bool) {
        self.quarantined.store(quarantined, Ordering::Relaxed);
    }

    /// What happened to it.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what went wrong.
    pub fn failed(&self, message: String) {
        self.record().last_error = Some(Box::new(Failure { at: Utc::now(), message }));
    }

    /// Keeps a hint that came while `served` was served. Answers whether the actor must be told. `known_ms`: as in
    /// [`Hints::keep`].
    pub fn hint(&self, want: Want, served: Option<Revision>, now_ms: u64, known_ms: u64) -> bool {
        if let Want::AtLeast(revision) = want {
            self.learn(revision, served.unwrap_or(Revision(0)), now_ms);
        }
        self.hints.keep(want, known_ms)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.total_bytes.fetch_sub(self.memory_bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{RuleSet, fixture::tenant_alone};

    fn set(revision: i64, resident: &Resident) -> Arc<LiveSet> {
        let mut snapshot = tenant_alone();
        snapshot.tenant.revision = Revision(revision);
        Arc::new(LiveSet::new(RuleSet::compile(&snapshot, None), resident.usage().clone()))
    }

    #[test]
    fn a_tenant_lags_since_the_first_revision_that_it_does_not_serve() {
        let resident = Resident::new(10, Arc::default());
        let served = |revision| Some(Revision(revision));
        let publish = |revision, before: &mut Option<Arc<LiveSet>>| {
            let set = set(revision, &resident);
            resident.published(&set, before.as_deref());
            *before = Some(set);
        };
        let mut before = None;
        resident.trying(Revision(3), None, 1_000);
        assert_eq!(resident.lag_ms(None, 1_500), 0, "nothing is served yet");
        publish(3, &mut before);
        assert_eq!(resident.lag_ms(served(3), 9_000), 0);
        resident.hint(Want::AtLeast(Revision(3)), served(3), 9_000, 0);
        assert_eq!(resident.lag_ms(served(3), 9_000), 0);
        // Found by a load that nobody hinted at, as after a reload that an operator asked for.
        resident.trying(Revision(4), served(3), 10_000);
        resident.hint(Want::AtLeast(Revision(5)), served(3), 10_700, 0);
        assert_eq!(resident.lag_ms(served(3), 11_000), 1_000);
        publish(4, &mut before);
        assert_eq!(resident.lag_ms(served(4), 11_000), 1_000, "known to be older still");
        publish(5, &mut before);
        assert_eq!(resident.lag_ms(served(5), 12_000), 0);
        resident.hint(Want::AtLeast(Revision(6)), served(5), 20_000, 0);
        assert_eq!(resident.lag_ms(served(5), 20_250), 250);
    }
}
