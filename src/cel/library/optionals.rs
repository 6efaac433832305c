//! Optional values.

use std::sync::Arc;

use super::{Declaration, Fault, Outcome, Run, Value, invalid, no_overload};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("optional.of", &["optional.of(A): optional(A)"], |_, arguments| match arguments {
        [value] => Ok(Value::some(value.clone())),
        _ => Err(no_overload("optional.of", arguments)),
    }),
    ("optional.none", &["optional.none(): optional(A)"], |_, _| Ok(Value::Optional(None))),
    ("optional.ofNonZeroValue", &["optional.ofNonZeroValue(A): optional(A)"], of_non_zero),
    ("optional.unwrap", &["optional.unwrap(list(optional(A))): list(A)"], unwrap),
    ("unwrapOpt", &["list(optional(A)).unwrapOpt(): list(A)"], unwrap),
    ("hasValue", &["optional(A).hasValue(): bool"], |_, arguments| match arguments {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(no_overload("hasValue", arguments)),
    }),
    ("value", &["optional(A).value(): A"], |_, arguments| match arguments {
        [Value::Optional(Some(value))] => Ok(Value::clone(value)),
        [Value::Optional(None)] => Err(invalid("`optional.none()` has no value")),
        _ => Err(no_overload("value", arguments)),
    }),
    ("or", &["optional(A).or(optional(A)): optional(A)"], |_, arguments| match arguments {
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
        [value @ Value::Optional(Some(_)), Value::Optional(_)] => Ok(value.clone()),
        _ => Err(no_overload("or", arguments)),
    }),
    ("orValue", &["optional(A).orValue(A): A"], |_, arguments| match arguments {
        [Value::Optional(Some(value)), _] => Ok(Value::clone(value)),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => Err(no_overload("orValue", arguments)),
    }),
];

fn of_non_zero(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [value] = arguments else { return Err(no_overload("optional.ofNonZeroValue", arguments)) };
    let is_zero = match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Uint(value) => *value == 0,
        Value::Double(value) => *value == 0.0,
        Value::String(value) => value.is_empty(),
        Value::Bytes(value) => value.is_empty(),
        Value::List(value) => value.is_empty(),
        Value::Map(value) => value.is_empty(),
        Value::Duration(value) => value.is_zero(),
        Value::Timestamp(value) => value.timestamp() == 0 && value.timestamp_subsec_nanos() == 0,
        _ => false,
    };
    Ok(Value::Optional((!is_zero).then(|| Arc::new(value.clone()))))
}

fn unwrap(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [Value::List(items)] = arguments else { return Err(no_overload("optional.unwrap", arguments)) };
    run.allocate_items(items.len())?;
    let mut values = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item {
            Value::Optional(Some(value)) => values.push(Value::clone(value)),
            Value::Optional(None) => {}
            _ => return Err(Fault::new("no_such_overload", "`optional.unwrap` takes a list of optionals")),
        }
    }
    Ok(Value::list(values))
}
