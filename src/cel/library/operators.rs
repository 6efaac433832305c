//! Operators: arithmetic, comparison, membership, look-up.

use std::cmp::Ordering;

use super::{Declaration, Fault, Outcome, Run, Value, invalid, no_overload, overflow};
use crate::domain::{within_range, within_years};

pub(super) const FUNCTIONS: &[Declaration] = &[
    (
        "_+_",
        &[
            "_+_(int, int): int",
            "_+_(uint, uint): uint",
            "_+_(double, double): double",
            "_+_(string, string): string",
            "_+_(bytes, bytes): bytes",
            "_+_(list(A), list(A)): list(A)",
            "_+_(timestamp, duration): timestamp",
            "_+_(duration, timestamp): timestamp",
            "_+_(duration, duration): duration",
        ],
        add,
    ),
    (
        "_-_",
        &[
            "_-_(int, int): int",
            "_-_(uint, uint): uint",
            "_-_(double, double): double",
            "_-_(timestamp, timestamp): duration",
            "_-_(timestamp, duration): timestamp",
            "_-_(duration, duration): duration",
        ],
        subtract,
    ),
    ("_*_", &["_*_(int, int): int", "_*_(uint, uint): uint", "_*_(double, double): double"], multiply),
    ("_/_", &["_/_(int, int): int", "_/_(uint, uint): uint", "_/_(double, double): double"], divide),
    ("_%_", &["_%_(int, int): int", "_%_(uint, uint): uint"], modulo),
    ("-_", &["-_(int): int", "-_(double): double"], negate),
    ("!_", &["!_(bool): bool"], not),
    ("_==_", &["_==_(A, A): bool"], |run, arguments| equal(run, arguments).map(Value::Bool)),
    ("_!=_", &["_!=_(A, A): bool"], |run, arguments| equal(run, arguments).map(|same| Value::Bool(!same))),
    ("_<_", ORDERED_LESS, |run, arguments| ordered(run, "_<_", arguments, Ordering::is_lt)),
    ("_<=_", ORDERED_LESS_EQUAL, |run, arguments| ordered(run, "_<=_", arguments, Ordering::is_le)),
    ("_>_", ORDERED_GREATER, |run, arguments| ordered(run, "_>_", arguments, Ordering::is_gt)),
    ("_>=_", ORDERED_GREATER_EQUAL, |run, arguments| ordered(run, "_>=_", arguments, Ordering::is_ge)),
    ("@in", &["@in(A, list(A)): bool", "@in(A, map(A, B)): bool"], contains),
    (
        "_[_]",
        &[
            "_[_](list(A), int): A",
            "_[_](map(A, B), A): B",
            "_[_](optional(list(A)), int): optional(A)",
            "_[_](optional(map(A, B)), A): optional(B)",
        ],
        |_, arguments| look_up(arguments, false),
    ),
    (
        "_[?_]",
        &[
            "_[?_](list(A), int): optional(A)",
            "_[?_](map(A, B), A): optional(B)",
            "_[?_](optional(list(A)), int): optional(A)",
            "_[?_](optional(map(A, B)), A): optional(B)",
        ],
        |_, arguments| look_up(arguments, true),
    ),
];

macro_rules! ordered_overloads {
    ($name:literal) => {
        &[
            concat!($name, "(bool, bool): bool"),
            concat!($name, "(int, int): bool"),
            concat!($name, "(int, uint): bool"),
            concat!($name, "(int, double): bool"),
            concat!($name, "(uint, uint): bool"),
            concat!($name, "(uint, int): bool"),
            concat!($name, "(uint, double): bool"),
            concat!($name, "(double, double): bool"),
            concat!($name, "(double, int): bool"),
            concat!($name, "(double, uint): bool"),
            concat!($name, "(string, string): bool"),
            concat!($name, "(bytes, bytes): bool"),
            concat!($name, "(timestamp, timestamp): bool"),
            concat!($name, "(duration, duration): bool"),
        ]
    };
}

const ORDERED_LESS: &[&str] = ordered_overloads!("_<_");
const ORDERED_LESS_EQUAL: &[&str] = ordered_overloads!("_<=_");
const ORDERED_GREATER: &[&str] = ordered_overloads!("_>_");
const ORDERED_GREATER_EQUAL: &[&str] = ordered_overloads!("_>=_");

#[cold]
pub(in crate::cel) fn int_overflow() -> Fault {
    overflow("the result")
}

#[cold]
pub(in crate::cel) fn division_by_zero() -> Fault {
    Fault::new("division_by_zero", "division by zero")
}

fn add(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [left, right] = arguments else { return Err(no_overload("_+_", arguments)) };
    let sum = match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.checked_add(*right).map(Value::Int),
        (Value::Uint(left), Value::Uint(right)) => left.checked_add(*right).map(Value::Uint),
        (Value::Double(left), Value::Double(right)) => Some(Value::Double(left + right)),
        (Value::String(left), Value::String(right)) => {
            run.allocate(left.len() + right.len())?;
            Some(Value::from([&**left, &**right].concat()))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            run.allocate(left.len() + right.len())?;
            Some(Value::Bytes([&**left, &**right].concat().into()))
        }
        (Value::List(left), Value::List(right)) => {
            run.allocate_items(left.len() + right.len())?;
            Some(Value::List(left.iter().chain(right.iter()).cloned().collect()))
        }
        (Value::Timestamp(time), Value::Duration(length)) | (Value::Duration(length), Value::Timestamp(time)) => {
            time.checked_add_signed(*length).and_then(within_years).map(Value::Timestamp)
        }
        (Value::Duration(left), Value::Duration(right)) => {
            left.checked_add(right).and_then(within_range).map(Value::Duration)
        }
        _ => return Err(no_overload("_+_", arguments)),
    };
    sum.ok_or_else(int_overflow)
}

fn subtract(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    let difference = match arguments {
        [Value::Int(left), Value::Int(right)] => left.checked_sub(*right).map(Value::Int),
        [Value::Uint(left), Value::Uint(right)] => left.checked_sub(*right).map(Value::Uint),
        [Value::Double(left), Value::Double(right)] => Some(Value::Double(left - right)),
        [Value::Timestamp(left), Value::Timestamp(right)] => {
            // The difference must fit 64 bits of nanoseconds, as in the reference.
            let length = left.signed_duration_since(*right);
            length.num_nanoseconds().map(|_| Value::Duration(length))
        }
        [Value::Timestamp(time), Value::Duration(length)] => {
            time.checked_sub_signed(*length).and_then(within_years).map(Value::Timestamp)
        }
        [Value::Duration(left), Value::Duration(right)] => {
            left.checked_sub(right).and_then(within_range).map(Value::Duration)
        }
        _ => return Err(no_overload("_-_", arguments)),
    };
    difference.ok_or_else(int_overflow)
}

fn multiply(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    let product = match arguments {
        [Value::Int(left), Value::Int(right)] => left.checked_mul(*right).map(Value::Int),
        [Value::Uint(left), Value::Uint(right)] => left.checked_mul(*right).map(Value::Uint),
        [Value::Double(left), Value::Double(right)] => Some(Value::Double(left * right)),
        _ => return Err(no_overload("_*_", arguments)),
    };
    product.ok_or_else(int_overflow)
}

fn divide(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    let quotient = match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => return Err(division_by_zero()),
        [Value::Int(left), Value::Int(right)] => left.checked_div(*right).map(Value::Int),
        [Value::Uint(left), Value::Uint(right)] => left.checked_div(*right).map(Value::Uint),
        [Value::Double(left), Value::Double(right)] => Some(Value::Double(left / right)),
        _ => return Err(no_overload("_/_", arguments)),
    };
    quotient.ok_or_else(int_overflow)
}

fn modulo(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    let rest = match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            return Err(Fault::new("division_by_zero", "modulus by zero"));
        }
        [Value::Int(left), Value::Int(right)] => left.checked_rem(*right).map(Value::Int),
        [Value::Uint(left), Value::Uint(right)] => left.checked_rem(*right).map(Value::Uint),
        _ => return Err(no_overload("_%_", arguments)),
    };
    rest.ok_or_else(int_overflow)
}

fn negate(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [Value::Int(value)] => value.checked_neg().map(Value::Int).ok_or_else(int_overflow),
        [Value::Double(value)] => Ok(Value::Double(-value)),
        _ => Err(no_overload("-_", arguments)),
    }
}

fn not(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => Err(no_overload("!_", arguments)),
    }
}

/// Whether two values are equal; comparing large ones is charged for.
pub(in crate::cel) fn equal(run: &Run<'_>, arguments: &[Value]) -> Result<bool, Fault> {
    let [left, right] = arguments else { return Err(no_overload("_==_", arguments)) };
    run.charge_comparing(left, right)?;
    Ok(left == right)
}

fn ordered(run: &Run<'_>, name: &str, arguments: &[Value], accepts: fn(Ordering) -> bool) -> Outcome {
    let [left, right] = arguments else { return Err(no_overload(name, arguments)) };
    run.charge_comparing(left, right)?;
    match left.compare(right) {
        Some(ordering) => Ok(Value::Bool(accepts(ordering))),
        None if is_number(left) && is_number(right) => Err(invalid("NaN has no order")),
        None => Err(no_overload(name, arguments)),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn contains(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [item, Value::List(items)] => {
            for candidate in items.iter() {
                run.charge(1)?;
                run.charge_comparing(item, candidate)?;
                if item == candidate {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        [Value::String(name), Value::Object(object)] => Ok(Value::Bool(object.get(name).is_some())),
        _ => Err(no_overload("@in", arguments)),
    }
}

/// `operand[index]`: the value, or an optional one.
pub(in crate::cel) fn look_up(arguments: &[Value], optional: bool) -> Outcome {
    let [operand, index] = arguments else { return Err(no_overload("_[_]", arguments)) };
    let (container, is_optional) = match operand {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => (&**inner, true),
        other => (other, false),
    };
    let found = match container {
        Value::List(items) => match whole_index(index)? {
            Some(position) => items.get(position).cloned().ok_or_else(|| {
                Fault::new("index_out_of_range", format!("index {position} is beyond a list of {}", items.len()))
            }),
            None => Err(Fault::new("index_out_of_range", "a negative index is beyond a list")),
        },
        Value::Map(map) => map.get(index).cloned().ok_or_else(|| no_such_key(index)),
        Value::Object(object) => {
            index.as_str().and_then(|name| object.get(name)).cloned().ok_or_else(|| no_such_key(index))
        }
        _ => return Err(no_overload("_[_]", arguments)),
    };
    if optional || is_optional {
        return Ok(Value::Optional(found.ok().map(std::sync::Arc::new)));
    }
    found
}

#[cold]
pub(in crate::cel) fn no_such_key(key: &Value) -> Fault {
    Fault::new("no_such_key", format!("there is no key `{}`", key.to_json()))
}

/// The position that an index stands for: none if it is negative.
fn whole_index(index: &Value) -> Result<Option<usize>, Fault> {
    Ok(match index {
        Value::Int(index) => usize::try_from(*index).ok(),
        Value::Uint(index) => usize::try_from(*index).ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
        Value::Double(index) if index.fract() == 0.0 && (0.0..1e15).contains(index) => Some(*index as usize),
        other => return Err(invalid(format!("`{}` cannot be the index of a list", other.to_json()))),
    })
}
