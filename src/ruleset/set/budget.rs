//! What a decision may still take, and when it gives way.

use std::cell::Cell;

use super::{RuleEntry, RuleSet, RuleState, compiled::Compiled};
use crate::{
    cel::{Activation, EvaluationError, Memo},
    config::limits::DECISION_COST_MAX,
    ruleset::Pace,
};

/// What may still be done for a decision, for all its rules together; each has its own limit as well.
pub(super) struct Budget<'a> {
    most: u64,
    left: Cell<u64>,
    /// Called before each rule that is evaluated.
    between: Option<&'a dyn Fn()>,
    /// What its rules have in common, computed once.
    memo: Option<Memo<'a>>,
}

impl<'a> Budget<'a> {
    #[inline]
    pub fn of_a_decision(set: &'a RuleSet, pace: Pace<'a>) -> Self {
        let (most, between) = match pace {
            Pace::AtOnce => (DECISION_COST_MAX, None),
            Pace::Within(most) => (most.min(DECISION_COST_MAX), None),
            Pace::GivingWay(between) => (DECISION_COST_MAX, Some(between)),
        };
        Self { most, left: Cell::new(most), between, memo: set.contents.repeated.memo() }
    }

    #[inline]
    pub fn spent(&self) -> u64 {
        self.most.saturating_sub(self.left.get())
    }

    /// Whether the decision takes more than its pace allows: then no answer of a rule counts.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.left.get() == 0 && self.most < DECISION_COST_MAX
    }

    /// Takes what a rule costs that is known to be true; whether that is known, and there is so much left.
    #[inline]
    pub fn pays_for(&self, rule: &RuleEntry) -> bool {
        let RuleState::Ready(compiled) = &rule.state else { return false };
        let left = compiled.program.straight_cost().and_then(|cost| self.left.get().checked_sub(cost));
        left.inspect(|left| self.left.set(*left)).is_some()
    }

    /// Whether a rule holds, at the expense of this budget.
    pub fn holds(&self, compiled: &Compiled, activation: &Activation) -> Result<bool, Box<EvaluationError>> {
        if let Some(between) = self.between {
            between();
        }
        let mut work_left = self.left.get();
        if work_left == 0 {
            let message = format!("the decision has used up its {DECISION_COST_MAX} units of cost before this rule");
            return Err(Box::new(EvaluationError::new("cost_exceeded", message)));
        }
        let outcome = compiled.program.holds_sharing(activation, &mut work_left, self.memo.as_ref());
        self.left.set(work_left);
        outcome
    }
}
