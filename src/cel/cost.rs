//! What work costs, in units: about as many nanoseconds as a comparison takes.
//!
//! A node costs one unit when the block that holds it is entered: the whole expression, or one turn of a loop. Reading,
//! making or comparing texts, bytes and lists costs one unit for every [`BYTES_PER_UNIT`] bytes.

use super::{
    check::{Checked, CheckedKind, Loop},
    value::Value,
};

/// Bytes that one unit pays for.
pub(super) const BYTES_PER_UNIT: u64 = 16;

/// Units for compiling a pattern during an evaluation: it takes as long as much else together.
pub(super) const PATTERN_UNITS: u64 = 20_000;
/// Units for each byte of such a pattern.
pub(super) const PATTERN_BYTE_UNITS: u64 = 50;

/// The cost of work over `bytes`.
#[inline]
pub(super) fn of_bytes(bytes: u64) -> u64 {
    bytes / BYTES_PER_UNIT
}

/// The cost of the nodes below `node` that run once when it does.
pub(super) fn of_block(node: &Checked) -> u64 {
    let mut units = u64::from(!matches!(node.kind, CheckedKind::Shared(..)));
    if let CheckedKind::Loop(parts) = &node.kind {
        return units + of_block(&parts.range);
    }
    node.children(&mut |child| units += of_block(child));
    units
}

/// The cost of one turn of a loop.
pub(super) fn of_turn(parts: &Loop) -> u64 {
    1 + parts.predicate.iter().chain(&parts.transform).map(of_block).sum::<u64>()
}

/// The cost of comparing two values: that of one of them, as far as `limit` allows it to be seen.
pub(super) fn of_comparing(left: &Value, right: &Value, limit: u64) -> u64 {
    match (left, right) {
        (Value::String(left), Value::String(right)) => of_bytes(left.len().min(right.len()) as u64),
        (Value::Bytes(left), Value::Bytes(right)) => of_bytes(left.len().min(right.len()) as u64),
        (Value::List(left_items), Value::List(right_items)) if left_items.len() == right_items.len() => {
            weight(left, limit)
        }
        (Value::Map(left_map), Value::Map(right_map)) if left_map.len() == right_map.len() => weight(left, limit),
        (Value::Object(_), Value::Object(_)) | (Value::Optional(_), Value::Optional(_)) => weight(left, limit),
        _ => 0,
    }
}

/// The number of values inside of `value`, and its bytes, in units. Shared parts count as often as they occur; counting
/// ends above `limit`.
pub(super) fn weight(value: &Value, limit: u64) -> u64 {
    let mut units = 0_u64;
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        units += 1;
        if units > limit {
            break;
        }
        match value {
            Value::String(text) => units += of_bytes(text.len() as u64),
            Value::Bytes(bytes) => units += of_bytes(bytes.len() as u64),
            Value::List(items) => pending.extend(items.iter()),
            Value::Map(map) => pending.extend(map.iter().flat_map(|(key, value)| [key, value])),
            Value::Object(object) => pending.extend(object.iter().map(|(_, value)| value)),
            Value::Optional(Some(value)) => pending.push(value),
            _ => {}
        }
    }
    units
}
