//! Errors in a text, shown as a compiler does: the place, the line, a mark under the part, and a hint.
//!
//! Pure: it neither reads nor prints.

use std::ops::Range;

use serde::Serialize;

use crate::error::{Detail, Span};

/// Columns of a line that are shown; a longer one is cut around what is wrong.
const SHOWN_COLUMNS_MAX: usize = 140;
/// Columns before what is wrong, where a line is cut.
const SHOWN_BEFORE: usize = 50;

/// A text that was given.
#[derive(Debug)]
pub(super) struct Source {
    /// What it is called: the path of a file, as it was given.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Something wrong, and where.
#[derive(Debug)]
pub(super) struct Problem {
    /// What it is. Its span counts in an expression, not in the text.
    pub detail: Detail,
    /// The bytes of the text concerned, if they are known.
    pub place: Option<Range<usize>>,
}

/// A problem, for machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProblemRow<'a> {
    file: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// Whether what is written has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// Plain text.
    Off,
    /// Escape codes of a terminal.
    On,
}

impl Colours {
    /// `text` in bold red, for what is wrong.
    fn wrong(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// `text` in blue, for the frame around the line.
    fn frame(self, text: &str) -> String {
        self.paint("34", text)
    }

    /// `text` in bold.
    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Off => text.to_owned(),
            Self::On => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

impl Source {
    /// The lines and columns of some bytes of the text.
    pub fn span(&self, place: &Range<usize>) -> Span {
        let (line, column) = self.line_and_column(place.start);
        let (end_line, end_column) = self.line_and_column(place.end.max(place.start));
        Span { line, column, end_line, end_column }
    }

    fn line_and_column(&self, byte: usize) -> (u32, u32) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        let column = in_line.trim_start_matches('\u{feff}').chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The bytes of a span of the text.
    pub fn bytes(&self, span: &Span) -> Range<usize> {
        self.byte(span.line, span.column)..self.byte(span.end_line, span.end_column)
    }

    fn byte(&self, line: u32, column: u32) -> usize {
        let lines = self.text.split_inclusive('\n');
        let before: usize = lines.take(line.saturating_sub(1) as usize).map(str::len).sum();
        let rest = self.text.get(before..).unwrap_or_default();
        before + rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(rest.len(), |(byte, _)| byte)
    }

    /// A problem of this text, for machines.
    pub fn row<'a>(&'a self, problem: &'a Problem) -> ProblemRow<'a> {
        let Detail { code, message, hint, path, text, .. } = &problem.detail;
        ProblemRow {
            file: &self.name,
            span: problem.place.as_ref().map(|place| self.span(place)),
            code,
            message,
            hint: hint.as_deref(),
            path: path.as_deref(),
            text: text.as_deref(),
        }
    }

    /// A problem of this text, for people.
    pub fn show(&self, problem: &Problem, colours: Colours) -> String {
        self.show_as(&colours.wrong("error"), problem, colours)
    }

    /// What is worth knowing of this text, for people.
    pub fn show_warning(&self, problem: &Problem, colours: Colours) -> String {
        self.show_as(&colours.bold("warning"), problem, colours)
    }

    fn show_as(&self, error: &str, problem: &Problem, colours: Colours) -> String {
        let Detail { code, message, hint, path, .. } = &problem.detail;
        let code = colours.frame(&format!("[{code}]"));
        let message = colours.bold(&printable(message));
        let Some(place) = &problem.place else {
            let path = path.as_deref().map(|path| format!(" ({})", printable(path))).unwrap_or_default();
            let hint = hint.as_deref().map(|hint| format!("\n  = {}", printable(hint))).unwrap_or_default();
            return format!("{}: {error}: {message}{path} {code}{hint}\n", self.name);
        };
        let span = self.span(place);
        let number = span.line.to_string();
        let bar = colours.frame(&format!("{} |", " ".repeat(number.len())));
        let (line, before, under) = self.cut(place);
        let mut shown = format!("{}:{}:{}: {error}: {message} {code}\n{bar}\n", self.name, span.line, span.column);
        shown.push_str(&format!("{} {line}\n", colours.frame(&format!("{number} |"))));
        shown.push_str(&format!("{bar} {}{}\n", " ".repeat(before), colours.wrong(&"^".repeat(under))));
        if let Some(hint) = hint {
            let sign = colours.frame(&format!("{} =", " ".repeat(number.len())));
            shown.push_str(&format!("{sign} {}\n", printable(hint)));
        }
        shown
    }

    /// The line in which a place begins, the columns before the place, and the columns of the place in that line.
    fn cut(&self, place: &Range<usize>) -> (String, usize, usize) {
        let begin = self.text.get(..place.start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = self.text.get(begin..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let line_end = begin + line.len();
        let part = |from: usize, to: usize| self.text.get(from..to.max(from)).unwrap_or_default();
        let mut before = printable(part(begin, place.start.min(line_end)));
        let marked = printable(part(place.start.min(line_end), place.end.min(line_end)));
        let mut rest = format!("{marked}{}", printable(part(place.end.min(line_end), line_end)));
        let mut under = columns(&marked).max(1);
        if columns(&before) + columns(&rest) > SHOWN_COLUMNS_MAX {
            let count = before.chars().count();
            if count > SHOWN_BEFORE {
                before = std::iter::once('…').chain(before.chars().skip(count - SHOWN_BEFORE)).collect();
            }
            let room = SHOWN_COLUMNS_MAX - SHOWN_BEFORE;
            if rest.chars().count() > room {
                rest = rest.chars().take(room).chain(['…']).collect();
                under = under.min(room);
            }
        }
        let columns_before = columns(&before);
        (format!("{before}{rest}"), columns_before, under)
    }
}

/// `text` as it can be shown on one line of a terminal: nothing in it moves the cursor or turns the direction.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push_str("    "),
            '\n' => shown.push(' '),
            '\u{feff}' | '\r' => {}
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.push('\u{fffd}'),
            control if control.is_control() => shown.push('\u{fffd}'),
            other => shown.push(other),
        }
    }
    shown
}

/// The columns that a text takes on a terminal: two for what is drawn wide, none for what is drawn over another.
fn columns(text: &str) -> usize {
    let width = |character: char| match character {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    };
    text.chars().map(width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, part: &str) -> String {
        let source = Source { name: "a.yaml".to_owned(), text: text.to_owned() };
        let begin = text.find(part).unwrap();
        let problem = Problem { detail: Detail::new("wrong", "it is wrong"), place: Some(begin..begin + part.len()) };
        source.show(&problem, Colours::Off)
    }

    #[test]
    fn the_mark_stands_under_the_part_whatever_is_before_it() {
        for (line, mark) in [
            ("a: wrong", "1 | a: wrong\n  |    ^^^^^\n"),
            ("é: wrong", "1 | é: wrong\n  |    ^^^^^\n"),
            ("日本: wrong", "1 | 日本: wrong\n  |       ^^^^^\n"),
            ("a:\twrong\r\n", "1 | a:    wrong\n  |       ^^^^^\n"),
            ("\u{feff}wrong", "1 | wrong\n  | ^^^^^\n"),
            ("\u{1b}[2Jwrong", "1 | \u{fffd}[2Jwrong\n  |     ^^^^^\n"),
        ] {
            let shown = shown(line, "wrong");
            assert!(shown.ends_with(mark), "{shown}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_part() {
        let shown = shown(&format!("{} wrong {}", "a".repeat(500), "b".repeat(500)), "wrong");
        assert!(shown.starts_with("a.yaml:1:502: error: it is wrong [wrong]\n"), "{shown}");
        assert!(shown.lines().all(|line| columns(line) <= SHOWN_COLUMNS_MAX + 10), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let under = |text: &str, word: &str| columns(text.split_once(word).unwrap().0);
        assert_eq!(under(lines[2], "wrong"), under(lines[3], "^^^^^"), "{shown}");
    }

    #[test]
    fn a_part_of_several_lines_is_marked_in_the_first() {
        assert!(shown("a b\nc d", "b\nc").ends_with("1 | a b\n  |   ^\n"));
    }

    #[test]
    fn a_span_is_found_again_in_its_text() {
        let source = Source { name: String::new(), text: "é x\r\n  wörd y".to_owned() };
        let begin = source.text.find("wörd").unwrap();
        let place = begin..begin + "wörd".len();
        let span = source.span(&place);
        assert_eq!((span.line, span.column, span.end_line, span.end_column), (2, 3, 2, 7));
        assert_eq!(source.bytes(&span), place);
    }
}
