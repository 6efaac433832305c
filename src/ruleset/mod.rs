//! The compiled rules of one tenant at one revision: immutable, pure, synchronous.
//!
//! [`RuleSet::compile`] turns a stored [`Snapshot`](crate::domain::Snapshot) into something that decides; [`amend`]
//! says what a change would make of a snapshot, and what it would break. No clock, no I/O, no actor.

mod amend;
mod decision;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod index;
mod set;

pub use amend::{Amendment, ChangeOutcome, ChangelogEntry, Operation, Refusal, amend, inactive, record, used};
pub use decision::{Decision, Query, Results, Return, RuleError, RuleReference, RuleResult};
pub use facts::{Facts, UnknownFacts};
pub use set::{Broken, CheckReport, CompileReport, Cost, Evaluated, Expression, RuleSet};
