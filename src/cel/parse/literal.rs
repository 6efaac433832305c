//! The values of literals: digits, escapes.

use std::ops::Range;

use crate::cel::value::Value;

pub(super) fn uint(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

pub(super) fn int(digits: &str, is_negative: bool) -> Option<i64> {
    let magnitude = i128::from(uint(digits)?);
    i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()
}

/// The value of what stands between quotes, or where and why it has none.
pub(super) fn text(content: &str, is_raw: bool, is_bytes: bool) -> Result<Value, (usize, usize, String)> {
    if is_raw || !content.bytes().any(|byte| matches!(byte, b'\\' | b'\r')) {
        return Ok(if is_bytes { Value::Bytes(content.as_bytes().into()) } else { Value::from(content) });
    }
    let mut bytes = Vec::with_capacity(content.len());
    let mut buffer = [0; 4];
    let mut at = 0;
    while let Some((unit, length)) = next_unit(content, at, is_bytes)? {
        bytes.extend_from_slice(unit.bytes(&mut buffer));
        at += length;
    }
    if is_bytes {
        return Ok(Value::Bytes(bytes.into()));
    }
    String::from_utf8(bytes).map(Value::from).map_err(|_| (0, content.len(), "the text is not UTF-8".to_owned()))
}

/// Where in `token`, a text as it is written with its quotes, the bytes `part` of its value are written.
pub(super) fn part(token: &str, part: &Range<usize>) -> Option<Range<usize>> {
    let (prefix, quoted) = token.split_at_checked(token.find(['\'', '"'])?)?;
    let quote = quoted.get(..1)?;
    let delimiter = if quoted.len() >= 6 && quoted.starts_with(&quote.repeat(3)) { 3 } else { 1 };
    let content = quoted.get(delimiter..quoted.len().checked_sub(delimiter)?)?;
    let start = prefix.len() + delimiter;
    if prefix.contains(['r', 'R']) {
        return Some(start + part.start..start + part.end);
    }
    let (mut at, mut value, mut first) = (0, 0, None);
    let mut buffer = [0; 4];
    while let Some((unit, length)) = next_unit(content, at, false).ok()? {
        if value >= part.start {
            first.get_or_insert(at);
        }
        if value >= part.end {
            break;
        }
        value += unit.bytes(&mut buffer).len();
        at += length;
    }
    Some(start + first.unwrap_or(at)..start + at)
}

/// What stands at `at`, and how many bytes of source it takes; or where and why there is no such thing.
fn next_unit(content: &str, at: usize, is_bytes: bool) -> Result<Option<(Unit, usize)>, (usize, usize, String)> {
    let rest = content.get(at..).unwrap_or_default();
    let Some(first) = rest.chars().next() else { return Ok(None) };
    Ok(Some(match first {
        // Line ends are one character, however they were written.
        '\r' => (Unit::Character('\n'), if rest.starts_with("\r\n") { 2 } else { 1 }),
        '\\' => {
            let escape = rest.get(1..).unwrap_or_default();
            let (unit, length) = unescape(escape, is_bytes)
                .map_err(|message| (at, 1 + escape.chars().next().map_or(0, char::len_utf8), message))?;
            (unit, 1 + length)
        }
        other => (Unit::Character(other), other.len_utf8()),
    }))
}

enum Unit {
    Byte(u8),
    Character(char),
}

impl Unit {
    fn bytes<'b>(&self, buffer: &'b mut [u8; 4]) -> &'b [u8] {
        match self {
            Self::Byte(byte) => {
                let [first, ..] = buffer;
                *first = *byte;
                std::slice::from_ref(first)
            }
            Self::Character(character) => character.encode_utf8(buffer).as_bytes(),
        }
    }
}

/// What stands after a backslash, and how many bytes of source it takes.
fn unescape(escape: &str, is_bytes: bool) -> Result<(Unit, usize), String> {
    let Some(first) = escape.chars().next() else { return Err("a backslash ends the text".to_owned()) };
    let simple = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '?' | '"' | '\'' | '`' => first,
        'x' | 'X' => return numeric(escape, 1, 2, 16, is_bytes),
        '0'..='3' => return numeric(escape, 0, 3, 8, is_bytes),
        'u' if !is_bytes => return numeric(escape, 1, 4, 16, false),
        'U' if !is_bytes => return numeric(escape, 1, 8, 16, false),
        _ => return Err(format!("`\\{first}` is not a valid escape")),
    };
    Ok((Unit::Character(simple), 1))
}

fn numeric(escape: &str, skip: usize, count: usize, radix: u32, is_bytes: bool) -> Result<(Unit, usize), String> {
    let digits = escape.get(skip..skip + count).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
    let code = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
    let Some(code) = code else {
        let kind = if radix == 8 { "octal" } else { "hexadecimal" };
        return Err(format!("an escape needs {count} {kind} digits"));
    };
    let unit =
        if is_bytes { u8::try_from(code).ok().map(Unit::Byte) } else { char::from_u32(code).map(Unit::Character) };
    unit.map(|unit| (unit, skip + count)).ok_or_else(|| format!("{code:#x} is not a character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_where_it_is_written() {
        for (token, value, found) in [
            ("'abc'", 1..2, "b"),
            (r"r'\d+*'", 2..4, "+*"),
            (r#"'''a"b'''"#, 1..2, "\""),
            (r"'\\d+*'", 2..4, "+*"),
            (r"'é\u00e9[x'", 4..5, "["),
            (r"'a\x28'", 1..2, r"\x28"),
            ("''", 0..0, ""),
            ("'ab'", 2..2, ""),
            ("'''a\r\n*b'''", 2..3, "*"),
        ] {
            assert_eq!(part(token, &value).and_then(|range| token.get(range)), Some(found), "{token}");
        }
    }
}
