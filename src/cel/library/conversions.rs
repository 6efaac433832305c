//! Conversions between types, and the type of a value.

use chrono::DateTime;

use super::{Declaration, Fault, Outcome, Run, Value, literals, no_overload, overflow};
use crate::{
    cel::value::{duration_text, timestamp_text},
    domain::within_years,
};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("bool", &["bool(bool): bool", "bool(string): bool"], |_, arguments| match arguments {
        [value @ Value::Bool(_)] => Ok(value.clone()),
        [Value::String(text)] => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(unreadable(text, "bool")),
        },
        _ => Err(no_overload("bool", arguments)),
    }),
    ("int", &["int(int): int", "int(uint): int", "int(double): int", "int(string): int", "int(timestamp): int"], int),
    ("uint", &["uint(uint): uint", "uint(int): uint", "uint(double): uint", "uint(string): uint"], uint),
    (
        "double",
        &["double(double): double", "double(int): double", "double(uint): double", "double(string): double"],
        double,
    ),
    (
        "string",
        &[
            "string(string): string",
            "string(bool): string",
            "string(int): string",
            "string(uint): string",
            "string(double): string",
            "string(bytes): string",
            "string(timestamp): string",
            "string(duration): string",
            "string(net.IP): string",
            "string(net.CIDR): string",
        ],
        string,
    ),
    ("bytes", &["bytes(bytes): bytes", "bytes(string): bytes"], |run, arguments| match arguments {
        [value @ Value::Bytes(_)] => Ok(value.clone()),
        [Value::String(text)] => {
            run.allocate(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(no_overload("bytes", arguments)),
    }),
    (
        "timestamp",
        &["timestamp(timestamp): timestamp", "timestamp(string): timestamp", "timestamp(int): timestamp"],
        |_, arguments| match arguments {
            [value @ Value::Timestamp(_)] => Ok(value.clone()),
            [Value::String(text)] => literals::timestamp(text).map(Value::Timestamp).map_err(conversion),
            [Value::Int(seconds)] => DateTime::from_timestamp(*seconds, 0)
                .and_then(within_years)
                .map(Value::Timestamp)
                .ok_or_else(|| overflow("the timestamp")),
            _ => Err(no_overload("timestamp", arguments)),
        },
    ),
    ("duration", &["duration(duration): duration", "duration(string): duration"], |_, arguments| match arguments {
        [value @ Value::Duration(_)] => Ok(value.clone()),
        [Value::String(text)] => literals::duration(text).map(Value::Duration).map_err(conversion),
        _ => Err(no_overload("duration", arguments)),
    }),
    ("dyn", &["dyn(A): dyn"], |_, arguments| match arguments {
        [value] => Ok(value.clone()),
        _ => Err(no_overload("dyn", arguments)),
    }),
    ("type", &["type(A): type(A)"], |_, arguments| match arguments {
        [value] => Ok(Value::Type(value.type_name().into())),
        _ => Err(no_overload("type", arguments)),
    }),
];

#[cold]
fn conversion(message: String) -> Fault {
    Fault::new("invalid_conversion", message)
}

#[cold]
fn unreadable(text: &str, target: &str) -> Fault {
    let shown: String = text.chars().take(40).collect();
    conversion(format!("`{shown}` cannot be converted to `{target}`"))
}

fn int(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [value @ Value::Int(_)] => Ok(value.clone()),
        [Value::Uint(value)] => i64::try_from(*value).map(Value::Int).map_err(|_| overflow("the number")),
        [Value::Double(value)] => {
            // The least `int` itself is refused, as in the reference: doubles near it are not exact.
            if *value > -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 {
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked; the fraction is cut off")]
                return Ok(Value::Int(*value as i64));
            }
            Err(overflow("the number"))
        }
        [Value::String(text)] => text.parse().map(Value::Int).map_err(|_| unreadable(text, "int")),
        [Value::Timestamp(time)] => Ok(Value::Int(time.timestamp())),
        _ => Err(no_overload("int", arguments)),
    }
}

fn uint(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [value @ Value::Uint(_)] => Ok(value.clone()),
        [Value::Int(value)] => u64::try_from(*value).map(Value::Uint).map_err(|_| overflow("the number")),
        [Value::Double(value)] => {
            if *value >= 0.0 && *value < 18_446_744_073_709_551_616.0 {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
                return Ok(Value::Uint(*value as u64));
            }
            Err(overflow("the number"))
        }
        [Value::String(text)] => text.parse().map(Value::Uint).map_err(|_| unreadable(text, "uint")),
        _ => Err(no_overload("uint", arguments)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the conversion to double rounds to the nearest")]
fn double(_: &Run<'_>, arguments: &[Value]) -> Outcome {
    match arguments {
        [value @ Value::Double(_)] => Ok(value.clone()),
        [Value::Int(value)] => Ok(Value::Double(*value as f64)),
        [Value::Uint(value)] => Ok(Value::Double(*value as f64)),
        [Value::String(text)] => text.parse().map(Value::Double).map_err(|_| unreadable(text, "double")),
        _ => Err(no_overload("double", arguments)),
    }
}

fn string(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [value] = arguments else { return Err(no_overload("string", arguments)) };
    run.allocate(32)?;
    Ok(match value {
        Value::String(_) => value.clone(),
        Value::Bool(value) => Value::from(if *value { "true" } else { "false" }),
        Value::Int(value) => Value::from(value.to_string()),
        Value::Uint(value) => Value::from(value.to_string()),
        Value::Double(value) => Value::from(double_text(*value)),
        Value::Bytes(bytes) => {
            run.allocate(bytes.len())?;
            let text = std::str::from_utf8(bytes).map_err(|_| conversion("the bytes are not UTF-8".to_owned()))?;
            Value::from(text)
        }
        Value::Timestamp(value) => Value::from(timestamp_text(*value)),
        Value::Duration(value) => Value::from(duration_text(*value)),
        Value::Network(network) => Value::from(network.to_string()),
        _ => return Err(no_overload("string", arguments)),
    })
}

/// A double in its shortest form; with an exponent where it is very small or very large.
pub(super) fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => value.to_string(),
    }
}
