//! When the supervisor is asked to sweep: at once, or after a pause if the last sweep could not free enough, since each
//! sweep looks at all tenants in memory.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Pause after a sweep that could not free enough.
const PAUSE_MS: u64 = 200;

/// Whether the supervisor has been asked to sweep, and when it may be asked again.
#[derive(Debug, Default)]
pub struct SweepThrottle {
    asked: AtomicBool,
    not_before_ms: AtomicU64,
}

impl SweepThrottle {
    /// A limit is exceeded: how long to wait before the supervisor is asked to sweep. `None` if a sweep that has not
    /// begun was already asked for.
    pub fn ask(&self, now_ms: u64) -> Option<Duration> {
        let is_first = !self.asked.swap(true, Ordering::SeqCst);
        let wait_ms = self.not_before_ms.load(Ordering::SeqCst).saturating_sub(now_ms);
        is_first.then(|| Duration::from_millis(wait_ms))
    }

    /// The sweep begins. It may miss what comes into memory from now on, so that has to ask again.
    pub fn begin(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// The sweep could not free enough: a limit is still exceeded.
    pub fn insufficient(&self, now_ms: u64) {
        self.not_before_ms.store(now_ms + PAUSE_MS, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_asked_for_once_until_it_begins() {
        let throttle = SweepThrottle::default();
        assert_eq!(throttle.ask(1_000), Some(Duration::ZERO));
        assert_eq!(throttle.ask(1_000), None);
        throttle.begin();
        assert_eq!(throttle.ask(1_000), Some(Duration::ZERO));
    }

    #[test]
    fn after_a_sweep_that_freed_too_little_the_next_one_waits() {
        let throttle = SweepThrottle::default();
        throttle.begin();
        throttle.insufficient(1_000);
        assert_eq!(throttle.ask(1_050), Some(Duration::from_millis(PAUSE_MS - 50)));
        assert_eq!(throttle.ask(1_060), None, "one request serves all");
        throttle.begin();
        assert_eq!(throttle.ask(1_000 + PAUSE_MS), Some(Duration::ZERO));
    }
}
