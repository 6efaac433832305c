//! How recently this node was known to hold what the database holds. The time is passed in.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::clock::millis;

/// When this node last compared itself with the database.
#[derive(Debug)]
pub struct Freshness {
    began: Instant,
    stale_after_ms: u64,
    synchronised_at_ms: AtomicU64,
    listening: AtomicBool,
}

impl Freshness {
    /// A node that begins at `now`. It counts as fresh: what it serves it must load first.
    pub fn new(stale_after: Duration, now: Instant) -> Self {
        Self {
            began: now,
            stale_after_ms: millis(stale_after),
            synchronised_at_ms: AtomicU64::new(0),
            listening: AtomicBool::new(false),
        }
    }

    /// The database was asked at `at` what changed, and everything it answered has been passed on.
    pub fn synchronised(&self, at: Instant) {
        self.synchronised_at_ms.fetch_max(self.millis_at(at), Ordering::Relaxed);
    }

    /// The last of these moments, in milliseconds since this node began. What changed before it has been passed on.
    #[inline]
    pub fn synchronised_at_ms(&self) -> u64 {
        self.synchronised_at_ms.load(Ordering::Relaxed)
    }

    /// Whether changes are heard as they happen.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Whether changes are heard as they happen.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last comparison, at `now_ms` since this node began.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.synchronised_at_ms())
    }

    /// Whether the promised bound is exceeded, for all tenants.
    pub fn is_stale(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) > self.stale_after_ms
    }

    /// Whether the promised bound is exceeded for a tenant that may be behind since `behind_since_ms`, in milliseconds
    /// since this node began: the database may answer, and the tenant not load.
    #[inline]
    pub fn is_stale_since(&self, behind_since_ms: u64, now_ms: u64) -> bool {
        let since_ms = self.synchronised_at_ms().min(behind_since_ms);
        now_ms.saturating_sub(since_ms) > self.stale_after_ms
    }

    /// `at` in milliseconds since this node began.
    pub fn millis_at(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::resident::hints::NOT_BEHIND;

    #[test]
    fn a_tenant_that_does_not_load_is_stale_though_the_database_answers() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let freshness = Freshness::new(Duration::from_secs(2), began);
        freshness.synchronised(at(5_000));
        assert!(!freshness.is_stale(7_000));
        assert!(freshness.is_stale(7_001));
        assert!(!freshness.is_stale_since(NOT_BEHIND, 7_000));
        assert!(!freshness.is_stale_since(4_000, 6_000));
        assert!(freshness.is_stale_since(4_000, 6_001));
    }
}
