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

/// Units for a hash of a value.
pub(super) const HASH_UNITS: u64 = 64;
/// Bytes of such a value that one unit pays for.
pub(super) const HASH_BYTES_PER_UNIT: u64 = 2;

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

/// The cost of comparing two values: that of the smaller one, as far as `limit` allows it to be seen.
pub(super) fn of_comparing(left: &Value, right: &Value, limit: u64) -> u64 {
    match (left, right) {
        (Value::String(left), Value::String(right)) => of_bytes(left.len().min(right.len()) as u64),
        (Value::Bytes(left), Value::Bytes(right)) => of_bytes(left.len().min(right.len()) as u64),
        (Value::List(left_items), Value::List(right_items)) if left_items.len() == right_items.len() => {
            lesser_weight(left, right, limit)
        }
        (Value::Map(left_map), Value::Map(right_map)) if left_map.len() == right_map.len() => {
            lesser_weight(left, right, limit)
        }
        (Value::Object(_), Value::Object(_)) | (Value::Optional(_), Value::Optional(_)) => {
            lesser_weight(left, right, limit)
        }
        (Value::Opaque(left), Value::Opaque(right)) => of_bytes(left.bytes().min(right.bytes()) as u64),
        _ => 0,
    }
}

/// The number of values inside of `value`, and its bytes, in units. Shared parts count as often as they occur; counting
/// ends above `limit`.
pub(super) fn weight(value: &Value, limit: u64) -> u64 {
    let mut scale = Scale::of(value);
    while scale.units <= limit && scale.weigh_one() {}
    scale.units
}

/// The lesser weight of two values; neither is looked into further than the other one needs.
fn lesser_weight(left: &Value, right: &Value, limit: u64) -> u64 {
    let (mut left, mut right) = (Scale::of(left), Scale::of(right));
    loop {
        let lesser = if left.units <= right.units { &mut left } else { &mut right };
        if lesser.units > limit || !lesser.weigh_one() {
            return lesser.units;
        }
    }
}

/// A value that is being weighed.
struct Scale<'v> {
    units: u64,
    pending: Vec<&'v Value>,
}

impl<'v> Scale<'v> {
    fn of(value: &'v Value) -> Self {
        Self { units: 0, pending: vec![value] }
    }

    /// Adds one of the values inside; whether there was one left.
    fn weigh_one(&mut self) -> bool {
        let Some(value) = self.pending.pop() else { return false };
        self.units += 1;
        match value {
            Value::String(text) => self.units += of_bytes(text.len() as u64),
            Value::Bytes(bytes) => self.units += of_bytes(bytes.len() as u64),
            Value::Opaque(opaque) => self.units += of_bytes(opaque.bytes() as u64),
            Value::List(items) => self.pending.extend(items.iter()),
            Value::Map(map) => self.pending.extend(map.iter().flat_map(|(key, value)| [key, value])),
            Value::Object(object) => self.pending.extend(object.iter().map(|(_, value)| value)),
            Value::Optional(Some(value)) => self.pending.push(value),
            _ => {}
        }
        true
    }
}
