//! What a backslash begins.

use regex_syntax::hir::{Dot, Hir, Look};

use super::{Meant, Reader, Refusal, class};

impl Reader<'_> {
    /// A backslash outside of a class.
    pub(super) fn backslash(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        let name = self.rest().chars().nth(1);
        match name {
            Some('b') => self.word_boundary(Look::WordAscii),
            Some('B') => self.word_boundary(Look::WordAsciiNegate),
            Some('A') => self.push_simple(2, Hir::look(Look::Start)),
            Some('z') => self.push_simple(2, Hir::look(Look::End)),
            Some('C') => {
                self.takes_bytes = true;
                self.push_simple(2, Hir::dot(Dot::AnyByte));
            }
            Some('Q') => {
                self.at += 2;
                while !self.skip("\\E")
                    && let Some(literal) = self.next()
                {
                    self.push_character(u32::from(literal));
                }
            }
            Some('p' | 'P') => {
                let class = self.unicode_class()?;
                self.push_class(class);
            }
            _ => match self.perl_class() {
                Some(class) => self.push_class(class),
                None => {
                    let code = self.escaped()?;
                    if let Some('<' | '>') = name {
                        self.remark(start, Meant::Angle);
                    }
                    self.push_character(code);
                }
            },
        }
        Ok(())
    }

    fn word_boundary(&mut self, look: Look) {
        let start = self.at;
        self.push_simple(2, Hir::look(look));
        self.remark(start, Meant::Ascii);
        let sides = ["{start}", "{end}", "{start-half}", "{end-half}"];
        if let Some(side) = sides.into_iter().find(|side| self.rest().starts_with(side)) {
            self.remark_next(side.len(), Meant::Side);
        }
    }

    /// `\d`, `\w`, `\s`, and what is none of them.
    pub(super) fn perl_class(&mut self) -> Option<regex_syntax::hir::ClassUnicode> {
        let start = self.at;
        let mut characters = self.rest().chars();
        let (Some('\\'), Some(name)) = (characters.next(), characters.next()) else { return None };
        let ranges = class::perl(name.to_ascii_lowercase())?;
        self.at += 2;
        self.remark(start, Meant::Ascii);
        Some(class::signed(class::of_ranges(ranges), name.is_ascii_uppercase(), self.flags))
    }

    /// The code of the character that an escape stands for.
    pub(super) fn escaped(&mut self) -> Result<u32, Refusal> {
        let start = self.at;
        self.at += 1;
        let Some(name) = self.next() else {
            return Err(
                Refusal::new(start..self.at, "a backslash ends the pattern").hint("the character itself is `\\\\`")
            );
        };
        let code = match name {
            'a' => Some(0x07),
            'f' => Some(0x0c),
            't' => Some(0x09),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            'v' => Some(0x0b),
            'x' => self.hexadecimal(),
            '0' => Some(self.octal(0)),
            '1'..='7' if self.peek().is_some_and(|next| next.is_digit(8)) => {
                Some(self.octal(name.to_digit(8).unwrap_or(0)))
            }
            sign if sign.is_ascii() && !sign.is_ascii_alphanumeric() => Some(u32::from(sign)),
            _ => None,
        };
        code.ok_or_else(|| self.no_escape(start, name))
    }

    /// Up to two more octal digits.
    fn octal(&mut self, first: u32) -> u32 {
        let mut code = first;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
            self.at += 1;
            code = code * 8 + digit;
        }
        code
    }

    /// What follows `\x`: two digits, or some in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.skip("{") {
            let (high, low) = (self.next()?.to_digit(16)?, self.next()?.to_digit(16)?);
            return Some(high * 16 + low);
        }
        let mut code = self.next()?.to_digit(16)?;
        loop {
            match self.next()? {
                '}' => return Some(code),
                digit => code = code * 16 + digit.to_digit(16)?,
            }
            if code > u32::from(char::MAX) {
                return None;
            }
        }
    }

    fn no_escape(&self, start: usize, name: char) -> Refusal {
        let refusal = Refusal::new(start..self.at, format!("RE2 has no escape `{}`", self.written(start)));
        match name {
            '1'..='9' | 'g' | 'k' => refusal.hint("a pattern cannot refer to one of its groups"),
            'Z' => refusal.hint("the end of the text is `\\z`"),
            'G' => refusal.hint("the start of the text is `\\A`"),
            'u' | 'U' | 'x' => refusal.hint("a character by its code is `\\x7F` or `\\x{10FFFF}`"),
            'h' => refusal.hint("a space or tab is `[[:blank:]]`"),
            'b' => refusal.hint("a backspace is `\\x08`"),
            'e' => refusal.hint("an escape is `\\x1B`"),
            _ if name.is_ascii() => refusal,
            _ => refusal.hint(format!("write `{name}` without the backslash")),
        }
    }
}
