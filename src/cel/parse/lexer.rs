//! Source text into tokens.

use super::{ast::Range, literal, mistake::Mistake};
use crate::cel::value::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    End,
    Ident,
    /// A name in backticks.
    QuotedIdent,
    Literal(Value),
    /// A whole number without its sign: its digits are read when the sign is known.
    Int,
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 27] = [
    "&&", "||", "==", "!=", "<=", ">=", ".", ",", ":", "?", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "%", "<",
    ">", "!", "&", "|", "=",
];

pub(super) struct Lexer<'a> {
    source: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, offset: 0 }
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.offset..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.offset + ahead).copied().unwrap_or(0)
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{c}']);
            self.offset += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.offset += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    pub(super) fn next(&mut self) -> Result<(Token, Range), Mistake> {
        self.skip_blank();
        let start = self.offset;
        let token = self.token()?;
        Ok((token, Range::new(start, self.offset)))
    }

    fn token(&mut self) -> Result<Token, Mistake> {
        let start = self.offset;
        match self.byte(0) {
            _ if self.rest().is_empty() => Ok(Token::End),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_ascii_digit() => self.number(),
            b'"' | b'\'' => self.string(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let prefix = self.rest().bytes().take(3).take_while(|byte| !matches!(byte, b'"' | b'\'')).count();
                let is_prefix =
                    matches!(self.rest().get(..prefix).map(str::to_ascii_lowercase).as_deref(), Some("b" | "r" | "br"));
                if is_prefix && matches!(self.byte(prefix), b'"' | b'\'') {
                    return self.string();
                }
                self.offset += self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
                Ok(Token::Ident)
            }
            b'`' => {
                let length = self.rest().bytes().skip(1).take_while(|b| is_quotable(*b)).count();
                self.offset += length + 2;
                if length > 0 && self.source.as_bytes().get(self.offset - 1) == Some(&b'`') {
                    return Ok(Token::QuotedIdent);
                }
                Err(Mistake::new(Range::new(start, start + 1), "a name in backticks is not closed"))
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<Token, Mistake> {
        let rest = self.rest();
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.offset += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        let found = rest.chars().next().unwrap_or_default();
        let range = Range::new(self.offset, self.offset + found.len_utf8());
        Err(Mistake::new(range, format!("`{}` has no meaning here", found.escape_debug())))
    }

    fn digits(&mut self) {
        self.offset += self.rest().bytes().take_while(u8::is_ascii_digit).count();
    }

    fn number(&mut self) -> Result<Token, Mistake> {
        let start = self.offset;
        let mut is_double = false;
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') && self.byte(2).is_ascii_hexdigit() {
            self.offset += 2 + self.rest().bytes().skip(2).take_while(u8::is_ascii_hexdigit).count();
        } else {
            self.digits();
            if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
                is_double = true;
                self.offset += 1;
                self.digits();
            }
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if matches!(self.byte(0), b'e' | b'E') && self.byte(1 + sign).is_ascii_digit() {
                is_double = true;
                self.offset += 1 + sign;
                self.digits();
            }
        }
        let text = self.source.get(start..self.offset).unwrap_or_default();
        let is_uint = !is_double && matches!(self.byte(0), b'u' | b'U');
        self.offset += usize::from(is_uint);
        let range = Range::new(start, self.offset);
        if is_double {
            let value = text.parse().map_err(|_| Mistake::new(range, format!("`{text}` is no double")))?;
            return Ok(Token::Literal(Value::Double(value)));
        }
        if is_uint {
            return literal::uint(text).map(|value| Token::Literal(Value::Uint(value))).ok_or_else(|| {
                Mistake::new(range, format!("`{text}u` is too large for `uint`"))
                    .code("invalid_literal")
                    .hint(format!("the largest `uint` is {}", u64::MAX))
            });
        }
        Ok(Token::Int)
    }

    fn string(&mut self) -> Result<Token, Mistake> {
        let start = self.offset;
        let (mut is_bytes, mut is_raw) = (false, false);
        loop {
            match self.byte(0) {
                b'b' | b'B' => is_bytes = true,
                b'r' | b'R' => is_raw = true,
                _ => break,
            }
            self.offset += 1;
        }
        let quote = if self.byte(0) == b'"' { "\"" } else { "'" };
        let triple = quote.repeat(3);
        let delimiter = if self.rest().starts_with(&triple) { triple.as_str() } else { quote };
        self.offset += delimiter.len();
        let content_start = self.offset;
        let open = Range::new(start, content_start);
        loop {
            let rest = self.rest();
            if rest.starts_with(delimiter) {
                break;
            }
            let Some(next) = rest.chars().next() else {
                return Err(Mistake::new(open, "a text is not closed").hint(format!("close it with `{delimiter}`")));
            };
            if delimiter.len() == 1 && matches!(next, '\n' | '\r') {
                return Err(Mistake::new(open, "a text is not closed before the end of its line")
                    .hint(format!("close it with `{delimiter}`, or write it between `{triple}`")));
            }
            self.offset += next.len_utf8();
            if next == '\\' && !is_raw {
                self.offset += self.rest().chars().next().map_or(0, char::len_utf8);
            }
        }
        let content = self.source.get(content_start..self.offset).unwrap_or_default();
        self.offset += delimiter.len();
        literal::text(content, is_raw, is_bytes).map(Token::Literal).map_err(|(at, length, message)| {
            Mistake::new(Range::new(content_start + at, content_start + at + length), message).code("invalid_literal")
        })
    }
}

fn is_quotable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b' ')
}
