//! Quantities, and what they have in common with versions: an order.

use std::{cmp::Ordering, sync::Arc};

use super::{Declaration, Fault, Outcome, Value, no_overload, operators::int_overflow};
use crate::cel::opaque::{Opaque, Quantity};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("quantity", &["quantity(string): quantity"], |_, arguments| match arguments {
        [Value::String(text)] => Quantity::parse(text).map(value).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Fault::new("invalid_conversion", format!("`{shown}` is not a quantity such as `1.5Gi` or `200m`"))
        }),
        _ => Err(no_overload("quantity", arguments)),
    }),
    ("isQuantity", &["isQuantity(string): bool"], |_, arguments| match arguments {
        [Value::String(text)] => Ok(Value::Bool(Quantity::parse(text).is_some())),
        _ => Err(no_overload("isQuantity", arguments)),
    }),
    ("sign", &["quantity.sign(): int"], |_, arguments| match quantity(arguments, 0) {
        Some(found) => Ok(Value::Int(found.sign())),
        None => Err(no_overload("sign", arguments)),
    }),
    ("isInteger", &["quantity.isInteger(): bool"], |_, arguments| match quantity(arguments, 0) {
        Some(found) => Ok(Value::Bool(found.whole().is_some())),
        None => Err(no_overload("isInteger", arguments)),
    }),
    ("asInteger", &["quantity.asInteger(): int"], |_, arguments| match quantity(arguments, 0) {
        Some(found) => found
            .whole()
            .map(Value::Int)
            .ok_or_else(|| Fault::new("invalid_conversion", format!("`{found}` is not a 64-bit whole number"))),
        None => Err(no_overload("asInteger", arguments)),
    }),
    ("asApproximateFloat", &["quantity.asApproximateFloat(): double"], |_, arguments| match quantity(arguments, 0) {
        Some(found) => Ok(Value::Double(found.approximate())),
        None => Err(no_overload("asApproximateFloat", arguments)),
    }),
    ("add", &["quantity.add(quantity): quantity", "quantity.add(int): quantity"], |_, arguments| {
        combined("add", arguments, Quantity::plus)
    }),
    ("sub", &["quantity.sub(quantity): quantity", "quantity.sub(int): quantity"], |_, arguments| {
        combined("sub", arguments, Quantity::minus)
    }),
    ("isLessThan", &["quantity.isLessThan(quantity): bool", "semver.isLessThan(semver): bool"], |_, arguments| {
        order("isLessThan", arguments).map(|ordering| Value::Bool(ordering.is_lt()))
    }),
    (
        "isGreaterThan",
        &["quantity.isGreaterThan(quantity): bool", "semver.isGreaterThan(semver): bool"],
        |_, arguments| order("isGreaterThan", arguments).map(|ordering| Value::Bool(ordering.is_gt())),
    ),
    ("compareTo", &["quantity.compareTo(quantity): int", "semver.compareTo(semver): int"], |_, arguments| {
        order("compareTo", arguments).map(|ordering| Value::Int(ordering as i64))
    }),
];

fn value(quantity: Quantity) -> Value {
    Value::Opaque(Arc::new(Opaque::Quantity(quantity)))
}

fn quantity(arguments: &[Value], index: usize) -> Option<Quantity> {
    match arguments.get(index)? {
        Value::Opaque(opaque) => match **opaque {
            Opaque::Quantity(quantity) => Some(quantity),
            _ => None,
        },
        _ => None,
    }
}

fn combined(name: &str, arguments: &[Value], combine: fn(Quantity, Quantity) -> Option<Quantity>) -> Outcome {
    let other = match arguments.get(1) {
        Some(Value::Int(whole)) => Some(Quantity::of(*whole)),
        _ => quantity(arguments, 1),
    };
    let (Some(left), Some(right)) = (quantity(arguments, 0), other) else { return Err(no_overload(name, arguments)) };
    combine(left, right).map(value).ok_or_else(int_overflow)
}

fn order(name: &str, arguments: &[Value]) -> Result<Ordering, Fault> {
    match arguments {
        [Value::Opaque(left), Value::Opaque(right)] => left.order(right),
        _ => None,
    }
    .ok_or_else(|| no_overload(name, arguments))
}
