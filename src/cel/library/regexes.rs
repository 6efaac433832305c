//! Functions of regular expressions. Patterns written in the source are compiled by `plan`.

use std::sync::Arc;

use regex::Captures;

use super::{Declaration, Fault, Outcome, Pattern, Run, Value, invalid, no_overload};
use crate::cel::cost::{PATTERN_BYTE_UNITS, PATTERN_UNITS};

/// What a function does whose second argument is a pattern, once that is compiled.
pub(in crate::cel) type PatternBody = fn(&Run<'_>, &Pattern, &[Value]) -> Outcome;

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("matches", &["matches(string, string): bool", "string.matches(string): bool"], |run, arguments| {
        with_pattern(run, "matches", matches, arguments)
    }),
    ("find", &["string.find(string): string"], |run, arguments| with_pattern(run, "find", find, arguments)),
    (
        "findAll",
        &["string.findAll(string): list(string)", "string.findAll(string, int): list(string)"],
        |run, arguments| with_pattern(run, "findAll", find_all, arguments),
    ),
    ("regex.extract", &["regex.extract(string, string): optional(string)"], |run, arguments| {
        with_pattern(run, "regex.extract", extract, arguments)
    }),
    ("regex.extractAll", &["regex.extractAll(string, string): list(string)"], |run, arguments| {
        with_pattern(run, "regex.extractAll", extract_all, arguments)
    }),
    (
        "regex.replace",
        &["regex.replace(string, string, string): string", "regex.replace(string, string, string, int): string"],
        |run, arguments| with_pattern(run, "regex.replace", replace, arguments),
    ),
];

/// What `name` does with a pattern that is compiled already, if it takes one.
pub(in crate::cel) fn pattern_body(name: &str) -> Option<PatternBody> {
    Some(match name {
        "matches" => matches,
        "find" => find,
        "findAll" => find_all,
        "regex.extract" => extract,
        "regex.extractAll" => extract_all,
        "regex.replace" => replace,
        _ => return None,
    })
}

/// Compiles the pattern among the arguments, and pays for that.
fn with_pattern(run: &Run<'_>, name: &str, body: PatternBody, arguments: &[Value]) -> Outcome {
    let [Value::String(_), Value::String(pattern), ..] = arguments else { return Err(no_overload(name, arguments)) };
    run.charge((pattern.len() as u64).saturating_mul(PATTERN_BYTE_UNITS).saturating_add(PATTERN_UNITS))?;
    body(run, &Pattern::computed(pattern).map_err(invalid)?, arguments)
}

fn matches(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("matches", arguments)) };
    run.charge(pattern.search(text.len()))?;
    Ok(Value::Bool(pattern.regex.is_match(text)))
}

fn extract(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("regex.extract", arguments)) };
    one_group_at_most(pattern)?;
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    let found = pattern.regex.captures(text).and_then(|captures| group(&captures));
    Ok(Value::Optional(found.map(Arc::new)))
}

/// The first match as a whole, or an empty text.
fn find(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("find", arguments)) };
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    Ok(Value::from(pattern.regex.find(text).map_or("", |found| found.as_str())))
}

/// All matches, or so many of them, each as a whole.
fn find_all(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let (text, count) = match arguments {
        [Value::String(text), _] => (text, -1),
        [Value::String(text), _, Value::Int(count)] => (text, *count),
        _ => return Err(no_overload("findAll", arguments)),
    };
    // Matches do not overlap: together they are no longer than the text.
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    let mut found = Vec::new();
    for one in pattern.regex.find_iter(text).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        run.charge(pattern.next_search(text.len() - one.end()))?;
        run.allocate(64)?;
        found.push(Value::from(one.as_str()));
    }
    Ok(Value::list(found))
}

fn extract_all(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("regex.extractAll", arguments)) };
    one_group_at_most(pattern)?;
    // Matches do not overlap: together they are no longer than the text.
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    let mut found = Vec::new();
    for captures in pattern.regex.captures_iter(text) {
        let end = captures.get(0).map_or(0, |whole| whole.end());
        run.charge(pattern.next_search(text.len() - end))?;
        run.allocate(64)?;
        found.extend(group(&captures));
    }
    Ok(Value::list(found))
}

fn one_group_at_most(pattern: &Pattern) -> Result<(), Fault> {
    if pattern.regex.captures_len() > 2 {
        return Err(invalid(format!("the pattern `{}` has more than one group", pattern.regex)));
    }
    Ok(())
}

/// The only group, or the whole match if there is none.
fn group(captures: &Captures<'_>) -> Option<Value> {
    let index = captures.len() - 1;
    captures.get(index).map(|found| Value::from(found.as_str()))
}

fn replace(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let (text, replacement, count) = match arguments {
        [Value::String(text), _, Value::String(replacement)] => (text, replacement, -1),
        [Value::String(text), _, Value::String(replacement), Value::Int(count)] => (text, replacement, *count),
        _ => return Err(no_overload("regex.replace", arguments)),
    };
    run.charge(pattern.search(text.len()))?;
    let mut result = String::new();
    let mut end = 0;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    for captures in pattern.regex.captures_iter(text).take(limit) {
        let Some(found) = captures.get(0) else { continue };
        result.push_str(text.get(end..found.start()).unwrap_or_default());
        run.charge(pattern.next_search(text.len() - found.end()))?;
        run.allocate(replacement.len() + 16)?;
        expand(run, replacement, &captures, &mut result)?;
        end = found.end();
    }
    result.push_str(text.get(end..).unwrap_or_default());
    run.allocate(text.len())?;
    Ok(Value::from(result))
}

/// Writes the replacement with `\1` standing for a group and `\\` for a backslash.
///
/// A group is paid for before it is copied: a replacement may name it thousands of times.
fn expand(run: &Run<'_>, replacement: &str, captures: &Captures<'_>, result: &mut String) -> Result<(), Fault> {
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
                let group = captures.get(index).map_or("", |found| found.as_str());
                run.allocate(group.len())?;
                result.push_str(group);
            }
            _ => return Err(invalid("in a replacement, a backslash stands before a digit or another backslash")),
        }
    }
    Ok(())
}
