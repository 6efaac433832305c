//! When requests are due in an open loop: at even distances, whatever the service does.
//!
//! A thread of its own gives the permits, since the runtime's timers wake a millisecond late. When all are given it
//! waits for those not taken yet, for a bounded time; what is left then was never sent, and is reported.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// The times at which requests are due; shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Schedule>);

#[derive(Debug)]
struct Schedule {
    rate: f64,
    total: u64,
    grace: Duration,
    taken: AtomicU64,
    permits: Semaphore,
}

impl Pace {
    /// `rate` requests a second for `duration`; what is left then is still sent within `grace`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates and durations are positive, and their product is a number of requests"
    )]
    pub fn new(rate: f64, duration: Duration, grace: Duration) -> Self {
        let total = (rate * duration.as_secs_f64()) as u64;
        Self(Arc::new(Schedule { rate, total, grace, taken: AtomicU64::new(0), permits: Semaphore::new(0) }))
    }

    /// Gives permits from `start` on, each when its request is due.
    pub fn begin(&self, start: Instant) {
        let pace = self.clone();
        thread::spawn(move || pace.give(start));
    }

    fn give(&self, start: Instant) {
        let Schedule { total, permits, grace, .. } = &*self.0;
        let mut given = 0;
        while given < *total {
            let now = Instant::now();
            let mut due = 0;
            while given < *total && self.due(start, given) <= now {
                given += 1;
                due += 1;
            }
            permits.add_permits(due);
            thread::sleep(self.due(start, given).saturating_duration_since(Instant::now()));
        }
        let end = self.due(start, *total) + *grace;
        while self.missed() > 0 && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        permits.close();
    }

    /// Waits until a request is due, and answers when it was; `None` at the end.
    pub async fn next(&self, start: Instant) -> Option<Instant> {
        self.0.permits.acquire().await.ok()?.forget();
        let number = self.0.taken.fetch_add(1, Ordering::Relaxed);
        Some(self.due(start, number))
    }

    /// Requests that were due, or will be, and were not sent.
    pub fn missed(&self) -> u64 {
        self.0.total.saturating_sub(self.0.taken.load(Ordering::Relaxed))
    }

    #[expect(clippy::cast_precision_loss, reason = "a run has fewer requests than a double has whole numbers")]
    fn due(&self, start: Instant, number: u64) -> Instant {
        start + Duration::from_secs_f64(number as f64 / self.0.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn every_request_is_due_at_its_time_and_none_before() {
        let pace = Pace::new(1_000.0, Duration::from_millis(50), GRACE);
        let start = Instant::now();
        pace.begin(start);
        let mut number = 0;
        while let Some(due) = pace.next(start).await {
            assert_eq!(due, start + Duration::from_millis(number));
            assert!(Instant::now() >= due);
            number += 1;
        }
        assert_eq!((number, pace.missed()), (50, 0));
    }

    #[tokio::test]
    async fn a_stall_does_not_move_the_times_of_later_requests() {
        let pace = Pace::new(1_000.0, Duration::from_millis(20), GRACE);
        let start = Instant::now();
        pace.begin(start);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let first = pace.next(start).await.unwrap();
        assert!(first.elapsed() >= Duration::from_millis(30), "the stall is part of the latency");
        assert_eq!(pace.next(start).await.unwrap(), start + Duration::from_millis(1));
        assert_eq!(pace.missed(), 18);
    }

    #[tokio::test]
    async fn without_grace_nothing_is_sent_after_the_end() {
        let pace = Pace::new(1_000.0, Duration::from_millis(20), Duration::ZERO);
        let start = Instant::now();
        pace.begin(start);
        pace.next(start).await.unwrap();
        while !pace.0.permits.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((pace.next(start).await, pace.missed()), (None, 19));
    }
}
