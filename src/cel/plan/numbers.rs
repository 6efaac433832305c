//! Numbers whose types are known: arithmetic and comparison without values in between.

use std::cmp::Ordering;

use super::{
    BoolStep, Checked, CheckedKind, Planner,
    condition::{Condition, Leaf, Test},
    place::{Place, mismatch},
};
use crate::cel::{
    library::operators::{division_by_zero, int_overflow},
    parse::Range,
    run::{Fault, Run},
    types::Type,
    value::Value,
};

pub(super) type IntStep = Box<dyn Fn(&Run<'_>) -> Result<i64, Fault> + Send + Sync>;
pub(super) type DoubleStep = Box<dyn Fn(&Run<'_>) -> Result<f64, Fault> + Send + Sync>;

/// A comparison of two ordered values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "_==_" => Self::Equal,
            "_!=_" => Self::NotEqual,
            "_<_" => Self::Less,
            "_<=_" => Self::LessEqual,
            "_>_" => Self::Greater,
            "_>=_" => Self::GreaterEqual,
            _ => return None,
        })
    }

    /// The same comparison with its sides exchanged.
    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    #[inline]
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
        }
    }

    /// Whether it holds of two doubles; there is no order with NaN.
    #[inline]
    fn of_doubles(self, left: f64, right: f64) -> Result<bool, Fault> {
        match left.partial_cmp(&right) {
            Some(ordering) => Ok(self.accepts(ordering)),
            None if self == Self::Equal => Ok(false),
            None if self == Self::NotEqual => Ok(true),
            None => Err(no_order()),
        }
    }
}

#[cold]
fn no_order() -> Fault {
    Fault::new("invalid_argument", "NaN has no order")
}

/// Ints from one to another, or all others: what a comparison with a constant asks for.
#[derive(Debug)]
pub(in crate::cel) struct Ints {
    low: i64,
    /// How far the last one is from the first.
    width: u64,
    /// Whether an int must be one of these, or any other.
    wanted: bool,
}

impl Ints {
    fn from_to(low: i64, high: i64) -> Self {
        Self { low, width: high.wrapping_sub(low).cast_unsigned(), wanted: true }
    }

    fn all_but(self) -> Self {
        Self { wanted: !self.wanted, ..self }
    }

    fn all() -> Self {
        Self::from_to(i64::MIN, i64::MAX)
    }

    /// Those for which `comparison` with `limit` holds.
    fn compared(comparison: Comparison, limit: i64) -> Self {
        match comparison {
            Comparison::Equal => Self::from_to(limit, limit),
            Comparison::LessEqual => Self::from_to(i64::MIN, limit),
            Comparison::GreaterEqual => Self::from_to(limit, i64::MAX),
            Comparison::NotEqual => Self::compared(Comparison::Equal, limit).all_but(),
            Comparison::Less => Self::compared(Comparison::GreaterEqual, limit).all_but(),
            Comparison::Greater => Self::compared(Comparison::LessEqual, limit).all_but(),
        }
    }

    /// Those for which `comparison` with `limit` holds. An int is compared as the double next to it, which keeps the
    /// order as long as the limit is a number below which every int is a double.
    fn compared_with_double(comparison: Comparison, limit: f64) -> Option<Self> {
        if limit.is_nan() || limit.abs() >= EXACT_MAX {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within the range")]
        let (floor, ceil) = (limit.floor() as i64, limit.ceil() as i64);
        Some(match comparison {
            Comparison::Equal if floor == ceil => Self::compared(comparison, floor),
            Comparison::NotEqual if floor == ceil => Self::compared(comparison, floor),
            Comparison::Equal => Self::all().all_but(),
            Comparison::NotEqual => Self::all(),
            Comparison::Less | Comparison::GreaterEqual => Self::compared(comparison, ceil),
            Comparison::LessEqual | Comparison::Greater => Self::compared(comparison, floor),
        })
    }
}

/// Below it every whole number is a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Test for Ints {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        let Value::Int(value) = value else { return None };
        Some((value.wrapping_sub(self.low).cast_unsigned() <= self.width) == self.wanted)
    }
}

/// Doubles from one to another, or all others.
#[derive(Debug)]
pub(in crate::cel) struct Doubles {
    low: f64,
    high: f64,
    /// Whether a double must be one of these, or any other.
    wanted: bool,
    /// Whether it must be in an order with them, which NaN is not.
    is_ordered: bool,
}

impl Doubles {
    /// Those for which `comparison` with `limit` holds.
    fn compared(comparison: Comparison, limit: f64) -> Option<Self> {
        let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
        let (low, high, wanted) = match comparison {
            _ if limit.is_nan() => return None,
            Comparison::Equal => (limit, limit, true),
            Comparison::NotEqual => (limit, limit, false),
            Comparison::LessEqual => (least, limit, true),
            Comparison::GreaterEqual => (limit, most, true),
            Comparison::Less => (limit, most, false),
            Comparison::Greater => (least, limit, false),
        };
        let is_ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        Some(Self { low, high, wanted, is_ordered })
    }
}

impl Test for Doubles {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        let Value::Double(value) = value else { return None };
        if value.is_nan() && self.is_ordered {
            return None;
        }
        Some((self.low <= *value && *value <= self.high) == self.wanted)
    }

    fn refusal(&self, value: &Value) -> Fault {
        if matches!(value, Value::Double(_)) { no_order() } else { mismatch() }
    }
}

/// A closure for each comparison, so that none is chosen at run time.
macro_rules! by_comparison {
    ($comparison:expr, $left:expr, $right:expr) => {
        match $comparison {
            Comparison::Equal => by_comparison!(@step $left, $right, ==),
            Comparison::NotEqual => by_comparison!(@step $left, $right, !=),
            Comparison::Less => by_comparison!(@step $left, $right, <),
            Comparison::LessEqual => by_comparison!(@step $left, $right, <=),
            Comparison::Greater => by_comparison!(@step $left, $right, >),
            Comparison::GreaterEqual => by_comparison!(@step $left, $right, >=),
        }
    };
    (@step $left:expr, $right:expr, $operator:tt) => {{
        let (left, right) = ($left, $right);
        Box::new(move |run: &Run<'_>| Ok(left(run)? $operator right(run)?)) as BoolStep
    }};
}

impl Planner {
    /// A comparison of two ints or two doubles, or of one of them with a constant that is the other.
    pub(super) fn compare_numbers(self, comparison: Comparison, left: &Checked, right: &Checked) -> Option<Condition> {
        if matches!(left.kind, CheckedKind::Constant(_)) && !matches!(right.kind, CheckedKind::Constant(_)) {
            return self.compare_numbers(comparison.mirrored(), right, left);
        }
        if let CheckedKind::Constant(limit) = &right.kind
            && let Some(place) = Place::of(left)
            && let Some(condition) = compare_with(comparison, place, left, limit)
        {
            return Some(condition);
        }
        let range = left.range;
        let step: BoolStep = match (&left.value_type, &right.value_type) {
            (Type::Int, Type::Int) => by_comparison!(comparison, self.int(left), self.int(right)),
            (Type::Double, Type::Double) => {
                let (left, right) = (self.double(left), self.double(right));
                Box::new(move |run| comparison.of_doubles(left(run)?, right(run)?).map_err(|fault| fault.at(range)))
            }
            _ => return None,
        };
        Some(Condition::Step(step))
    }

    pub(super) fn int(self, node: &Checked) -> IntStep {
        self.quick_int(node).unwrap_or_else(|| {
            let (step, range) = (self.value(node), node.range);
            Box::new(move |run| match step(run)? {
                Value::Int(value) => Ok(value),
                _ => Err(mismatch().at(range)),
            })
        })
    }

    fn double(self, node: &Checked) -> DoubleStep {
        self.quick_double(node).unwrap_or_else(|| {
            let (step, range) = (self.value(node), node.range);
            Box::new(move |run| match step(run)? {
                Value::Double(value) => Ok(value),
                _ => Err(mismatch().at(range)),
            })
        })
    }

    /// An int that needs no value in between.
    pub(super) fn quick_int(self, node: &Checked) -> Option<IntStep> {
        if node.value_type != Type::Int {
            return None;
        }
        let range = node.range;
        if let CheckedKind::Constant(Value::Int(value)) = node.kind {
            return Some(Box::new(move |_| Ok(value)));
        }
        if let Some(place) = Place::of(node) {
            return Some(Box::new(int_at(place, range)));
        }
        let CheckedKind::Call { function, arguments } = &node.kind else { return None };
        let [left, right] = arguments.as_slice() else { return None };
        if left.value_type != Type::Int || right.value_type != Type::Int {
            return None;
        }
        let operation: fn(i64, i64) -> Option<i64> = match function.name {
            "_+_" => i64::checked_add,
            "_-_" => i64::checked_sub,
            "_*_" => i64::checked_mul,
            "_/_" => i64::checked_div,
            "_%_" => i64::checked_rem,
            _ => return None,
        };
        let divides = matches!(function.name, "_/_" | "_%_");
        let (left, right) = (self.int(left), self.int(right));
        Some(Box::new(move |run| {
            let (left, right) = (left(run)?, right(run)?);
            operation(left, right).ok_or_else(|| undefined(divides && right == 0, range))
        }))
    }

    /// A double that needs no value in between.
    pub(super) fn quick_double(self, node: &Checked) -> Option<DoubleStep> {
        if node.value_type != Type::Double {
            return None;
        }
        if let CheckedKind::Constant(Value::Double(value)) = node.kind {
            return Some(Box::new(move |_| Ok(value)));
        }
        if let Some(place) = Place::of(node) {
            return Some(Box::new(double_at(place, node.range)));
        }
        let CheckedKind::Call { function, arguments } = &node.kind else { return None };
        let [left, right] = arguments.as_slice() else { return None };
        if left.value_type != Type::Double || right.value_type != Type::Double {
            return None;
        }
        let operation: fn(f64, f64) -> f64 = match function.name {
            "_+_" => |left, right| left + right,
            "_-_" => |left, right| left - right,
            "_*_" => |left, right| left * right,
            "_/_" => |left, right| left / right,
            _ => return None,
        };
        let (left, right) = (self.double(left), self.double(right));
        Some(Box::new(move |run| Ok(operation(left(run)?, right(run)?))))
    }
}

/// A comparison of what stands at a place with a constant.
fn compare_with(comparison: Comparison, place: Place, node: &Checked, limit: &Value) -> Option<Condition> {
    let range = node.range;
    match (&node.value_type, limit) {
        (Type::Int, Value::Int(limit)) => {
            Some(Condition::Int(Leaf { place, range, test: Ints::compared(comparison, *limit) }))
        }
        (Type::Int, Value::Double(limit)) => {
            Some(Condition::Int(Leaf { place, range, test: Ints::compared_with_double(comparison, *limit)? }))
        }
        (Type::Double, Value::Double(limit)) => {
            Some(Condition::Double(Leaf { place, range, test: Doubles::compared(comparison, *limit)? }))
        }
        #[expect(clippy::cast_precision_loss, reason = "they are compared as doubles")]
        (Type::Double, Value::Int(limit)) => {
            Some(Condition::Double(Leaf { place, range, test: Doubles::compared(comparison, *limit as f64)? }))
        }
        (Type::Bool, Value::Bool(wanted)) => match comparison {
            Comparison::Equal => Some(Condition::Flag(Leaf { place, range, test: *wanted })),
            Comparison::NotEqual => Some(Condition::Flag(Leaf { place, range, test: !*wanted })),
            _ => None,
        },
        _ => None,
    }
}

#[cold]
fn undefined(is_division_by_zero: bool, range: Range) -> Fault {
    if is_division_by_zero { division_by_zero().at(range) } else { int_overflow().at(range) }
}

fn int_at(place: Place, range: Range) -> impl Fn(&Run<'_>) -> Result<i64, Fault> + Send + Sync {
    move |run| match place.peek(run) {
        Some(Value::Int(value)) => Ok(*value),
        _ => match read_slowly(&place, run, range)? {
            Value::Int(value) => Ok(*value),
            _ => Err(mismatch().at(range)),
        },
    }
}

fn double_at(place: Place, range: Range) -> impl Fn(&Run<'_>) -> Result<f64, Fault> + Send + Sync {
    move |run| match place.peek(run) {
        Some(Value::Double(value)) => Ok(*value),
        _ => match read_slowly(&place, run, range)? {
            Value::Double(value) => Ok(*value),
            _ => Err(mismatch().at(range)),
        },
    }
}

#[cold]
fn read_slowly<'a>(place: &Place, run: &Run<'a>, range: Range) -> Result<&'a Value, Fault> {
    place.read(run).map_err(|fault| fault.at(range))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::Greater,
        Comparison::GreaterEqual,
    ];

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            (-9..9_i32).prop_map(|number| f64::from(number) / 2.0),
            prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, EXACT_MAX]),
        ]
    }

    fn whole() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -9..9_i64, Just(i64::MIN), Just(i64::MAX), Just(1 << 53)]
    }

    proptest! {
        #[test]
        fn a_test_of_a_number_is_a_comparison_with_the_constant(
            (int, int_limit) in (whole(), whole()),
            (double, double_limit) in (number(), number()),
        ) {
            for comparison in ALL {
                // As the language has it: by value, without an order with NaN, which is unlike everything.
                let expected = |left: &Value, right: &Value| match left.compare(right) {
                    Some(ordering) => Some(comparison.accepts(ordering)),
                    None => match comparison {
                        Comparison::Equal => Some(false),
                        Comparison::NotEqual => Some(true),
                        _ => None,
                    },
                };
                let (value, limit) = (Value::Int(int), Value::Int(int_limit));
                prop_assert_eq!(Ints::compared(comparison, int_limit).holds(&value), expected(&value, &limit));
                let limit = Value::Double(double_limit);
                if let Some(test) = Ints::compared_with_double(comparison, double_limit) {
                    prop_assert_eq!(test.holds(&value), expected(&value, &limit));
                }
                let value = Value::Double(double);
                if let Some(test) = Doubles::compared(comparison, double_limit) {
                    prop_assert_eq!(test.holds(&value), expected(&value, &limit));
                }
            }
        }
    }
}
