//! Lists as sets, by the names that policies give them, and a field by its name.

use super::{
    Body, Declaration, Fault, Outcome, Run, Value,
    collections::{all_in, contains},
    no_overload,
};

const HAS_INTERSECTION: Body = |run, arguments| {
    let [Value::List(left), Value::List(right)] = arguments else {
        return Err(no_overload("hasIntersection", arguments));
    };
    for item in left.iter() {
        if contains(run, right, item)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
};

pub(super) const FUNCTIONS: &[Declaration] = &[
    (
        "hasIntersection",
        &["hasIntersection(list(A), list(A)): bool", "list(A).hasIntersection(list(A)): bool"],
        HAS_INTERSECTION,
    ),
    ("isSubset", &["isSubset(list(A), list(A)): bool", "list(A).isSubset(list(A)): bool"], |run, arguments| {
        match arguments {
            [Value::List(part), Value::List(whole)] => all_in(run, part, whole).map(Value::Bool),
            _ => Err(no_overload("isSubset", arguments)),
        }
    }),
    (
        "intersect",
        &["intersect(list(A), list(A)): list(A)", "list(A).intersect(list(A)): list(A)"],
        |run, arguments| kept(run, "intersect", arguments, true),
    ),
    ("except", &["except(list(A), list(A)): list(A)", "list(A).except(list(A)): list(A)"], |run, arguments| {
        kept(run, "except", arguments, false)
    }),
    ("getField", &["getField(dyn, string): dyn"], |_, arguments| {
        let found = match arguments {
            [Value::Map(map), name @ Value::String(_)] => map.get(name).cloned(),
            [Value::Object(object), Value::String(name)] => object.get(name).cloned(),
            _ => return Err(no_overload("getField", arguments)),
        };
        let name = arguments.get(1).and_then(Value::as_str).unwrap_or_default();
        found.ok_or_else(|| Fault::new("no_such_key", format!("there is no field `{name}`")))
    }),
];

/// The elements of the first list that are in the second, or those that are not.
fn kept(run: &Run<'_>, name: &str, arguments: &[Value], wanted: bool) -> Outcome {
    let [Value::List(items), Value::List(others)] = arguments else { return Err(no_overload(name, arguments)) };
    // Twice: while the list grows, and as what it becomes.
    run.allocate_items(items.len().saturating_mul(2))?;
    let mut kept = Vec::new();
    for item in items.iter() {
        if contains(run, others, item)? == wanted {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}
