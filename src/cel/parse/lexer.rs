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

    #[inline]
    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.offset + ahead).copied().unwrap_or(0)
    }

    fn skip_blank(&mut self) {
        loop {
            while matches!(self.byte(0), b' ' | b'\t' | b'\r' | b'\n' | b'\x0c') {
                self.offset += 1;
            }
            if self.byte(0) != b'/' || self.byte(1) != b'/' {
                return;
            }
            let comment = self.rest();
            self.offset += comment.find('\n').unwrap_or(comment.len());
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
            0 if self.offset >= self.source.len() => Ok(Token::End),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_ascii_digit() => self.number(),
            b'"' | b'\'' => self.string(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let is_prefix = matches!(
                    [byte, self.byte(1), self.byte(2)].map(|byte| byte.to_ascii_lowercase()),
                    [b'b' | b'r', b'"' | b'\'', _] | [b'b', b'r', b'"' | b'\'']
                );
                if is_prefix {
                    return self.string();
                }
                while self.byte(0).is_ascii_alphanumeric() || self.byte(0) == b'_' {
                    self.offset += 1;
                }
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
        let symbol = match (self.byte(0), self.byte(1)) {
            (b'&', b'&') => "&&",
            (b'|', b'|') => "||",
            (b'=', b'=') => "==",
            (b'!', b'=') => "!=",
            (b'<', b'=') => "<=",
            (b'>', b'=') => ">=",
            (b'.', _) => ".",
            (b',', _) => ",",
            (b':', _) => ":",
            (b'?', _) => "?",
            (b'(', _) => "(",
            (b')', _) => ")",
            (b'[', _) => "[",
            (b']', _) => "]",
            (b'{', _) => "{",
            (b'}', _) => "}",
            (b'+', _) => "+",
            (b'-', _) => "-",
            (b'*', _) => "*",
            (b'/', _) => "/",
            (b'%', _) => "%",
            (b'<', _) => "<",
            (b'>', _) => ">",
            (b'!', _) => "!",
            (b'&', _) => "&",
            (b'|', _) => "|",
            (b'=', _) => "=",
            _ => "",
        };
        if !symbol.is_empty() {
            self.offset += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        let found = self.rest().chars().next().unwrap_or_default();
        let range = Range::new(self.offset, self.offset + found.len_utf8());
        Err(Mistake::new(range, format!("`{}` has no meaning here", found.escape_debug())))
    }

    fn digits(&mut self) {
        while self.byte(0).is_ascii_digit() {
            self.offset += 1;
        }
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
            let value = text.parse().map_err(|_| Mistake::new(range, format!("`{text}` is not a double")))?;
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
        let quote = self.byte(0);
        let (single, triple) = if quote == b'"' { ("\"", "\"\"\"") } else { ("'", "'''") };
        let is_triple = self.byte(1) == quote && self.byte(2) == quote;
        let delimiter = if is_triple { triple } else { single };
        self.offset += delimiter.len();
        let content_start = self.offset;
        let open = Range::new(start, content_start);
        loop {
            // What ends or escapes is one byte, and no part of a longer character.
            let next = self.byte(0);
            if next == quote && (!is_triple || (self.byte(1) == quote && self.byte(2) == quote)) {
                break;
            }
            if self.offset >= self.source.len() {
                return Err(Mistake::new(open, "a text is not closed").hint(format!("close it with `{delimiter}`")));
            }
            if !is_triple && matches!(next, b'\n' | b'\r') {
                return Err(Mistake::new(open, "a text is not closed before the end of its line")
                    .hint(format!("close it with `{delimiter}`, or write it between `{triple}`")));
            }
            let is_escape = next == b'\\' && !is_raw && self.offset + 1 < self.source.len();
            self.offset += if is_escape { 2 } else { 1 };
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
