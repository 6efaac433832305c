//! Numbers compared with a constant: those that lie within a span, or outside of it.

use super::{
    condition::Test,
    numbers::{Comparison, no_order},
    place::mismatch,
};
use crate::cel::{run::Fault, value::Value};

/// Ints from one to another, or all others: what a comparison with a constant asks for.
#[derive(Debug, Clone, PartialEq)]
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

    /// Where these begin, and where the others go on behind them.
    pub(super) fn borders(&self) -> impl Iterator<Item = i64> + use<> {
        let begin = (self.low > i64::MIN).then_some(self.low);
        let end = self.low.wrapping_add_unsigned(self.width).checked_add(1);
        begin.into_iter().chain(end)
    }

    /// Whether an int is one of these.
    #[inline(always)]
    fn has(&self, value: i64) -> bool {
        value.wrapping_sub(self.low).cast_unsigned() <= self.width
    }

    fn all_but(self) -> Self {
        Self { wanted: !self.wanted, ..self }
    }

    fn all() -> Self {
        Self::from_to(i64::MIN, i64::MAX)
    }

    /// Those for which `comparison` with `limit` holds.
    pub(super) fn compared(comparison: Comparison, limit: i64) -> Self {
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
    pub(super) fn compared_with_double(comparison: Comparison, limit: f64) -> Option<Self> {
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
        Some(self.has(*value) == self.wanted)
    }
}

/// Doubles from one to another, or all others.
#[derive(Debug, Clone, PartialEq)]
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
    pub(super) fn compared(comparison: Comparison, limit: f64) -> Option<Self> {
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

impl Doubles {
    /// Where these begin, and where the others go on behind them.
    pub(super) fn borders(&self) -> impl Iterator<Item = f64> + use<> {
        let begin = (self.low > f64::NEG_INFINITY).then_some(self.low);
        let end = (self.high < f64::INFINITY).then(|| self.high.next_up());
        begin.into_iter().chain(end)
    }

    /// Whether a double is one of these.
    #[inline(always)]
    fn has(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

impl Test for Doubles {
    #[inline(always)]
    fn holds(&self, value: &Value) -> Option<bool> {
        let Value::Double(value) = value else { return None };
        if value.is_nan() && self.is_ordered {
            return None;
        }
        Some(self.has(*value) == self.wanted)
    }

    fn refusal(&self, value: &Value) -> Fault {
        if matches!(value, Value::Double(_)) { no_order() } else { mismatch() }
    }
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
