//! The compiled rules of one tenant at one revision: immutable, pure, synchronous.
//!
//! [`RuleSet::compile`] turns a stored [`Snapshot`](crate::domain::Snapshot) into something that decides; [`apply`]
//! says what a change would make of a snapshot, and what it would break. No clock, no I/O, no actor.

mod change;
mod decision;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod index;
mod set;

pub use change::{Applied, ChangeOutcome, ChangelogEntry, Operation, Refusal, apply, inactive, record, used};
pub use decision::{Decision, Pace, Query, Results, Return, RuleError, RuleReference, RuleResult};
pub use facts::{Facts, Unknown, UnknownFacts};
pub use set::{Broken, CheckReport, CompileReport, Cost, Evaluated, Expression, RuleSet};
