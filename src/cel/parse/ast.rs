//! The tree of an expression as it was written: macros are calls, names are not resolved.

use std::borrow::Cow;

use crate::cel::value::Value;

/// A range of bytes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub(in crate::cel) struct Range {
    pub(in crate::cel) start: u32,
    pub(in crate::cel) end: u32,
}

/// A sub-expression and where it stands.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Node<'a> {
    pub(in crate::cel) kind: Kind<'a>,
    pub(in crate::cel) range: Range,
    /// The deepest nesting below it.
    pub(in crate::cel) depth: u32,
}

#[derive(Debug, Clone)]
pub(in crate::cel) enum Kind<'a> {
    Literal(Value),
    /// `name`, or `.name` from the root of the namespace.
    Ident {
        name: &'a str,
        absolute: bool,
    },
    /// `operand.field`, or `operand.?field`.
    Select {
        operand: Box<Node<'a>>,
        field: &'a str,
        optional: bool,
    },
    /// `operand[index]`, or `operand[?index]`.
    Index {
        operand: Box<Node<'a>>,
        index: Box<Node<'a>>,
        optional: bool,
    },
    /// `name(arguments)` or `target.name(arguments)`; operators have CEL's names, such as `_+_`.
    Call {
        name: Cow<'a, str>,
        target: Option<Box<Node<'a>>>,
        arguments: Vec<Node<'a>>,
        /// Where the name stands.
        name_range: Range,
    },
    /// Two or more terms joined by `&&`.
    And(Vec<Node<'a>>),
    /// Two or more terms joined by `||`.
    Or(Vec<Node<'a>>),
    Conditional(Box<[Node<'a>; 3]>),
    List(Vec<Element<'a>>),
    Map(Vec<Entry<'a>>),
    /// `name{field: value}`: no type that we know can be made so.
    Struct(String),
}

/// An element of a list literal; an optional one, `?value`, is left out if it is absent.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Element<'a> {
    pub(in crate::cel) value: Node<'a>,
    pub(in crate::cel) optional: bool,
}

/// An entry of a map literal; an optional one, `?key: value`, is left out if its value is absent.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Entry<'a> {
    pub(in crate::cel) key: Node<'a>,
    pub(in crate::cel) value: Node<'a>,
    pub(in crate::cel) optional: bool,
}

impl Range {
    pub(in crate::cel) fn new(start: usize, end: usize) -> Self {
        let clamp = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    pub(in crate::cel) fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub(in crate::cel) fn text(self, source: &str) -> &str {
        source.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Where the bytes `part` of a text are written, if this is the range of a text with its quotes.
    pub(in crate::cel) fn part_of_text(self, source: &str, part: &std::ops::Range<usize>) -> Option<Self> {
        let part = super::literal::part(self.text(source), part)?;
        let start = self.start as usize;
        Some(Self::new(start + part.start, start + part.end))
    }

    /// The range in lines and columns.
    pub(in crate::cel) fn span(self, source: &str) -> crate::error::Span {
        let (line, column) = position(source, self.start as usize);
        let (end_line, end_column) = position(source, self.end as usize);
        crate::error::Span { line, column, end_line, end_column }
    }
}

fn position(source: &str, offset: usize) -> (u32, u32) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let count = |number| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    (count(line), count(column))
}
