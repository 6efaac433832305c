//! Constant folding: what depends on nothing is computed once, here.

use std::sync::LazyLock;

use crate::cel::{
    activation::Activation,
    check::{Checked, CheckedKind},
    env::Env,
    meter::Meter,
    run::{Fault, Limits, Outcome, Run},
    value::Value,
};

use super::Planner;

/// What folding one expression may take: it must not hold up a compilation.
const LIMITS: Limits = Limits { cost_max: 10_000, memory_bytes_max: 64 * 1024 };

/// What a constant reads.
static NOTHING: LazyLock<Activation> = LazyLock::new(|| Activation::new(&Env::new(Vec::new())));

/// Replaces every sub-expression of constants by its value. One that ends with an error stays, and ends with it at run
/// time, where an operator may absorb it.
pub(in crate::cel) fn fold(node: &mut Checked) {
    node.children_mut(&mut fold);
    if !is_foldable(node) {
        return;
    }
    if let CheckedKind::List(elements) = &node.kind
        && (elements.len() * size_of::<Value>()) as u64 <= LIMITS.memory_bytes_max
    {
        // As its evaluation would, without planning one.
        let values = elements.iter().filter_map(|(element, _)| constant(element).cloned());
        node.kind = CheckedKind::Constant(Value::List(values.collect()));
        return;
    }
    if let Ok(value) = compute(node) {
        node.kind = CheckedKind::Constant(value);
    }
}

/// Why a sub-expression of constants has no value, if it has none. Not one that takes too long to say.
pub(in crate::cel) fn failure(node: &Checked) -> Option<Fault> {
    if !is_foldable(node) {
        return None;
    }
    compute(node).err().filter(|fault| !fault.is_stop())
}

fn compute(node: &Checked) -> Outcome {
    let meter = Meter::of(LIMITS);
    (Planner { is_traced: false }).value(node)(&Run::new(&NOTHING, &meter))
}

/// Whether it consists of constants.
fn is_foldable(node: &Checked) -> bool {
    match &node.kind {
        CheckedKind::Call { arguments, .. } => arguments.iter().all(is_constant),
        CheckedKind::List(elements) => elements.iter().all(|(element, optional)| is_constant(element) && !optional),
        CheckedKind::Map(entries) => {
            entries.iter().all(|(key, value, optional)| is_constant(key) && is_constant(value) && !optional)
        }
        CheckedKind::Index { operand, index, .. } => is_constant(operand) && is_constant(index),
        _ => false,
    }
}

fn constant(node: &Checked) -> Option<&Value> {
    if let CheckedKind::Constant(value) = &node.kind { Some(value) } else { None }
}

fn is_constant(node: &Checked) -> bool {
    constant(node).is_some()
}
