//! What a reader has to say about facts: mistakes, and what it did not know.

use super::{UnknownFacts, place::Place};
use crate::{config::limits, error::Detail};

/// Unknown facts that an answer lists.
const UNKNOWN_LISTED_MAX: usize = 100;

/// Collects mistakes and unknown facts.
#[derive(Debug)]
pub(super) struct Notes {
    /// What is wrong, in the order of the input.
    pub details: Vec<Detail>,
    /// Paths of facts that the schema does not know.
    pub unknown: Vec<String>,
    policy: UnknownFacts,
}

impl Notes {
    pub fn new(policy: UnknownFacts) -> Self {
        Self { details: Vec::new(), unknown: Vec::new(), policy }
    }

    /// Notes a mistake at a place.
    pub fn mistake(&mut self, place: &Place, code: &'static str, message: impl Into<String>) {
        if self.details.len() < limits::DETAILS_MAX {
            self.details.push(Detail::new(code, message).at(place.path()));
        }
    }

    /// Notes a mistake at a place, with what to do about it.
    pub fn hinted(&mut self, place: &Place, code: &'static str, message: impl Into<String>, hint: &str) {
        if self.details.len() < limits::DETAILS_MAX {
            self.details.push(Detail::new(code, message).at(place.path()).hint(hint));
        }
    }

    /// Notes a fact that the schema does not know.
    pub fn unknown(&mut self, place: &Place) {
        match self.policy {
            UnknownFacts::Refuse => self.mistake(place, "unknown_fact", "the schema has no such field"),
            UnknownFacts::Ignore if self.unknown.len() < UNKNOWN_LISTED_MAX => self.unknown.push(place.path()),
            UnknownFacts::Ignore => {}
        }
    }
}
