//! Regular expressions: linear in the text, whatever the pattern. Patterns written in the source are compiled by `plan`.

use std::sync::Arc;

use regex::{Captures, Regex};

use super::{Declaration, Fault, Outcome, Run, Value, invalid, literals, no_overload};
use crate::cel::cost::{PATTERN_BYTE_UNITS, PATTERN_UNITS};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("matches", &["matches(string, string): bool", "string.matches(string): bool"], |run, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = compile(run, pattern)?;
            run.charge_bytes(text.len())?;
            Ok(Value::Bool(pattern.is_match(text)))
        }
        _ => Err(no_overload("matches", arguments)),
    }),
    ("regex.extract", &["regex.extract(string, string): optional(string)"], |run, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = single_group(compile(run, pattern)?)?;
            run.allocate(text.len())?;
            let found = pattern.captures(text).and_then(|captures| group(&captures));
            Ok(Value::Optional(found.map(Arc::new)))
        }
        _ => Err(no_overload("regex.extract", arguments)),
    }),
    ("regex.extractAll", &["regex.extractAll(string, string): list(string)"], |run, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = single_group(compile(run, pattern)?)?;
            let mut found = Vec::new();
            for captures in pattern.captures_iter(text) {
                run.allocate(64)?;
                found.extend(group(&captures));
            }
            Ok(Value::list(found))
        }
        _ => Err(no_overload("regex.extractAll", arguments)),
    }),
    (
        "regex.replace",
        &["regex.replace(string, string, string): string", "regex.replace(string, string, string, int): string"],
        replace,
    ),
];

fn compile(run: &Run<'_>, pattern: &str) -> Result<Regex, Fault> {
    run.charge((pattern.len() as u64).saturating_mul(PATTERN_BYTE_UNITS).saturating_add(PATTERN_UNITS))?;
    literals::computed_pattern(pattern).map_err(invalid)
}

fn single_group(pattern: Regex) -> Result<Regex, Fault> {
    if pattern.captures_len() > 2 {
        return Err(invalid(format!("the pattern `{pattern}` has more than one group")));
    }
    Ok(pattern)
}

/// The only group, or the whole match if there is none.
fn group(captures: &Captures<'_>) -> Option<Value> {
    let index = captures.len() - 1;
    captures.get(index).map(|found| Value::from(found.as_str()))
}

fn replace(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, pattern, replacement, count) = match arguments {
        [Value::String(text), Value::String(pattern), Value::String(replacement)] => (text, pattern, replacement, -1),
        [Value::String(text), Value::String(pattern), Value::String(replacement), Value::Int(count)] => {
            (text, pattern, replacement, *count)
        }
        _ => return Err(no_overload("regex.replace", arguments)),
    };
    let pattern = compile(run, pattern)?;
    run.charge_bytes(text.len())?;
    let mut result = String::new();
    let mut end = 0;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    for captures in pattern.captures_iter(text).take(limit) {
        let Some(found) = captures.get(0) else { continue };
        result.push_str(text.get(end..found.start()).unwrap_or_default());
        expand(replacement, &captures, &mut result)?;
        run.allocate(replacement.len() + found.len() + 16)?;
        end = found.end();
    }
    result.push_str(text.get(end..).unwrap_or_default());
    run.allocate(result.len())?;
    Ok(Value::from(result))
}

/// Writes the replacement with `\1` standing for a group and `\\` for a backslash.
fn expand(replacement: &str, captures: &Captures<'_>, result: &mut String) -> Result<(), Fault> {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('\\') => result.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                let index = digit.to_digit(10).unwrap_or(0) as usize;
                if index >= captures.len() {
                    return Err(invalid(format!("the pattern has no group {index}")));
                }
                result.push_str(captures.get(index).map_or("", |found| found.as_str()));
            }
            _ => return Err(invalid("in a replacement, a backslash stands before a digit or another backslash")),
        }
    }
    Ok(())
}
