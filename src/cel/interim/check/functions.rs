//! The standard functions: their names, numbers of arguments, and types.

use std::ops::RangeInclusive;

use cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::Checker;
use crate::cel::types::Type;
use crate::config::nearest;
use crate::error::Detail;

/// A function as it may be called.
struct Function {
    name: &'static str,
    /// What a method may be called on; `None` for a function that is not called on anything.
    target: Option<Kind>,
    /// Arguments without the target.
    arguments: RangeInclusive<usize>,
    /// What each argument must be.
    argument: Kind,
    result: Type,
}

/// A set of types.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Text,
    Sized,
    Instant,
    Moment,
}

const fn global(name: &'static str, arguments: RangeInclusive<usize>, argument: Kind, result: Type) -> Function {
    Function { name, target: None, arguments, argument, result }
}

const fn method(
    name: &'static str,
    target: Kind,
    arguments: RangeInclusive<usize>,
    argument: Kind,
    result: Type,
) -> Function {
    Function { name, target: Some(target), arguments, argument, result }
}

/// Part of a point in time, or of a length of time.
const fn part(name: &'static str, target: Kind) -> Function {
    method(name, target, 0..=1, Kind::Text, Type::Int)
}

const FUNCTIONS: &[Function] = &[
    global("size", 1..=1, Kind::Sized, Type::Int),
    global("matches", 2..=2, Kind::Text, Type::Bool),
    global("int", 1..=1, Kind::Any, Type::Int),
    global("uint", 1..=1, Kind::Any, Type::Uint),
    global("double", 1..=1, Kind::Any, Type::Double),
    global("string", 1..=1, Kind::Any, Type::String),
    global("bytes", 1..=1, Kind::Any, Type::Bytes),
    global("bool", 1..=1, Kind::Any, Type::Bool),
    global("timestamp", 1..=1, Kind::Any, Type::Timestamp),
    global("duration", 1..=1, Kind::Any, Type::Duration),
    global("type", 1..=1, Kind::Any, Type::Dyn),
    global("dyn", 1..=1, Kind::Any, Type::Dyn),
    global("optional.of", 1..=1, Kind::Any, Type::Dyn),
    global("optional.ofNonZeroValue", 1..=1, Kind::Any, Type::Dyn),
    global("optional.none", 0..=0, Kind::Any, Type::Dyn),
    method("size", Kind::Sized, 0..=0, Kind::Any, Type::Int),
    method("contains", Kind::Text, 1..=1, Kind::Text, Type::Bool),
    method("startsWith", Kind::Text, 1..=1, Kind::Text, Type::Bool),
    method("endsWith", Kind::Text, 1..=1, Kind::Text, Type::Bool),
    method("matches", Kind::Text, 1..=1, Kind::Text, Type::Bool),
    part("getFullYear", Kind::Instant),
    part("getMonth", Kind::Instant),
    part("getDate", Kind::Instant),
    part("getDayOfMonth", Kind::Instant),
    part("getDayOfWeek", Kind::Instant),
    part("getDayOfYear", Kind::Instant),
    part("getHours", Kind::Moment),
    part("getMinutes", Kind::Moment),
    part("getSeconds", Kind::Moment),
    part("getMilliseconds", Kind::Moment),
    method("hasValue", Kind::Any, 0..=0, Kind::Any, Type::Bool),
    method("value", Kind::Any, 0..=0, Kind::Any, Type::Dyn),
    method("or", Kind::Any, 1..=1, Kind::Any, Type::Dyn),
    method("orValue", Kind::Any, 1..=1, Kind::Any, Type::Dyn),
];

/// Macros: called in any other way than theirs they are left as calls, which nothing answers.
const MACROS: [(&str, &str); 6] = [
    ("has", "has(facts.name)"),
    ("all", "list.all(item, predicate)"),
    ("exists", "list.exists(item, predicate)"),
    ("exists_one", "list.exists_one(item, predicate)"),
    ("map", "list.map(item, expression)"),
    ("filter", "list.filter(item, predicate)"),
];

impl Checker<'_> {
    pub(super) fn infer_function(&mut self, node: &IdedExpr, call: &CallExpr) -> Type {
        let (name, target) = self.called(call);
        let target_type = target.map(|target| self.infer(target));
        let types: Vec<Type> = call.args.iter().map(|argument| self.infer(argument)).collect();
        let named: Vec<&Function> = FUNCTIONS.iter().filter(|function| function.name == name).collect();
        if named.is_empty() {
            return self.report(node, unknown(&name));
        }
        let Some(function) = named.iter().find(|function| function.target.is_some() == target.is_some()) else {
            let mistake = Detail::new("no_such_overload", format!("`{name}` is not called like this"));
            let hint =
                if target.is_some() { format!("write `{name}(…)`") } else { format!("write `value.{name}(…)`") };
            return self.report(node, mistake.hint(hint));
        };
        if !function.arguments.contains(&types.len()) {
            let wanted = function.arguments.end();
            let mistake = format!(
                "`{name}` takes {wanted} argument{}, and has {}",
                if *wanted == 1 { "" } else { "s" },
                types.len()
            );
            return self.report(node, Detail::new("wrong_arity", mistake));
        }
        let suits = target_type.iter().all(|target| function.target.is_none_or(|kind| kind.has(target)))
            && types.iter().all(|argument| function.argument.has(argument));
        if !suits {
            let all: Vec<String> = types.iter().map(ToString::to_string).collect();
            let of = target_type.map(|target| format!("{target}.")).unwrap_or_default();
            let message = format!("no overload of `{name}` for {of}({})", all.join(", "));
            return self.report(node, Detail::new("no_such_overload", message));
        }
        self.check_literals(node, &name, call);
        function.result.clone()
    }

    /// The function's name and what it is called on: `optional.of(x)` is called on nothing.
    fn called<'n>(&self, call: &'n CallExpr) -> (String, Option<&'n IdedExpr>) {
        match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(namespace), .. }) if namespace == "optional" => {
                (format!("optional.{}", call.func_name), None)
            }
            target => (call.func_name.clone(), target),
        }
    }
}

fn unknown(name: &str) -> Detail {
    let mistake = Detail::new("undeclared_reference", format!("there is no function `{name}`"));
    if let Some((_, usage)) = MACROS.iter().find(|(known, _)| *known == name) {
        return mistake.hint(format!("write `{usage}`"));
    }
    let known = FUNCTIONS.iter().map(|function| function.name).chain(MACROS.iter().map(|(known, _)| *known));
    match nearest(name, known) {
        Some(near) => mistake.hint(format!("did you mean `{near}`?")),
        None => mistake,
    }
}

impl Kind {
    fn has(self, found: &Type) -> bool {
        match (self, found) {
            (Self::Any, _) | (_, Type::Dyn) => true,
            (Self::Text, found) => *found == Type::String,
            (Self::Sized, found) => {
                matches!(found, Type::String | Type::Bytes | Type::List(_) | Type::Map(..) | Type::Object(_))
            }
            (Self::Instant, found) => *found == Type::Timestamp,
            (Self::Moment, found) => matches!(found, Type::Timestamp | Type::Duration),
        }
    }
}
