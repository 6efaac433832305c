//! Which sub-expressions have values that come from sensitive fields: neither a trace nor an error may show them.
//!
//! Static, and on the side of caution: whatever is computed from a sensitive value is sensitive, be it a comparison.
//! That a field is present, and what a sensitive field's neighbours hold, is not. Nothing of it costs an evaluation
//! anything; only what is shown is looked up here.

use std::collections::HashMap;

use super::{
    check::{Access, Checked, CheckedKind},
    env::Env,
    fault::EvaluationError,
    parse::Range,
    types::Type,
};

/// What stands in the place of a value.
const MARK: &str = "(sensitive)";
/// What stands in the place of a message that may hold one.
const MESSAGE: &str = "a sensitive value is the reason, and is not shown";
/// Errors whose messages are made of names, types and the expression alone.
const TELLING_NO_VALUE: [&str; 7] = [
    "cost_exceeded",
    "memory_exceeded",
    "no_such_field",
    "no_such_overload",
    "division_by_zero",
    "not_a_bool",
    "internal",
];

/// The places of an expression that nothing may be shown of, sorted.
#[derive(Debug, Clone, Default)]
pub(super) struct Sensitive {
    ranges: Box<[Range]>,
    is_whole: bool,
}

impl Sensitive {
    /// Those of `checked`.
    pub fn of(env: &Env, checked: &Checked) -> Self {
        if !env.has_sensitive() {
            return Self::default();
        }
        let mut search = Search { env, locals: HashMap::new(), ranges: Vec::new() };
        let is_whole = search.visit(checked).is_masked();
        search.ranges.sort_unstable();
        search.ranges.dedup();
        Self { ranges: search.ranges.into(), is_whole }
    }

    /// Whether the value of the whole expression may not be shown.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// A value in a trace, or what stands in its place.
    pub fn value(&self, range: Range, shown: serde_json::Value) -> serde_json::Value {
        if self.ranges.binary_search(&range).is_ok() { MARK.into() } else { shown }
    }

    /// An error that arose at `range`, without what it may not say.
    pub fn error(&self, range: Option<Range>, mut error: EvaluationError) -> EvaluationError {
        // A value that a message quotes is one of the parts at which the error arose, if not that itself.
        let inside = |whole: Range| self.ranges.iter().any(|part| whole.start <= part.start && part.end <= whole.end);
        let may_quote = error.missing.is_none() && !TELLING_NO_VALUE.contains(&error.code);
        if may_quote && range.map_or(!self.ranges.is_empty(), inside) {
            MESSAGE.clone_into(&mut error.message);
        }
        error
    }
}

/// What is known of a value.
#[derive(Debug, Clone, Copy)]
struct Taint {
    /// It comes from a sensitive value.
    comes_from: bool,
    /// It is an object, or holds some, with fields that are sensitive.
    holds: bool,
}

impl Taint {
    fn is_masked(self) -> bool {
        self.comes_from || self.holds
    }
}

struct Search<'a> {
    env: &'a Env,
    /// Whether the variables of loops and bindings come from sensitive values; what they hold, their types tell.
    locals: HashMap<u32, bool>,
    ranges: Vec<Range>,
}

impl Search<'_> {
    fn visit(&mut self, node: &Checked) -> Taint {
        let taint = Taint { comes_from: self.comes_from(node), holds: holds(&node.value_type) };
        if taint.is_masked() {
            self.ranges.push(node.range);
        }
        taint
    }

    /// Visits every node; answers whether anything of them may not be shown.
    fn visit_all<'c>(&mut self, nodes: impl Iterator<Item = &'c Checked>) -> bool {
        let taints: Vec<Taint> = nodes.map(|node| self.visit(node)).collect();
        taints.into_iter().any(Taint::is_masked)
    }

    fn comes_from(&mut self, node: &Checked) -> bool {
        match &node.kind {
            CheckedKind::Constant(_) | CheckedKind::Fail(..) | CheckedKind::Object(..) | CheckedKind::HasSlot(_) => {
                false
            }
            CheckedKind::Slot(slot, _) | CheckedKind::OptionalSlot(slot, _) => self.env.is_sensitive(*slot),
            CheckedKind::Local(local) => self.locals.get(local).copied().unwrap_or_default(),
            CheckedKind::Select { operand, field, mode, .. } => {
                let comes_from = self.visit(operand).comes_from;
                comes_from || (*mode != Access::Test && is_field_sensitive(&operand.value_type, field))
            }
            CheckedKind::Index { operand, index, .. } => {
                let index = self.visit(index).is_masked();
                // The element's own type tells what it holds.
                self.visit(operand).comes_from || index
            }
            CheckedKind::Loop(parts) => {
                let range = self.visit(&parts.range).comes_from;
                self.locals.insert(parts.first, range);
                self.locals.extend(parts.second.map(|second| (second, range)));
                let inner = self.visit_all(parts.predicate.iter().chain(&parts.transform));
                range || inner
            }
            CheckedKind::Bind { bindings, body } => {
                for (local, value) in bindings {
                    let comes_from = self.visit(value).comes_from;
                    self.locals.insert(*local, comes_from);
                }
                self.visit(body).is_masked()
            }
            CheckedKind::MapOptional { operand, local, body, .. } => {
                let comes_from = self.visit(operand).comes_from;
                self.locals.insert(*local, comes_from);
                self.visit(body).is_masked() || comes_from
            }
            _ => {
                let mut children = Vec::new();
                node.children(&mut |child| children.push(child));
                self.visit_all(children.into_iter())
            }
        }
    }
}

/// Whether a value of this type has sensitive fields somewhere inside.
pub(super) fn holds(value_type: &Type) -> bool {
    match value_type {
        Type::Object(object) => object.fields.iter().any(|field| field.is_sensitive || holds(&field.value_type)),
        Type::List(items) | Type::Optional(items) => holds(items),
        Type::Map(_, values) => holds(values),
        _ => false,
    }
}

fn is_field_sensitive(operand: &Type, name: &str) -> bool {
    match operand {
        Type::Object(object) => object.field(name).is_some_and(|field| field.is_sensitive),
        Type::Optional(value) => is_field_sensitive(value, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cel::{Activation, MapValue, ObjectField, ObjectType, Value};

    const CANARY: &str = "canary";

    fn object(name: &str, fields: Vec<ObjectField>) -> Type {
        Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields }))
    }

    fn sensitive(name: &str, value_type: Type) -> ObjectField {
        ObjectField { is_sensitive: true, ..ObjectField::new(name, value_type) }
    }

    fn env() -> Env {
        let item = object("f.items", vec![ObjectField::new("name", Type::String), sensitive("pin", Type::String)]);
        let fields = vec![
            ObjectField::new("age", Type::Int),
            sensitive("flag", Type::Bool),
            ObjectField::new("items", Type::list(item)),
            sensitive("map", Type::map(Type::String, Type::String)),
            sensitive("ssn", Type::String),
        ];
        Env::new(vec![("f".to_owned(), object("f", fields))])
    }

    fn activation(env: &Env) -> Activation {
        let mut activation = Activation::new(env);
        activation.set_path("f.age", Value::Int(7));
        activation.set_path("f.flag", Value::Bool(true));
        activation.set_path("f.ssn", Value::String(CANARY.into()));
        let mut map = MapValue::default();
        map.insert(Value::String(CANARY.into()), Value::String(CANARY.into()));
        activation.set_path("f.map", Value::Map(Arc::new(map)));
        activation
    }

    /// The texts of the sub-expressions of which nothing is shown.
    fn masked(source: &str) -> Vec<String> {
        let env = env();
        let trace = env.compile(source).unwrap().trace(&activation(&env));
        trace.into_iter().filter(|entry| entry.value == MARK).map(|entry| entry.text).collect()
    }

    #[test]
    fn what_comes_from_a_sensitive_value_is_masked_and_what_does_not_is_shown() {
        for (source, expected) in [
            ("f.age > 3", &[][..]),
            ("has(f.ssn)", &[]),
            ("f.ssn == 'x'", &["f.ssn == 'x'", "f.ssn"]),
            ("f.age > 3 && !f.flag", &["f.age > 3 && !f.flag", "!f.flag", "f.flag"]),
            ("size(f.ssn) + f.age", &["size(f.ssn) + f.age", "size(f.ssn)", "f.ssn"]),
            ("cel.bind(x, f.ssn, x + 'a')", &["cel.bind(x, f.ssn, x + 'a')", "f.ssn", "x + 'a'", "x"]),
            ("[1, 2].exists(i, i == f.age)", &[]),
            ("[f.ssn].exists(s, s == 'x')", &["[f.ssn].exists(s, s == 'x')", "[f.ssn]", "f.ssn", "s", "s == 'x'"]),
            ("f.map.exists(k, k == 'x')", &["f.map.exists(k, k == 'x')", "f.map", "k", "k == 'x'"]),
        ] {
            let mut found = masked(source);
            let mut expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn neighbours_of_a_sensitive_field_are_shown_and_what_holds_it_is_not() {
        let places = |source: &str| {
            let env = env();
            let program = env.compile(source).unwrap();
            program.is_sensitive()
        };
        for (source, expected) in [
            ("f.items.exists(i, i.name == 'x')", false),
            ("f.items.map(i, i.name)", false),
            ("f.items[0].name", false),
            ("f.items.exists(i, i.pin == 'x')", true),
            ("f.items.filter(i, i.name == 'x')", true),
            ("f.items.map(i, i)", true),
            ("f.items[0].pin", true),
            ("f.items[0]", true),
            ("f", true),
            ("size(f.items)", true),
            ("[f.ssn, 1][1]", true),
            ("{'a': f.ssn}.a", true),
            ("dyn(f.items)[0].name", true),
            ("optional.of(f.ssn).optMap(s, s).orValue('')", true),
            ("f.?ssn.hasValue()", true),
            ("f.?age.hasValue()", false),
            ("f.age > 0 ? f.age : size(f.ssn)", true),
        ] {
            assert_eq!(places(source), expected, "{source}");
        }
    }

    #[test]
    fn no_error_quotes_a_sensitive_value() {
        let env = env();
        let activation = activation(&env);
        for source in [
            "int(f.ssn) > 1",
            "double(f.ssn) > 1.0",
            "uint(f.ssn) > 1u",
            "bool(f.ssn)",
            "timestamp(f.ssn) > timestamp('2020-01-01T00:00:00Z')",
            "duration(f.ssn) > duration('1s')",
            "f.age in [1, 2] || {'a': 1}[f.ssn] == 1",
            "f.map[f.ssn + 'x'] == ''",
            "{f.ssn: 1, f.ssn: 2} == {}",
            "'a'.matches(f.ssn + '(')",
            "timestamp('2020-01-01T00:00:00Z').getHours(f.ssn) == 1",
            "isIP(f.ssn) || ip(f.ssn).isLoopback()",
            "cidr(f.ssn).prefixLength() == 1",
            "[1, 2, 3][size(f.ssn)] == 1",
            "'a'.charAt(size(f.ssn)) == 'x'",
            "'%d'.format([f.ssn]) == ''",
            "regex.replace('a', f.ssn + '(', 'b') == ''",
        ] {
            let Ok(program) = env.compile(source) else {
                panic!("{source} does not compile: {:?}", env.compile(source))
            };
            let error = program.evaluate(&activation).unwrap_err();
            assert!(!format!("{error:?}").contains(CANARY), "{source}: {error:?}");
            let trace = program.trace(&activation);
            let shown: String = trace.iter().map(|entry| entry.value.to_string()).collect();
            assert!(!shown.contains(CANARY), "{source}: {shown}");
        }
        // What is not sensitive is told as before.
        let told = env.compile("int(string(f.age) + 'x') > 1").unwrap().evaluate(&activation).unwrap_err();
        assert!(told.message.contains("7x"), "{told:?}");
    }
}
