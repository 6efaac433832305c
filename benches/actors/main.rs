//! What the actors cost and give, each figure beside its baseline in one run.
//!
//! `cargo bench --bench actors [PART…]`; `--plot FILE` draws the ratios, `--residents N` has fewer than 100,000 tenants in
//! memory. `--backlog N` and `--held SECONDS` set how many events wait, and for how long a snapshot is held open, in the
//! part `held`. A private PostgreSQL is started for it, in a temporary directory. What must be measured in a process of its own
//! (memory, processor time) runs this program again. `--child bed N alike` keeps a database with tenants for a profiler to
//! run `--child resident URL N` against.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench that meets the unexpected must fail, and its figures are far below what a double holds"
)]

mod access;
mod bed;
mod by_hand;
mod changes;
mod decisions;
mod events;
mod held;
mod http;
mod plot;
#[path = "../private_server/mod.rs"]
mod private_server;
mod process;
mod report;
mod residents;
mod routes;

use bed::{Bed, Sizes};
use report::Report;

/// A part of the bench.
type Part = fn(&Bed, &mut Report);

const PARTS: [(&str, Part); 18] = [
    ("decide", decisions::decide),
    ("actors", residents::actors),
    ("cold", residents::cold),
    ("residents", residents::memory),
    ("cycles", residents::cycles),
    ("burst", changes::burst),
    ("handover", changes::handed_over),
    ("reconcile", changes::reconcile),
    ("propagation", changes::propagation),
    ("http", http::evaluate),
    ("batch", http::batch),
    ("routes", routes::routes),
    ("refusals", access::refusals),
    ("keys", access::keys),
    ("isolation", access::isolation),
    ("audit", access::audit),
    ("events", events::events),
    ("held", held::held),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == process::CHILD) {
        return process::run(&arguments[1..]);
    }
    let mut option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.remove(at);
        Some(arguments.remove(at))
    };
    let plot = option("--plot");
    let number = |text: Option<String>, otherwise| text.map_or(otherwise, |text| text.parse().unwrap());
    let backlog = number(option("--backlog"), held::BACKLOG);
    let held_seconds = number(option("--held"), held::SECONDS);
    let residents = option("--residents").map_or(residents::RESIDENTS, |count| count.parse().unwrap());
    for wanted in &arguments {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&wanted.as_str()), "no part `{wanted}`; there are {}", names.join(", "));
    }
    let bed = Bed::make(Sizes { residents, backlog, held_seconds });
    let mut report = Report::new();
    for (name, part) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            report.begin(name);
            part(&bed, &mut report);
        }
    }
    if let Some(file) = plot {
        std::fs::write(&file, plot::draw(report.lines())).unwrap();
        println!("\nplot written to {file}");
    }
}
