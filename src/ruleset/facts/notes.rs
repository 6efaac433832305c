//! What a reader has to say about facts: mistakes, and what it did not know.

use std::fmt::Display;

use super::{Unknown, UnknownFacts, place::FactPath};
use crate::{
    config::{limits, nearest},
    error::Detail,
};

/// Unknown facts that an answer lists.
const UNKNOWN_LISTED_MAX: usize = 100;

/// Unknown facts for which the field that was meant is looked for: each costs a comparison with every field.
const HINTS_MAX: usize = 10;

/// Collects mistakes and unknown facts.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    /// What is wrong, in the order of the input.
    pub details: Vec<Detail>,
    /// Facts that the schema does not know.
    pub unknown: Vec<Unknown>,
    policy: UnknownFacts,
    /// Whether the outermost keys are names of objects, and not of fields.
    has_objects: bool,
    /// How often a field that was meant has been looked for.
    hints: usize,
}

impl Notes {
    pub fn new(policy: UnknownFacts, has_objects: bool) -> Self {
        Self { details: Vec::new(), unknown: Vec::new(), policy, has_objects, hints: 0 }
    }

    /// Notes a mistake at a place.
    #[cold]
    pub fn mistake(&mut self, place: &FactPath, code: &'static str, message: impl Into<String>) {
        self.note(|| Detail::new(code, message).at(place.path()));
    }

    /// Notes what is wrong with what stands at a place: `is required`, of which the message begins with the place.
    #[cold]
    pub fn wrong(&mut self, place: &FactPath, code: &'static str, problem: impl Display) {
        self.note(|| {
            let path = place.path();
            Detail::new(code, format!("`{path}` {problem}")).at(path)
        });
    }

    /// The same, with what would be right.
    #[cold]
    pub fn wrong_as(&mut self, place: &FactPath, code: &'static str, problem: impl Display, hint: &str) {
        self.note(|| {
            let path = place.path();
            Detail::new(code, format!("`{path}` {problem}")).at(path).hint(hint)
        });
    }

    /// Notes a fact that the schema does not know, where it knows `names`.
    #[cold]
    pub fn unknown<'n>(&mut self, place: &FactPath, names: impl Iterator<Item = &'n str>) {
        match self.policy {
            UnknownFacts::Refuse => {
                let meant = place.last_key().filter(|_| self.hints < HINTS_MAX).and_then(|key| nearest(key, names));
                self.hints += 1;
                self.note(|| {
                    let path = place.path();
                    let detail = Detail::new("unknown_fact", format!("the schema has no field `{path}`"));
                    match meant {
                        Some(name) => detail.hint(format!("did you mean `{}`?", place.sibling_path(name))),
                        None => detail,
                    }
                    .at(path)
                });
            }
            UnknownFacts::Ignore if self.unknown.len() < UNKNOWN_LISTED_MAX => {
                let is_misplaced = self.has_objects && place.is_outermost();
                self.unknown.push(Unknown { path: place.path(), is_misplaced });
            }
            UnknownFacts::Ignore => {}
        }
    }

    fn note(&mut self, detail: impl FnOnce() -> Detail) {
        if self.details.len() < limits::DETAILS_MAX {
            self.details.push(detail());
        }
    }
}
