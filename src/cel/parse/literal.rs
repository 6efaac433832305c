//! The values of literals: digits, escapes.

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
    let mut characters = content.char_indices().peekable();
    let mut buffer = [0; 4];
    while let Some((at, character)) = characters.next() {
        if character == '\r' {
            // Line ends are one character, however they were written.
            characters.next_if(|(_, next)| *next == '\n');
            bytes.push(b'\n');
            continue;
        }
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let escape = content.get(at + 1..).unwrap_or_default();
        let (unit, length) = unescape(escape, is_bytes)
            .map_err(|message| (at, 1 + escape.chars().next().map_or(0, char::len_utf8), message))?;
        match unit {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Character(character) => bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
        while characters.next_if(|(next, _)| *next < at + 1 + length).is_some() {}
    }
    if is_bytes {
        return Ok(Value::Bytes(bytes.into()));
    }
    String::from_utf8(bytes).map(Value::from).map_err(|_| (0, content.len(), "the text is not UTF-8".to_owned()))
}

enum Unit {
    Byte(u8),
    Character(char),
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
        _ => return Err(format!("`\\{first}` is no escape")),
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
    unit.map(|unit| (unit, skip + count)).ok_or_else(|| format!("{code:#x} is no character"))
}
