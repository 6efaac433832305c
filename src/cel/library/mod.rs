//! The functions of the language: their overloads and what they do. Operators are functions with names of their own.
//!
//! A function gets its arguments as values and looks at what they are: the same code serves arguments whose types are
//! known and `dyn` ones. What the types allow is for `check`; what is fast is for `plan`.

mod aggregates;
mod collections;
mod conversions;
mod encoders;
mod format;
mod hashing;
pub(super) mod literals;
mod math;
mod membership;
mod network;
pub(super) mod operators;
mod optionals;
mod pattern;
mod quantities;
mod re2;
mod regexes;
mod signature;
mod strings;
mod text_formats;
mod time;
mod urls;
mod versions;

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use super::{
    run::{Fault, Outcome, Run},
    types::Type,
    value::Value,
};

pub(super) use pattern::{Pattern, remarks, search_estimate, searches_estimate};
pub(super) use re2::Meant;
pub(super) use regexes::{PatternBody, pattern_body};
pub(super) use time::{is_zone, zones};

/// What a function does with its arguments; a target is the first of them.
pub(super) type Body = fn(&Run<'_>, &[Value]) -> Outcome;

/// A name, its overloads as they are written, and its body.
type Declaration = (&'static str, &'static [&'static str], Body);

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) overloads: Vec<Overload>,
    pub(super) body: Body,
}

/// One way to call a function.
#[derive(Debug, Clone)]
pub(super) struct Overload {
    /// Whether the first parameter is what it is called on.
    pub(super) is_member: bool,
    pub(super) parameters: Vec<Type>,
    pub(super) result: Type,
    /// Whether a type parameter occurs in it.
    pub(super) is_generic: bool,
}

impl Overload {
    pub(super) fn new(is_member: bool, parameters: Vec<Type>, result: Type) -> Self {
        let is_generic = parameters.iter().chain([&result]).any(Type::has_parameter);
        Self { is_member, parameters, result, is_generic }
    }

    /// How the overload is written.
    pub(super) fn shown(&self, name: &str) -> String {
        let list = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (super::check::operator_text(name), self.parameters.as_slice()) {
            (Some(operator), [left, right]) => format!("{left} {operator} {right}"),
            (Some(operator), [operand]) => format!("{operator}{operand}"),
            (_, [target, rest @ ..]) if self.is_member => format!("{target}.{name}({})", list(rest)),
            (_, all) => format!("{name}({})", list(all)),
        }
    }
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Function>> = LazyLock::new(|| {
    let groups: [&[Declaration]; 19] = [
        operators::FUNCTIONS,
        conversions::FUNCTIONS,
        strings::FUNCTIONS,
        time::FUNCTIONS,
        math::FUNCTIONS,
        collections::FUNCTIONS,
        optionals::FUNCTIONS,
        encoders::FUNCTIONS,
        regexes::FUNCTIONS,
        network::FUNCTIONS,
        network::MORE,
        format::FUNCTIONS,
        aggregates::FUNCTIONS,
        hashing::FUNCTIONS,
        membership::FUNCTIONS,
        quantities::FUNCTIONS,
        text_formats::FUNCTIONS,
        urls::FUNCTIONS,
        versions::FUNCTIONS,
    ];
    let mut functions: HashMap<&'static str, Function> = HashMap::new();
    for (name, signatures, body) in groups.into_iter().flatten() {
        let overloads = signatures.iter().filter_map(|signature| signature::parse(name, signature)).collect();
        functions.insert(name, Function { name, overloads, body: *body });
    }
    functions
});

/// The function called `name`.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.get(name)
}

/// The function that does what `function` does where the checker knows the type of its result: the sum of no numbers is
/// one of their type, which a list of none does not tell.
pub(super) fn specialised(function: &'static Function, result: &Type) -> &'static Function {
    let name = match (function.name, result) {
        ("sum", Type::Uint) => "@sumOfUints",
        ("sum", Type::Double) => "@sumOfDoubles",
        ("sum", Type::Duration) => "@sumOfDurations",
        ("sum", Type::Int | Type::Dyn | Type::Variable(_)) => return function,
        ("sum", _) => "@sumOfOthers",
        _ => return function,
    };
    find(name).unwrap_or(function)
}

/// The names before the first point of functions whose names have one: `math`.
static NAMESPACES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| names().filter_map(|name| Some(name.split_once('.')?.0)).collect());

/// Whether functions have names that begin with this one and a point.
pub(super) fn is_namespace(name: &str) -> bool {
    NAMESPACES.contains(name)
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.keys().copied()
}

/// The fault of a call that no overload takes.
#[cold]
pub(super) fn no_overload(name: &str, arguments: &[Value]) -> Fault {
    let types: Vec<_> = arguments.iter().map(Value::type_name).collect();
    let name = super::check::operator_text(name).unwrap_or(name);
    Fault::new("no_such_overload", format!("`{name}` cannot be applied to ({})", types.join(", ")))
}

#[cold]
fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("invalid_argument", message.into())
}

#[cold]
fn overflow(what: &str) -> Fault {
    Fault::new("overflow", format!("{what} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_overload_that_is_written_is_read() {
        for function in FUNCTIONS.values() {
            assert!(!function.overloads.is_empty(), "{}", function.name);
        }
        let group = operators::FUNCTIONS.iter().chain(strings::FUNCTIONS).chain(math::FUNCTIONS);
        for (name, signatures, _) in group {
            assert_eq!(find(name).unwrap().overloads.len(), signatures.len(), "{name}");
        }
    }
}
