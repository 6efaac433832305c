//! What was measured: latencies of answers, and errors by what they were.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::{Histogram, errors::CreationError};
use serde::{Deserialize, de::IgnoredAny};

use super::events::Sent;

/// The longest latency that is recorded as such, in microseconds; longer ones count as this.
const LATENCY_MAX_US: u64 = 300_000_000;

/// Counts of one connection, or of all.
#[derive(Debug)]
pub(super) struct Tally {
    /// Microseconds until the answer, of requests that succeeded.
    pub latency: Histogram<u64>,
    /// Requests that did not succeed, by what happened.
    pub errors: BTreeMap<String, u64>,
    /// What became of events.
    pub events: Sent,
    /// Bytes of bodies sent.
    pub bytes_sent: u64,
    /// Bytes of bodies received.
    pub bytes_received: u64,
}

impl Tally {
    pub fn new() -> Result<Self, CreationError> {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)?;
        Ok(Self { latency, errors: BTreeMap::new(), events: Sent::default(), bytes_sent: 0, bytes_received: 0 })
    }

    /// Counts a request, by its outcome.
    pub fn count(&mut self, outcome: Result<(), String>, latency: Duration) {
        match outcome {
            Ok(()) => self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)),
            Err(what) => *self.errors.entry(what).or_default() += 1,
        }
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
        for (what, count) in &other.errors {
            *self.errors.entry(what.clone()).or_default() += count;
        }
        self.events.add(&other.events);
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
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

impl Results {
    /// Reads the body of a decision; `None` if it is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Decision {
            results: Vec<Verdict>,
        }
        #[derive(Deserialize)]
        struct Verdict {
            error: Option<IgnoredAny>,
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

#[cfg(test)]
mod tests {
    use super::*;

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
