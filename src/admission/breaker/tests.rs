//! When a breaker opens and closes, and what it listens to.

use proptest::prelude::*;

use super::*;

/// Without spread.
const EVEN: u16 = 500;

fn call(breaker: &mut Breaker, now: u64, outcome: Outcome) -> bool {
    let call = breaker.ask(now, EVEN).unwrap();
    breaker.report(call, outcome, now, EVEN)
}

fn opened_at(now: u64) -> Breaker {
    let mut breaker = Breaker::default();
    let opened: Vec<bool> = (0..5).map(|_| call(&mut breaker, now, Outcome::Failed)).collect();
    assert_eq!(opened, [false, false, false, false, true]);
    breaker
}

#[test]
fn a_quiet_one_opens_after_five_failures_in_a_row() {
    let mut breaker = Breaker::default();
    for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Failed, Outcome::Failed, Outcome::Answered] {
        assert!(!call(&mut breaker, 0, outcome));
    }
    for _ in 0..4 {
        assert!(!call(&mut breaker, SECOND, Outcome::Failed));
        assert!(!call(&mut breaker, SECOND, Outcome::Abandoned), "it says nothing");
    }
    assert!(call(&mut breaker, SECOND, Outcome::Failed));
    assert_eq!(breaker.ask(SECOND, EVEN), Err(Duration::from_secs(1)));
    assert_eq!(breaker.status(SECOND).state, BreakerState::Open);
}

#[test]
fn a_busy_one_opens_when_half_of_its_calls_fail_or_are_slow() {
    for bad in [Outcome::Failed, Outcome::Slow] {
        let mut breaker = Breaker::default();
        for number in 0..19 {
            let outcome = if number % 2 == 0 { bad } else { Outcome::Answered };
            assert!(!call(&mut breaker, 0, outcome), "{number}");
        }
        assert!(call(&mut breaker, 0, bad), "{bad:?}");
        // What happened more than ten seconds ago does not count.
        let mut breaker = Breaker::default();
        for number in 0..100 {
            let outcome = if number % 2 == 0 { Outcome::Answered } else { bad };
            assert!(!call(&mut breaker, number * SECOND, outcome), "{number}");
        }
    }
}

#[test]
fn three_probes_at_once_and_all_three_must_succeed() {
    let mut breaker = opened_at(0);
    let now = SECOND;
    let probes: Vec<Call> = (0..3).map(|_| breaker.ask(now, EVEN).unwrap()).collect();
    assert!(breaker.ask(now, EVEN).is_err(), "a fourth");
    assert_eq!(breaker.status(now).state, BreakerState::HalfOpen);
    // One that goes away makes room for another.
    assert!(!breaker.report(probes[0], Outcome::Abandoned, now, EVEN));
    let another = breaker.ask(now, EVEN).unwrap();
    assert!(!breaker.report(probes[1], Outcome::Answered, now, EVEN));
    assert!(!breaker.report(probes[2], Outcome::Answered, now, EVEN));
    assert!(breaker.ask(now, EVEN).is_err());
    assert!(breaker.report(another, Outcome::Answered, now, EVEN));
    let status = BreakerStatus { state: BreakerState::Closed, failures: 0, calls: 0, next_probe: None };
    assert_eq!(breaker.status(now), status);
}

#[test]
fn a_probe_that_fails_or_says_nothing_opens_it_for_longer() {
    let mut breaker = opened_at(0);
    let mut now = 0;
    for (number, wait) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        assert_eq!(breaker.ask(now, EVEN), Err(Duration::from_secs(wait)), "{number}");
        now += wait * SECOND;
        let probe = breaker.ask(now, EVEN).unwrap();
        if number % 2 == 0 {
            assert!(breaker.report(probe, Outcome::Failed, now, EVEN));
        } else {
            now += 2 * SECOND;
            assert!(breaker.ask(now, EVEN).is_err(), "it has failed by now");
            assert!(!breaker.report(probe, Outcome::Answered, now, EVEN), "too late");
        }
    }
    // Once closed, it begins with a second again.
    now += 60 * SECOND;
    for _ in 0..3 {
        call(&mut breaker, now, Outcome::Answered);
    }
    for _ in 0..5 {
        call(&mut breaker, now, Outcome::Failed);
    }
    assert_eq!(breaker.ask(now, EVEN), Err(Duration::from_secs(1)));
    let spread = |spread| {
        let mut breaker = opened_at(0);
        let probe = breaker.ask(2 * SECOND, EVEN).unwrap();
        breaker.report(probe, Outcome::Failed, 2 * SECOND, spread);
        breaker.ask(2 * SECOND, EVEN).unwrap_err()
    };
    assert_eq!((spread(0), spread(1_000)), (Duration::from_millis(1_600), Duration::from_millis(2_400)));
}

#[test]
fn what_began_before_it_opened_is_not_listened_to() {
    let mut breaker = Breaker::default();
    let early: Vec<Call> = (0..10).map(|_| breaker.ask(0, EVEN).unwrap()).collect();
    for _ in 0..5 {
        call(&mut breaker, 0, Outcome::Failed);
    }
    for (number, call) in early.into_iter().enumerate() {
        let outcome = if number % 2 == 0 { Outcome::Answered } else { Outcome::Failed };
        assert!(!breaker.report(call, outcome, SECOND / 2, EVEN));
    }
    assert_eq!(breaker.ask(SECOND / 2, EVEN), Err(Duration::from_millis(500)), "the time of the probe stays");
}

#[test]
fn one_with_a_bound_waits_no_longer() {
    let (mut breaker, mut now) = (Breaker::open_at_most(Duration::from_secs(1)), 0);
    for _ in 0..5 {
        call(&mut breaker, 0, Outcome::Failed);
    }
    for _ in 0..5 {
        assert_eq!(breaker.ask(now, EVEN), Err(Duration::from_secs(1)));
        now += SECOND;
        let probe = breaker.ask(now, EVEN).unwrap();
        assert!(breaker.report(probe, Outcome::Failed, now, EVEN));
    }
}

#[test]
fn one_that_is_believed_to_be_back_is_probed_at_once() {
    let (mut breaker, mut now) = (opened_at(0), 0);
    for seconds in [2, 4, 8, 16, 32] {
        now += u64::try_from(breaker.ask(now, EVEN).unwrap_err().as_nanos()).unwrap();
        let probe = breaker.ask(now, EVEN).unwrap();
        assert!(breaker.report(probe, Outcome::Failed, now, EVEN));
        assert_eq!(breaker.ask(now, EVEN), Err(Duration::from_secs(seconds)));
    }
    breaker.probe_now(now + 10);
    assert_eq!(breaker.status(now + 10).state, BreakerState::HalfOpen);
    let probe = breaker.ask(now + 10, EVEN).unwrap();
    assert!(breaker.report(probe, Outcome::Failed, now + 10, EVEN), "it was not");
    assert_eq!(breaker.ask(now + 10, EVEN), Err(Duration::from_secs(1)), "what it waited for before is over");
    let mut closed = Breaker::default();
    closed.probe_now(10);
    assert_eq!(closed.status(10).state, BreakerState::Closed);
}

proptest! {
    /// Whatever is reported when: never more than three probes are under way, an open one lets nothing through, and one
    /// that answers well from some time on closes.
    #[test]
    fn it_always_finds_its_way_back(steps in prop::collection::vec((0..6u8, 0..3_000_000_000u64, 0..1_001u16), 1..200)) {
        let (mut breaker, mut now) = (Breaker::default(), 0);
        let mut under_way: Vec<(Call, u64)> = Vec::new();
        for (step, pause, spread) in steps {
            now += pause;
            match step {
                0 | 1 => {
                    let before = breaker.status(now).state;
                    if let Ok(call) = breaker.ask(now, spread) {
                        prop_assert!(before != BreakerState::Open);
                        under_way.push((call, now));
                    }
                }
                5 => breaker.probe_now(now),
                _ if under_way.is_empty() => {}
                step => {
                    let (call, _) = under_way.remove(usize::from(spread) % under_way.len());
                    let outcome = [Outcome::Answered, Outcome::Failed, Outcome::Abandoned][usize::from(step) - 2];
                    breaker.report(call, outcome, now, spread);
                }
            }
            let is_live = |(call, began): &&(Call, u64)| {
                call.generation == breaker.generation && call.probe.is_some() && now - began < PROBE_MAX
            };
            prop_assert!(under_way.iter().filter(is_live).count() <= 3);
        }
        let ends = now + 400 * SECOND;
        while breaker.status(now).state != BreakerState::Closed {
            prop_assert!(now < ends, "{breaker:?}");
            match breaker.ask(now, EVEN) {
                Ok(call) => drop(breaker.report(call, Outcome::Answered, now, EVEN)),
                Err(wait) => now += u64::try_from(wait.as_nanos()).unwrap().max(1),
            }
        }
    }
}
