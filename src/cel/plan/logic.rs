//! Truth values: `&&`, `||`, comparisons, and whatever else is a condition.

use super::{Checked, CheckedKind, Planner, condition::Condition, numbers::Comparison, place::Place};
use crate::cel::{
    run::{Fault, Run},
    types::Type,
    value::Value,
};

impl Planner {
    /// A condition; a value that is no bool is an error.
    pub(in crate::cel) fn truth(self, node: &Checked) -> Condition {
        if !self.is_traced || matches!(node.kind, CheckedKind::Constant(_)) {
            return self.plain_truth(node);
        }
        let (condition, range) = (self.plain_truth(node), node.range);
        Condition::Step(Box::new(move |run| {
            let outcome = condition.test(run);
            run.note(range, &outcome.clone().map(Value::Bool));
            outcome
        }))
    }

    pub(super) fn plain_truth(self, node: &Checked) -> Condition {
        match &node.kind {
            CheckedKind::And(terms) => Condition::All(terms.iter().map(|term| self.truth(term)).collect()),
            CheckedKind::Or(terms) => Condition::Any(terms.iter().map(|term| self.truth(term)).collect()),
            CheckedKind::HasSlot(slot) => Condition::Present(*slot, node.range),
            CheckedKind::Shared(number, inner) if node.value_type == Type::Bool => {
                let (condition, number) = (self.truth(inner), *number);
                Condition::Step(Box::new(move |run| match run.memo() {
                    None => condition.test(run),
                    Some(memo) => {
                        let evaluate = |run: &Run<'_>| condition.test(run).map(Value::Bool);
                        Ok(matches!(memo.value(run, number, evaluate)?, Value::Bool(true)))
                    }
                }))
            }
            _ => {
                if !self.is_traced
                    && let Some(condition) = self.quick_truth(node)
                {
                    return condition;
                }
                // A traced condition notes its value itself.
                let (step, range) = (self.plain_value(node), node.range);
                Condition::Step(Box::new(move |run| match step(run)? {
                    Value::Bool(value) => Ok(value),
                    other => {
                        let message = format!("a condition must be `bool`, not `{}`", other.type_name());
                        Err(Fault::new("no_such_overload", message).at(range))
                    }
                }))
            }
        }
    }

    /// A condition that needs no value in between.
    pub(super) fn quick_truth(self, node: &Checked) -> Option<Condition> {
        match &node.kind {
            CheckedKind::Constant(Value::Bool(value)) => Some(Condition::Constant(*value)),
            CheckedKind::Slot(..) | CheckedKind::Select { .. } if node.value_type == Type::Bool => {
                Some(Condition::leaf(Place::of(node)?, node.range, true, Condition::Flag, Condition::FlagAt))
            }
            CheckedKind::Call { function, arguments } => match (function.name, arguments.as_slice()) {
                ("!_", [operand]) => Some(self.truth(operand).negated()),
                ("@in", [item, list]) => self.contained(item, list),
                (name, [left, right]) => match Comparison::of(name) {
                    Some(comparison) => self
                        .compare_numbers(comparison, left, right)
                        .or_else(|| self.compare_text(comparison, left, right)),
                    None => self.test_text(name, arguments).map(Condition::Step),
                },
                _ => None,
            },
            CheckedKind::Loop(parts) => self.quick_loop(parts).map(Condition::Step),
            _ => None,
        }
    }
}

/// The truth of all turns of a loop so far.
pub(super) struct Turns {
    decisive: bool,
    failed: Option<Fault>,
}

impl Turns {
    pub(super) fn new(decisive: bool) -> Self {
        Self { decisive, failed: None }
    }

    /// Takes one turn; whether the loop is decided.
    #[inline]
    pub(super) fn take(&mut self, outcome: Result<bool, Fault>) -> Result<bool, Fault> {
        match outcome {
            Ok(value) => Ok(value == self.decisive),
            Err(fault) => self.fail(fault),
        }
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> Result<bool, Fault> {
        if fault.is_stop() {
            return Err(fault);
        }
        self.failed.get_or_insert(fault);
        Ok(false)
    }

    pub(super) fn end(self) -> Result<bool, Fault> {
        self.failed.map_or(Ok(!self.decisive), Err)
    }
}
