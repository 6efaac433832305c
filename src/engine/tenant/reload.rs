//! When a tenant's rule set is loaded again: a pure automaton. It carries no message and looks at no clock.
//!
//! At most one load is under way and one more follows it, however many hints arrive: a hint that comes during a load
//! may be about something the load has not seen, so it is kept and asked again when the load ends.

use std::time::Duration;

use crate::{
    domain::Revision,
    engine::resident::hints::{Want, is_news},
};

/// The first wait after a failed load; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest wait after a failed load. A tenant must not stay behind for long once the database is back.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What the automaton is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReloadState {
    /// Nothing is known to be newer.
    #[default]
    Idle,
    /// A load is under way.
    Loading {
        /// What was hinted since it began.
        next: Option<Want>,
        /// Loads that failed before it, in a row.
        failures: u32,
    },
    /// The last load failed; another follows after a while, or at the next hint.
    Waiting {
        /// Loads that failed, in a row.
        failures: u32,
    },
}

/// What happens to the automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Something may have changed.
    Hint(Want),
    /// The load ended well.
    Loaded,
    /// The load failed. `jitter` in 0..=1 spreads the next one.
    Failed {
        /// Per mille of the second half of the wait.
        jitter_permille: u16,
    },
    /// The wait after a failed load is over.
    RetryDue,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin a load.
    Load,
    /// Send [`Input::RetryDue`] after this time.
    RetryAfter(Duration),
}

/// One step. `installed` is the revision published, after the load if the input is [`Input::Loaded`].
pub fn step(state: ReloadState, installed: Option<Revision>, input: Input) -> (ReloadState, Option<Action>) {
    const LOAD: Option<Action> = Some(Action::Load);
    match (state, input) {
        (ReloadState::Idle, Input::Hint(want)) if is_news(want, installed) => {
            (ReloadState::Loading { next: None, failures: 0 }, LOAD)
        }
        // A hint while waiting: whoever sent it has just heard from the database, so it is worth a try at once.
        (ReloadState::Waiting { failures }, Input::Hint(want)) if is_news(want, installed) => {
            (ReloadState::Loading { next: None, failures }, LOAD)
        }
        (ReloadState::Loading { next, failures }, Input::Hint(want)) => {
            (ReloadState::Loading { next: next.max(Some(want)), failures }, None)
        }
        (ReloadState::Loading { next: Some(want), .. }, Input::Loaded) if is_news(want, installed) => {
            (ReloadState::Loading { next: None, failures: 0 }, LOAD)
        }
        (ReloadState::Loading { .. }, Input::Loaded) => (ReloadState::Idle, None),
        (ReloadState::Loading { next, failures }, Input::Failed { jitter_permille }) => {
            // A hint that came meanwhile says that the database answers, as one that comes while waiting does.
            let failures = if next.is_some() { 1 } else { failures.saturating_add(1) };
            (ReloadState::Waiting { failures }, Some(Action::RetryAfter(retry_delay(failures, jitter_permille))))
        }
        (ReloadState::Waiting { failures }, Input::RetryDue) => (ReloadState::Loading { next: None, failures }, LOAD),
        // A timer of an earlier wait, a hint about what is installed already, the end of a load given up.
        (state, _) => (state, None),
    }
}

/// 50 ms, doubled with each failure up to 5 s; of that a half is certain and the rest spread by the jitter.
fn retry_delay(failures: u32, jitter_permille: u16) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MAX);
    let half = whole / 2;
    half + half * u32::from(jitter_permille.min(1000)) / 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HINT_2: Input = Input::Hint(Want::AtLeast(Revision(2)));
    const LOADING: ReloadState = ReloadState::Loading { next: None, failures: 0 };

    #[test]
    fn a_hint_about_what_is_installed_does_nothing() {
        assert_eq!(step(ReloadState::Idle, Some(Revision(2)), HINT_2), (ReloadState::Idle, None));
        assert_eq!(step(ReloadState::Idle, Some(Revision(1)), HINT_2), (LOADING, Some(Action::Load)));
    }

    #[test]
    fn a_hint_during_a_load_is_asked_again_when_it_ends() {
        let (state, action) = step(LOADING, Some(Revision(1)), HINT_2);
        assert_eq!(action, None);
        assert_eq!(step(state, Some(Revision(1)), Input::Loaded), (LOADING, Some(Action::Load)));
        assert_eq!(step(state, Some(Revision(2)), Input::Loaded), (ReloadState::Idle, None));
    }

    #[test]
    fn a_failed_load_is_tried_again_and_a_hint_does_not_wait_for_it() {
        let (state, action) = step(LOADING, None, Input::Failed { jitter_permille: 1000 });
        assert_eq!(action, Some(Action::RetryAfter(RETRY_FIRST)));
        assert_eq!(step(state, None, Input::RetryDue).1, Some(Action::Load));
        assert_eq!(step(state, None, HINT_2).1, Some(Action::Load));
    }

    #[test]
    fn a_hint_during_a_load_that_fails_does_not_wait_long() {
        let state = ReloadState::Loading { next: Some(Want::AtLeast(Revision(2))), failures: 7 };
        let (state, action) = step(state, Some(Revision(1)), Input::Failed { jitter_permille: 1000 });
        assert_eq!((state, action), (ReloadState::Waiting { failures: 1 }, Some(Action::RetryAfter(RETRY_FIRST))));
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let waits: Vec<_> = (1..=10).map(|failures| retry_delay(failures, 0).as_millis()).collect();
        assert_eq!(waits, [25, 50, 100, 200, 400, 800, 1600, 2500, 2500, 2500]);
    }

    proptest! {
        /// Whatever happens, hints are never lost: once the loads go well and nothing more is hinted, what is
        /// installed is at least what the last hint said, and a burst of hints costs one load more than it must.
        #[test]
        fn the_newest_hint_is_always_reached(steps in prop::collection::vec((0..4u8, 1..50i64), 1..200)) {
            let (mut state, mut installed, mut database) = (ReloadState::Idle, None, Revision(0));
            let mut hinted = Revision(0);
            let mut in_flight = None;
            let begin = |action, database| (action == Some(Action::Load)).then_some(database);
            for (kind, revision) in steps {
                let input = match kind {
                    0 => { database = database.max(Revision(revision)); continue }
                    1 => { hinted = database; Input::Hint(Want::AtLeast(database)) }
                    2 if in_flight.is_some() => { installed = in_flight.take().max(installed); Input::Loaded }
                    3 if in_flight.is_some() => { in_flight = None; Input::Failed { jitter_permille: 0 } }
                    _ => Input::RetryDue,
                };
                let (next, action) = step(state, installed, input);
                state = next;
                if let Some(snapshot) = begin(action, database) {
                    prop_assert!(in_flight.is_none(), "two loads at once");
                    in_flight = Some(snapshot);
                }
            }
            for _ in 0..3 {
                let input = match state {
                    ReloadState::Idle => break,
                    ReloadState::Loading { .. } => { installed = in_flight.take().max(installed); Input::Loaded }
                    ReloadState::Waiting { .. } => Input::RetryDue,
                };
                let (next, action) = step(state, installed, input);
                state = next;
                if let Some(snapshot) = begin(action, database) { in_flight = Some(snapshot); }
            }
            prop_assert_eq!(state, ReloadState::Idle);
            prop_assert!(hinted == Revision(0) || installed >= Some(hinted));
        }
    }
}
