//! What a list comes to as a whole: its sum, its mean, its extremes, whether it is sorted or has nothing twice.

use std::cmp::Ordering;

use chrono::TimeDelta;

use super::{Body, Declaration, Outcome, Run, Value, collections, invalid, no_overload, operators::int_overflow};
use crate::domain::within_range;

macro_rules! ordered_lists {
    ($name:literal, $result:literal) => {
        &[
            concat!("list(bool).", $name, "(): ", $result),
            concat!("list(int).", $name, "(): ", $result),
            concat!("list(uint).", $name, "(): ", $result),
            concat!("list(double).", $name, "(): ", $result),
            concat!("list(string).", $name, "(): ", $result),
            concat!("list(bytes).", $name, "(): ", $result),
            concat!("list(timestamp).", $name, "(): ", $result),
            concat!("list(duration).", $name, "(): ", $result),
        ]
    };
}

macro_rules! extremes {
    ($name:literal) => {
        &[
            concat!("list(bool).", $name, "(): bool"),
            concat!("list(int).", $name, "(): int"),
            concat!("list(uint).", $name, "(): uint"),
            concat!("list(double).", $name, "(): double"),
            concat!("list(string).", $name, "(): string"),
            concat!("list(bytes).", $name, "(): bytes"),
            concat!("list(timestamp).", $name, "(): timestamp"),
            concat!("list(duration).", $name, "(): duration"),
        ]
    };
}

const SUM: Body = |run, arguments| sum(run, arguments, Value::Int(0));

pub(super) const FUNCTIONS: &[Declaration] = &[
    (
        "sum",
        &[
            "list(int).sum(): int",
            "list(uint).sum(): uint",
            "list(double).sum(): double",
            "list(duration).sum(): duration",
        ],
        SUM,
    ),
    ("@sumOfUints", &["list(uint).@sumOfUints(): uint"], |run, arguments| sum(run, arguments, Value::Uint(0))),
    ("@sumOfDoubles", &["list(double).@sumOfDoubles(): double"], |run, arguments| {
        sum(run, arguments, Value::Double(0.0))
    }),
    ("@sumOfDurations", &["list(duration).@sumOfDurations(): duration"], |run, arguments| {
        sum(run, arguments, Value::Duration(TimeDelta::zero()))
    }),
    // No list with an element has a sum of another type.
    ("@sumOfOthers", &["list(A).@sumOfOthers(): A"], |run, arguments| match sum(run, arguments, Value::Null)? {
        Value::Null => Err(invalid("no value of its type is the sum of an empty list")),
        sum => Ok(sum),
    }),
    ("avg", &["list(int).avg(): double", "list(uint).avg(): double", "list(double).avg(): double"], average),
    ("min", extremes!("min"), |run, arguments| extreme(run, "min", arguments, Ordering::is_lt)),
    ("max", extremes!("max"), |run, arguments| extreme(run, "max", arguments, Ordering::is_gt)),
    ("isSorted", ordered_lists!("isSorted", "bool"), is_sorted),
    ("unique", &["list(A).unique(): bool"], |run, arguments| match arguments {
        [Value::List(items)] => {
            for (index, item) in items.iter().enumerate() {
                if collections::contains(run, items.get(..index).unwrap_or_default(), item)? {
                    return Ok(Value::Bool(false));
                }
            }
            Ok(Value::Bool(true))
        }
        _ => Err(no_overload("unique", arguments)),
    }),
];

/// The sum of numbers or durations of one type; of none it is `nothing`.
fn sum(run: &Run<'_>, arguments: &[Value], nothing: Value) -> Outcome {
    let [Value::List(items)] = arguments else { return Err(no_overload("sum", arguments)) };
    run.charge(items.len() as u64)?;
    let mut items = items.iter();
    let Some(first) = items.next() else { return Ok(nothing) };
    if !matches!(first, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return Err(no_overload("sum", arguments));
    }
    items.try_fold(first.clone(), |sum, item| {
        let sum = match (&sum, item) {
            (Value::Int(sum), Value::Int(item)) => sum.checked_add(*item).map(Value::Int),
            (Value::Uint(sum), Value::Uint(item)) => sum.checked_add(*item).map(Value::Uint),
            (Value::Double(sum), Value::Double(item)) => Some(Value::Double(sum + item)),
            (Value::Duration(sum), Value::Duration(item)) => {
                sum.checked_add(item).and_then(within_range).map(Value::Duration)
            }
            _ => return Err(no_overload("sum", arguments)),
        };
        sum.ok_or_else(int_overflow)
    })
}

/// The mean of numbers, each taken as a double.
#[expect(clippy::cast_precision_loss, reason = "the mean of the nearest doubles")]
fn average(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [Value::List(items)] = arguments else { return Err(no_overload("avg", arguments)) };
    run.charge(items.len() as u64)?;
    if items.is_empty() {
        return Err(invalid("`avg` needs at least one number"));
    }
    let mut sum = 0.0;
    for item in items.iter() {
        sum += match item {
            Value::Int(item) => *item as f64,
            Value::Uint(item) => *item as f64,
            Value::Double(item) => *item,
            _ => return Err(no_overload("avg", arguments)),
        };
    }
    Ok(Value::Double(sum / items.len() as f64))
}

fn is_ordered(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Timestamp(_)
            | Value::Duration(_)
    )
}

/// The order of two elements, which is paid for.
fn order(run: &Run<'_>, name: &str, left: &Value, right: &Value) -> Result<Ordering, super::Fault> {
    run.charge(1)?;
    run.charge_comparing(left, right)?;
    let is_nan = |value: &Value| matches!(value, Value::Double(number) if number.is_nan());
    match left.compare(right) {
        Some(ordering) => Ok(ordering),
        None if is_nan(left) || is_nan(right) => Err(invalid("NaN has no order")),
        None => Err(no_overload(name, &[left.clone(), right.clone()])),
    }
}

/// The first of the elements that come before all others, by `is_before`.
fn extreme(run: &Run<'_>, name: &str, arguments: &[Value], is_before: fn(Ordering) -> bool) -> Outcome {
    let [Value::List(items)] = arguments else { return Err(no_overload(name, arguments)) };
    let mut items = items.iter();
    let Some(mut best) = items.next() else { return Err(invalid(format!("`{name}` needs at least one element"))) };
    if !is_ordered(best) {
        return Err(no_overload(name, arguments));
    }
    for item in items {
        if is_before(order(run, name, item, best)?) {
            best = item;
        }
    }
    Ok(best.clone())
}

fn is_sorted(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [Value::List(items)] = arguments else { return Err(no_overload("isSorted", arguments)) };
    if items.first().is_some_and(|first| !is_ordered(first)) {
        return Err(no_overload("isSorted", arguments));
    }
    for (left, right) in items.iter().zip(items.iter().skip(1)) {
        if order(run, "isSorted", left, right)?.is_gt() {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}
