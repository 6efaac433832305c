//! Numbers whose types are known: arithmetic and comparison without values in between.

use std::cmp::Ordering;

use super::{
    BoolStep, Checked, CheckedKind, Planner,
    condition::Condition,
    place::{Place, mismatch},
    spans::{Doubles, Ints},
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
    pub(super) fn accepts(self, ordering: Ordering) -> bool {
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
pub(super) fn no_order() -> Fault {
    Fault::new("invalid_argument", "NaN has no order")
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
    let ints = |test| Condition::leaf(place.clone(), range, test, Condition::Int, Condition::IntAt);
    let doubles = |test| Condition::leaf(place.clone(), range, test, Condition::Double, Condition::DoubleAt);
    let flag = |test| Condition::leaf(place.clone(), range, test, Condition::Flag, Condition::FlagAt);
    match (&node.value_type, limit) {
        (Type::Int, Value::Int(limit)) => Some(ints(Ints::compared(comparison, *limit))),
        (Type::Int, Value::Double(limit)) => Ints::compared_with_double(comparison, *limit).map(ints),
        (Type::Double, Value::Double(limit)) => Doubles::compared(comparison, *limit).map(doubles),
        #[expect(clippy::cast_precision_loss, reason = "they are compared as doubles")]
        (Type::Double, Value::Int(limit)) => Doubles::compared(comparison, *limit as f64).map(doubles),
        (Type::Bool, Value::Bool(wanted)) => match comparison {
            Comparison::Equal => Some(flag(*wanted)),
            Comparison::NotEqual => Some(flag(!*wanted)),
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
