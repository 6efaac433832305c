//! How recently this node was known to hold what the database holds.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// When this node last compared itself with the database.
#[derive(Debug)]
pub struct Freshness {
    began: Instant,
    stale_after_ms: u64,
    synchronised_at_ms: AtomicU64,
    listening: AtomicBool,
}

impl Freshness {
    /// A node that begins now. It counts as fresh: what it serves it must load first.
    pub fn new(stale_after: Duration) -> Self {
        Self {
            began: Instant::now(),
            stale_after_ms: millis(stale_after),
            synchronised_at_ms: AtomicU64::new(0),
            listening: AtomicBool::new(false),
        }
    }

    /// The database was asked at `at` what changed, and everything it answered has been passed on.
    pub fn synchronised(&self, at: Instant) {
        let at_ms = millis(at.saturating_duration_since(self.began));
        self.synchronised_at_ms.fetch_max(at_ms, Ordering::Relaxed);
    }

    /// Whether changes are heard as they happen.
    pub fn set_listening(&self, listening: bool) {
        self.listening.store(listening, Ordering::Relaxed);
    }

    /// Whether changes are heard as they happen.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last comparison.
    pub fn age_ms(&self) -> u64 {
        millis(self.began.elapsed()).saturating_sub(self.synchronised_at_ms.load(Ordering::Relaxed))
    }

    /// Whether the promised bound is exceeded.
    pub fn is_stale(&self) -> bool {
        self.age_ms() > self.stale_after_ms
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
