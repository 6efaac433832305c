//! Overloads as they are written in the tables: `name(int, list(A)): A`, `string.name(int): bool`.

use super::Overload;
use crate::cel::types::Type;

pub(super) fn parse(name: &str, text: &str) -> Option<Overload> {
    let (target, rest) = match text.strip_prefix(name).filter(|rest| rest.starts_with('(')) {
        Some(rest) => (None, rest),
        None => {
            let (target, rest) = parse_type(text)?;
            (Some(target), rest.strip_prefix('.')?.strip_prefix(name)?)
        }
    };
    let is_member = target.is_some();
    let mut parameters: Vec<_> = target.into_iter().collect();
    let (rest_parameters, rest) = parse_list(rest.strip_prefix('(')?)?;
    parameters.extend(rest_parameters);
    let (result, rest) = parse_type(rest.strip_prefix(": ")?)?;
    rest.is_empty().then(|| Overload::new(is_member, parameters, result))
}

/// Types up to the closing parenthesis, and what follows it.
fn parse_list(mut text: &str) -> Option<(Vec<Type>, &str)> {
    let mut types = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(')') {
            return Some((types, rest));
        }
        let (found, rest) = parse_type(text.strip_prefix(", ").unwrap_or(text))?;
        types.push(found);
        text = rest;
    }
}

fn parse_type(text: &str) -> Option<(Type, &str)> {
    if let Some(rest) = text.strip_prefix("net.IP").or_else(|| text.strip_prefix("net.CIDR")) {
        return Some((Type::named(text.get(..text.len() - rest.len())?), rest));
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let (parameters, rest) = match rest.strip_prefix('(') {
        Some(inside) if !name.is_empty() => parse_list(inside)?,
        _ => (Vec::new(), rest),
    };
    let mut parameters = parameters.into_iter();
    let found = match name {
        "list" => Type::list(parameters.next()?),
        "map" => Type::map(parameters.next()?, parameters.next()?),
        "optional" => Type::optional(parameters.next()?),
        "type" => Type::Type(std::sync::Arc::new(parameters.next()?)),
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "url" | "quantity" | "semver" => Type::named(name),
        "A" | "B" => Type::Parameter(name.into()),
        _ => return None,
    };
    Some((found, rest))
}
