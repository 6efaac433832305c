//! Equality and order of values, as CEL has them: numbers compare by value across their types.

use std::{cmp::Ordering, sync::Arc};

use super::{ObjectValue, Value};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::Timestamp(left), Self::Timestamp(right)) => left == right,
            (Self::Duration(left), Self::Duration(right)) => left == right,
            (Self::List(left), Self::List(right)) => left == right,
            (Self::Map(left), Self::Map(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => left == right,
            (Self::Type(left), Self::Type(right)) => left == right,
            (Self::Optional(left), Self::Optional(right)) => left == right,
            (Self::Network(left), Self::Network(right)) => left == right,
            (Self::Opaque(left), Self::Opaque(right)) => left == right,
            _ => self.compare_numbers(other) == Some(Some(Ordering::Equal)),
        }
    }
}

impl PartialEq for ObjectValue {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (&self.object_type, &other.object_type);
        (Arc::ptr_eq(left, right) || left.has_fields_of(right)) && self.fields == other.fields
    }
}

impl Value {
    /// The order of two values of an ordered type; `None` where there is no order between them, as with NaN or two
    /// types that do not compare.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::String(left), Self::String(right)) => Some(left.cmp(right)),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Timestamp(left), Self::Timestamp(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            _ => self.compare_numbers(other).flatten(),
        }
    }

    /// `None` unless both are numbers; `Some(None)` if one is NaN.
    fn compare_numbers(&self, other: &Self) -> Option<Option<Ordering>> {
        Some(match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Uint(left), Self::Uint(right)) => Some(left.cmp(right)),
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Int(left), Self::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
            (Self::Uint(left), Self::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
            (Self::Int(left), Self::Double(right)) => compare_whole(i128::from(*left), *right),
            (Self::Uint(left), Self::Double(right)) => compare_whole(i128::from(*left), *right),
            (Self::Double(left), Self::Int(right)) => compare_whole(i128::from(*right), *left).map(Ordering::reverse),
            (Self::Double(left), Self::Uint(right)) => compare_whole(i128::from(*right), *left).map(Ordering::reverse),
            _ => return None,
        })
    }
}

/// The order of a whole number and a double: that of two doubles, as in the reference, so that the numbers at the end of
/// a type's range equal the doubles nearest to them.
#[expect(clippy::cast_precision_loss, reason = "both sides are compared as doubles")]
fn compare_whole(whole: i128, double: f64) -> Option<Ordering> {
    (whole as f64).partial_cmp(&double)
}
