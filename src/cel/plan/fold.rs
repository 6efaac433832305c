//! Constant folding: what depends on nothing is computed once, here.

use crate::cel::{
    activation::Activation,
    check::{Checked, CheckedKind},
    env::Env,
    meter::Meter,
    run::{Limits, Run},
};

use super::Planner;

/// What folding one expression may take: it must not hold up a compilation.
const LIMITS: Limits = Limits { cost_max: 10_000, memory_bytes_max: 64 * 1024 };

/// Replaces every sub-expression of constants by its value. One that ends with an error stays, and ends with it at run
/// time, where an operator may absorb it.
pub(in crate::cel) fn fold(node: &mut Checked) {
    node.children_mut(&mut fold);
    let is_foldable = match &node.kind {
        CheckedKind::Call { arguments, .. } => arguments.iter().all(is_constant),
        CheckedKind::List(elements) => elements.iter().all(|(element, optional)| is_constant(element) && !optional),
        CheckedKind::Map(entries) => {
            entries.iter().all(|(key, value, optional)| is_constant(key) && is_constant(value) && !optional)
        }
        CheckedKind::Index { operand, index, .. } => is_constant(operand) && is_constant(index),
        _ => false,
    };
    if !is_foldable {
        return;
    }
    let activation = Activation::new(&Env::new(Vec::new()));
    let meter = Meter::of(LIMITS);
    if let Ok(value) = (Planner { is_traced: false }).value(node)(&Run::new(&activation, &meter)) {
        node.kind = CheckedKind::Constant(value);
    }
}

fn is_constant(node: &Checked) -> bool {
    matches!(node.kind, CheckedKind::Constant(_))
}
