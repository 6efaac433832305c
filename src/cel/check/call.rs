//! Calls: which function is meant, and whether one of its overloads takes the arguments.

use super::{
    Checked, CheckedKind, Checker, checked, hints,
    names::{Path, root},
};
use crate::{
    cel::{
        library::{self, Function, Overload, Pattern, literals},
        lint::absence_hint,
        parse::{Kind, Node, Range},
        types::Type,
        value::Value,
    },
    config::nearest,
};

/// How macros are written, for those that are written otherwise.
const MACROS: [(&str, &str); 12] = [
    ("has", "has(object.field)"),
    ("all", "list.all(item, condition)"),
    ("exists", "list.exists(item, condition)"),
    ("exists_one", "list.exists_one(item, condition)"),
    ("existsOne", "list.existsOne(item, condition)"),
    ("filter", "list.filter(item, condition)"),
    ("map", "list.map(item, value)"),
    ("transformList", "list.transformList(index, item, value)"),
    ("transformMap", "map.transformMap(key, value, new_value)"),
    ("transformMapEntry", "map.transformMapEntry(key, value, {new_key: new_value})"),
    ("optMap", "optional.optMap(item, value)"),
    ("optFlatMap", "optional.optFlatMap(item, optional)"),
];

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        range: Range,
        name: &str,
        target: Option<&Node<'_>>,
        arguments: &[Node<'_>],
        name_range: Range,
    ) -> Checked {
        if let Some(expanded) = self.macro_call(range, name, target, arguments) {
            return expanded;
        }
        if let Some(found) = self.namespaced(range, name, target, arguments, name_range) {
            return found;
        }
        let target = target.map(|target| self.node(target));
        let is_member = target.is_some();
        let before_arguments = self.mistakes.len();
        let mut checked_arguments: Vec<_> = target.into_iter().collect();
        checked_arguments.extend(arguments.iter().map(|argument| self.node(argument)));
        let absolute = name.starts_with('.');
        // A method belongs to no container.
        let env = self.env;
        for candidate in env.candidates(name.trim_start_matches('.'), absolute || is_member) {
            if let Some(function) = library::find(&candidate) {
                return self.resolve(range, function, is_member, checked_arguments, name_range);
            }
            if let Some(overloads) = self.env.function(&candidate) {
                return self.declared_only(range, &candidate, overloads, is_member, &checked_arguments, name_range);
            }
        }
        let is_macro = MACROS.iter().any(|(macro_name, _)| *macro_name == name);
        if is_member && (is_macro || self.binds(arguments)) {
            // Meant as a macro: what its variable is not bound for is no mistake of its own.
            self.mistakes.truncate(before_arguments);
        }
        let failed = self.fail(name_range, "undeclared_reference", format!("there is no function `{name}`"));
        if let Some((_, usage)) = MACROS.iter().find(|(macro_name, _)| *macro_name == name) {
            self.hint(format!("write `{usage}`"));
        } else if let Some(here) = hints::foreign_function(name) {
            self.hint(format!("write `{here}`"));
        } else if let Some(near) = nearest(name, callable_names()) {
            self.hint(format!("did you mean `{near}`?"));
        }
        Checked { range, ..failed }
    }

    /// Whether a call begins with a name that nothing declares, as that of a macro does.
    fn binds(&self, arguments: &[Node<'_>]) -> bool {
        let [Node { kind: Kind::Ident { name, absolute: false }, .. }, _, ..] = arguments else { return false };
        self.env.variable(name).is_none() && !self.scopes.iter().any(|scope| *scope.0 == **name)
    }

    /// `math.greatest(…)`: a function whose name has points, written like a call on a target.
    fn namespaced(
        &mut self,
        range: Range,
        name: &str,
        target: Option<&Node<'_>>,
        arguments: &[Node<'_>],
        name_range: Range,
    ) -> Option<Checked> {
        let env = self.env;
        if !env.is_qualified() && !library::is_namespace(root(target?)?) {
            return None;
        }
        let path = Path::of(target?)?;
        if !path.absolute && self.scopes.iter().any(|scope| *scope.0 == *path.root) {
            return None;
        }
        let full = format!("{}.{name}", path.name);
        for candidate in env.candidates(&full, path.absolute) {
            let function = library::find(&candidate);
            let declared = self.env.function(&candidate);
            if function.is_none() && declared.is_none() {
                continue;
            }
            let arguments: Vec<_> = arguments.iter().map(|argument| self.node(argument)).collect();
            let name_range = target?.range.to(name_range);
            return Some(match (function, declared) {
                (Some(function), _) => self.resolve(range, function, false, arguments, name_range),
                (None, overloads) => {
                    self.declared_only(range, &candidate, overloads.unwrap_or(&[]), false, &arguments, name_range)
                }
            });
        }
        None
    }

    pub(super) fn resolve(
        &mut self,
        range: Range,
        function: &'static Function,
        is_member: bool,
        arguments: Vec<Checked>,
        name_range: Range,
    ) -> Checked {
        if matches!(function.name, "math.greatest" | "math.least")
            && let Some(failed) = self.no_numbers(range, function.name, &arguments)
        {
            return failed;
        }
        let result = match function.name {
            "math.greatest" | "math.least" if arguments.len() > 2 => self.extremum(&arguments),
            _ => self.overload(&function.overloads, is_member, &arguments),
        };
        let Some(result) = result else {
            let failed = self.no_overload(range, function.name, &function.overloads, is_member, &arguments, name_range);
            if self.env.is_checked() {
                return failed;
            }
            return checked(CheckedKind::Call { function, arguments }, Type::Dyn, range);
        };
        self.check_literals(function.name, &arguments);
        let function = library::specialised(function, &result);
        checked(CheckedKind::Call { function, arguments }, result, range)
    }

    /// A function that the environment declares and that has no body: it can be checked and not run.
    fn declared_only(
        &mut self,
        range: Range,
        name: &str,
        overloads: &[Overload],
        is_member: bool,
        arguments: &[Checked],
        name_range: Range,
    ) -> Checked {
        match self.overload(overloads, is_member, arguments) {
            Some(result) => {
                let kind = CheckedKind::Fail("no_such_overload", format!("`{name}` has no implementation"));
                checked(kind, result, range)
            }
            None => self.no_overload(range, name, overloads, is_member, arguments, name_range),
        }
    }

    fn no_overload(
        &mut self,
        range: Range,
        name: &str,
        overloads: &[Overload],
        is_member: bool,
        arguments: &[Checked],
        name_range: Range,
    ) -> Checked {
        let shown: Vec<_> = arguments.iter().map(|argument| self.shown(&argument.value_type)).collect();
        let message = match (operator_text(name), shown.as_slice()) {
            (Some(operator), [left, right]) => format!("`{operator}` cannot be applied to `{left}` and `{right}`"),
            (Some(operator), [operand]) => format!("`{operator}` cannot be applied to `{operand}`"),
            (_, [target, rest @ ..]) if is_member => {
                format!("`{target}` has no `{name}({})`", list(rest))
            }
            _ => format!("`{name}` does not take ({})", list(&shown)),
        };
        let is_of_arity =
            |overload: &Overload| overload.is_member == is_member && overload.parameters.len() == arguments.len();
        let code = if overloads.iter().any(is_of_arity) { "no_such_overload" } else { "wrong_arity" };
        let place = if operator_text(name).is_some() { range } else { name_range };
        let failed = self.fail(place, code, message);
        let hint = self.meant(name, arguments, &shown).unwrap_or_else(|| overload_hint(name, overloads, &shown));
        self.hint(hint);
        Checked { range, ..failed }
    }

    /// What an operator was meant to say whose operands it does not take.
    fn meant(&self, name: &str, arguments: &[Checked], shown: &[Type]) -> Option<String> {
        let is_field = |node: &Checked| matches!(node.kind, CheckedKind::Slot(..) | CheckedKind::Select { .. });
        match (name, arguments, shown) {
            ("_==_" | "_!=_", [left, right], [left_type, right_type]) => {
                let other = match (left_type, right_type) {
                    (Type::Null, _) => right,
                    (_, Type::Null) => left,
                    _ => return hints::converted((left, left_type), (right, right_type)),
                };
                Some(absence_hint(name, other, &self.text(other.range)))
            }
            ("!_", [operand], _) if is_field(operand) => {
                let text = self.text(operand.range);
                Some(format!("write `!has({text})` to ask whether it is absent, or compare it with something"))
            }
            (_, [left, right], [left_type, right_type]) if operator_text(name).is_some() => {
                hints::converted((left, left_type), (right, right_type))
            }
            _ => None,
        }
    }

    /// Patterns, times and durations that are written in the source are read here, so that a bad one is refused.
    fn check_literals(&mut self, name: &str, arguments: &[Checked]) {
        if !self.env.is_checked() {
            return;
        }
        for (position, argument) in arguments.iter().enumerate() {
            let CheckedKind::Constant(Value::String(text)) = &argument.kind else { continue };
            let problem = match (name, position) {
                ("matches" | "find" | "findAll" | "regex.extract" | "regex.extractAll" | "regex.replace", 1) => {
                    self.check_pattern(argument.range, text);
                    None
                }
                ("timestamp", 0) => literals::timestamp(text).err().map(|message| ("invalid_timestamp", message)),
                ("duration", 0) => literals::duration(text).err().map(|message| ("invalid_duration", message)),
                _ => None,
            };
            if let Some((code, message)) = problem {
                self.fail(argument.range, code, message);
            }
        }
    }

    fn check_pattern(&mut self, literal: Range, pattern: &str) {
        let Err(refusal) = Pattern::written(pattern) else { return };
        let range = literal.part_of_text(self.source, &refusal.range).unwrap_or(literal);
        self.fail(range, "invalid_regex", format!("the pattern is not valid: {}", refusal.message));
        if let Some(hint) = refusal.hint {
            self.hint(hint);
        }
    }
}

fn list(types: &[Type]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What may be called by its name.
fn callable_names() -> impl Iterator<Item = &'static str> {
    let macros = MACROS.iter().map(|(name, _)| *name);
    library::names().filter(|name| !name.starts_with(['_', '@', '!', '-'])).chain(macros)
}

/// How an operator is written.
pub(in crate::cel) fn operator_text(name: &str) -> Option<&str> {
    match name {
        "@in" => Some("in"),
        "_[_]" => Some("[]"),
        "_[?_]" => Some("[?]"),
        _ if name.starts_with('_') || name.ends_with('_') => Some(name.trim_matches('_')),
        _ => None,
    }
}

fn overload_hint(name: &str, overloads: &[Overload], arguments: &[Type]) -> String {
    if let (Some(_), [left, right]) = (operator_text(name), arguments)
        && left != right
    {
        if left.is_numeric() && right.is_numeric() {
            return format!(
                "convert one side, for example with `{}(…)`",
                if *left == Type::Double { left } else { right }
            );
        }
        for (text, other) in [(left, right), (right, left)] {
            if *text == Type::String && matches!(other, Type::Timestamp | Type::Duration) {
                return format!("write `{other}('…')`");
            }
        }
        if *left == Type::String || *right == Type::String {
            return "convert the other side with `string(…)`".to_owned();
        }
    }
    if name == "!_" {
        return "compare it with something, such as `… == …`".to_owned();
    }
    let shown: Vec<_> = overloads.iter().take(6).map(|overload| format!("`{}`", overload.shown(name))).collect();
    format!("there are {}", shown.join(", "))
}
