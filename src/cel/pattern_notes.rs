//! What patterns that are written in an expression say that other dialects of regular expressions read otherwise.
//!
//! What is not like any other dialect has a note for itself. That `\d`, `\w`, `\s` and `\b` are ASCII has one note for an
//! expression: most patterns that have them are meant for ASCII.

use super::{
    check::{Checked, CheckedKind},
    library::{Meant, pattern_body, remarks},
    value::Value,
};
use crate::error::Detail;

/// The notes on the patterns of an expression, in the order of its text.
pub(super) fn pattern_notes(checked: &Checked, source: &str) -> Vec<Detail> {
    let mut found = Vec::new();
    collect(checked, source, &mut found);
    found.sort_by_key(|(start, ..)| *start);
    found.dedup_by_key(|(start, ..)| *start);
    let first = found.iter().position(|(_, meaning, _)| *meaning == Meant::Ascii);
    let is_told = |(index, found): &(usize, (u32, Meant, Detail))| found.1 != Meant::Ascii || Some(*index) == first;
    found.into_iter().enumerate().filter(is_told).map(|(_, (.., detail))| detail).collect()
}

/// Whether there would be any notes.
pub(super) fn has_pattern_notes(checked: &Checked) -> bool {
    let mut found = written_pattern(checked).is_some_and(|(_, pattern)| !remarks(pattern).is_empty());
    checked.children(&mut |child| found = found || has_pattern_notes(child));
    found
}

/// The pattern that is written in a call which searches for one, and its place.
fn written_pattern(node: &Checked) -> Option<(&Checked, &str)> {
    let CheckedKind::Call { function, arguments } = &node.kind else { return None };
    pattern_body(function.name)?;
    let argument = arguments.get(1)?;
    let CheckedKind::Constant(Value::String(pattern)) = &argument.kind else { return None };
    Some((argument, pattern))
}

fn collect(node: &Checked, source: &str, found: &mut Vec<(u32, Meant, Detail)>) {
    if let Some((argument, pattern)) = written_pattern(node) {
        for remark in remarks(pattern) {
            let range = argument.range.part_of_text(source, &remark.range).unwrap_or(argument.range);
            let part = pattern.get(remark.range).unwrap_or_default();
            let code = if remark.meaning == Meant::Ascii { "pattern_ascii" } else { "pattern_dialect" };
            let detail = Detail::new(code, remark.meaning.message(part));
            let detail = Detail {
                span: Some(range.span(source)),
                text: Some(range.text(source).to_owned()),
                hint: remark.meaning.hint().map(str::to_owned),
                ..detail
            };
            found.push((range.start, remark.meaning, detail));
        }
    }
    node.children(&mut |child| collect(child, source, found));
}

#[cfg(test)]
mod tests {
    use crate::cel::{Env, Type};

    /// Each note with what it is on.
    fn notes(source: &str) -> Vec<String> {
        let env = Env::new(vec![("s".to_owned(), Type::String)]);
        let program = env.compile(source).unwrap();
        let notes = program.notes();
        assert_eq!(program.has_pattern_notes(), !notes.is_empty(), "{source}");
        notes.into_iter().map(|note| format!("{}: {}", note.span.unwrap().column, note.text.unwrap())).collect()
    }

    #[test]
    fn what_other_dialects_read_otherwise_is_told_with_its_place() {
        assert_eq!(notes(r"s.matches(r'\<a\>')"), [r"13: \<", r"16: \>"]);
        assert_eq!(notes(r"s == '' || regex.replace(s, '[a-z&&b[c]]', '') == ''"), ["34: &&", "37: ["]);
        assert_eq!(notes("s.matches('^a{,3}$') && s.matches(r'\\b{start}a')"), ["14: {,3}", "37: \\b", "39: {start}"]);
        assert_eq!(notes("s.matches('[!--]')"), Vec::<String>::new());
    }

    #[test]
    fn ascii_is_told_once() {
        assert_eq!(notes(r"s.matches(r'^\d+$') || s.matches(r'\w\s\b')"), [r"14: \d"]);
        assert!(notes("s.matches('^[a-z]+$')").is_empty());
    }
}
