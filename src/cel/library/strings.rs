//! Texts: what the standard has, and the strings extension. Positions count characters, not bytes.

use super::{Declaration, Fault, Outcome, Run, Value, collections, invalid, no_overload};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("contains", &["string.contains(string): bool", "bytes.contains(bytes): bool"], |run, arguments| match arguments {
        [Value::String(text), Value::String(part)] => {
            run.charge_bytes(text.len())?;
            Ok(Value::Bool(text.contains(&**part)))
        }
        [Value::Bytes(bytes), Value::Bytes(part)] => {
            run.charge_bytes(bytes.len())?;
            Ok(Value::Bool(part.is_empty() || finds(bytes, part)))
        }
        _ => Err(no_overload("contains", arguments)),
    }),
    ("startsWith", &["string.startsWith(string): bool", "bytes.startsWith(bytes): bool"], |run, arguments| {
        test_end(run, "startsWith", arguments, |text: &[u8], part: &[u8]| text.starts_with(part))
    }),
    ("endsWith", &["string.endsWith(string): bool", "bytes.endsWith(bytes): bool"], |run, arguments| {
        test_end(run, "endsWith", arguments, |text: &[u8], part: &[u8]| text.ends_with(part))
    }),
    ("charAt", &["string.charAt(int): string"], |run, arguments| match arguments {
        [Value::String(text), Value::Int(index)] => {
            run.charge_bytes(text.len())?;
            let start = offset(text, *index)?;
            let found = text.get(start..).and_then(|rest| rest.chars().next());
            Ok(Value::from(found.map(String::from).unwrap_or_default()))
        }
        _ => Err(no_overload("charAt", arguments)),
    }),
    (
        "indexOf",
        &["string.indexOf(string): int", "string.indexOf(string, int): int", "list(A).indexOf(A): int"],
        index_of,
    ),
    (
        "lastIndexOf",
        &["string.lastIndexOf(string): int", "string.lastIndexOf(string, int): int", "list(A).lastIndexOf(A): int"],
        last_index_of,
    ),
    ("lowerAscii", &["string.lowerAscii(): string"], |run, arguments| {
        map(run, "lowerAscii", arguments, |text| text.to_ascii_lowercase())
    }),
    ("upperAscii", &["string.upperAscii(): string"], |run, arguments| {
        map(run, "upperAscii", arguments, |text| text.to_ascii_uppercase())
    }),
    ("trim", &["string.trim(): string"], |run, arguments| {
        map(run, "trim", arguments, |text| text.trim_matches(is_space).to_owned())
    }),
    ("reverse", &["string.reverse(): string", "list(A).reverse(): list(A)"], |run, arguments| match arguments {
        [Value::List(items)] => {
            run.allocate_items(items.len())?;
            Ok(Value::List(items.iter().rev().cloned().collect()))
        }
        _ => map(run, "reverse", arguments, |text| text.chars().rev().collect()),
    }),
    ("strings.quote", &["strings.quote(string): string"], |run, arguments| map(run, "strings.quote", arguments, quote)),
    ("replace", &["string.replace(string, string): string", "string.replace(string, string, int): string"], replace),
    ("split", &["string.split(string): list(string)", "string.split(string, int): list(string)"], split),
    ("substring", &["string.substring(int): string", "string.substring(int, int): string"], substring),
    ("join", &["list(string).join(): string", "list(string).join(string): string"], join),
];

/// Tests one end of a text: no more of it is looked at than the other text has.
fn test_end(run: &Run<'_>, name: &str, arguments: &[Value], accepts: fn(&[u8], &[u8]) -> bool) -> Outcome {
    match arguments {
        [Value::String(text), Value::String(part)] => {
            run.charge_bytes(text.len().min(part.len()))?;
            Ok(Value::Bool(accepts(text.as_bytes(), part.as_bytes())))
        }
        [Value::Bytes(bytes), Value::Bytes(part)] => {
            run.charge_bytes(bytes.len().min(part.len()))?;
            Ok(Value::Bool(accepts(bytes, part)))
        }
        _ => Err(no_overload(name, arguments)),
    }
}

fn map(run: &Run<'_>, name: &str, arguments: &[Value], change: fn(&str) -> String) -> Outcome {
    match arguments {
        [Value::String(text)] => {
            run.allocate(text.len())?;
            Ok(Value::from(change(text)))
        }
        _ => Err(no_overload(name, arguments)),
    }
}

/// Whether the bytes stand among others, in time that grows with both and not with their product.
fn finds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// White space, as `trim` takes it away.
fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{85}'
}

/// The byte at which the character at `index` begins; its end is one of them.
fn offset(text: &str, index: i64) -> Result<usize, Fault> {
    let wanted = usize::try_from(index).ok();
    let starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    wanted.and_then(|wanted| starts.into_iter().nth(wanted)).ok_or_else(|| out_of_range(index))
}

/// The byte where a search for `part` begins: at a character, or at the end for a part that is empty.
fn start_within(text: &str, part: &str, index: i64) -> Result<usize, Fault> {
    let start = offset(text, index)?;
    if start == text.len() && !part.is_empty() { Err(out_of_range(index)) } else { Ok(start) }
}

#[cold]
fn out_of_range(index: i64) -> Fault {
    Fault::new("index_out_of_range", format!("index {index} is out of range"))
}

fn characters_before(text: &str, end: usize) -> Value {
    let count = text.get(..end).unwrap_or(text).chars().count();
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn index_of(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, part, start) = match arguments {
        [Value::List(items), wanted] => return collections::position(run, &mut items.iter().enumerate(), wanted),
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(start)] => {
            (text, part, start_within(text, part, *start)?)
        }
        _ => return Err(no_overload("indexOf", arguments)),
    };
    run.charge_bytes(text.len())?;
    let found = text.get(start..).and_then(|rest| rest.find(&**part));
    Ok(found.map_or(Value::Int(-1), |position| characters_before(text, start + position)))
}

fn last_index_of(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, part, start) = match arguments {
        [Value::List(items), wanted] => return collections::position(run, &mut items.iter().enumerate().rev(), wanted),
        [Value::String(text), Value::String(part)] => (text, part, text.len()),
        [Value::String(text), Value::String(part), Value::Int(start)] => {
            (text, part, start_within(text, part, *start)?)
        }
        _ => return Err(no_overload("lastIndexOf", arguments)),
    };
    run.charge_bytes(text.len())?;
    let end = (start + part.len()).min(text.len());
    // A match that begins at `start` at the latest; the end may fall inside a character, where none can end.
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let found = text.get(..end).and_then(|head| head.rfind(&**part));
    Ok(found.map_or(Value::Int(-1), |position| characters_before(text, position)))
}

fn replace(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, from, to, limit) = match arguments {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [Value::String(text), Value::String(from), Value::String(to), Value::Int(limit)] => (text, from, to, *limit),
        _ => return Err(no_overload("replace", arguments)),
    };
    run.charge_bytes(text.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(&**from).take(limit).count();
    // Asked for before it is made: an empty `from` is found at every character.
    run.allocate(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(Value::from(text.replacen(&**from, to, limit)))
}

fn split(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, separator, limit) = match arguments {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return Err(no_overload("split", arguments)),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Ok(Value::list(Vec::new()));
    }
    run.allocate(text.len())?;
    let parts: Vec<Value> = if separator.is_empty() {
        let count = text.chars().count();
        run.allocate_items(count.min(limit).saturating_mul(2))?;
        let mut parts: Vec<Value> = Vec::new();
        let mut rest: &str = text;
        while parts.len() + 1 < limit && rest.chars().nth(1).is_some() {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            let (first, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            parts.push(Value::from(first));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Value::from(rest));
        }
        parts
    } else {
        run.allocate_items(text.matches(&**separator).take(limit).count().saturating_mul(2))?;
        text.splitn(limit, &**separator).map(Value::from).collect()
    };
    Ok(Value::list(parts))
}

fn substring(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(no_overload("substring", arguments)),
    };
    run.allocate(text.len())?;
    let first = offset(text, start)?;
    let last = end.map_or(Ok(text.len()), |end| offset(text, end))?;
    text.get(first..last)
        .map(Value::from)
        .ok_or_else(|| invalid(format!("the start {start} is after the end {}", end.unwrap_or_default())))
}

fn join(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (items, separator): (_, &str) = match arguments {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::String(separator)] => (items, separator),
        _ => return Err(no_overload("join", arguments)),
    };
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        let Value::String(text) = item else { return Err(no_overload("join", arguments)) };
        run.allocate(text.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Value::from(joined))
}

/// The text between quotes, so that it can stand in an expression.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
