//! Static types: what an expression means and what its value is, or everything that is wrong with it.
//!
//! Gradual where a type is `dyn`, exact elsewhere. Values are not computed here: that is `plan`.

mod call;
mod hints;
mod macros;
mod names;
mod overloads;
mod tree;
mod unify;

pub(super) use call::operator_text;
pub(super) use tree::{Access, Checked, CheckedKind, Loop, LoopKind};

use std::sync::Arc;

use super::{
    env::Env,
    parse::{Kind, Mistake, Node, Range},
    types::Type,
};
use unify::{Variables, is_ground};

/// Checks `node` in `env`.
pub(super) fn check(env: &Env, source: &str, node: &Node<'_>) -> Result<Checked, Vec<Mistake>> {
    let mut checker = Checker {
        env,
        source,
        variables: Variables::default(),
        scopes: Vec::new(),
        locals: 0,
        loops: 0,
        mistakes: Vec::new(),
    };
    let mut checked = checker.node(node);
    if !checker.mistakes.is_empty() {
        checker.mistakes.sort_by_key(|mistake| mistake.range);
        // What a macro repeats is checked twice, and told once.
        checker.mistakes.dedup_by(|next, known| next.range == known.range && next.code == known.code);
        return Err(checker.mistakes);
    }
    if !checker.variables.is_empty() {
        settle(&mut checked, &checker.variables);
        checker.refuse_impossible_sums(&checked);
    }
    if checker.mistakes.is_empty() { Ok(checked) } else { Err(checker.mistakes) }
}

struct Checker<'a> {
    env: &'a Env,
    source: &'a str,
    variables: Variables,
    /// The variables of the loops and bindings around, the innermost last.
    scopes: Vec<(Arc<str>, u32, Type)>,
    locals: u32,
    loops: usize,
    mistakes: Vec<Mistake>,
}

impl Checker<'_> {
    fn node(&mut self, node: &Node<'_>) -> Checked {
        match &node.kind {
            Kind::Literal(value) => checked(CheckedKind::Constant(value.clone()), value.static_type(), node.range),
            Kind::Ident { .. } | Kind::Select { .. } => self.name(node),
            Kind::Index { operand, index, optional } => self.index(node.range, operand, index, *optional),
            Kind::Call { name, target, arguments, name_range } => {
                self.call(node.range, name, target.as_deref(), arguments, *name_range)
            }
            Kind::And(terms) => {
                let terms = self.conditions(terms);
                checked(CheckedKind::And(terms), Type::Bool, node.range)
            }
            Kind::Or(terms) => {
                let terms = self.conditions(terms);
                checked(CheckedKind::Or(terms), Type::Bool, node.range)
            }
            Kind::Conditional(parts) => self.conditional(node.range, parts),
            Kind::List(elements) => self.list(node.range, elements),
            Kind::Map(entries) => self.map(node.range, entries),
            Kind::Struct(name) => {
                let failed = self.fail(node.range, "undeclared_reference", format!("there is no type `{name}`"));
                self.hint("write a map: `{'name': value}`".to_owned());
                failed
            }
        }
    }

    /// Refuses the sum of an empty list that is used as what no sum can be: `[].sum() - duration('1s')` is a time.
    fn refuse_impossible_sums(&mut self, node: &Checked) {
        if let CheckedKind::Call { function, .. } = &node.kind
            && function.name == "@sumOfOthers"
            && node.value_type != Type::Dyn
        {
            let message = format!("a sum is a number or a duration, and is used as `{}` here", node.value_type);
            self.fail(node.range, "no_such_overload", message);
        }
        node.children(&mut |child| self.refuse_impossible_sums(child));
    }

    /// Notes a mistake. Where checking is off, it becomes an error of the evaluation.
    fn fail(&mut self, range: Range, code: &'static str, message: String) -> Checked {
        if self.env.is_checked() {
            self.mistakes.push(Mistake::new(range, message.clone()).code(code));
        }
        checked(CheckedKind::Fail(code, message), Type::Dyn, range)
    }

    fn hint(&mut self, hint: String) {
        if let Some(mistake) = self.mistakes.last_mut().filter(|_| self.env.is_checked()) {
            mistake.hint.get_or_insert(hint);
        }
    }

    /// A mistake in how a macro is written: one even where types are not checked.
    fn misuse(&mut self, range: Range, message: String) -> Checked {
        self.refuse(range, "invalid_macro", message)
    }

    /// Notes a mistake even where types are not checked.
    fn refuse(&mut self, range: Range, code: &'static str, message: String) -> Checked {
        self.mistakes.push(Mistake::new(range, message.clone()).code(code));
        checked(CheckedKind::Fail(code, message), Type::Dyn, range)
    }

    fn expect(&mut self, found: &Checked, expected: &Type, what: &str) {
        if *expected != found.value_type && !self.variables.assign(expected, &found.value_type) && self.env.is_checked()
        {
            let actual = self.variables.resolve(&found.value_type, true);
            let message = format!("{what} must be `{expected}`, and `{}` is `{actual}`", self.text(found.range));
            self.fail(found.range, "no_such_overload", message);
        }
    }

    fn text(&self, range: Range) -> String {
        let text = range.text(self.source);
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
            None => text.to_owned(),
        }
    }

    fn conditions(&mut self, terms: &[Node<'_>]) -> Vec<Checked> {
        let terms: Vec<_> = terms.iter().map(|term| self.node(term)).collect();
        for term in &terms {
            self.expect(term, &Type::Bool, "a condition");
        }
        terms
    }

    fn conditional(&mut self, range: Range, parts: &[Node<'_>; 3]) -> Checked {
        let parts = parts.each_ref().map(|part| self.node(part));
        let [condition, accepted, refused] = &parts;
        self.expect(condition, &Type::Bool, "a condition");
        let value_type = self.variables.fresh();
        if !self.variables.assign_all([(&value_type, &accepted.value_type), (&value_type, &refused.value_type)])
            && self.env.is_checked()
        {
            let (left, right) = (self.shown(&accepted.value_type), self.shown(&refused.value_type));
            self.fail(
                range,
                "no_such_overload",
                format!("both answers of `?:` must have one type, not `{left}` and `{right}`"),
            );
            self.hint("convert one of them, or write `dyn(…)` around both".to_owned());
            return checked(CheckedKind::Conditional(Box::new(parts)), Type::Dyn, range);
        }
        let value_type = if self.env.is_checked() { value_type } else { Type::Dyn };
        checked(CheckedKind::Conditional(Box::new(parts)), value_type, range)
    }

    fn list(&mut self, range: Range, elements: &[super::parse::Element<'_>]) -> Checked {
        let mut joined = None;
        let mut checked_elements = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.node(&element.value);
            let value_type = if element.optional { self.inside_optional(&value) } else { value.value_type.clone() };
            joined = Some(self.variables.join(joined.take(), value_type));
            checked_elements.push((value, element.optional));
        }
        let element_type = joined.unwrap_or_else(|| self.variables.fresh());
        checked(CheckedKind::List(checked_elements), Type::list(element_type), range)
    }

    fn map(&mut self, range: Range, entries: &[super::parse::Entry<'_>]) -> Checked {
        let (mut keys, mut values) = (None, None);
        let mut checked_entries = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.node(&entry.key);
            if !self.is_key(&key.value_type) {
                let message = format!("`{}` cannot be the key of a map", self.text(key.range));
                self.fail(key.range, "no_such_overload", message);
                self.hint("a key is a bool, int, uint or string".to_owned());
            }
            keys = Some(self.variables.join(keys.take(), key.value_type.clone()));
            let value = self.node(&entry.value);
            let value_type = if entry.optional { self.inside_optional(&value) } else { value.value_type.clone() };
            values = Some(self.variables.join(values.take(), value_type));
            checked_entries.push((key, value, entry.optional));
        }
        let key_type = keys.unwrap_or_else(|| self.variables.fresh());
        let value_type = values.unwrap_or_else(|| self.variables.fresh());
        checked(CheckedKind::Map(checked_entries), Type::map(key_type, value_type), range)
    }

    fn is_key(&self, key: &Type) -> bool {
        matches!(
            self.variables.resolve(key, true),
            Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn | Type::Parameter(_)
        )
    }

    /// The type inside of an optional.
    fn inside_optional(&mut self, value: &Checked) -> Type {
        let inner = self.variables.fresh();
        self.expect(value, &Type::optional(inner.clone()), "a value marked with `?`");
        inner
    }

    fn shown(&self, value: &Type) -> Type {
        self.variables.resolve(value, true)
    }
}

fn checked(kind: CheckedKind, value_type: Type, range: Range) -> Checked {
    Checked { kind, value_type, range }
}

/// Replaces the type variables by what was found for them.
fn settle(node: &mut Checked, variables: &Variables) {
    if !is_ground(&node.value_type) {
        node.value_type = variables.resolve(&node.value_type, true);
        // What an empty list is the sum of may show in what the sum is used for only.
        if let CheckedKind::Call { function, .. } = &mut node.kind {
            *function = super::library::specialised(function, &node.value_type);
        }
    }
    node.children_mut(&mut |child| settle(child, variables));
}
