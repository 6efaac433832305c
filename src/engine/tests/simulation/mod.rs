//! The reload protocol in a simulated world: the engine's own automata, driven by one seed.
//!
//! The database keeps transactions that become visible in another order than they are numbered in; notifications are
//! dropped, delayed, doubled and reordered; connections break with and without a word; nodes are killed; actors fail;
//! tenants leave memory and are deleted; backups are restored. The history of a run is checked against what is
//! promised (`history`). A run follows from its seed alone: `TENET_TEST_SEED=42` runs the one and prints its history.
//!
//! That these checks can fail, the mutants show: nodes with one decision of the protocol replaced by a plausible wrong
//! one (`strategy`), each of which is caught.

mod database;
mod faults;
mod follow;
mod history;
mod node;
mod plan;
pub mod random;
mod strategy;
mod supervisor;
mod tenant;
mod world;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use self::{
    history::{Happened, Violation, check},
    strategy::{Acknowledging, Cursor, ENGINE, Isolation, Listening, Loss, Marking, Registration, Strategy, Taking},
    world::{CROSSINGS, Scenario, World},
};

/// As `proof_size` of the integration tests.
pub fn proof_size(little: u64, full: u64) -> u64 {
    if env::var_os("TENET_PROOFS").is_some_and(|size| size == "full") { full } else { little }
}

fn violation(seed: u64, strategy: Strategy, scenario: Scenario) -> Option<Violation> {
    check(&World::new(seed, strategy, scenario).run(), scenario).err()
}

/// The first of the seeds for which something is found, and what. Sought by as many threads as run at once.
pub fn first_of<T>(seeds: u64, find: impl Fn(u64) -> Option<T> + Sync) -> Option<(u64, T)> {
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.min(found.load(Ordering::Relaxed)) {
                        break;
                    }
                    if find(seed).is_some() {
                        found.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seed = found.into_inner();
    (seed < u64::MAX).then(|| (seed, find(seed).unwrap()))
}

/// The first of the seeds whose run breaks what is promised.
fn first_violation(seeds: u64, strategy: Strategy, scenario: Scenario) -> Option<(u64, Violation)> {
    first_of(seeds, |seed| violation(seed, strategy, scenario))
}

#[track_caller]
fn all_hold(scenario: Scenario, seeds: u64) {
    if let Some(seed) = env::var("TENET_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let history = World::new(seed, ENGINE, scenario).run();
        for (line, (at, happened)) in history.iter().enumerate() {
            println!("{line:>5} {:>10.6} {happened:?}", std::time::Duration::from_micros(*at).as_secs_f64());
        }
        assert_eq!(check(&history, scenario), Ok(()), "seed {seed}");
    } else if let Some((seed, violation)) = first_violation(seeds, ENGINE, scenario) {
        panic!("seed {seed}: {violation:?}\nTENET_TEST_SEED={seed} runs it alone and prints its history");
    }
}

#[test]
fn whatever_goes_wrong_nothing_promised_is_broken() {
    all_hold(Scenario::Everything, proof_size(300, 10_000));
}

#[test]
fn the_listener_alone_loses_nothing_that_the_server_sends() {
    all_hold(Scenario::ListenerAlone, proof_size(200, 2_000));
}

#[test]
fn a_million_requests_that_cross_a_stop_are_all_served_by_one_actor_each() {
    let seeds = proof_size(2, 100);
    all_hold(Scenario::Crossings, seeds);
    for seed in 0..seeds.min(10) {
        let history = World::new(seed, ENGINE, Scenario::Crossings).run();
        let decided = history.iter().filter(|(_, happened)| matches!(happened, Happened::Decided { .. })).count();
        let installed = history.iter().filter(|(_, happened)| matches!(happened, Happened::Installed { .. })).count();
        assert_eq!(u64::try_from(decided).unwrap(), CROSSINGS, "seed {seed}");
        assert!(installed * 5 > decided, "every fifth found the tenant gone, or more: {installed} loads");
    }
}

#[test]
fn a_seed_gives_the_same_history_every_time() {
    for seed in 0..20 {
        let run = || World::new(seed, ENGINE, Scenario::Everything).run();
        let (one, other) = (run(), run());
        assert!(one.len() > 50, "a run of {} lines", one.len());
        assert_eq!(one, other, "seed {seed}");
    }
    let others = [1, 2].map(|seed| World::new(seed, ENGINE, Scenario::Everything).run());
    assert_ne!(others[0], others[1], "the seed matters");
}

/// Whether the mutant is caught, breaking one of `invariants`, within a thousand seeds.
#[track_caller]
fn caught(mutant: Strategy, scenario: Scenario, invariants: &[&str]) {
    let found = first_violation(1_000, mutant, scenario);
    let (seed, violation) = found.expect("a mutant that nobody catches");
    println!("seed {seed}: {violation:?}");
    assert!(invariants.contains(&violation.invariant), "seed {seed}: {violation:?}");
}

#[test]
fn a_cursor_on_the_newest_number_is_caught() {
    caught(Strategy { cursor: Cursor::BySequence, ..ENGINE }, Scenario::Everything, &["I3", "I4"]);
}

#[test]
fn a_cursor_below_the_oldest_transaction_is_caught() {
    caught(Strategy { cursor: Cursor::BelowTheOldest, ..ENGINE }, Scenario::Everything, &["I3", "I4"]);
}

#[test]
fn comparing_before_listening_is_caught() {
    caught(Strategy { listening: Listening::AfterComparing, ..ENGINE }, Scenario::ListenerAlone, &["I3", "I4"]);
}

#[test]
fn a_listener_that_connects_again_in_silence_is_caught() {
    caught(Strategy { loss: Loss::Hidden, ..ENGINE }, Scenario::ListenerAlone, &["I3", "I4"]);
}

#[test]
fn a_load_of_several_moments_is_caught() {
    caught(Strategy { isolation: Isolation::ReadCommitted, ..ENGINE }, Scenario::Everything, &["I2"]);
}

#[test]
fn publishing_without_comparing_is_caught() {
    let mutant = Strategy { publication: strategy::without_comparing, ..ENGINE };
    caught(mutant, Scenario::Everything, &["I1"]);
}

#[test]
fn taking_the_set_twice_in_a_request_is_caught() {
    caught(Strategy { taking: Taking::Twice, ..ENGINE }, Scenario::Everything, &["I2"]);
}

#[test]
fn revisions_compared_across_a_restore_are_caught() {
    let mutant = Strategy { publication: strategy::without_the_epoch, ..ENGINE };
    caught(mutant, Scenario::Everything, &["I3", "I4", "no alarm without a restore"]);
}

#[test]
fn forgetting_what_is_hinted_during_a_load_is_caught() {
    caught(Strategy { step: strategy::forgetful, ..ENGINE }, Scenario::Everything, &["I3", "I4"]);
}

#[test]
fn not_trying_again_after_a_failed_load_is_caught() {
    caught(Strategy { step: strategy::resigned, ..ENGINE }, Scenario::Everything, &["I3", "I4"]);
}

#[test]
fn a_place_in_the_registry_only_after_the_first_load_is_caught() {
    let mutant = Strategy { registration: Registration::AfterTheFirstLoad, ..ENGINE };
    caught(mutant, Scenario::Everything, &["I3", "I4", "I5"]);
}

#[test]
fn marking_by_the_node_alone_is_caught() {
    caught(Strategy { marking: Marking::ByNode, ..ENGINE }, Scenario::Everything, &["I3"]);
}

#[test]
fn acknowledging_a_write_whose_load_failed_is_caught() {
    let mutant = Strategy { acknowledging: Acknowledging::WhenTried, ..ENGINE };
    caught(mutant, Scenario::Everything, &["I5"]);
}

#[test]
fn publishing_whatever_was_committed_is_caught() {
    let mutant = Strategy { handover: strategy::handed_over_blindly, ..ENGINE };
    caught(mutant, Scenario::Everything, &["I1"]);
}

#[test]
fn an_alarm_for_a_load_that_a_commit_overtook_is_caught() {
    let mutant = Strategy { publication: strategy::without_the_begin, ..ENGINE };
    caught(mutant, Scenario::Everything, &["no alarm without a restore"]);
}
