//! A circuit breaker: keeps calls from a dependency that fails, and lets few of them try whether it is back.
//!
//! Each call carries the generation that it began in: what it reports later than that is not listened to. So a call that
//! succeeds late does not close a breaker that has opened since, and one that fails late does not put off the next probe.

use std::time::Duration;

use crate::domain::nanos;

const SECOND: u64 = 1_000_000_000;
/// The time of which calls are counted, in buckets of a second.
const BUCKETS: usize = 10;
/// So many calls must have been made in that time before their share counts.
const CALLS_MIN: u32 = 20;
/// So many failures in a row open it as well: few calls are made in a quiet tier.
const FAILURES_IN_A_ROW: u32 = 5;
/// A call that takes longer is slow.
pub const SLOW: Duration = Duration::from_secs(1);
/// How long it is open the first time, and at most; doubled each time.
const OPEN_FIRST: u64 = SECOND;
const OPEN_LAST: u64 = 60 * SECOND;
/// Probes under way at once, and successes in a row that close it.
const PROBES: u32 = 3;
/// A probe that has not reported by then has failed.
const PROBE_MAX: u64 = 2 * SECOND;

/// How a call ended, from what says least to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nobody waited for it: that says nothing.
    Abandoned,
    /// It was answered: well, or with an error that is the caller's.
    Answered,
    /// It was answered, and took long.
    Slow,
    /// The dependency failed.
    Failed,
}

/// A call that was let through, to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    generation: u64,
    /// Which probe it is, if it is one.
    probe: Option<u64>,
}

/// Whether calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All are.
    Closed,
    /// None is.
    Open,
    /// A few are, to find out.
    HalfOpen,
}

impl BreakerState {
    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
        }
    }
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Whether calls are let through.
    pub state: BreakerState,
    /// Failures of the last ten seconds.
    pub failures: u32,
    /// Calls of the last ten seconds.
    pub calls: u32,
    /// In how long the next probe is let through, if none is now.
    pub next_probe: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    second: u64,
    calls: u32,
    failed: u32,
    slow: u32,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: u64,
    },
    HalfOpen {
        /// Probes under way: which, and until when they may report.
        probes: Vec<(u64, u64)>,
        succeeded: u32,
    },
}

/// A breaker. Times are nanoseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    buckets: [Bucket; BUCKETS],
    in_a_row: u32,
    /// Changes with each change of the state.
    generation: u64,
    /// How often it opened since it was closed last.
    opened: u32,
    /// How long it is open at most.
    open_last: u64,
    next_probe: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            buckets: [Bucket::default(); BUCKETS],
            in_a_row: 0,
            generation: 0,
            opened: 0,
            open_last: OPEN_LAST,
            next_probe: 0,
        }
    }
}

impl Breaker {
    /// One that is never open for longer than this, before a probe.
    pub fn open_at_most(time: Duration) -> Self {
        Self { open_last: nanos(time), ..Self::default() }
    }

    /// Asks whether a call may be made; if not, in how long one may. `spread`, up to 1,000, spreads the times of probes.
    pub fn ask(&mut self, now: u64, spread: u16) -> Result<Call, Duration> {
        self.expire(now, spread);
        if let State::Open { until } = self.state {
            if now < until {
                return Err(Duration::from_nanos(until - now));
            }
            self.become_state(State::HalfOpen { probes: Vec::new(), succeeded: 0 });
        }
        let generation = self.generation;
        let State::HalfOpen { probes, succeeded } = &mut self.state else {
            return Ok(Call { generation, probe: None });
        };
        let under_way = u32::try_from(probes.len()).unwrap_or(PROBES);
        if under_way + *succeeded >= PROBES {
            let first = probes.iter().map(|(_, until)| *until).min().unwrap_or(now);
            return Err(Duration::from_nanos(first.saturating_sub(now)));
        }
        self.next_probe += 1;
        probes.push((self.next_probe, now + PROBE_MAX));
        Ok(Call { generation, probe: Some(self.next_probe) })
    }

    /// Reports how a call ended. Answers whether that opened or closed the breaker.
    pub fn report(&mut self, call: Call, outcome: Outcome, now: u64, spread: u16) -> bool {
        self.expire(now, spread);
        if call.generation != self.generation {
            return false;
        }
        match (&mut self.state, call.probe) {
            (State::HalfOpen { probes, succeeded }, Some(probe)) => {
                probes.retain(|(other, _)| *other != probe);
                match outcome {
                    Outcome::Abandoned => false,
                    Outcome::Failed | Outcome::Slow => self.open(now, spread),
                    Outcome::Answered => {
                        *succeeded += 1;
                        *succeeded >= PROBES && self.close()
                    }
                }
            }
            (State::Closed, None) => self.count(outcome, now) && self.open(now, spread),
            _ => false,
        }
    }

    /// There is a reason to believe that the dependency is back: the next call is a probe, and if it fails the wait is the
    /// first one again, however long it has become.
    pub fn probe_now(&mut self, now: u64) {
        if let State::Open { until } = &mut self.state {
            *until = now.min(*until);
            self.opened = 0;
        }
    }

    /// Whether calls were let through when it was asked or told last.
    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How it stands.
    pub fn status(&self, now: u64) -> BreakerStatus {
        let (state, next_probe) = match &self.state {
            State::Closed => (BreakerState::Closed, None),
            State::Open { until } if now < *until => (BreakerState::Open, Some(Duration::from_nanos(until - now))),
            // The next call is a probe.
            State::Open { .. } | State::HalfOpen { .. } => (BreakerState::HalfOpen, None),
        };
        let Bucket { calls, failed, .. } = self.sum(now);
        BreakerStatus { state, failures: failed, calls, next_probe }
    }

    /// A probe that has not reported in time has failed.
    fn expire(&mut self, now: u64, spread: u16) {
        if let State::HalfOpen { probes, .. } = &self.state
            && probes.iter().any(|(_, until)| *until <= now)
        {
            self.open(now, spread);
        }
    }

    /// Counts a call of a closed breaker; answers whether it is to open.
    fn count(&mut self, outcome: Outcome, now: u64) -> bool {
        let second = now / SECOND;
        let Some(bucket) = self.buckets.get_mut(usize::try_from(second).unwrap_or_default() % BUCKETS) else {
            return false;
        };
        if bucket.second != second {
            *bucket = Bucket { second, ..Bucket::default() };
        }
        match outcome {
            Outcome::Abandoned => return false,
            Outcome::Answered => self.in_a_row = 0,
            Outcome::Slow => {
                bucket.slow += 1;
                self.in_a_row = 0;
            }
            Outcome::Failed => {
                bucket.failed += 1;
                self.in_a_row += 1;
            }
        }
        bucket.calls += 1;
        let Bucket { calls, failed, slow, .. } = self.sum(now);
        let is_half = |part: u32| calls >= CALLS_MIN && part * 2 >= calls;
        self.in_a_row >= FAILURES_IN_A_ROW || is_half(failed) || is_half(slow)
    }

    fn sum(&self, now: u64) -> Bucket {
        let second = now / SECOND;
        let is_recent = |bucket: &&Bucket| second.saturating_sub(bucket.second) < BUCKETS as u64;
        self.buckets.iter().filter(is_recent).fold(Bucket::default(), |sum, bucket| Bucket {
            second,
            calls: sum.calls + bucket.calls,
            failed: sum.failed + bucket.failed,
            slow: sum.slow + bucket.slow,
        })
    }

    /// Opens for twice as long as the last time, more or less a fifth.
    fn open(&mut self, now: u64, spread: u16) -> bool {
        let time = OPEN_FIRST.saturating_mul(1 << self.opened.min(6)).min(self.open_last);
        let spread = u64::from(spread.min(1_000));
        let time = time * 4 / 5 + time * 2 / 5 * spread / 1_000;
        self.opened += 1;
        self.become_state(State::Open { until: now + time });
        true
    }

    fn close(&mut self) -> bool {
        self.buckets = [Bucket::default(); BUCKETS];
        self.in_a_row = 0;
        self.opened = 0;
        self.become_state(State::Closed);
        true
    }

    fn become_state(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests;
