//! Truth values: `&&`, `||`, comparisons, and whatever else is a condition.

use super::{
    BoolStep, Checked, CheckedKind, Planner, note,
    numbers::Comparison,
    place::{Place, mismatch},
};
use crate::cel::{
    run::{Fault, Run},
    types::Type,
    value::Value,
};

impl Planner {
    /// The closure of a condition; a value that is no bool is an error.
    pub(super) fn truth(self, node: &Checked) -> BoolStep {
        if !self.is_traced || matches!(node.kind, CheckedKind::Constant(_)) {
            return self.plain_truth(node);
        }
        let (step, range) = (self.plain_truth(node), node.range);
        Box::new(move |run| {
            let outcome = step(run);
            note(run, range, &outcome.clone().map(Value::Bool));
            outcome
        })
    }

    pub(super) fn plain_truth(self, node: &Checked) -> BoolStep {
        match &node.kind {
            CheckedKind::And(terms) => self.all_of(terms),
            CheckedKind::Or(terms) => self.any_of(terms),
            CheckedKind::HasSlot(slot) => {
                let (slot, range) = (*slot, node.range);
                Box::new(move |run| match run.read(slot) {
                    Ok(value) => Ok(value.is_some()),
                    Err(fault) => Err(fault.at(range)),
                })
            }
            _ => {
                if !self.is_traced
                    && let Some(step) = self.quick_truth(node)
                {
                    return step;
                }
                let (step, range) = (self.plain_value_of_condition(node), node.range);
                Box::new(move |run| match step(run)? {
                    Value::Bool(value) => Ok(value),
                    other => {
                        let message = format!("a condition must be `bool`, not `{}`", other.type_name());
                        Err(Fault::new("no_such_overload", message).at(range))
                    }
                })
            }
        }
    }

    fn plain_value_of_condition(self, node: &Checked) -> super::Step {
        // A traced condition notes its value itself.
        self.plain_value(node)
    }

    /// `&&`: false if any term is, whatever the others end with; else the first error; else true.
    fn all_of(self, terms: &[Checked]) -> BoolStep {
        let mut steps: Vec<BoolStep> = terms.iter().map(|term| self.truth(term)).collect();
        if steps.len() == 2
            && let (Some(second), Some(first)) = (steps.pop(), steps.pop())
        {
            return Box::new(move |run| match first(run) {
                Ok(true) => second(run),
                Ok(false) => Ok(false),
                Err(fault) => absorb(fault, false, || second(run)),
            });
        }
        Box::new(move |run| {
            let mut failed = None;
            for step in &steps {
                match step(run) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(fault) if fault.is_stop() => return Err(fault),
                    Err(fault) => failed = failed.or(Some(fault)),
                }
            }
            failed.map_or(Ok(true), Err)
        })
    }

    /// `||`: true if any term is, whatever the others end with; else the first error; else false.
    fn any_of(self, terms: &[Checked]) -> BoolStep {
        let mut steps: Vec<BoolStep> = terms.iter().map(|term| self.truth(term)).collect();
        if steps.len() == 2
            && let (Some(second), Some(first)) = (steps.pop(), steps.pop())
        {
            return Box::new(move |run| match first(run) {
                Ok(false) => second(run),
                Ok(true) => Ok(true),
                Err(fault) => absorb(fault, true, || second(run)),
            });
        }
        Box::new(move |run| {
            let mut failed = None;
            for step in &steps {
                match step(run) {
                    Ok(false) => {}
                    Ok(true) => return Ok(true),
                    Err(fault) if fault.is_stop() => return Err(fault),
                    Err(fault) => failed = failed.or(Some(fault)),
                }
            }
            failed.map_or(Ok(false), Err)
        })
    }

    /// A condition that needs no value in between.
    pub(super) fn quick_truth(self, node: &Checked) -> Option<BoolStep> {
        match &node.kind {
            CheckedKind::Constant(Value::Bool(value)) => {
                let value = *value;
                Some(Box::new(move |_| Ok(value)))
            }
            CheckedKind::Slot(..) | CheckedKind::Select { .. } if node.value_type == Type::Bool => {
                let (place, range) = (Place::of(node)?, node.range);
                Some(Box::new(move |run| match place.read(run) {
                    Ok(Value::Bool(value)) => Ok(*value),
                    Ok(_) => Err(mismatch().at(range)),
                    Err(fault) => Err(fault.at(range)),
                }))
            }
            CheckedKind::Call { function, arguments } => match (function.name, arguments.as_slice()) {
                ("!_", [operand]) => {
                    let step = self.truth(operand);
                    Some(Box::new(move |run| step(run).map(|value| !value)))
                }
                ("@in", [item, list]) => self.contained(item, list),
                (name, [left, right]) => match Comparison::of(name) {
                    Some(comparison) => self
                        .compare_numbers(comparison, left, right)
                        .or_else(|| self.compare_text(comparison, left, right)),
                    None => self.test_text(name, arguments),
                },
                _ => None,
            },
            CheckedKind::Loop(parts) => self.quick_loop(parts),
            _ => None,
        }
    }
}

/// What remains of a fault on the left once the right side is known: nothing if that decides the result.
#[cold]
fn absorb(fault: Fault, decisive: bool, other: impl FnOnce() -> Result<bool, Fault>) -> Result<bool, Fault> {
    if fault.is_stop() {
        return Err(fault);
    }
    match other() {
        Ok(value) if value == decisive => Ok(value),
        Err(other) if other.is_stop() => Err(other),
        _ => Err(fault),
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
            Err(fault) if fault.is_stop() => Err(fault),
            Err(fault) => {
                self.failed.get_or_insert(fault);
                Ok(false)
            }
        }
    }

    pub(super) fn end(self) -> Result<bool, Fault> {
        self.failed.map_or(Ok(!self.decisive), Err)
    }
}

/// Runs `step` as one turn of a loop, which pays `units`.
#[inline]
pub(super) fn turn(run: &mut Run<'_>, units: u64, step: &BoolStep) -> Result<bool, Fault> {
    run.charge(units)?;
    step(run)
}
