//! Storing and consuming events in a simulated world: the code of `ingest` itself, on a database and a broker that fail,
//! in processes that are killed, stalled and restarted, with a clock that steps back.
//!
//! What is accepted, tried and decided is held against what is promised (`ledger`). A run follows from its seed alone:
//! `TENET_TEST_SEED=42` runs the one and prints its history. What the database does is told again in `tables`, a
//! statement a step; that the statements do so is for the tests against PostgreSQL to show.
//!
//! That these checks can fail, the mutants show: worlds in which one thing that the promise rests on is left out.

mod appending;
mod days;
mod engine;
mod faults;
mod ledger;
mod messages;
pub mod outside;
mod run;
mod senders;
mod store;
mod tables;
mod world;

use std::env;

use self::ledger::Violation;
use crate::engine::tests::simulation::{first_of, proof_size};

/// Where events wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Log,
    Brokered,
}

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Nothing.
    None,
    /// Ids are made before the lock is taken, so that they commit in another order.
    IdOutsideTheLock,
    /// Idempotency keys are looked up before the lock is taken.
    KeyOutsideTheLock,
    /// An id is made of the clock alone, which steps back.
    IdByTheClock,
    /// The position is noted when events were read, and not when they are settled.
    PositionBeforeTheEffect,
    /// A queue is given back without a look whether something came meanwhile.
    FinishedWithoutALook,
    /// A connection comes back by itself, and what was delivered before is acknowledged on it.
    OldAcknowledgements,
    /// Events are decided though one with the same ordering key was tried in vain, and nobody heard that this was noted.
    KeyNotLookedAt,
    /// A queue is not marked when an event that came from the broker is to be tried again.
    NobodyIsToldOfRetries,
    /// Events that wait are left out when events are read, and nobody is told which ordering keys they have.
    WaitingIsLeftOut,
    /// Events are tried again in the order of their ids, and not in that in which they began to wait.
    RetriesInTheOrderOfIds,
    /// What a late owner brings is written, though others have decided or given up the event.
    SettledIsNotLookedFor,
    /// Whoever lets go of a queue is no consumer first, and gives its messages back after that.
    LetsGoInTwoSteps,
    /// A settlement that fails counts as an attempt.
    OutageCounts,
    /// Whoever has the lease, or believes to, has its effect.
    LeaseIsTrusted,
}

fn violation(seed: u64, mutant: Mutant, scenario: Scenario) -> Option<Violation> {
    run::run(seed, mutant, scenario, false).violation
}

#[track_caller]
fn all_hold(scenario: Scenario, seeds: u64) {
    if let Some(seed) = env::var("TENET_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let outcome = run::run(seed, Mutant::None, scenario, true);
        assert_eq!(outcome.violation, None, "seed {seed}");
    } else if let Some((seed, violation)) = first_of(seeds, |seed| violation(seed, Mutant::None, scenario)) {
        panic!("seed {seed}: {violation:?}\nTENET_TEST_SEED={seed} runs it alone and prints its history");
    }
}

#[test]
fn events_in_the_log_are_decided_once_and_in_order_whatever_goes_wrong() {
    all_hold(Scenario::Log, proof_size(100, 2_000));
}

#[test]
fn events_in_the_broker_are_decided_once_and_in_order_whatever_goes_wrong() {
    all_hold(Scenario::Brokered, proof_size(100, 2_000));
}

#[test]
fn a_seed_gives_the_same_history_every_time() {
    for (seed, scenario) in (0..6).flat_map(|seed| [(seed, Scenario::Log), (seed, Scenario::Brokered)]) {
        let run = || run::run(seed, Mutant::None, scenario, false);
        let (one, other) = (run(), run());
        assert!(one.counts.0 > 0, "{:?} events", one.counts);
        assert_eq!(one.digest, other.digest, "seed {seed}, {scenario:?}");
    }
}

/// Whether the mutant is caught, breaking one of `invariants`, within a thousand seeds.
#[track_caller]
fn caught(mutant: Mutant, scenario: Scenario, invariants: &[&str]) {
    let found = first_of(1_000, |seed| violation(seed, mutant, scenario));
    let (seed, violation) = found.expect("a mutant that nobody catches");
    println!("seed {seed}: {violation:?}");
    assert!(invariants.contains(&violation.invariant), "seed {seed}: {violation:?}");
}

#[test]
fn ids_made_outside_the_lock_are_caught() {
    caught(Mutant::IdOutsideTheLock, Scenario::Log, &["position", "lost", "quiet", "order"]);
}

#[test]
fn keys_looked_up_outside_the_lock_are_caught() {
    caught(Mutant::KeyOutsideTheLock, Scenario::Log, &["twice"]);
}

#[test]
fn ids_by_a_clock_that_steps_back_are_caught() {
    caught(Mutant::IdByTheClock, Scenario::Log, &["position", "lost", "quiet", "order"]);
}

#[test]
fn a_position_written_before_the_effect_is_caught() {
    caught(Mutant::PositionBeforeTheEffect, Scenario::Log, &["position", "lost"]);
}

#[test]
fn a_queue_given_back_without_a_last_look_is_caught() {
    caught(Mutant::FinishedWithoutALook, Scenario::Log, &["lost", "quiet"]);
}

#[test]
fn an_acknowledgement_of_an_old_connection_is_caught() {
    caught(Mutant::OldAcknowledgements, Scenario::Brokered, &["lost", "order"]);
}

#[test]
fn an_attempt_counted_on_an_outage_is_caught() {
    caught(Mutant::OutageCounts, Scenario::Log, &["attempts"]);
}

#[test]
fn a_lease_trusted_for_the_effect_is_caught() {
    caught(Mutant::LeaseIsTrusted, Scenario::Log, &["twice"]);
}

#[test]
fn a_key_that_is_not_looked_at_is_caught() {
    caught(Mutant::KeyNotLookedAt, Scenario::Brokered, &["order"]);
}

#[test]
fn retries_that_nobody_is_told_of_are_caught() {
    caught(Mutant::NobodyIsToldOfRetries, Scenario::Brokered, &["quiet"]);
}

#[test]
fn waiting_events_that_are_left_out_are_caught() {
    caught(Mutant::WaitingIsLeftOut, Scenario::Log, &["order"]);
}

#[test]
fn retries_in_the_order_of_ids_are_caught() {
    caught(Mutant::RetriesInTheOrderOfIds, Scenario::Brokered, &["order"]);
}

#[test]
fn a_late_settlement_is_caught() {
    caught(Mutant::SettledIsNotLookedFor, Scenario::Log, &["both", "quiet"]);
}

#[test]
fn letting_go_of_a_queue_in_two_steps_is_caught() {
    caught(Mutant::LetsGoInTwoSteps, Scenario::Brokered, &["order"]);
}
