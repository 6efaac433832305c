//! Lists, maps and sets: their size, and the lists and sets extensions.

use std::sync::Arc;

use super::{Declaration, Fault, Outcome, Run, Value, invalid, no_overload};

pub(super) const FUNCTIONS: &[Declaration] = &[
    (
        "size",
        &[
            "size(string): int",
            "size(bytes): int",
            "size(list(A)): int",
            "size(map(A, B)): int",
            "string.size(): int",
            "bytes.size(): int",
            "list(A).size(): int",
            "map(A, B).size(): int",
        ],
        size,
    ),
    ("lists.range", &["lists.range(int): list(int)"], |run, arguments| match arguments {
        [Value::Int(count)] => {
            run.allocate_items(usize::try_from(*count).unwrap_or(0))?;
            Ok(Value::List((0..*count).map(Value::Int).collect()))
        }
        _ => Err(no_overload("lists.range", arguments)),
    }),
    ("distinct", &["list(A).distinct(): list(A)"], |run, arguments| match arguments {
        [Value::List(items)] => {
            run.allocate_items(items.len())?;
            let mut kept: Vec<Value> = Vec::new();
            for item in items.iter() {
                if !contains(run, &kept, item)? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::list(kept))
        }
        _ => Err(no_overload("distinct", arguments)),
    }),
    ("flatten", &["list(list(A)).flatten(): list(A)", "list(dyn).flatten(int): list(dyn)"], flatten),
    ("slice", &["list(A).slice(int, int): list(A)"], slice),
    ("first", &["list(A).first(): optional(A)"], |_, arguments| match arguments {
        [Value::List(items)] => Ok(Value::Optional(items.first().cloned().map(Arc::new))),
        _ => Err(no_overload("first", arguments)),
    }),
    ("last", &["list(A).last(): optional(A)"], |_, arguments| match arguments {
        [Value::List(items)] => Ok(Value::Optional(items.last().cloned().map(Arc::new))),
        _ => Err(no_overload("last", arguments)),
    }),
    (
        "sort",
        &[
            "list(int).sort(): list(int)",
            "list(uint).sort(): list(uint)",
            "list(double).sort(): list(double)",
            "list(bool).sort(): list(bool)",
            "list(string).sort(): list(string)",
            "list(bytes).sort(): list(bytes)",
            "list(timestamp).sort(): list(timestamp)",
            "list(duration).sort(): list(duration)",
        ],
        |run, arguments| match arguments {
            [list @ Value::List(_)] => sort(run, list, list),
            _ => Err(no_overload("sort", arguments)),
        },
    ),
    (
        "@sortByKeys",
        &[
            "list(A).@sortByKeys(list(int)): list(A)",
            "list(A).@sortByKeys(list(uint)): list(A)",
            "list(A).@sortByKeys(list(double)): list(A)",
            "list(A).@sortByKeys(list(bool)): list(A)",
            "list(A).@sortByKeys(list(string)): list(A)",
            "list(A).@sortByKeys(list(bytes)): list(A)",
            "list(A).@sortByKeys(list(timestamp)): list(A)",
            "list(A).@sortByKeys(list(duration)): list(A)",
        ],
        |run, arguments| match arguments {
            [list, keys] => sort(run, list, keys),
            _ => Err(no_overload("sortBy", arguments)),
        },
    ),
    ("sets.contains", &["sets.contains(list(A), list(A)): bool"], |run, arguments| match arguments {
        [Value::List(left), Value::List(right)] => all_in(run, right, left).map(Value::Bool),
        _ => Err(no_overload("sets.contains", arguments)),
    }),
    ("sets.equivalent", &["sets.equivalent(list(A), list(A)): bool"], |run, arguments| match arguments {
        [Value::List(left), Value::List(right)] => {
            Ok(Value::Bool(all_in(run, right, left)? && all_in(run, left, right)?))
        }
        _ => Err(no_overload("sets.equivalent", arguments)),
    }),
    ("sets.intersects", &["sets.intersects(list(A), list(A)): bool"], |run, arguments| match arguments {
        [Value::List(left), Value::List(right)] => {
            for item in left.iter() {
                if contains(run, right, item)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        _ => Err(no_overload("sets.intersects", arguments)),
    }),
];

fn size(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let size = match arguments {
        [Value::String(text)] => {
            run.charge_bytes(text.len())?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(items)] => items.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(no_overload("size", arguments)),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// Where the first of `items` stands that equals `wanted`; -1 if none does.
pub(super) fn position(run: &Run<'_>, items: &mut dyn Iterator<Item = (usize, &Value)>, wanted: &Value) -> Outcome {
    for (index, item) in items {
        run.charge(1)?;
        run.charge_comparing(item, wanted)?;
        if item == wanted {
            return Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

/// Whether one of `items` equals `wanted`.
pub(super) fn contains(run: &Run<'_>, items: &[Value], wanted: &Value) -> Result<bool, Fault> {
    for item in items {
        run.charge(1)?;
        run.charge_comparing(item, wanted)?;
        if item == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether each of `items` is one of `others`.
pub(super) fn all_in(run: &Run<'_>, items: &[Value], others: &[Value]) -> Result<bool, Fault> {
    for item in items {
        if !contains(run, others, item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn flatten(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let (items, depth) = match arguments {
        [Value::List(items)] => (items, 1),
        [Value::List(items), Value::Int(depth)] => (items, *depth),
        _ => return Err(no_overload("flatten", arguments)),
    };
    if depth < 0 {
        return Err(invalid("the depth of `flatten` cannot be negative"));
    }
    // Iterative: lists may be nested deeper than a stack.
    let mut flat = Vec::new();
    let mut pending: Vec<(std::slice::Iter<'_, Value>, i64)> = vec![(items.iter(), depth)];
    while let Some((rest, depth)) = pending.last_mut() {
        let depth = *depth;
        match rest.next() {
            None => {
                pending.pop();
            }
            Some(Value::List(inner)) if depth > 0 => {
                run.charge(1)?;
                pending.push((inner.iter(), depth - 1));
            }
            Some(item) => {
                // Twice: while it grows, and as the list that it becomes.
                run.allocate_items(2)?;
                flat.push(item.clone());
            }
        }
    }
    Ok(Value::list(flat))
}

fn slice(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let [Value::List(items), Value::Int(start), Value::Int(end)] = arguments else {
        return Err(no_overload("slice", arguments));
    };
    let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
    let part = range.and_then(|(start, end)| items.get(start..end)).ok_or_else(|| {
        Fault::new(
            "index_out_of_range",
            format!("there is no slice from {start} to {end} of a list of {}", items.len()),
        )
    })?;
    run.allocate_items(part.len())?;
    Ok(Value::List(part.into()))
}

/// The elements of `list` in the order of their `keys`; equal ones keep theirs.
fn sort(run: &Run<'_>, list: &Value, keys: &Value) -> Outcome {
    let (Value::List(items), Value::List(keys)) = (list, keys) else {
        return Err(no_overload("sort", &[list.clone(), keys.clone()]));
    };
    run.allocate_items(items.len().saturating_mul(2))?;
    let comparisons = (items.len() as u64).saturating_mul(u64::from(items.len().max(1).ilog2()) + 1);
    let each = keys.iter().map(|key| crate::cel::cost::of_comparing(key, key, run.cost_left())).max().unwrap_or(0) + 1;
    run.charge(comparisons.saturating_mul(each))?;
    if let Some(first) = keys.first()
        && let Some(other) =
            keys.iter().find(|key| key.type_name() != first.type_name() || first.compare(key).is_none())
    {
        let is_nan = |key: &Value| matches!(key, Value::Double(number) if number.is_nan());
        if first.type_name() == other.type_name() && (is_nan(first) || is_nan(other)) {
            return Err(invalid("NaN has no order"));
        }
        return Err(no_overload("sort", &[first.clone(), other.clone()]));
    }
    let mut pairs: Vec<_> = keys.iter().zip(items.iter()).collect();
    pairs.sort_by(|(left, _), (right, _)| left.compare(right).unwrap_or(std::cmp::Ordering::Equal));
    Ok(Value::List(pairs.into_iter().map(|(_, item)| item.clone()).collect()))
}
