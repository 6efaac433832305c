//! Instructions of rules in Tenet, beside those of the same rules in another engine of this kind.
//!
//! Each engine has its facts in the form that it evaluates, and a rule compiled; what is counted is one evaluation.
//! Ours keeps to its budget meanwhile, the other has none. `make bench-peers`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

#[path = "../../counting/mod.rs"]
mod counting;
#[path = "../../expressions/ours.rs"]
#[allow(dead_code, reason = "has expressions that no peer can run")]
mod ours;

use std::hint::black_box;

use wirefilter::{ExecutionContext, Scheme};

use counting::{Wanted, Ways, instructions};
use ours::{LONG, SHORT, ours};

/// How much of a peer's instructions ours may take.
const TARGET: f64 = 1.25;
/// [`LONG`] in wirefilter's words.
const LONG_OF_WIREFILTER: &str = r#"facts.age >= 18 && facts.country in {"US" "CA" "GB"} && facts.is_premium"#;

const WORK: &[(&str, Ways)] = &[
    (
        "one comparison",
        &[("tenet", 2_000, |times| ours(SHORT, times)), ("wirefilter 0.6.1", 2_000, |times| wirefilter(SHORT, times))],
    ),
    (
        "three terms",
        &[
            ("tenet", 2_000, |times| ours(LONG, times)),
            ("wirefilter 0.6.1", 2_000, |times| wirefilter(LONG_OF_WIREFILTER, times)),
        ],
    ),
];

fn wirefilter(source: &str, times: usize) {
    let scheme = Scheme! { facts.age: Int, facts.country: Bytes, facts.is_premium: Bool };
    let filter = scheme.parse(source).unwrap().compile();
    let mut facts = ExecutionContext::new(&scheme);
    facts.set_field_value("facts.age", 42).unwrap();
    facts.set_field_value("facts.country", "US").unwrap();
    facts.set_field_value("facts.is_premium", true).unwrap();
    assert_eq!(filter.execute(&facts), Ok(true));
    for _ in 0..times {
        black_box(filter.execute(black_box(&facts)).unwrap());
    }
}

fn main() {
    let Some(wanted) = Wanted::of_arguments(WORK) else { return };
    println!("{:16} {:18} {:>12} {:>7} {:>8}", "rule", "engine", "instructions", "ratio", "target");
    for (group, (name, ways)) in WORK.iter().enumerate() {
        if !wanted.has(name) {
            continue;
        }
        let mut ours = None;
        for (way, (engine, times, _)) in ways.iter().enumerate() {
            let each = instructions(group, way, *times, None);
            print!("{name:16} {engine:18} {each:>12}");
            match ours {
                None => println!(),
                Some(ours) => println!(" {:>6.2}x {:>7.2}x", ours as f64 / each as f64, TARGET),
            }
            ours.get_or_insert(each);
        }
    }
}
