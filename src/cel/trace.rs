//! What a traced evaluation has noted: the values of sub-expressions, and which of them decided the result.

use std::collections::{HashMap, HashSet};

use super::{
    TraceEntry,
    check::{Access, Checked, CheckedKind, LoopKind},
    cost,
    parse::Range,
    run::{Fault, Noted},
    sensitive::Sensitive,
    value::Value,
};
use crate::config::limits::{TRACE_ENTRIES_MAX, TRACE_VALUE_WEIGHT_MAX};

/// How the parts of an expression make its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// By all that was evaluated of them.
    All,
    /// By one part that has this value, or by all of them if none has.
    Decisive(bool),
    /// The same, by the turns of a loop, which stand at this range.
    Turns(bool, Range),
    /// It says whether a field is there.
    Presence,
}

/// The entries of a trace, in the order of the source.
pub(super) fn entries(
    checked: &Checked,
    (source, sensitive): (&str, Option<&Sensitive>),
    mut notes: Vec<Noted>,
    outcome: Noted,
) -> Vec<TraceEntry> {
    // The whole comes last, and must not be missing where there is no more room.
    if notes.last().is_none_or(|last| last.0 != checked.range) {
        notes.truncate(TRACE_ENTRIES_MAX - 1);
        notes.push(outcome);
    }
    let (mut joints, mut doubled) = (HashMap::new(), HashSet::new());
    collect(checked, &mut joints, &mut doubled);
    let joint = |range: Range| joints.get(&range).copied().unwrap_or(Joint::All);
    // A turn of a loop is not a part of the next one, which stands in the same place.
    let is_part = |whole: Range, part: Range| {
        whole.start <= part.start && part.end <= whole.end && (whole != part || doubled.contains(&whole))
    };
    let decided = decided(&notes, &joint, &is_part);
    let mut entries: Vec<_> = notes.into_iter().zip(decided).collect();
    entries.sort_by_key(|((range, _), _)| (range.start, std::cmp::Reverse(range.end)));
    let masked = |range: Range, value: serde_json::Value| match sensitive {
        Some(sensitive) => sensitive.value(range, value),
        None => value,
    };
    let entry = |((range, value), decided): (Noted, bool)| {
        let is_absent = joint(range) == Joint::Presence && matches!(value, Ok(Value::Bool(false)));
        let text = range.text(source).to_owned();
        let presence = || text.strip_prefix("has(").and_then(|rest| rest.strip_suffix(')')).map(str::trim);
        let (value, missing) = match value {
            Ok(value) => (masked(range, shown(&value)), if is_absent { presence().map(str::to_owned) } else { None }),
            Err(fault) => {
                let error = fault.into_error(source, sensitive);
                let value = serde_json::json!({ "error": { "code": error.code, "message": error.message } });
                (value, error.missing.map(String::from))
            }
        };
        TraceEntry { span: range.span(source), text, value, decided, missing }
    };
    entries.into_iter().map(entry).collect()
}

/// Notes how the parts of each sub-expression make its value, and where one stands in the same place as its part.
fn collect(node: &Checked, joints: &mut HashMap<Range, Joint>, doubled: &mut HashSet<Range>) {
    let joint = match &node.kind {
        CheckedKind::And(_) => Joint::Decisive(false),
        CheckedKind::Or(_) => Joint::Decisive(true),
        CheckedKind::HasSlot(_) | CheckedKind::Select { mode: Access::Test, .. } => Joint::Presence,
        CheckedKind::Loop(parts) => match (parts.kind, &parts.predicate) {
            (LoopKind::All, Some(predicate)) => Joint::Turns(false, predicate.range),
            (LoopKind::Exists, Some(predicate)) => Joint::Turns(true, predicate.range),
            _ => Joint::All,
        },
        _ => Joint::All,
    };
    if joint != Joint::All {
        joints.insert(node.range, joint);
    }
    node.children(&mut |child| {
        if child.range == node.range {
            doubled.insert(node.range);
        }
        collect(child, joints, doubled);
    });
}

/// For each note, whether it decided the result: it did if what it is a part of did, and could not without it.
fn decided(notes: &[Noted], joint: &dyn Fn(Range) -> Joint, is_part: &dyn Fn(Range, Range) -> bool) -> Vec<bool> {
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); notes.len()];
    let mut open: Vec<usize> = Vec::new();
    // A part is noted before the whole.
    for (index, (range, _)) in notes.iter().enumerate() {
        let inside = |other: &usize| notes.get(*other).is_some_and(|(inner, _)| is_part(*range, *inner));
        let first = open.iter().rposition(|other| !inside(other)).map_or(0, |last| last + 1);
        if let Some(own) = parts.get_mut(index) {
            *own = open.split_off(first);
        }
        open.push(index);
    }
    let mut decided = vec![false; notes.len()];
    let mut pending: Vec<usize> = open.pop().into_iter().collect();
    while let Some(index) = pending.pop() {
        if let Some(place) = decided.get_mut(index) {
            *place = true;
        }
        let (Some((range, whole)), Some(own)) = (notes.get(index), parts.get(index)) else { continue };
        pending.extend(deciding(notes, own, joint(*range), whole));
    }
    decided
}

/// Which of the parts decided the value of the whole.
fn deciding(notes: &[Noted], parts: &[usize], joint: Joint, whole: &Result<Value, Fault>) -> Vec<usize> {
    let (decisive, turns) = match joint {
        Joint::All | Joint::Presence => return parts.to_vec(),
        Joint::Decisive(decisive) => (decisive, None),
        Joint::Turns(decisive, range) => (decisive, Some(range)),
    };
    let competes = |index: &usize| turns.is_none_or(|turns| notes.get(*index).is_some_and(|note| note.0 == turns));
    let value = |index: &usize| notes.get(*index).map(|(_, value)| value);
    let (rivals, others): (Vec<usize>, Vec<usize>) = parts.iter().copied().partition(competes);
    let winner = match whole {
        Ok(Value::Bool(truth)) if *truth == decisive => {
            rivals.iter().rfind(|index| matches!(value(index), Some(Ok(Value::Bool(truth))) if *truth == decisive))
        }
        Err(_) => rivals.iter().find(|index| matches!(value(index), Some(Err(_)))),
        Ok(_) => None,
    };
    match winner {
        Some(winner) => others.into_iter().chain([*winner]).collect(),
        // A constant has no note; or none could decide alone.
        None if matches!(whole, Ok(Value::Bool(truth)) if *truth == decisive) => others,
        None => parts.to_vec(),
    }
}

/// A value in JSON, unless it is too large to be read.
fn shown(value: &Value) -> serde_json::Value {
    if cost::weight(value, TRACE_VALUE_WEIGHT_MAX) > TRACE_VALUE_WEIGHT_MAX {
        return serde_json::Value::String(format!("(a large `{}`)", value.type_name()));
    }
    value.to_json()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::cel::{Activation, Env, ObjectField, ObjectType, Type, Value};

    /// The sub-expressions that decided, and what is missing.
    fn decided(source: &str) -> (Vec<String>, Vec<String>) {
        let fields = [("a", Type::Int), ("b", Type::Int), ("l", Type::list(Type::Int)), ("none", Type::Int)];
        let fields = fields.into_iter().map(|(name, value_type)| ObjectField::new(name, value_type)).collect();
        let env = Env::new(vec![("f".into(), Type::Object(Arc::new(ObjectType { name: "f".into(), fields })))]);
        let mut activation = Activation::new(&env);
        activation.set_path("f.a", Value::Int(1));
        activation.set_path("f.b", Value::Int(2));
        activation.set_path("f.l", Value::list(vec![Value::Int(1), Value::Int(2), Value::Int(3)]));
        let entries = env.compile(source).unwrap().trace(&activation);
        let telling: Vec<_> = entries.into_iter().filter(|entry| entry.decided).collect();
        let missing = telling.iter().filter_map(|entry| entry.missing.clone()).collect();
        let shown = telling.into_iter().filter(|entry| !entry.text.starts_with("f.") || entry.text.contains(' '));
        (shown.map(|entry| format!("{}={}", entry.text, entry.value)).filter(|text| text.len() < 40).collect(), missing)
    }

    #[test]
    fn what_decided_is_told_and_what_did_not_is_not() {
        for (source, expected) in [
            ("f.a == 1 && f.b == 1", &["f.a == 1 && f.b == 1=false", "f.b == 1=false"][..]),
            ("f.a == 1 && f.b == 2", &["f.a == 1 && f.b == 2=true", "f.a == 1=true", "f.b == 2=true"]),
            ("f.a == 2 || f.b == 2", &["f.a == 2 || f.b == 2=true", "f.b == 2=true"]),
            ("f.a == 2 || f.b == 1", &["f.a == 2 || f.b == 1=false", "f.a == 2=false", "f.b == 1=false"]),
            ("f.none == 2 || f.b == 2", &["f.none == 2 || f.b == 2=true", "f.b == 2=true"]),
            ("f.a == 1 ? f.b > 1 : f.b > 5", &["f.a == 1 ? f.b > 1 : f.b > 5=true", "f.a == 1=true", "f.b > 1=true"]),
            ("f.l.exists(i, i == 2)", &["f.l.exists(i, i == 2)=true", "i=2", "i == 2=true"]),
            ("f.l.all(i, i < 2)", &["f.l.all(i, i < 2)=false", "i=2", "i < 2=false"]),
            (
                "f.l.all(i, i < 4)",
                &["f.l.all(i, i < 4)=true", "i=1", "i < 4=true", "i=2", "i < 4=true", "i=3", "i < 4=true"],
            ),
        ] {
            let mut found = decided(source).0;
            let mut expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn what_is_missing_is_named_where_it_decided() {
        for (source, expected) in [
            ("f.none == 2 && f.a == 1", &["f.none", "f.none", "f.none"][..]),
            ("f.none == 2 && f.a == 2", &[]),
            ("has(f.none) && f.none > 1", &["f.none"]),
            ("f.a == 2 && has(f.none)", &[]),
        ] {
            assert_eq!(decided(source).1, expected, "{source}");
        }
    }
}
