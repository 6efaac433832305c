//! `'%s is %d'.format([…])`.

use super::{Declaration, Fault, Outcome, Run, Value, conversions::double_text, invalid, no_overload};
use crate::cel::value::{duration_text, timestamp_text};

/// Digits after the point that a clause may ask for.
const PRECISION_MAX: usize = 1_000;
const PRECISION_DEFAULT: usize = 6;

pub(super) const FUNCTIONS: &[Declaration] = &[("format", &["string.format(list(dyn)): string"], format)];

fn format(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [Value::String(template), Value::List(values)] = arguments else {
        return Err(no_overload("format", arguments));
    };
    run.allocate(template.len())?;
    let mut values = values.iter();
    let mut result = String::new();
    let mut rest: &str = template;
    while let Some((before, after)) = rest.split_once('%') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(after)?;
        let mut characters = after.chars();
        let Some(verb) = characters.next() else { return Err(invalid("a `%` ends the format")) };
        let value = values
            .next()
            .ok_or_else(|| Fault::new("index_out_of_range", "the format asks for more values than there are"))?;
        let text = clause(run, verb, precision, value)?;
        run.allocate(text.len())?;
        result.push_str(&text);
        rest = characters.as_str();
    }
    result.push_str(rest);
    Ok(Value::from(result))
}

fn precision(text: &str) -> Result<(Option<usize>, &str), Fault> {
    let Some(digits) = text.strip_prefix('.') else { return Ok((None, text)) };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at_checked(end).unwrap_or((digits, ""));
    let number = number.parse().ok().filter(|number| *number <= PRECISION_MAX);
    number.map(|number| (Some(number), rest)).ok_or_else(|| invalid("the precision of a format must be a small number"))
}

fn clause(run: &Run<'_>, verb: char, precision: Option<usize>, value: &Value) -> Result<String, Fault> {
    let refuse = |what: &str| invalid(format!("`%{verb}` takes {what}, not `{}`", value.type_name()));
    if let (Value::Double(number), 'd' | 'e' | 'f') = (value, verb)
        && !number.is_finite()
    {
        return Ok(special(*number).to_owned());
    }
    match verb {
        's' => {
            let mut text = String::new();
            plain(run, value, &mut text)?;
            Ok(text)
        }
        'd' => match value {
            Value::Int(number) => Ok(number.to_string()),
            Value::Uint(number) => Ok(number.to_string()),
            _ => Err(refuse("an integer")),
        },
        'f' => {
            let number = number(value).ok_or_else(|| refuse("a number"))?;
            Ok(format!("{number:.*}", precision.unwrap_or(PRECISION_DEFAULT)))
        }
        'e' => {
            let number = number(value).ok_or_else(|| refuse("a number"))?;
            Ok(scientific(number, precision.unwrap_or(PRECISION_DEFAULT)))
        }
        'b' => match value {
            Value::Bool(value) => Ok(u8::from(*value).to_string()),
            _ => integer(value)
                .map(|(sign, number)| format!("{sign}{number:b}"))
                .ok_or_else(|| refuse("an integer or a bool")),
        },
        'o' => integer(value).map(|(sign, number)| format!("{sign}{number:o}")).ok_or_else(|| refuse("an integer")),
        'x' | 'X' => {
            let text = match value {
                Value::String(text) => hex(text.as_bytes()),
                Value::Bytes(bytes) => hex(bytes),
                _ => integer(value)
                    .map(|(sign, number)| format!("{sign}{number:x}"))
                    .ok_or_else(|| refuse("an integer, a text or bytes"))?,
            };
            Ok(if verb == 'X' { text.to_uppercase() } else { text })
        }
        _ => Err(invalid(format!("`%{verb}` is not a format clause"))),
    }
}

fn special(number: f64) -> &'static str {
    match number {
        _ if number.is_nan() => "NaN",
        _ if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown as the nearest double")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<(&'static str, u64)> {
    match value {
        Value::Int(number) => Some((if *number < 0 { "-" } else { "" }, number.unsigned_abs())),
        Value::Uint(number) => Some(("", *number)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A value as `%s` shows it; maps are sorted by the texts of their keys.
fn plain(run: &Run<'_>, value: &Value, text: &mut String) -> Result<(), Fault> {
    run.charge(1)?;
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => text.push_str(&number.to_string()),
        Value::Uint(number) => text.push_str(&number.to_string()),
        Value::Double(number) if number.is_finite() => text.push_str(&double_text(*number)),
        Value::Double(number) => text.push_str(special(*number)),
        Value::String(content) => {
            run.allocate(content.len())?;
            text.push_str(content);
        }
        Value::Bytes(bytes) => {
            run.allocate(bytes.len())?;
            text.push_str(&String::from_utf8_lossy(bytes));
        }
        Value::Timestamp(value) => text.push_str(&timestamp_text(*value)),
        Value::Duration(value) => text.push_str(&duration_text(*value)),
        Value::Type(name) => text.push_str(name),
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                plain(run, item, text)?;
            }
            text.push(']');
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.iter() {
                let (mut key_text, mut value_text) = (String::new(), String::new());
                plain(run, key, &mut key_text)?;
                plain(run, value, &mut value_text)?;
                entries.push((key_text, value_text));
            }
            entries.sort();
            let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            run.allocate(text.len())?;
            text.push('{');
            text.push_str(&entries.join(", "));
            text.push('}');
        }
        other => return Err(invalid(format!("`%s` does not take `{}`", other.type_name()))),
    }
    Ok(())
}
