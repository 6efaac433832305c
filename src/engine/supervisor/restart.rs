//! Whether, and when, a failed tenant's actor is started again: a pure automaton. It carries no message and looks at
//! no clock; what is random comes with the input.
//!
//! A failure is followed by a growing wait. Too many of them in a short time put the tenant in quarantine: its last good
//! rule set is served as before, and its actor is tried again seldom, or when there is reason to hope.

use std::time::{Duration, Instant};

/// The wait after the first failure; each further one within [`WINDOW`] doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Failures within [`WINDOW`] that put a tenant in quarantine.
pub const FAILURES_MAX: usize = 5;
/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a tenant in quarantine waits for its next trial: a defect costs one failure a minute at most.
const QUARANTINE_RETRY: Duration = Duration::from_secs(60);

/// What is known of a tenant whose actor has failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestartState {
    phase: Phase,
    /// When it failed of late, the newest last: never more than [`FAILURES_MAX`].
    failures: Vec<Instant>,
}

/// What becomes of the actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// It runs.
    #[default]
    Running,
    /// It is started again at this time.
    Waiting { until: Instant },
    /// It failed too often; it is tried again at this time, or sooner.
    Quarantined { until: Instant },
    /// It was started again out of the quarantine, which lasts until it has loaded a rule set.
    Trial {
        /// Whether the database has got something newer since: then it is tried once more if it fails.
        changed: bool,
    },
}

/// What happens to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Its actor failed.
    Failed {
        /// Per mille of the second half of the wait.
        jitter_permille: u16,
    },
    /// A wait is over; perhaps one that no longer counts.
    Due,
    /// The database holds something newer than what it failed on.
    Changed,
    /// An operator wants it tried again, with a clean record.
    Released,
    /// It has loaded a rule set.
    Loaded,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start an actor.
    Start,
    /// Send [`Input::Due`] after this time.
    DueAfter(Duration),
}

impl RestartState {
    /// Whether no actor runs, and one is to be started later.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. } | Phase::Quarantined { .. })
    }

    /// Whether the tenant failed too often, and has not shown since that it works.
    pub fn is_quarantined(&self) -> bool {
        matches!(self.phase, Phase::Quarantined { .. } | Phase::Trial { .. })
    }
}

/// One step, at `now`.
pub fn step(mut state: RestartState, now: Instant, input: Input) -> (RestartState, Option<Action>) {
    match (state.phase, input) {
        (Phase::Trial { changed: true }, Input::Failed { .. }) => {
            state.phase = Phase::Trial { changed: false };
            (state, Some(Action::Start))
        }
        (_, Input::Failed { jitter_permille }) => failed(state, now, jitter_permille),
        (Phase::Waiting { until }, Input::Due) if now >= until => {
            state.phase = Phase::Running;
            (state, Some(Action::Start))
        }
        (Phase::Quarantined { until }, Input::Due) if now >= until => {
            state.phase = Phase::Trial { changed: false };
            (state, Some(Action::Start))
        }
        // What it failed on may be gone.
        (Phase::Quarantined { .. }, Input::Changed) => {
            state.phase = Phase::Trial { changed: false };
            (state, Some(Action::Start))
        }
        (Phase::Trial { .. }, Input::Changed) => {
            state.phase = Phase::Trial { changed: true };
            (state, None)
        }
        (Phase::Waiting { .. } | Phase::Quarantined { .. }, Input::Released) => {
            (RestartState::default(), Some(Action::Start))
        }
        (Phase::Trial { .. }, Input::Released | Input::Loaded) => (RestartState::default(), None),
        // A timer of an earlier wait; nothing to be released from; a change that the coming start will see.
        _ => (state, None),
    }
}

fn failed(mut state: RestartState, now: Instant, jitter_permille: u16) -> (RestartState, Option<Action>) {
    let on_trial = matches!(state.phase, Phase::Trial { .. });
    state.failures.retain(|at| now.saturating_duration_since(*at) < WINDOW);
    if state.failures.len() == FAILURES_MAX {
        state.failures.remove(0);
    }
    state.failures.push(now);
    let quarantined = on_trial || state.failures.len() == FAILURES_MAX;
    let whole = if quarantined { QUARANTINE_RETRY } else { backoff(state.failures.len()) };
    let wait = spread(whole, jitter_permille);
    let until = now + wait;
    state.phase = if quarantined { Phase::Quarantined { until } } else { Phase::Waiting { until } };
    (state, Some(Action::DueAfter(wait)))
}

/// Doubles with each failure; the quarantine comes before it grows beyond a second.
fn backoff(failures: usize) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    BACKOFF_FIRST.saturating_mul(1 << doublings)
}

/// A half of `whole` is certain, the rest spread by the jitter.
fn spread(whole: Duration, jitter_permille: u16) -> Duration {
    let half = whole / 2;
    half + half * u32::from(jitter_permille.min(1000)) / 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Input = Input::Failed { jitter_permille: 1000 };

    /// Fails `times` times, each at once after the start that followed the failure before; answers the waits.
    fn fail(mut state: RestartState, now: &mut Instant, times: usize) -> (RestartState, Vec<Duration>) {
        let mut waits = Vec::new();
        for _ in 0..times {
            let (next, action) = step(state, *now, FAILED);
            let Some(Action::DueAfter(wait)) = action else { panic!("{action:?}") };
            waits.push(wait);
            if next.is_quarantined() {
                return (next, waits);
            }
            *now += wait;
            let (next, action) = step(next, *now, Input::Due);
            assert_eq!(action, Some(Action::Start));
            state = next;
        }
        (state, waits)
    }

    #[test]
    fn waits_double_and_the_fifth_failure_within_a_minute_is_the_last() {
        let (state, waits) = fail(RestartState::default(), &mut Instant::now(), 99);
        assert_eq!(waits, [100, 200, 400, 800, 60_000].map(Duration::from_millis));
        assert!(state.is_quarantined());
    }

    #[test]
    fn failures_far_apart_never_lead_to_quarantine() {
        let (mut state, mut now) = (RestartState::default(), Instant::now());
        for _ in 0..20 {
            let (next, waits) = fail(state, &mut now, 1);
            assert_eq!(waits, [BACKOFF_FIRST]);
            state = next;
            now += WINDOW;
        }
        assert!(!state.is_quarantined());
    }

    #[test]
    fn a_half_of_the_wait_is_certain_and_the_rest_is_spread() {
        for (jitter_permille, wait_ms) in [(0, 50), (500, 75), (1000, 100), (u16::MAX, 100)] {
            let (_, action) = step(RestartState::default(), Instant::now(), Input::Failed { jitter_permille });
            assert_eq!(action, Some(Action::DueAfter(Duration::from_millis(wait_ms))));
        }
    }

    #[test]
    fn quarantine_ends_when_a_trial_has_loaded_and_goes_on_when_it_fails() {
        let mut now = Instant::now();
        let (quarantined, _) = fail(RestartState::default(), &mut now, 99);
        let (trial, action) = step(quarantined.clone(), now + QUARANTINE_RETRY, Input::Due);
        assert_eq!((action, trial.is_quarantined()), (Some(Action::Start), true));
        assert!(step(trial.clone(), now + QUARANTINE_RETRY * 9, FAILED).0.is_quarantined());
        assert_eq!(step(trial, now, Input::Loaded), (RestartState::default(), None));
        // The set of a load that ended late says nothing of the actor that failed since.
        assert_eq!(step(quarantined.clone(), now, Input::Loaded), (quarantined, None));
    }

    #[test]
    fn a_change_is_worth_a_trial_at_once_and_a_release_a_clean_record() {
        let mut now = Instant::now();
        let (quarantined, _) = fail(RestartState::default(), &mut now, 99);
        let (trial, action) = step(quarantined.clone(), now, Input::Changed);
        assert_eq!((action, trial.is_quarantined()), (Some(Action::Start), true));
        let (changed, action) = step(trial, now, Input::Changed);
        assert_eq!(action, None, "an actor runs");
        let (again, action) = step(changed, now, FAILED);
        assert_eq!((action, again.is_quarantined()), (Some(Action::Start), true), "it failed on what was before");
        assert!(matches!(step(again, now, FAILED).1, Some(Action::DueAfter(_))));
        assert_eq!(step(quarantined, now, Input::Released), (RestartState::default(), Some(Action::Start)));
        assert_eq!(step(RestartState::default(), now, Input::Released), (RestartState::default(), None));
        assert_eq!(step(RestartState::default(), now, Input::Changed), (RestartState::default(), None));
    }

    #[test]
    fn a_timer_of_an_earlier_wait_starts_nothing() {
        let now = Instant::now();
        let (waiting, _) = step(RestartState::default(), now, FAILED);
        assert_eq!(step(waiting.clone(), now + BACKOFF_FIRST / 2, Input::Due), (waiting, None));
    }

    proptest! {
        /// Whatever happens: an actor is started only where none runs, and a failed one is always waited for.
        #[test]
        fn no_actor_is_doubled_and_none_forgotten(steps in prop::collection::vec((0..6u8, 0..20_000u64), 1..300)) {
            let (mut now, mut state, mut runs) = (Instant::now(), RestartState::default(), true);
            let mut timers: Vec<Instant> = Vec::new();
            for (kind, wait_ms) in steps {
                now += Duration::from_millis(wait_ms);
                let input = match kind {
                    0 | 1 if runs => { runs = false; FAILED }
                    2 => Input::Changed,
                    3 => Input::Released,
                    4 if runs => Input::Loaded,
                    _ => Input::Due,
                };
                let (next, action) = step(state, now, input);
                state = next;
                match action {
                    Some(Action::Start) => {
                        prop_assert!(!runs, "two actors");
                        runs = true;
                    }
                    Some(Action::DueAfter(wait)) => timers.push(now + wait),
                    None => {}
                }
                let until = match state.phase {
                    Phase::Waiting { until } | Phase::Quarantined { until } => Some(until),
                    Phase::Running | Phase::Trial { .. } => None,
                };
                prop_assert_eq!(until.is_none(), runs);
                prop_assert!(until.is_none_or(|until| timers.contains(&until)), "nobody wakes it");
            }
        }

        /// Left to itself, a tenant that fails over and over is started five times in any half minute at most.
        #[test]
        fn a_storm_of_failures_is_capped(pauses_ms in prop::collection::vec(0..3_000u64, 1..200), jitter in 0..1001u16) {
            let (mut now, mut state) = (Instant::now(), RestartState::default());
            let mut starts: Vec<Instant> = Vec::new();
            for pause_ms in pauses_ms {
                now += Duration::from_millis(pause_ms);
                let (next, action) = step(state, now, Input::Failed { jitter_permille: jitter });
                let Some(Action::DueAfter(wait)) = action else { panic!("{action:?}") };
                now += wait;
                starts.push(now);
                state = step(next, now, Input::Due).0;
            }
            for few in starts.windows(FAILURES_MAX) {
                prop_assert!(few[FAILURES_MAX - 1] - few[0] >= QUARANTINE_RETRY / 2);
            }
        }
    }
}
