//! RE2's regular expressions, which are CEL's: what a pattern means, for the automata of `regex-automata`.
//!
//! A pattern is read by RE2's grammar and put together from the parts of `regex-syntax`; the grammar of that crate, which
//! is another one, reads no pattern. What RE2 refuses is refused here, with its place. `tests/re2.rs` compares both.

mod class;
mod escape;
mod group;
mod refusal;
mod remark;
mod repetition;
mod scripts;
mod unicode;

use std::ops::Range;

use regex_syntax::hir::{Class, ClassUnicode, Dot, Hir, Look};

pub(in crate::cel) use self::{
    refusal::Refusal,
    remark::{Meant, Remark},
};

/// How deep groups and repetitions may be inside each other: who goes through them later recurses.
const DEPTH_MAX: u32 = 100;

/// What a pattern means.
#[derive(Debug)]
pub(super) struct Meaning {
    pub(super) hir: Hir,
    /// How many groups it has.
    pub(super) groups: usize,
    /// Whether it has `\C`, so that a match may begin or end within a character.
    pub(super) takes_bytes: bool,
    /// What reads otherwise in other dialects.
    pub(super) remarks: Vec<Remark>,
}

/// Reads a pattern.
pub(super) fn read(text: &str) -> Result<Meaning, Refusal> {
    let mut reader = Reader::new(text);
    while let Some(next) = reader.peek() {
        let is_repetition = reader.take(next)?;
        if !is_repetition {
            reader.repetition = None;
        }
    }
    reader.finish()
}

/// What flags such as `(?i)` change, as far as the group goes on.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// `i`: upper and lower case are one.
    folds_case: bool,
    /// `m`: `^` and `$` stand for the ends of lines.
    is_multi_line: bool,
    /// `s`: `.` stands for a line end, too.
    dot_is_all: bool,
    /// `U`: a repetition prefers less.
    prefers_less: bool,
}

/// A part of a concatenation.
#[derive(Debug)]
struct Part {
    hir: Hir,
    /// How often its innermost part is written out at most.
    copies: u32,
    /// How deep groups and repetitions are inside each other.
    depth: u32,
}

/// A group that is open, or the whole.
#[derive(Debug, Default)]
struct Group {
    /// Where its parenthesis stands.
    range: Range<usize>,
    /// Its number, if it has one.
    number: Option<u32>,
    /// The flags to go back to.
    outer_flags: Flags,
    /// The alternatives that have ended.
    alternatives: Vec<Hir>,
    /// The alternative that goes on.
    parts: Vec<Part>,
    /// The most of the alternatives that have ended.
    copies: u32,
    depth: u32,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    flags: Flags,
    groups: u32,
    outer: Vec<Group>,
    group: Group,
    /// Where the repetition begins that has just ended.
    repetition: Option<usize>,
    takes_bytes: bool,
    remarks: Vec<Remark>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            flags: Flags::default(),
            groups: 0,
            outer: Vec::new(),
            group: Group { copies: 1, ..Group::default() },
            repetition: None,
            takes_bytes: false,
            remarks: Vec::new(),
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Goes past `text`, if it comes next.
    fn skip(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Takes what begins with `next`; whether that was a repetition.
    fn take(&mut self, next: char) -> Result<bool, Refusal> {
        match next {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                self.at += 1;
                self.group.end_alternative();
            }
            '^' => {
                let look = if self.flags.is_multi_line { Look::StartLF } else { Look::Start };
                self.push_simple(1, Hir::look(look));
            }
            '$' => {
                let look = if self.flags.is_multi_line { Look::EndLF } else { Look::End };
                self.push_simple(1, Hir::look(look));
            }
            '.' => {
                let dot = if self.flags.dot_is_all { Dot::AnyChar } else { Dot::AnyCharExceptLF };
                self.push_simple(1, Hir::dot(dot));
            }
            '[' => {
                let class = self.class()?;
                self.push_class(class);
            }
            '*' | '+' | '?' | '{' => return self.repeat(next),
            '\\' => self.backslash()?,
            literal => {
                self.at += literal.len_utf8();
                self.push_character(u32::from(literal));
            }
        }
        Ok(false)
    }

    /// A part that is written with `length` bytes.
    fn push_simple(&mut self, length: usize, hir: Hir) {
        self.at += length;
        self.push(hir);
    }

    fn push(&mut self, hir: Hir) {
        self.group.parts.push(Part { hir, copies: 1, depth: 0 });
    }

    fn push_class(&mut self, class: ClassUnicode) {
        self.push(Hir::class(Class::Unicode(class)));
    }

    /// A character by its code: one that no text can have, a half of a surrogate pair, is found nowhere.
    fn push_character(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(character) if !self.flags.folds_case => {
                self.push(Hir::literal(character.encode_utf8(&mut [0; 4]).as_bytes()));
            }
            Some(_) => {
                let class = class::folded(class::of_codes(code, code), self.flags);
                self.push_class(class);
            }
            None => self.push(Hir::fail()),
        }
    }

    fn finish(mut self) -> Result<Meaning, Refusal> {
        if !self.outer.is_empty() {
            return Err(Refusal::new(self.group.range.clone(), "`(` has no `)`"));
        }
        self.group.end_alternative();
        let hir = Hir::alternation(std::mem::take(&mut self.group.alternatives));
        Ok(Meaning { hir, groups: self.groups as usize, takes_bytes: self.takes_bytes, remarks: self.remarks })
    }
}

impl Group {
    fn end_alternative(&mut self) {
        for part in &self.parts {
            self.copies = self.copies.max(part.copies);
            self.depth = self.depth.max(part.depth);
        }
        let parts = self.parts.drain(..).map(|part| part.hir).collect();
        self.alternatives.push(Hir::concat(parts));
    }
}
