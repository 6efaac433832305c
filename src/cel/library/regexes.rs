//! Functions of regular expressions. Patterns written in the source are compiled by `plan`.

use std::{ops::Range, sync::Arc};

use regex_automata::util::captures::Captures;

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
    Ok(Value::Bool(pattern.is_match(text)))
}

fn extract(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("regex.extract", arguments)) };
    one_group_at_most(pattern)?;
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    let captures = pattern.captures(text).next();
    let found = captures.map_or(Ok(None), |captures| group(text, &captures, pattern.groups))?;
    Ok(Value::Optional(found.map(|found| Arc::new(Value::from(found)))))
}

/// The first match as a whole, or an empty text.
fn find(run: &Run<'_>, pattern: &Pattern, arguments: &[Value]) -> Outcome {
    let [Value::String(text), _] = arguments else { return Err(no_overload("find", arguments)) };
    run.charge(pattern.search(text.len()))?;
    run.allocate(text.len())?;
    let found = pattern.find(text).next().map_or(Ok(""), |found| slice(text, found.range()))?;
    Ok(Value::from(found))
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
    for one in pattern.find(text).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        run.charge(pattern.next_search(text.len() - one.end()))?;
        run.allocate(64)?;
        found.push(Value::from(slice(text, one.range())?));
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
    for captures in pattern.captures(text) {
        let end = captures.get_match().map_or(0, |whole| whole.end());
        run.charge(pattern.next_search(text.len() - end))?;
        run.allocate(64)?;
        found.extend(group(text, &captures, pattern.groups)?.map(Value::from));
    }
    Ok(Value::list(found))
}

fn one_group_at_most(pattern: &Pattern) -> Result<(), Fault> {
    if pattern.groups > 1 {
        return Err(invalid(format!(
            "the pattern has {} groups, and this function allows at most one",
            pattern.groups
        )));
    }
    Ok(())
}

/// What a group has found, if it took part; with number 0, the whole match.
fn group<'t>(text: &'t str, captures: &Captures, number: usize) -> Result<Option<&'t str>, Fault> {
    let Some(span) = captures.get_group(number) else { return Ok(None) };
    slice(text, span.range()).map(Some)
}

fn slice(text: &str, found: Range<usize>) -> Result<&str, Fault> {
    // `\C` is one byte.
    text.get(found).ok_or_else(|| invalid("the match begins or ends within a character"))
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
    for captures in pattern.captures(text).take(limit) {
        let Some(found) = captures.get_match() else { continue };
        group(text, &captures, 0)?;
        result.push_str(text.get(end..found.start()).unwrap_or_default());
        run.charge(pattern.next_search(text.len() - found.end()))?;
        run.allocate(replacement.len() + 16)?;
        let group = |number| match number <= pattern.groups {
            true => group(text, &captures, number),
            false => Err(invalid(format!("the pattern has no group {number}"))),
        };
        expand(run, replacement, group, &mut result)?;
        end = found.end();
    }
    result.push_str(text.get(end..).unwrap_or_default());
    run.allocate(text.len())?;
    Ok(Value::from(result))
}

/// Writes the replacement with `\1` standing for a group and `\\` for a backslash.
///
/// A group is paid for before it is copied: a replacement may name it thousands of times.
fn expand<'t>(
    run: &Run<'_>,
    replacement: &str,
    group: impl Fn(usize) -> Result<Option<&'t str>, Fault>,
    result: &mut String,
) -> Result<(), Fault> {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('\\') => result.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                let found = group(digit.to_digit(10).unwrap_or(0) as usize)?.unwrap_or_default();
                run.allocate(found.len())?;
                result.push_str(found);
            }
            _ => return Err(invalid("in a replacement, a backslash must be followed by a digit or another backslash")),
        }
    }
    Ok(())
}
