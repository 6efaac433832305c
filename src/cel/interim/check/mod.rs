//! Static checks of one tree: names, functions, operand types, literals. Evaluates nothing but literals.
//!
//! Every mistake is found in one pass: a part that is wrong has the type `dyn`, which suits every operator.

mod functions;
mod literals;
mod macros;
mod names;
mod operators;

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr};

use super::locate::Locator;
use crate::{cel::types::Type, error::Detail};

/// What is known of a tree without mistakes.
#[derive(Debug)]
pub(super) struct Checked {
    /// The type of its value.
    pub(super) value_type: Type,
    /// The paths it reads, sorted.
    pub(super) references: Vec<String>,
}

/// Checks `tree`; with a locator, mistakes say where they are.
pub(super) fn check(
    tree: &IdedExpr,
    variables: &[(String, Type)],
    expected: Option<&Type>,
    locator: Option<&Locator<'_>>,
) -> Result<Checked, Vec<Detail>> {
    let mut checker =
        Checker { variables, scopes: Vec::new(), references: BTreeSet::new(), mistakes: Vec::new(), locator };
    let value_type = checker.infer(tree);
    if let Some(expected) = expected.filter(|expected| **expected != value_type && value_type != Type::Dyn) {
        let code = if *expected == Type::Bool { "not_bool" } else { "wrong_type" };
        let mistake = Detail::new(code, format!("the expression must be {expected}, and is {value_type}"));
        checker.report(tree, mistake.hint("compare it with something, such as `… == …`"));
    }
    if checker.mistakes.is_empty() {
        return Ok(Checked { value_type, references: checker.references.into_iter().collect() });
    }
    checker.mistakes.sort_by_key(|mistake| mistake.span.map(|span| (span.line, span.column)));
    Err(checker.mistakes)
}

/// The state of one pass.
struct Checker<'a> {
    variables: &'a [(String, Type)],
    /// Variables of the comprehensions around the node, the innermost last.
    scopes: Vec<(String, Type)>,
    references: BTreeSet<String>,
    mistakes: Vec<Detail>,
    locator: Option<&'a Locator<'a>>,
}

impl Checker<'_> {
    /// The type of `node`; its mistakes are reported on the way.
    fn infer(&mut self, node: &IdedExpr) -> Type {
        match &node.expr {
            Expr::Unspecified => Type::Dyn,
            Expr::Literal(literal) => type_of_literal(literal),
            Expr::Ident(name) => self.infer_name(node, name),
            Expr::Select(select) => self.infer_select(node, select),
            Expr::List(list) => self.infer_list(list),
            Expr::Map(map) => self.infer_map(map),
            Expr::Comprehension(inner) => self.infer_macro(inner),
            Expr::Call(call) => self.infer_call(node, call),
            Expr::Struct(literal) => {
                let mistake =
                    Detail::new("undeclared_reference", format!("no type `{}` can be built", literal.type_name));
                self.report(node, mistake.hint("write a map: `{'name': value}`"))
            }
        }
    }

    fn infer_call(&mut self, node: &IdedExpr, call: &CallExpr) -> Type {
        self.infer_operator(node, call).unwrap_or_else(|| self.infer_function(node, call))
    }

    fn infer_list(&mut self, list: &ListExpr) -> Type {
        let mut items: Vec<Type> = Vec::new();
        for (position, element) in list.elements.iter().enumerate() {
            let item = self.infer(element);
            items.push(if list.optional_indices.contains(&position) { Type::Dyn } else { item });
        }
        Type::list(common(items))
    }

    fn infer_map(&mut self, map: &MapExpr) -> Type {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let key = self.infer(&entry.key);
            if !matches!(key, Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn) {
                self.report(&entry.key, Detail::new("no_such_overload", format!("a map has no keys of type {key}")));
            }
            keys.push(key);
            let value = self.infer(&entry.value);
            values.push(if entry.optional { Type::Dyn } else { value });
        }
        Type::Map(common(keys).into(), common(values).into())
    }

    /// Notes a mistake of `node`. A wrong part has the type `dyn`, so that it causes no second mistake.
    fn report(&mut self, node: &IdedExpr, mut mistake: Detail) -> Type {
        if let Some((span, text)) = self.locator.and_then(|locator| locator.locate(node)) {
            mistake.span = Some(span);
            mistake.text = Some(text.to_owned());
        }
        self.mistakes.push(mistake);
        Type::Dyn
    }
}

/// The type that all of `types` have, or `dyn`.
fn common(types: Vec<Type>) -> Type {
    let mut types = types.into_iter();
    let Some(first) = types.next() else { return Type::Dyn };
    if types.all(|other| other == first) { first } else { Type::Dyn }
}

fn type_of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::String,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

/// The text of a string literal.
fn text_of(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
