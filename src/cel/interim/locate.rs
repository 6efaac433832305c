//! Where a node stands in the source: its range in lines and columns, and its text.
//!
//! The parser keeps, for each node, the bytes of one token. The range of a node is that of its token and its parts,
//! widened to close the brackets it opens.

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

use super::parse::children;
use crate::error::Span;

/// Finds the nodes of one tree in its source.
pub(super) struct Locator<'a> {
    source: &'a str,
    info: &'a SourceInfo,
}

impl<'a> Locator<'a> {
    pub(super) fn new(source: &'a str, info: &'a SourceInfo) -> Self {
        Self { source, info }
    }

    /// The range and text of `node`.
    pub(super) fn locate(&self, node: &IdedExpr) -> Option<(Span, &'a str)> {
        let (start, end) = self.range(node)?;
        let text = self.source.get(start..end)?;
        let (line, column) = self.place(start)?;
        let (end_line, end_column) = self.place(end)?;
        Some((Span { line, column, end_line, end_column }, text))
    }

    /// The bytes of `node`, the end exclusive.
    fn range(&self, node: &IdedExpr) -> Option<(usize, usize)> {
        let own = self.info.offset_for(node.id).map(|(start, stop)| (start as usize, stop as usize + 1));
        let parts = children(node).into_iter().filter_map(|child| self.range(child));
        let (mut start, mut end) =
            own.into_iter().chain(parts).reduce(|left, right| (left.0.min(right.0), left.1.max(right.1)))?;
        if !matches!(&node.expr, Expr::Select(select) if select.test) {
            end += self.field_after(end);
        }
        let opens = if matches!(node.expr, Expr::Struct(_)) { '{' } else { '(' };
        if self.source.get(start..)?.starts_with(opens) {
            let before = self.source.get(..start)?;
            start = before.trim_end_matches(|character: char| character.is_alphanumeric() || character == '_').len();
        }
        Some((start, end + self.closing_after(start, end)))
    }

    /// The bytes of the field's name that follows a selection's dot.
    fn field_after(&self, end: usize) -> usize {
        let rest = self.source.get(end..).unwrap_or_default();
        if !self.source.get(..end).unwrap_or_default().ends_with('.') {
            return 0;
        }
        let name = rest.trim_start_matches(|character: char| character == '?' || character.is_whitespace());
        let after = name.trim_start_matches(|character: char| character.is_alphanumeric() || character == '_');
        rest.len() - after.len()
    }

    /// The bytes up to the last bracket that closes one opened within the range.
    fn closing_after(&self, start: usize, end: usize) -> usize {
        let mut open = open_brackets(self.source.get(start..end).unwrap_or_default());
        let mut quote = None;
        let mut bytes = 0;
        for character in self.source.get(end..).unwrap_or_default().chars() {
            if open == 0 {
                break;
            }
            bytes += character.len_utf8();
            step(character, &mut quote, &mut open);
        }
        if open == 0 { bytes } else { 0 }
    }

    /// Line and column, from 1, of the character at a byte.
    fn place(&self, byte: usize) -> Option<(u32, u32)> {
        let before = self.source.get(..byte)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
    }
}

/// Brackets opened and not closed in `text`.
fn open_brackets(text: &str) -> usize {
    let (mut quote, mut open) = (None, 0);
    for character in text.chars() {
        step(character, &mut quote, &mut open);
    }
    open
}

fn step(character: char, quote: &mut Option<char>, open: &mut usize) {
    match (*quote, character) {
        (Some(opened), closing) if opened == closing => *quote = None,
        (Some(_), _) => {}
        (None, '"' | '\'') => *quote = Some(character),
        (None, '(' | '[' | '{') => *open += 1,
        (None, ')' | ']' | '}') => *open = open.saturating_sub(1),
        (None, _) => {}
    }
}
