//! Whether one tenant's load is another's latency: a victim beside an aggressor, for each kind of flood, first with the
//! limits that a service has and then without.
//!
//! `cargo bench --bench flood [PART…]`, or `make flood-proof`. `--seconds N` is how long each round is. A private
//! PostgreSQL is started for it, in a temporary directory, and a `tenet serve` on it. Speeds are printed and judged, and
//! fail nothing; an answer that is wrong, or an error that is no documented refusal, does.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench that meets the unexpected must fail, and its figures are far below what a double holds"
)]

mod fairness;
mod kinds;
mod overload;
#[path = "../private_server/mod.rs"]
mod private_server;
mod rounds;
mod service;

use std::time::Duration;

use service::{Bed, Limits};

/// How long a round is, if nothing else is said.
const SECONDS: u64 = 5;
/// The parts that are no kind of flood.
const OVERLOAD: &str = "overload";
const FAIRNESS: &str = "fairness";
/// All floods without limits.
const BASELINE: &str = "baseline";

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut round = Duration::from_secs(SECONDS);
    if let Some(at) = arguments.iter().position(|argument| argument == "--seconds") {
        round = Duration::from_secs(arguments[at + 1].parse().unwrap());
        arguments.drain(at..=at + 1);
    }
    let floods = kinds::all();
    let parts: Vec<&str> = floods.iter().map(|flood| flood.name).chain([OVERLOAD, FAIRNESS, BASELINE]).collect();
    for wanted in &arguments {
        assert!(parts.contains(&wanted.as_str()), "no part `{wanted}`; there are {}", parts.join(", "));
    }
    let has = |part: &str| arguments.is_empty() || arguments.iter().any(|wanted| wanted == part);
    let names_none = !floods.iter().any(|flood| arguments.iter().any(|wanted| wanted == flood.name));
    let bed = Bed::make();
    if floods.iter().any(|flood| has(flood.name)) || has(OVERLOAD) {
        let service = bed.serve(Limits::On);
        for flood in floods.iter().filter(|flood| has(flood.name)) {
            rounds::run(&bed, &service, flood, round);
        }
        if has(OVERLOAD) {
            overload::run(&bed, &service, round);
        }
    }
    if has(FAIRNESS) {
        fairness::run(&bed, &bed.serve(Limits::On), round);
    }
    if has(BASELINE) {
        println!("\nwithout limits: each flood must do harm, or it proves nothing");
        let service = bed.serve(Limits::Off);
        for flood in floods.iter().filter(|flood| names_none || has(flood.name)) {
            rounds::run(&bed, &service, flood, round);
        }
    }
    let faults = bed.faults();
    drop(bed);
    assert_eq!(faults, 0, "the service answered wrongly: see the lines that begin with WRONG");
}
