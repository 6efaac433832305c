//! Trying an expression that is not stored on facts, as a decision would read them. Nothing of it is counted as a
//! decision.

use super::decide::{read, unknown_facts};
use crate::{
    domain::Quota,
    engine::{Ask, Error, Served, Submission},
    error::Detail,
    ruleset::{Evaluated, Expression},
};

/// What an expression gave on one set of facts.
#[derive(Debug)]
pub struct Attempt {
    /// Its value, trace and cost.
    pub evaluated: Evaluated,
    /// Facts that the schema does not declare.
    pub warnings: Vec<Detail>,
}

impl Served {
    /// Evaluates an expression that was compiled with this set, and takes its cost from `budget`.
    pub fn attempt(
        &self,
        expression: &Expression,
        ask: &Ask,
        submission: Submission<'_>,
        budget: &mut u64,
    ) -> Result<Attempt, Error> {
        self.allows(Quota::RequestBytes, submission.bytes)?;
        let facts = read(&self.set, ask.unknown, submission.facts, submission.depth)?.at(ask.time());
        let evaluated = self.set.evaluate_compiled(expression, &facts, *budget).map_err(Error::Invalid)?;
        *budget = budget.saturating_sub(evaluated.cost);
        Ok(Attempt { evaluated, warnings: unknown_facts(&facts) })
    }
}
