//! What was measured: latencies of answers, and errors by what they were.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::{Histogram, errors::CreationError};
use serde::{Deserialize, de::IgnoredAny};

use super::events::Sent;
use crate::domain::micros;

/// The longest latency that is recorded as such, in microseconds; longer ones count as this.
const LATENCY_MAX_US: u64 = 300_000_000;

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was too much: the status and the code.
    Refused(String),
    /// The answer is not what was asked for.
    Wrong(String),
    /// There was no answer.
    Unanswered(String),
}

/// Counts of one connection, or of all.
#[derive(Debug)]
pub(super) struct Tally {
    /// Microseconds until the answer, of requests that succeeded.
    pub latency: Histogram<u64>,
    /// Microseconds from when it was sent until the answer, of requests that were refused.
    pub refused_latency: Histogram<u64>,
    /// Requests that were refused, by status and code.
    pub refused: BTreeMap<String, u64>,
    /// Requests that failed, by what happened.
    pub errors: BTreeMap<String, u64>,
    /// Of these, how many had no answer.
    pub unanswered: u64,
    /// What became of events.
    pub events: Sent,
    /// Bytes of bodies sent.
    pub bytes_sent: u64,
    /// Bytes of bodies received.
    pub bytes_received: u64,
}

impl Tally {
    pub fn new() -> Result<Self, CreationError> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?,
            refused_latency: Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?,
            refused: BTreeMap::new(),
            errors: BTreeMap::new(),
            unanswered: 0,
            events: Sent::default(),
            bytes_sent: 0,
            bytes_received: 0,
        })
    }

    /// Counts a request that succeeded.
    pub fn succeed(&mut self, latency: Duration) {
        self.latency.saturating_record(micros(latency));
    }

    /// Counts a request that was refused, by status and code.
    pub fn refuse(&mut self, what: String, latency: Duration) {
        self.refused_latency.saturating_record(micros(latency));
        *self.refused.entry(what).or_default() += 1;
    }

    /// Counts a request that failed.
    pub fn fail(&mut self, failure: Failure) {
        let what = match failure {
            Failure::Refused(what) | Failure::Wrong(what) => what,
            Failure::Unanswered(what) => {
                self.unanswered += 1;
                what
            }
        };
        *self.errors.entry(what).or_default() += 1;
    }

    /// Counts these bodies.
    pub fn bytes(&mut self, sent: usize, received: usize) {
        self.bytes_sent += u64::try_from(sent).unwrap_or(0);
        self.bytes_received += u64::try_from(received).unwrap_or(0);
    }

    /// Takes over what another connection counted.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so that adding does not fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.refused_latency.add(&other.refused_latency);
        add_counts(&mut self.refused, &other.refused);
        add_counts(&mut self.errors, &other.errors);
        self.unanswered += other.unanswered;
        self.events.add(&other.events);
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }
}

/// Adds counts by what they count.
pub(super) fn add_counts(to: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        *to.entry(what.clone()).or_default() += count;
    }
}

/// What a decision holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Results {
    /// Results.
    pub count: usize,
    /// Of these, how many carry an error.
    pub errors: usize,
}

#[derive(Deserialize)]
struct Verdict {
    error: Option<IgnoredAny>,
}

impl Results {
    /// Reads the body of a decision; `None` if it is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Decision {
            results: Vec<Verdict>,
        }
        let Decision { results } = serde_json::from_slice(body).ok()?;
        let errors = results.iter().filter(|result| result.error.is_some()).count();
        Some(Self { count: results.len(), errors })
    }

    /// What is wrong with a decision by `rules` rules, if anything is.
    pub fn check(body: &[u8], rules: usize) -> Result<(), &'static str> {
        match Self::read(body) {
            None => Err("the answer is not a decision"),
            Some(results) if results.count != rules => Err("wrong number of results"),
            Some(results) if results.errors > 0 => Err("a rule ended with an error"),
            Some(_) => Ok(()),
        }
    }
}

/// What the decisions of a batch hold, of which only matches are shown.
#[derive(Debug)]
pub(super) struct BatchResults;

impl BatchResults {
    /// What is wrong with decisions on `items` by `rules` rules, if anything is.
    pub fn check(body: &[u8], items: usize, rules: usize) -> Result<(), &'static str> {
        #[derive(Deserialize)]
        struct Batch {
            items: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            evaluated: Option<usize>,
            #[serde(default)]
            results: Vec<Verdict>,
        }
        let Ok(batch) = serde_json::from_slice::<Batch>(body) else { return Err("the answer is not a batch") };
        if batch.items.len() != items {
            return Err("wrong number of items");
        }
        if batch.items.iter().any(|item| item.evaluated != Some(rules)) {
            return Err("an item is not decided by all rules");
        }
        if batch.items.iter().flat_map(|item| &item.results).any(|result| result.error.is_some()) {
            return Err("a rule ended with an error");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_must_decide_every_item_by_all_rules() {
        for (body, outcome) in [
            (r#"{"items":[{"results":[{"error":null}],"evaluated":3},{"results":[],"evaluated":3}]}"#, Ok(())),
            (r#"{"items":[{"results":[],"evaluated":3}]}"#, Err("wrong number of items")),
            (
                r#"{"items":[{"results":[],"evaluated":3},{"error":{"code":"x"}}]}"#,
                Err("an item is not decided by all rules"),
            ),
            (
                r#"{"items":[{"results":[{"error":{"code":"x"}}],"evaluated":3},{"results":[],"evaluated":3}]}"#,
                Err("a rule ended with an error"),
            ),
            ("{}", Err("the answer is not a batch")),
        ] {
            assert_eq!(BatchResults::check(body.as_bytes(), 2, 3), outcome, "{body}");
        }
    }

    #[test]
    fn what_is_refused_is_no_error_and_has_a_latency_of_its_own() {
        let (mut one, mut total) = (Tally::new().unwrap(), Tally::new().unwrap());
        one.succeed(Duration::from_millis(2));
        one.refuse("429 rate_limited".to_owned(), Duration::from_millis(1));
        one.fail(Failure::Wrong("status 500".to_owned()));
        one.fail(Failure::Unanswered("broken".to_owned()));
        total.add(&one);
        total.add(&one);
        assert_eq!((total.latency.len(), total.refused_latency.len(), total.unanswered), (2, 2, 2));
        assert_eq!(total.refused, BTreeMap::from([("429 rate_limited".to_owned(), 2)]));
        assert_eq!(
            total.errors.into_iter().collect::<Vec<_>>(),
            [("broken".to_owned(), 2), ("status 500".to_owned(), 2)]
        );
    }

    #[test]
    fn a_decision_must_answer_every_rule_without_error() {
        for (body, outcome) in [
            (r#"{"results":[{"matched":true,"error":null},{"matched":false}],"stale":false}"#, Ok(())),
            (r#"{"results":[{"error":null}]}"#, Err("wrong number of results")),
            (r#"{"results":[{"error":null},{"error":{"code":"x"}}]}"#, Err("a rule ended with an error")),
            (r#"{"title":"no"}"#, Err("the answer is not a decision")),
            ("", Err("the answer is not a decision")),
        ] {
            assert_eq!(Results::check(body.as_bytes(), 2), outcome, "{body}");
        }
    }
}
