//! What reconciling asks and what its answers mean: pure. The connection and the timer are in `follow`.

use std::time::{Duration, Instant};

use crate::{domain::Revision, engine::resident::hints::Want};

/// How often every tenant in memory is compared, whatever the change log says.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// When every tenant in memory is compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedule {
    /// When that was begun last and ended well, with nothing having failed since.
    compared_at: Option<Instant>,
}

impl Schedule {
    /// Whether to compare everything at `now`. `heard_gap`: the listener says that it may have missed something.
    pub fn is_due(&self, heard_gap: bool, now: Instant) -> bool {
        heard_gap || self.compared_at.is_none_or(|at| now.saturating_duration_since(at) >= COMPARE_INTERVAL)
    }

    /// What was asked at `began` has been answered, and everything was compared.
    pub fn compared(&mut self, began: Instant) {
        self.compared_at = Some(began);
    }

    /// An attempt failed. What it may have skipped is found by comparing everything.
    pub fn failed(&mut self) {
        self.compared_at = None;
    }
}

/// What a row of the change log hints at. `stored` is `None` for a deletion.
pub fn told(stored: Option<Revision>) -> Want {
    stored.map_or(Want::Fresh, Want::AtLeast)
}

/// What is stored, against what was served before the question was asked: less counts, too.
pub fn compared(stored: Option<Revision>, served: Option<Revision>) -> Want {
    match (stored, served) {
        // The database went back: a load will tell.
        (Some(stored), Some(served)) if stored < served => Want::Fresh,
        _ => told(stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_compared_at_first_after_a_gap_after_a_failure_and_every_minute() {
        let began = Instant::now();
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(false, began));
        schedule.compared(began);
        assert!(!schedule.is_due(false, began + Duration::from_secs(59)));
        assert!(schedule.is_due(true, began + Duration::from_secs(1)));
        assert!(schedule.is_due(false, began + Duration::from_secs(60)));
        schedule.failed();
        assert!(schedule.is_due(false, began + Duration::from_secs(1)));
    }

    #[test]
    fn the_log_can_only_tell_of_more_and_a_comparison_of_less_too() {
        let revision = |number| Some(Revision(number));
        let at_least = |number| Want::AtLeast(Revision(number));
        for (stored, served, by_log, by_comparison) in [
            (revision(2), revision(1), at_least(2), at_least(2)),
            (revision(2), revision(2), at_least(2), at_least(2)),
            (revision(1), revision(2), at_least(1), Want::Fresh),
            (revision(1), None, at_least(1), at_least(1)),
            (None, revision(1), Want::Fresh, Want::Fresh),
            (None, None, Want::Fresh, Want::Fresh),
        ] {
            assert_eq!(told(stored), by_log, "{stored:?} {served:?}");
            assert_eq!(compared(stored, served), by_comparison, "{stored:?} {served:?}");
        }
    }
}
