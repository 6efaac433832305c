//! Groups: `(…)`, `(?:…)`, `(?P<name>…)`, and flags.

use std::ops::Range;

use regex_syntax::hir::{Capture, Hir};

use super::{DEPTH_MAX, Flags, Group, Part, Reader, Refusal, unicode};

impl Reader<'_> {
    /// `(` and what follows it.
    pub(super) fn open(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        if self.outer.len() >= DEPTH_MAX as usize {
            return Err(too_deep(start..start + 1));
        }
        self.at += 1;
        if self.rest().starts_with('?') {
            return self.open_special(start);
        }
        self.open_numbered(start);
        Ok(())
    }

    fn open_numbered(&mut self, start: usize) {
        self.groups += 1;
        self.enter(start, Some(self.groups), self.flags);
    }

    fn enter(&mut self, start: usize, number: Option<u32>, outer_flags: Flags) {
        let group = Group { range: start..self.at, number, outer_flags, copies: 1, ..Group::default() };
        self.outer.push(std::mem::replace(&mut self.group, group));
    }

    /// `(?`, with the reader at the question mark.
    fn open_special(&mut self, start: usize) -> Result<(), Refusal> {
        self.at += 1;
        if ["=", "!", "<=", "<!"].iter().any(|sign| self.skip(sign)) {
            let message = format!("`{}` looks around, which RE2 does not do", self.written(start));
            return Err(Refusal::new(start..self.at, message));
        }
        if self.skip("P<") || self.skip("<") {
            return self.open_named(start);
        }
        self.flags(start)
    }

    fn open_named(&mut self, start: usize) -> Result<(), Refusal> {
        let Some(length) = self.rest().find('>') else {
            return Err(Refusal::new(start..self.at, "the name of the group has no `>`"));
        };
        let name = self.rest().get(..length).unwrap_or_default();
        self.at += length + 1;
        if name.is_empty() || !name.chars().all(unicode::is_in_names) {
            let message = format!("`{name}` cannot be the name of a group");
            return Err(Refusal::new(start..self.at, message).hint("use letters, digits and `_`"));
        }
        self.open_numbered(start);
        Ok(())
    }

    /// `(?flags)` and `(?flags:`, with the reader after the question mark.
    fn flags(&mut self, start: usize) -> Result<(), Refusal> {
        let outer = self.flags;
        let mut flags = self.flags;
        let (mut sets, mut is_complete) = (true, true);
        loop {
            match self.next() {
                Some('i') => flags.folds_case = sets,
                Some('m') => flags.is_multi_line = sets,
                Some('s') => flags.dot_is_all = sets,
                Some('U') => flags.prefers_less = sets,
                Some('-') if sets => {
                    (sets, is_complete) = (false, false);
                    continue;
                }
                Some(end @ (':' | ')')) if is_complete => {
                    self.flags = flags;
                    if end == ':' {
                        self.enter(start, None, outer);
                    }
                    return Ok(());
                }
                _ => return Err(self.no_flags(start)),
            }
            is_complete = true;
        }
    }

    fn no_flags(&self, start: usize) -> Refusal {
        let written = self.written(start);
        let refusal = Refusal::new(start..self.at, format!("RE2 has no group that begins with `{written}`"));
        match written {
            "(?x" => refusal.hint("write the pattern without spaces and comments"),
            "(?u" | "(?-u" | "(?a" => refusal.hint("`\\d`, `\\w`, `\\s` and `\\b` are ASCII; the rest is Unicode"),
            "(?P" => refusal.hint("a pattern cannot refer to one of its groups"),
            _ => refusal.hint("there are `(…)`, `(?:…)`, `(?P<name>…)`, and the flags `i`, `m`, `s` and `U`"),
        }
    }

    /// What is written from `start` to here.
    pub(super) fn written(&self, start: usize) -> &str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// `)`.
    pub(super) fn close(&mut self) -> Result<(), Refusal> {
        let range = self.at..self.at + 1;
        let Some(outer) = self.outer.pop() else {
            return Err(Refusal::new(range, "`)` has no `(`").hint("the character itself is `\\)`"));
        };
        self.at += 1;
        let mut group = std::mem::replace(&mut self.group, outer);
        self.flags = group.outer_flags;
        group.end_alternative();
        let hir = Hir::alternation(group.alternatives);
        let hir = match group.number {
            Some(index) => Hir::capture(Capture { index, name: None, sub: Box::new(hir) }),
            None => hir,
        };
        let depth = group.depth + 1;
        if depth > DEPTH_MAX {
            return Err(too_deep(group.range));
        }
        self.group.parts.push(Part { hir, copies: group.copies, depth });
        Ok(())
    }
}

pub(super) fn too_deep(range: Range<usize>) -> Refusal {
    Refusal::new(range, format!("groups and repetitions are more than {DEPTH_MAX} deep inside each other"))
}
