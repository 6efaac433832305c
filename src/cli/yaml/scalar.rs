//! The positions of a scalar's characters in the text: plain, quoted, literal (`|`) or folded (`>`).
//!
//! The value is known already; it is laid along the text, so that little of YAML needs to be known here.

/// The byte of each character of `value` in the scalar that begins at `begin`, and the byte after the last one. `None`
/// if the two cannot be laid along one another.
pub(super) fn characters(text: &str, begin: usize, value: &str) -> Option<Vec<usize>> {
    let begin = after_properties(text, begin)?;
    let rest = text.get(begin..)?;
    let mut walk = match rest.chars().next()? {
        '|' | '>' => Along::block(text, begin)?,
        '"' => Along { text, at: begin + 1, indent: None, is_literal: false, quote: Some('"') },
        '\'' => Along { text, at: begin + 1, indent: None, is_literal: false, quote: Some('\'') },
        _ => Along { text, at: begin, indent: None, is_literal: false, quote: None },
    };
    let mut places = Vec::with_capacity(value.len() + 1);
    for character in value.chars() {
        // Spaces and line ends at the end may stand for more of them in the text, or for none.
        let is_space = matches!(character, ' ' | '\n');
        walk.skip_joined_lines();
        places.push(walk.at);
        if !walk.take(character) && !is_space {
            return None;
        }
    }
    places.push(walk.at);
    Some(places)
}

/// The end of the word, or of the quoted text, that begins at `begin`: where nothing better is known.
pub(super) fn word_end(text: &str, begin: usize) -> usize {
    let line = text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let ended = [": ", " #"].into_iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
    let word = line.get(..ended).unwrap_or(line);
    begin + word.trim_end().trim_end_matches([',', ':', ']', '}']).len()
}

/// Steps over an anchor and a tag.
fn after_properties(text: &str, mut at: usize) -> Option<usize> {
    while text.get(at..)?.starts_with(['&', '!']) {
        let rest = text.get(at..)?;
        let length = rest.find(char::is_whitespace)?;
        let spaces = rest.get(length..)?;
        at += length + (spaces.len() - spaces.trim_start().len());
    }
    Some(at)
}

/// A place in the text that goes along with the characters of the value.
struct Along<'a> {
    text: &'a str,
    at: usize,
    /// The spaces before each line of a block.
    indent: Option<usize>,
    is_literal: bool,
    quote: Option<char>,
}

impl<'a> Along<'a> {
    /// At the first line of a literal or folded block whose head begins at `begin`.
    fn block(text: &'a str, begin: usize) -> Option<Self> {
        let rest = text.get(begin..)?;
        let head = rest.lines().next()?;
        let body = rest.get(rest.find('\n')? + 1..)?;
        let first = body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let indent = first.len() - first.trim_start_matches(' ').len();
        // A number in the head gives the indentation, which then cannot be taken from the first line.
        let has_indent = head.split('#').next().is_some_and(|head| head.contains(|c: char| c.is_ascii_digit()));
        if has_indent {
            return None;
        }
        let at = text.len() - body.len();
        let mut block = Self { text, at, indent: Some(indent), is_literal: head.starts_with('|'), quote: None };
        block.skip_indent();
        Some(block)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Steps over what `character` is written as; whether it is written here.
    fn take(&mut self, character: char) -> bool {
        if !self.is_literal && matches!(character, ' ' | '\n') && self.take_break() {
            return true;
        }
        if let Some(length) = escape_length(self.rest()).filter(|_| self.quote == Some('"')) {
            self.at += length;
            return true;
        }
        if self.is_literal && character == '\n' {
            let Some(length) = break_length(self.rest()) else { return false };
            self.at += length;
            self.skip_indent();
            return true;
        }
        if self.quote == Some('\'') && character == '\'' && self.rest().starts_with("''") {
            self.at += 2;
            return true;
        }
        let is_here = self.rest().starts_with(character);
        self.at += if is_here { character.len_utf8() } else { 0 };
        is_here
    }

    /// Steps over the ends of lines that a backslash takes out of a text in double quotes.
    fn skip_joined_lines(&mut self) {
        let is_joined = |rest: &str| rest.starts_with("\\\n") || rest.starts_with("\\\r\n");
        while self.quote == Some('"') && is_joined(self.rest()) {
            self.at += 1;
            self.at += self.rest().len() - self.rest().trim_start().len();
        }
    }

    /// Steps over the end of a line, and the space around it.
    fn take_break(&mut self) -> bool {
        let rest = self.rest();
        let gap = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let Some(mut after) = rest.get(gap..).filter(|after| break_length(after).is_some()) else { return false };
        while let Some(length) = break_length(after.trim_start_matches([' ', '\t'])) {
            after = after.trim_start_matches([' ', '\t']).get(length..).unwrap_or_default();
        }
        self.at = self.text.len() - after.len();
        match self.indent {
            Some(_) => self.skip_indent(),
            None => self.at += after.len() - after.trim_start_matches([' ', '\t']).len(),
        }
        true
    }

    fn skip_indent(&mut self) {
        let spaces = self.rest().len() - self.rest().trim_start_matches(' ').len();
        self.at += spaces.min(self.indent.unwrap_or(0));
    }
}

fn break_length(text: &str) -> Option<usize> {
    if text.starts_with("\r\n") { Some(2) } else { text.starts_with(['\n', '\r']).then_some(1) }
}

/// The bytes of an escape in a text in double quotes.
fn escape_length(text: &str) -> Option<usize> {
    let letter = text.strip_prefix('\\')?.chars().next()?;
    Some(match letter {
        'x' => 4,
        'u' => 6,
        'U' => 10,
        other => 1 + other.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of the text at which the words of the value are found.
    fn seen<'a>(text: &'a str, value: &str, word: &str) -> Option<&'a str> {
        let places = characters(text, 0, value)?;
        let begin = value.split_once(word).unwrap().0.chars().count();
        text.get(places[begin]..places[begin + word.chars().count()])
    }

    #[test]
    fn a_word_is_found_in_a_scalar_of_every_style() {
        for (text, value) in [
            ("ä < wrong + 1", "ä < wrong + 1"),
            ("'it''s wrong' # x", "it's wrong"),
            ("\"\\u00e4 \\\"ä\\\" wrong\"", "ä \"ä\" wrong"),
            ("\"a \\\n   wrong\"", "a wrong"),
            ("a\n   b\n  wrong", "a b wrong"),
            ("a\r\n\r\n   b\r\n  wrong", "a\nb wrong"),
            ("|\n    a\n      b\n    wrong\n", "a\n  b\nwrong\n"),
            ("|-\r\n  a\r\n\r\n  wrong\r\n", "a\n\nwrong"),
            (">-\n    a\n    b\n\n    wrong\n", "a b\nwrong"),
            (">\n  a\n    b\n  wrong\n", "a\n  b\nwrong\n"),
            ("&anchor wrong", "wrong"),
        ] {
            assert_eq!(seen(text, value, "wrong"), Some("wrong"), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_laid_along_the_text_is_not_found() {
        assert_eq!(characters("other", 0, "wrong"), None);
        assert_eq!(characters("|2\n    a", 0, "  a"), None);
        assert_eq!(characters("x", 9, "x"), None);
    }

    #[test]
    fn a_word_ends_where_yaml_ends_it() {
        for (text, word) in [("age: int", "age"), ("int # x", "int"), ("a]", "a"), ("x\ny", "x"), ("'a b'", "'a b'")] {
            assert_eq!(text.get(..word_end(text, 0)), Some(word));
        }
    }
}
