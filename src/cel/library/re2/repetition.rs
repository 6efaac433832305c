//! Repetitions: `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`, and their forms with another `?`.

use regex_syntax::hir::{Hir, Repetition};

use super::{DEPTH_MAX, Meant, Part, Reader, Refusal, group::too_deep};

/// The most that a repetition may count to, and so may all those inside of each other together.
const TIMES_MAX: u32 = 1_000;

impl Reader<'_> {
    /// A repetition, or a brace that begins none; whether it was one.
    pub(super) fn repeat(&mut self, next: char) -> Result<bool, Refusal> {
        let start = self.at;
        let (min, max) = match next {
            '*' => (0, None),
            '+' => (1, None),
            '?' => (0, Some(1)),
            _ => match counts(self.rest()) {
                Some((min, max, length)) => {
                    self.at += length - 1;
                    (min, max)
                }
                None => {
                    self.brace();
                    return Ok(false);
                }
            },
        };
        self.at += 1;
        let prefers_less = self.skip("?") != self.flags.prefers_less;
        if let Some(before) = self.repetition {
            let message = format!("`{}` repeats a repetition", self.written(before));
            return Err(Refusal::new(before..self.at, message).hint("put what is repeated twice in `(?:…)`"));
        }
        self.check_counts(start, min, max)?;
        let Some(part) = self.group.parts.pop() else {
            let message = format!("there is nothing before `{}` to repeat", self.written(start));
            return Err(Refusal::new(start..self.at, message).hint(format!("the character itself is `\\{next}`")));
        };
        let part =
            self.repeated(start, part, Repetition { min, max, greedy: !prefers_less, sub: Box::new(Hir::empty()) })?;
        self.group.parts.push(part);
        self.repetition = Some(start);
        Ok(true)
    }

    fn check_counts(&self, start: usize, min: u32, max: Option<u32>) -> Result<(), Refusal> {
        let written = self.written(start);
        if min.max(max.unwrap_or(0)) > TIMES_MAX {
            return Err(Refusal::new(start..self.at, format!("`{written}` counts to more than {TIMES_MAX}")));
        }
        if max.is_some_and(|max| max < min) {
            return Err(Refusal::new(start..self.at, format!("in `{written}` the second number is the smaller one")));
        }
        Ok(())
    }

    fn repeated(&self, start: usize, part: Part, repetition: Repetition) -> Result<Part, Refusal> {
        let counts = self.text.as_bytes().get(start) == Some(&b'{');
        let times = if counts { repetition.max.unwrap_or(repetition.min).max(1) } else { 1 };
        let copies = part.copies.saturating_mul(times);
        if times > 1 && copies > TIMES_MAX {
            let message = format!("with `{}` a part is repeated more than {TIMES_MAX} times", self.written(start));
            return Err(Refusal::new(start..self.at, message));
        }
        let depth = part.depth + 1;
        if depth > DEPTH_MAX {
            return Err(too_deep(start..self.at));
        }
        let hir = Hir::repetition(Repetition { sub: Box::new(part.hir), ..repetition });
        Ok(Part { hir, copies, depth })
    }

    /// A brace that is a character.
    fn brace(&mut self) {
        if let Some(end) = self.rest().strip_prefix("{,").and_then(|rest| rest.find('}')) {
            let digits = self.rest().get(2..2 + end).unwrap_or_default();
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                self.remark_next(end + 3, Meant::Brace);
            }
        }
        self.at += 1;
        self.push_character(u32::from('{'));
    }
}

/// `{n}`, `{n,}` or `{n,m}`, with its length.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => number(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((min, max, text.len() - rest.len()))
}

/// A number without leading zeros; what has more than nine digits is none.
fn number(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(length)?;
    let is_number = (1..=9).contains(&length) && (length == 1 || !digits.starts_with('0'));
    is_number.then(|| digits.parse().ok()).flatten().map(|number| (number, rest))
}
