//! Operators by precedence, and the literals of lists and maps.

use super::{Element, Entry, Kind, Node, Parsed, Parser, Range, lexer::Token};
use crate::cel::value::Value;

impl<'a> Parser<'a> {
    pub(super) fn or(&mut self) -> Parsed<'a> {
        let first = self.and()?;
        if !self.at("||") {
            return Ok(first);
        }
        let mut terms = Vec::with_capacity(4);
        terms.push(first);
        while self.take("||")?.is_some() {
            terms.push(self.and()?);
        }
        self.join(terms, Kind::Or)
    }

    fn and(&mut self) -> Parsed<'a> {
        let first = self.binary(0)?;
        if !self.at("&&") {
            return Ok(first);
        }
        let mut terms = Vec::with_capacity(4);
        terms.push(first);
        while self.take("&&")?.is_some() {
            terms.push(self.binary(0)?);
        }
        self.join(terms, Kind::And)
    }

    fn join(&self, terms: Vec<Node<'a>>, kind: fn(Vec<Node<'a>>) -> Kind<'a>) -> Parsed<'a> {
        let range = terms.iter().map(|term| term.range).reduce(Range::to).unwrap_or_default();
        let depth = terms.iter().map(|term| term.depth).max().unwrap_or(0);
        self.node(kind(terms), range, depth)
    }

    /// Operators that bind at least so tightly, and what they join.
    fn binary(&mut self, least: u8) -> Parsed<'a> {
        let mut left = self.unary()?;
        while let Some((level, name)) = self.operator().filter(|(level, _)| *level >= least) {
            let name_range = self.advance()?;
            let right = self.binary(level + 1)?;
            let (range, depth) = (left.range.to(right.range), left.depth.max(right.depth));
            let kind = Kind::Call { name: name.into(), target: None, arguments: vec![left, right], name_range };
            left = self.node(kind, range, depth)?;
        }
        Ok(left)
    }

    /// The binary operator that stands here, unless it is `&&` or `||`: how tightly it binds, and its name.
    fn operator(&self) -> Option<(u8, &'static str)> {
        let symbol = match self.token {
            Token::Symbol(symbol) => symbol,
            Token::Ident if self.text() == "in" => return Some((0, "@in")),
            _ => return None,
        };
        Some(match symbol {
            "<=" => (0, "_<=_"),
            ">=" => (0, "_>=_"),
            "==" => (0, "_==_"),
            "!=" => (0, "_!=_"),
            "<" => (0, "_<_"),
            ">" => (0, "_>_"),
            "+" => (1, "_+_"),
            "-" => (1, "_-_"),
            "*" => (2, "_*_"),
            "/" => (2, "_/_"),
            "%" => (2, "_%_"),
            _ => return None,
        })
    }

    /// A row of `!` or of `-`; two of a kind undo each other.
    fn unary(&mut self) -> Parsed<'a> {
        let (symbol, name) = match self.token {
            Token::Symbol("!") => ("!", "!_"),
            Token::Symbol("-") => ("-", "-_"),
            _ => return self.member(),
        };
        let (mut count, start) = (0_usize, self.range);
        let mut last = start;
        while let Some(range) = self.take(symbol)? {
            (count, last) = (count + 1, range);
        }
        if symbol == "-" && count % 2 == 1 {
            if self.token == Token::Int {
                return self.negative_int(last, start);
            }
            if let Token::Literal(Value::Double(value)) = self.token {
                self.token = Token::Literal(Value::Double(-value));
                self.range = start.to(self.range);
                return self.member();
            }
        }
        let operand = self.member()?;
        if count % 2 == 0 {
            return Ok(Node { range: start.to(operand.range), ..operand });
        }
        let (range, depth) = (start.to(operand.range), operand.depth);
        let kind = Kind::Call { name: name.into(), target: None, arguments: vec![operand], name_range: start };
        self.node(kind, range, depth)
    }

    /// A negative literal, which is one value: its selectors apply to it with its sign.
    fn negative_int(&mut self, minus: Range, start: Range) -> Parsed<'a> {
        let mut node = self.int(Some(minus))?;
        node.range = start.to(node.range);
        self.selectors(node)
    }

    pub(super) fn list(&mut self) -> Parsed<'a> {
        let start = self.advance()?;
        let mut elements = Vec::new();
        while !self.at("]") {
            let optional = self.take("?")?.is_some();
            elements.push(Element { value: self.expression()?, optional });
            if self.take(",")?.is_none() {
                break;
            }
        }
        let end = self.expect("]")?;
        let depth = elements.iter().map(|element| element.value.depth).max().unwrap_or(0);
        self.node(Kind::List(elements), start.to(end), depth)
    }

    pub(super) fn map(&mut self) -> Parsed<'a> {
        let start = self.advance()?;
        let mut entries = Vec::new();
        while !self.at("}") {
            let optional = self.take("?")?.is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, optional });
            if self.take(",")?.is_none() {
                break;
            }
        }
        let end = self.expect("}")?;
        let depth = entries.iter().map(|entry| entry.key.depth.max(entry.value.depth)).max().unwrap_or(0);
        self.node(Kind::Map(entries), start.to(end), depth)
    }

    /// After a name: `a.b.C{…}` makes an object of a declared type, of which we have none.
    pub(super) fn perhaps_struct(&mut self, node: Node<'a>) -> Parsed<'a> {
        let mut node = node;
        loop {
            if self.at("{") {
                return self.struct_literal(&node);
            }
            if !matches!(node.kind, Kind::Ident { .. } | Kind::Select { optional: false, .. }) || !self.at(".") {
                return Ok(node);
            }
            self.advance()?;
            node = self.select(node)?;
        }
    }

    fn struct_literal(&mut self, name: &Node<'a>) -> Parsed<'a> {
        let start = self.advance()?;
        while !self.at("}") {
            self.take("?")?;
            if !matches!(self.token, Token::Ident | Token::QuotedIdent) {
                return Err(self.unexpected("the name of a field"));
            }
            self.advance()?;
            self.expect(":")?;
            self.expression()?;
            if self.take(",")?.is_none() {
                break;
            }
        }
        let end = self.expect("}")?;
        let text = name.range.text(self.source).trim_start_matches('.').to_owned();
        self.node(Kind::Struct(text), name.range.to(start).to(end), name.depth)
    }
}
