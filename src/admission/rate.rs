//! The rate of a tenant: the generic cell rate algorithm (GCRA, ITU-T I.371), whose whole state is one time.
//!
//! The state is the theoretical arrival time: when all that was taken will have been earned. Something may be taken while
//! that time is no further ahead than the window. A rate that is changed applies to the next request: the state is a time,
//! and not a count.

use std::time::Duration;

/// The window in which a tenant that took nothing before may take its whole rate at once.
const WINDOW_NANOS: u64 = 60_000_000_000;

/// So many in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How long it takes to earn one, rounded up: never more than the rate is given.
    interval: u64,
    /// How many in a minute here.
    limit: u64,
    /// How many in a minute everywhere.
    quota: u64,
}

/// What taking comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How many are granted.
    pub granted: u64,
    /// The state from now on.
    pub state: u64,
    /// When the next one that was not granted can be, from now on; zero if all were.
    pub wait: Duration,
}

/// How a rate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many may be taken now.
    pub left: u64,
    /// In how long one more may be taken if none is left, or else the whole rate.
    pub reset: Duration,
}

impl Rate {
    /// `limit` in a minute, at least one.
    pub fn per_minute(limit: u64) -> Self {
        let limit = limit.max(1);
        Self { interval: WINDOW_NANOS.div_ceil(limit), limit, quota: limit }
    }

    /// Its part for one of so many nodes, at least one in a minute.
    #[must_use]
    pub fn shared_by(self, nodes: u64) -> Self {
        Self { quota: self.quota, ..Self::per_minute(self.quota / nodes.max(1)) }
    }

    /// How many in a minute, over all nodes.
    pub fn quota(self) -> u64 {
        self.quota
    }

    /// How many in a minute, here.
    pub fn limit(self) -> u64 {
        self.limit
    }

    /// The window of [`Self::limit`].
    pub fn window(self) -> Duration {
        Duration::from_nanos(WINDOW_NANOS)
    }

    /// Takes up to `wanted` at `now`, in nanoseconds of a clock that never goes back. What is not granted costs nothing.
    #[inline]
    pub fn take(self, state: u64, now: u64, wanted: u64) -> Grant {
        let base = state.max(now);
        let granted = wanted.min(self.left(base, now));
        let state = base.saturating_add(self.interval.saturating_mul(granted));
        let wait = if granted < wanted { self.wait(state, now) } else { 0 };
        Grant { granted, state, wait: Duration::from_nanos(wait) }
    }

    /// The state after so many more, whether they are there or not. At most all of it is used up.
    pub fn charge(self, state: u64, now: u64, count: u64) -> u64 {
        let charged = state.max(now).saturating_add(self.interval.saturating_mul(count));
        charged.min(now.saturating_add(self.burst()).max(state))
    }

    /// How many are used up at `now`.
    pub fn used(self, state: u64, now: u64) -> u64 {
        self.limit.saturating_sub(self.standing(state, now).left)
    }

    /// How long it takes to earn so many.
    pub fn time_of(self, count: u64) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(count))
    }

    /// How the rate stands at `now`.
    pub fn standing(self, state: u64, now: u64) -> Standing {
        let base = state.max(now);
        let left = self.left(base, now);
        let reset = if left == 0 { self.wait(base, now) } else { base - now };
        Standing { left, reset: Duration::from_nanos(reset) }
    }

    /// How far ahead the state may be: as long as it takes to earn the whole rate.
    fn burst(self) -> u64 {
        self.interval.saturating_mul(self.limit)
    }

    fn left(self, base: u64, now: u64) -> u64 {
        self.burst().saturating_sub(base - now) / self.interval
    }

    fn wait(self, base: u64, now: u64) -> u64 {
        base.saturating_add(self.interval).saturating_sub(now).saturating_sub(self.burst())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of `wanted` are granted, and the state after.
    fn take(rate: Rate, state: &mut u64, now: u64, wanted: u64) -> u64 {
        let grant = rate.take(*state, now, wanted);
        *state = grant.state;
        grant.granted
    }

    #[test]
    fn a_minutes_worth_is_there_at_once_and_then_what_is_earned() {
        let rate = Rate::per_minute(100);
        let (mut state, begin) = (0, 1_000 * SECOND);
        assert_eq!(take(rate, &mut state, begin, 99), 99);
        assert_eq!(rate.standing(state, begin), Standing { left: 1, reset: Duration::from_millis(59_400) });
        assert_eq!(take(rate, &mut state, begin, 5), 1);
        let refused = rate.take(state, begin, 1);
        assert_eq!((refused.granted, refused.state, refused.wait), (0, state, Duration::from_millis(600)));
        assert_eq!(rate.standing(state, begin), Standing { left: 0, reset: Duration::from_millis(600) });
        assert_eq!(take(rate, &mut state, begin + 599_000_000, 1), 0);
        assert_eq!(take(rate, &mut state, begin + 600_000_000, 2), 1);
        assert_eq!(take(rate, &mut state, begin + 120 * SECOND, 1_000), 100);
    }

    #[test]
    fn a_changed_rate_applies_to_what_is_taken_next() {
        let begin = 1_000 * SECOND;
        let (slow, quick) = (Rate::per_minute(60), Rate::per_minute(6_000));
        let mut state = 0;
        assert_eq!(take(slow, &mut state, begin, 60), 60);
        assert_eq!(take(quick, &mut state, begin, 1), 0);
        assert_eq!(take(quick, &mut state, begin + SECOND, 200), 100);
        assert_eq!(take(slow, &mut state, begin + 2 * SECOND, 5), 1);
    }

    #[test]
    fn nodes_share_a_rate_evenly() {
        let (rate, begin) = (Rate::per_minute(100).shared_by(3), 1_000 * SECOND);
        assert_eq!((rate.quota(), rate.limit()), (100, 33));
        let mut state = 0;
        assert_eq!(take(rate, &mut state, begin, 100), 33);
        assert_eq!(take(rate, &mut state, begin + 61 * SECOND, 100), 33);
        assert_eq!(Rate::per_minute(2).shared_by(5).limit(), 1);
        assert_eq!(Rate::per_minute(7).shared_by(0), Rate::per_minute(7));
    }

    #[test]
    fn what_was_given_out_elsewhere_can_be_charged() {
        let (rate, begin) = (Rate::per_minute(100), 1_000 * SECOND);
        let state = rate.charge(0, begin, 30);
        assert_eq!((rate.used(state, begin), rate.used(state, begin + 6 * SECOND)), (30, 20));
        let state = rate.charge(state, begin, 1_000_000);
        assert_eq!((rate.used(state, begin), rate.take(state, begin, 1).wait), (100, Duration::from_millis(600)));
        assert_eq!(rate.time_of(5), Duration::from_secs(3));
    }

    #[test]
    fn the_end_of_time_is_not_reached() {
        let rate = Rate::per_minute(1);
        let grant = rate.take(u64::MAX, 1 << 63, 10);
        assert_eq!(grant.granted, 0);
        assert_eq!(rate.take(0, u64::MAX, 1).granted, 1);
        assert_eq!(Rate::per_minute(0).limit(), 1);
        assert_eq!(Rate::per_minute(u64::MAX).take(0, 0, u64::MAX).granted, u64::MAX);
    }

    proptest! {
        /// Of any stretch of time, no more than the rate allows in it and a minute's worth: by a count that keeps every
        /// grant.
        #[test]
        fn no_window_has_more_than_its_rate(
            limit in prop_oneof![1..2_000u64, Just(10_000_000)],
            asks in prop::collection::vec((0..5 * SECOND, 1..50u64), 1..200),
        ) {
            let rate = Rate::per_minute(limit);
            let (mut state, mut now) = (0, 0);
            let mut grants: Vec<(u64, u64)> = Vec::new();
            for (pause, wanted) in asks {
                now += pause;
                let granted = take(rate, &mut state, now, wanted);
                let wait = rate.take(state, now, 1).wait;
                if granted < wanted {
                    let at = now + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(wait > Duration::ZERO);
                    prop_assert_eq!(rate.take(state, at - 1, 1).granted, 0);
                    prop_assert_eq!(rate.take(state, at, 1).granted, 1);
                }
                grants.push((now, granted));
            }
            for (first, (from, _)) in grants.iter().enumerate() {
                let mut sum = 0;
                for (at, granted) in &grants[first..] {
                    sum += u128::from(*granted);
                    let earned = u128::from(at - from) * u128::from(limit) / u128::from(60 * SECOND);
                    prop_assert!(sum <= u128::from(limit) + earned + 1, "{sum} from {from} to {at}");
                }
            }
        }
    }
}
