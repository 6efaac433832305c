//! Source text into a tree, with the place of every sub-expression. Not the meaning of names: that is `check`.
//!
//! Length and nesting are limited before anything recurses, so that any thread's stack is enough.

mod ast;
mod hints;
mod lexer;
mod literal;
mod mistake;
mod operators;

pub(super) use ast::{Element, Entry, Kind, Node, Range};
pub(super) use mistake::Mistake;

use lexer::{Lexer, Token};

use std::borrow::Cow;

use crate::{
    cel::value::Value,
    config::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, SOURCE_BYTES_MAX},
};

/// Names that CEL keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// How deep a tree may be: nesting, and operators in a row, each of which is one level.
pub(super) const TREE_DEPTH_MAX: u32 = 128;

/// Parses `source`.
pub(super) fn parse(source: &str) -> Result<Node<'_>, Mistake> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the expression has {} bytes, at most {SOURCE_BYTES_MAX} are allowed", source.len());
        return Err(Mistake::new(Range::default(), message)
            .code("expression_too_long")
            .hint("split it into derived fields"));
    }
    let mut parser = Parser {
        source,
        lexer: Lexer::new(source),
        token: Token::End,
        range: Range::default(),
        nesting: 0,
        nodes: std::cell::Cell::new(0),
    };
    parser.advance()?;
    if parser.token == Token::End {
        return Err(Mistake::new(Range::default(), "the expression is empty"));
    }
    let node = parser.expression()?;
    if parser.token != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(node)
}

struct Parser<'a> {
    source: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    range: Range,
    nesting: usize,
    nodes: std::cell::Cell<usize>,
}

type Parsed<'a> = Result<Node<'a>, Mistake>;

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Range, Mistake> {
        let before = self.range;
        (self.token, self.range) = self.lexer.next()?;
        Ok(before)
    }

    fn text(&self) -> &'a str {
        self.range.text(self.source)
    }

    // Inlined, so that no text is compared with what is known when this is built.
    #[inline(always)]
    fn at(&self, symbol: &'static str) -> bool {
        matches!(self.token, Token::Symbol(found) if found == symbol)
    }

    #[inline(always)]
    fn take(&mut self, symbol: &'static str) -> Result<Option<Range>, Mistake> {
        if self.at(symbol) { self.advance().map(Some) } else { Ok(None) }
    }

    #[inline(always)]
    fn expect(&mut self, symbol: &'static str) -> Result<Range, Mistake> {
        match self.take(symbol)? {
            Some(range) => Ok(range),
            None => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    fn unexpected(&self, expected: &str) -> Mistake {
        if self.token == Token::End {
            return Mistake::new(self.range, format!("the expression ends where {expected} is expected"));
        }
        let mistake = Mistake::new(self.range, format!("found `{}` where {expected} is expected", self.text()));
        match hints::of_token(self.text(), self.source.get(..self.range.start as usize).unwrap_or_default()) {
            Some(hint) => mistake.hint(hint),
            None => mistake,
        }
    }

    fn node(&self, kind: Kind<'a>, range: Range, below: u32) -> Parsed<'a> {
        let depth = below + 1;
        if depth > TREE_DEPTH_MAX {
            return Err(too_deep(range));
        }
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > EXPRESSION_NODES_MAX {
            let message = format!("the expression has more than {EXPRESSION_NODES_MAX} parts");
            return Err(Mistake::new(range, message)
                .code("expression_too_large")
                .hint("split it into derived fields, or send long lists as facts"));
        }
        Ok(Node { kind, range, depth })
    }

    /// A whole expression: a conditional.
    fn expression(&mut self) -> Parsed<'a> {
        self.nesting += 1;
        if self.nesting > EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.range));
        }
        let condition = self.or()?;
        let node = if self.take("?")?.is_some() {
            let accepted = self.or()?;
            self.expect(":")?;
            let refused = self.expression()?;
            let range = condition.range.to(refused.range);
            let depth = condition.depth.max(accepted.depth).max(refused.depth);
            self.node(Kind::Conditional(Box::new([condition, accepted, refused])), range, depth)?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(node)
    }

    fn member(&mut self) -> Parsed<'a> {
        let node = self.primary()?;
        self.selectors(node)
    }

    fn selectors(&mut self, mut node: Node<'a>) -> Parsed<'a> {
        loop {
            node = if self.take(".")?.is_some() {
                self.select(node)?
            } else if self.take("[")?.is_some() {
                let optional = self.take("?")?.is_some();
                let index = self.expression()?;
                let end = self.expect("]")?;
                let (range, depth) = (node.range.to(end), node.depth.max(index.depth));
                let kind = Kind::Index { operand: Box::new(node), index: Box::new(index), optional };
                self.node(kind, range, depth)?
            } else {
                return Ok(node);
            };
        }
    }

    fn select(&mut self, operand: Node<'a>) -> Parsed<'a> {
        let optional = self.take("?")?.is_some();
        let text = self.text();
        let is_quoted = self.token == Token::QuotedIdent;
        let is_keyword = matches!(text, "in" | "true" | "false" | "null");
        if !is_quoted && (self.token != Token::Ident || is_keyword) {
            return Err(self.unexpected("the name of a field"));
        }
        let name = text.trim_matches('`');
        let name_range = self.advance()?;
        if !optional && !is_quoted && self.at("(") {
            return self.call(name.into(), name_range, Some(operand));
        }
        let (range, depth) = (operand.range.to(name_range), operand.depth);
        self.node(Kind::Select { operand: Box::new(operand), field: name, optional }, range, depth)
    }

    fn call(&mut self, name: Cow<'a, str>, name_range: Range, target: Option<Node<'a>>) -> Parsed<'a> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.at(")") {
            arguments.push(self.expression()?);
            if self.take(",")?.is_none() {
                break;
            }
            if self.at(")") {
                return Err(self.unexpected("an argument"));
            }
        }
        let end = self.expect(")")?;
        let start = target.as_ref().map_or(name_range, |target| target.range);
        let depth = arguments.iter().chain(&target).map(|node| node.depth).max().unwrap_or(0);
        let kind = Kind::Call { name, target: target.map(Box::new), arguments, name_range };
        self.node(kind, start.to(end), depth)
    }

    fn primary(&mut self) -> Parsed<'a> {
        match &mut self.token {
            Token::Literal(value) => {
                let value = std::mem::replace(value, Value::Null);
                let range = self.advance()?;
                self.node(Kind::Literal(value), range, 0)
            }
            Token::Int => self.int(None),
            Token::Ident => self.ident(None),
            Token::Symbol(".") => {
                let start = self.advance()?;
                self.ident(Some(start))
            }
            Token::Symbol("(") => {
                let start = self.advance()?;
                let mut node = self.expression()?;
                let end = self.expect(")")?;
                node.range = start.to(end);
                Ok(node)
            }
            Token::Symbol("[") => self.list(),
            Token::Symbol("{") => self.map(),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// An integer literal, with the minus before it if there is one: the least `int` has no positive counterpart.
    fn int(&mut self, minus: Option<Range>) -> Parsed<'a> {
        let text = self.text();
        let range = minus.unwrap_or(self.range).to(self.range);
        let Some(value) = literal::int(text, minus.is_some()) else {
            let mistake = Mistake::new(range, format!("`{}` does not fit `int`", range.text(self.source)));
            return Err(mistake.code("invalid_literal").hint("an `int` has 64 bits; write a `double` with a point"));
        };
        self.advance()?;
        self.node(Kind::Literal(Value::Int(value)), range, 0)
    }

    fn ident(&mut self, dot: Option<Range>) -> Parsed<'a> {
        let text = self.text();
        if self.token != Token::Ident || text == "in" {
            return Err(self.unexpected("a name"));
        }
        if RESERVED.contains(&text) {
            return Err(
                Mistake::new(self.range, format!("`{text}` is a reserved word")).hint(hints::of_reserved_word(text))
            );
        }
        let constant = match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        let name_range = self.advance()?;
        let range = dot.unwrap_or(name_range).to(name_range);
        if let (Some(value), None) = (constant, dot) {
            return self.node(Kind::Literal(value), range, 0);
        }
        if self.at("(") {
            let name = if dot.is_some() { format!(".{text}").into() } else { text.into() };
            return self.call(name, range, None);
        }
        let node = self.node(Kind::Ident { name: text, absolute: dot.is_some() }, range, 0)?;
        self.perhaps_struct(node)
    }
}

fn too_deep(range: Range) -> Mistake {
    Mistake::new(range, "the expression is nested too deeply")
        .code("expression_too_deep")
        .hint(format!("at most {EXPRESSION_DEPTH_MAX} levels are allowed; split it into derived fields"))
}
