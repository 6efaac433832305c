//! Classes of characters: `[a-z]`, `[^[:alpha:]\d]`.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{Flags, Meant, Reader, Refusal};

type Ranges = &'static [(char, char)];

/// The class that `\d`, `\w` or `\s` stands for.
pub(super) fn perl(name: char) -> Option<Ranges> {
    Some(match name {
        'd' => &[('0', '9')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        _ => return None,
    })
}

/// The class that is called `[:name:]`.
fn posix(name: &str) -> Option<Ranges> {
    Some(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
}

pub(super) fn of_ranges(ranges: Ranges) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last)))
}

/// The characters from one code to another; halves of surrogate pairs, which no text has, are left out.
pub(super) fn of_codes(first: u32, last: u32) -> ClassUnicode {
    let first = char::from_u32(first).unwrap_or('\u{e000}');
    let last = char::from_u32(last).unwrap_or('\u{d7ff}');
    let range = (first <= last).then(|| ClassUnicodeRange::new(first, last));
    ClassUnicode::new(range)
}

/// With the other cases of its characters, where case does not matter.
pub(super) fn folded(mut class: ClassUnicode, flags: Flags) -> ClassUnicode {
    if flags.folds_case {
        class.case_fold_simple();
    }
    class
}

/// The class, or what is not in it.
pub(super) fn signed(class: ClassUnicode, is_negated: bool, flags: Flags) -> ClassUnicode {
    let mut class = folded(class, flags);
    if is_negated {
        class.negate();
    }
    class
}

impl Reader<'_> {
    /// `[…]`.
    pub(super) fn class(&mut self) -> Result<ClassUnicode, Refusal> {
        let start = self.at;
        let not_closed = Refusal::new(start..start + 1, "`[` has no `]`").hint("the character itself is `\\[`");
        self.at += 1;
        let is_negated = self.skip("^");
        let mut class = ClassUnicode::empty();
        let first = self.at;
        loop {
            match self.peek() {
                None => return Err(not_closed),
                Some(']') if self.at > first => break,
                Some(_) => class.union(&self.item(first, &not_closed)?),
            }
        }
        self.at += 1;
        if is_negated {
            class.negate();
        }
        Ok(class)
    }

    /// What may stand in a class: another class by its name, a character, or a range of them.
    fn item(&mut self, first: usize, not_closed: &Refusal) -> Result<ClassUnicode, Refusal> {
        let rest = self.rest();
        if let Some(name) = rest.strip_prefix("[:").and_then(|name| name.split_once(":]")).map(|(name, _)| name) {
            return self.posix_class(name);
        }
        if rest.len() > 2 && (rest.starts_with("\\p") || rest.starts_with("\\P")) {
            return self.unicode_class();
        }
        if let Some(class) = self.perl_class() {
            return Ok(class);
        }
        self.remark_on_signs(first);
        let start = self.at;
        let low = self.code(not_closed)?;
        let mut high = low;
        if self.rest().len() > 1 && self.rest().starts_with('-') && !self.rest().starts_with("-]") {
            self.at += 1;
            high = self.code(not_closed)?;
            if high < low {
                let message = format!("the range `{}` ends before it begins", self.written(start));
                return Err(Refusal::new(start..self.at, message));
            }
        }
        Ok(folded(of_codes(low, high), self.flags))
    }

    /// Remarks on what other dialects take for a class in a class, or an operation on classes.
    fn remark_on_signs(&mut self, first: usize) {
        let rest = self.rest();
        if rest.starts_with('[') {
            self.remark_next(1, Meant::Bracket);
        } else if ["&&", "~~"].iter().any(|sign| rest.starts_with(sign)) || (self.at > first && rest.starts_with("--"))
        {
            self.remark_next(2, Meant::Operation);
        }
    }

    fn posix_class(&mut self, name: &str) -> Result<ClassUnicode, Refusal> {
        let start = self.at;
        self.at += name.len() + 4;
        let (is_negated, plain) = name.strip_prefix('^').map_or((false, name), |plain| (true, plain));
        let Some(ranges) = posix(plain) else {
            let message = format!("there is no class `{}`", self.written(start));
            return Err(
                Refusal::new(start..self.at, message).hint("there are classes such as `[:alpha:]` and `[:^digit:]`")
            );
        };
        Ok(signed(of_ranges(ranges), is_negated, self.flags))
    }

    /// The code of a character, or of an escape that stands for one.
    fn code(&mut self, not_closed: &Refusal) -> Result<u32, Refusal> {
        match self.peek() {
            Some('\\') => self.escaped(),
            Some(character) => {
                self.at += character.len_utf8();
                Ok(u32::from(character))
            }
            None => Err(not_closed.clone()),
        }
    }
}
