//! Counts of decisions, as rows: deltas that are only appended, and the hours and days that they are merged into.
//!
//! Who reads adds the sums and what is not merged yet in one statement, which sees one moment; so a count is seen once,
//! whether it is merged or not.

mod keep;
mod merge;
mod read;
mod windows;
mod write;

pub use merge::{MergeQueue, Merged};
pub use read::{CountFilter, Counted, Metric, Point};
pub use windows::RuleWindows;
pub(super) use write::add;
pub use write::{CountBatch, Flushed};

use chrono::{DateTime, Utc};

use crate::analytics::{Counts, Hour};

/// The columns of numbers that are added up, in the order of [`numbers`].
const SUMS: [&str; 11] = [
    "decisions",
    "partial",
    "matched",
    "errors",
    "missing",
    "selected",
    "events",
    "duplicates",
    "dead_letters",
    "micros",
    "cost",
];

/// The numbers of the columns, and the moment that is not added up.
fn numbers(counts: &Counts) -> ([i64; SUMS.len()], i64) {
    let Counts {
        decisions,
        partial,
        matched,
        errors,
        missing,
        selected,
        events,
        duplicates,
        dead_letters,
        micros,
        cost,
        last_matched,
    } = *counts;
    let sums = [decisions, partial, matched, errors, missing, selected, events, duplicates, dead_letters, micros, cost];
    (sums, last_matched)
}

/// All columns of numbers, each written by `form`, which has the name in the place of `#`; and the last one by `last`.
fn columns(form: &str, last: &str) -> String {
    let mut all: Vec<String> = SUMS.iter().map(|name| form.replace('#', name)).collect();
    all.push(last.replace('#', "last_matched"));
    all.join(", ")
}

fn moments(hours: &[Hour]) -> Vec<DateTime<Utc>> {
    hours.iter().map(|hour| hour.begins()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_its_column() {
        let counts = Counts { decisions: 1, partial: 2, cost: 11, last_matched: 12, ..Counts::default() };
        let (sums, last) = numbers(&counts);
        let at = |name: &str| sums[SUMS.iter().position(|column| *column == name).unwrap()];
        assert_eq!((at("decisions"), at("partial"), at("cost"), last), (1, 2, 11, 12));
        assert!(columns("sum(#)", "max(#)").ends_with("sum(cost), max(last_matched)"));
    }
}
