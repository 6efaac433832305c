//! How much time one statement of a list looks at: more with each, while that is quick.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::events::floor;
use crate::domain::EventId;

/// What the first statement looks at.
const MIN: TimeDelta = TimeDelta::hours(1);
/// What one statement looks at, at most.
const MAX: TimeDelta = TimeDelta::days(7);
/// A statement that takes no longer is quick.
const QUICK: Duration = Duration::from_millis(100);

/// The time that the next statement looks at.
#[derive(Debug)]
pub(super) struct Window(TimeDelta);

impl Default for Window {
    fn default() -> Self {
        Self(MIN)
    }
}

impl Window {
    /// Where a statement begins that looks at ids before this one. Before `now` there may be some, after it hardly any.
    pub fn before(&self, upper: Uuid, now: DateTime<Utc>) -> Uuid {
        floor(EventId(upper).received_at().min(now) - self.0)
    }

    /// Where a statement ends that looks at ids from this one on.
    pub fn after(&self, lower: Uuid) -> Uuid {
        floor(EventId(lower).received_at() + self.0)
    }

    /// A statement took so long.
    pub fn took(&mut self, time: Duration) {
        if time < QUICK {
            self.0 = (self.0 * 2).min(MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_while_statements_are_quick_and_no_further_than_a_week() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (mut window, ahead) = (Window::default(), floor(now + TimeDelta::days(1)));
        assert_eq!(window.before(ahead, now), floor(now - TimeDelta::hours(1)));
        assert_eq!(window.after(floor(now)), floor(now + TimeDelta::hours(1)));
        window.took(Duration::from_millis(1));
        window.took(QUICK);
        assert_eq!(window.before(ahead, now), floor(now - TimeDelta::hours(2)));
        (0..20).for_each(|_| window.took(Duration::ZERO));
        assert_eq!(window.before(ahead, now), floor(now - TimeDelta::days(7)));
    }
}
