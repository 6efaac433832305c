//! The clock of an engine: milliseconds since it began, for times of use and for staleness.

use std::time::{Duration, Instant};

/// How far the quick clock may lag behind: the tick of a kernel that ticks as seldom as any does.
const TICK_MS: u64 = 10;

/// When an engine began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    ticked_at_ms: u64,
}

impl Clock {
    /// One that begins now.
    pub fn start() -> Self {
        Self { ticked_at_ms: ticked_ms(), began: Instant::now() }
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Now, never early and at most two ticks late: the kernel's clock as of its last tick costs a decision a fifth of
    /// the exact one. That it is never early keeps decisions from being marked stale too late.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        ticked_ms().saturating_sub(self.ticked_at_ms) + TICK_MS
    }
}

/// Milliseconds since some moment, as of the last tick.
#[cfg(target_os = "linux")]
#[inline]
fn ticked_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds * 1_000 + nanos / 1_000_000
}

/// Seconds of the epoch, as of the last tick.
#[cfg(target_os = "linux")]
#[inline]
pub fn unix_seconds() -> i64 {
    rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec
}

/// Seconds of the epoch.
#[cfg(not(target_os = "linux"))]
pub fn unix_seconds() -> i64 {
    chrono::Utc::now().timestamp()
}

/// Milliseconds since some moment.
#[cfg(not(target_os = "linux"))]
fn ticked_ms() -> u64 {
    use std::sync::OnceLock;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    millis(BEGAN.get_or_init(Instant::now).elapsed())
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_clock_is_never_early_and_two_ticks_late_at_most() {
        let clock = Clock::start();
        while clock.began().elapsed() < Duration::from_millis(50) {
            let before_ms = millis(clock.began().elapsed());
            let now_ms = clock.now_ms();
            let after_ms = millis(clock.began().elapsed());
            assert!(now_ms >= before_ms, "{now_ms} {before_ms}");
            assert!(now_ms <= after_ms + 2 * TICK_MS, "{now_ms} {after_ms}");
        }
    }
}
