//! The tests of a rule in the form that the index files them: texts, and numbers on one line.
//!
//! Every scalar but a text has a place on a line of whole numbers, on which its type's order and equality are those of
//! CEL. So a limit of any type is a span of that line, also a `double` that an `int` is compared with.

use std::sync::Arc;

use super::Asked;
use crate::cel::{Side, Slot, SlotTest, Test, Type, Value};

/// One term of a rule's `&&`. The rule is false if all of these are false, of slots that are not absent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    /// Of which one must hold.
    pub any_of: Vec<Filing>,
    /// How little the term tells; the lowest is looked at first.
    pub vagueness: u32,
}

/// The terms of a rule that are filed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    pub each: Vec<Term>,
    /// Whether the rule is true if one filing of each holds, of slots that are not absent.
    pub are_all: bool,
}

/// A slot, and what must hold of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filing {
    pub slot: Slot,
    pub domain: Option<Domain>,
    pub condition: Condition,
    /// Whether another term makes the rule false where the slot is absent.
    pub is_guarded: bool,
}

/// What must hold of a slot.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// It is one of these texts.
    Texts(Vec<Arc<str>>),
    /// It is one of these numbers.
    Numbers(Vec<i128>),
    /// It begins with this text.
    Prefix(Arc<str>),
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is within this span, the ends included.
    Within(i128, i128),
}

/// What the values of a slot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Timestamp,
    Duration,
}

/// Values that a rule is filed under at most, in one term.
const VALUES_MAX: usize = 256;
/// Terms of a rule that are looked at.
pub(super) const TERMS_MAX: usize = 32;

/// The domains of the slots of facts, which come before all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ruleset) struct Domains(Vec<Option<Domain>>);

impl Domains {
    /// The domains of the fields of these variables.
    pub fn of_variables(variables: &[(String, Type)]) -> Self {
        let mut domains = Vec::new();
        for (_, value_type) in variables {
            match value_type {
                Type::Object(object) => domains.extend(object.fields.iter().map(|field| Domain::of(&field.value_type))),
                other => domains.push(Domain::of(other)),
            }
        }
        Self(domains)
    }

    /// Whether the slot is one of a fact, and never computed.
    fn knows(&self, slot: Slot) -> bool {
        slot.index() < self.0.len()
    }

    pub(super) fn of(&self, slot: Slot) -> Option<Domain> {
        self.0.get(slot.index()).copied().flatten()
    }
}

impl Domain {
    /// The domain of a type whose values can be filed.
    pub fn of(value_type: &Type) -> Option<Self> {
        Some(match value_type {
            Type::Bool => Self::Bool,
            Type::Int => Self::Int,
            Type::Uint => Self::Uint,
            Type::Double => Self::Double,
            Type::String => Self::Text,
            Type::Timestamp => Self::Timestamp,
            Type::Duration => Self::Duration,
            _ => return None,
        })
    }

    /// The place on the line of a value of this domain; `None` for other values, and for NaN.
    #[inline]
    pub fn place(self, value: &Value) -> Option<i128> {
        match (self, value) {
            (Self::Bool, Value::Bool(value)) => Some(i128::from(*value)),
            (Self::Int, Value::Int(value)) => Some(i128::from(*value)),
            (Self::Uint, Value::Uint(value)) => Some(i128::from(*value)),
            (Self::Double, Value::Double(value)) => place_of_double(*value),
            (Self::Timestamp, Value::Timestamp(value)) => {
                Some(i128::from(value.timestamp()) * NANOS + i128::from(value.timestamp_subsec_nanos()))
            }
            (Self::Duration, Value::Duration(value)) => {
                Some(i128::from(value.num_seconds()) * NANOS + i128::from(value.subsec_nanos()))
            }
            _ => None,
        }
    }

    /// The span of the values on one side of `limit`, or equal to it if there is no side.
    fn span(self, side: Option<Side>, limit: &Value) -> Option<(i128, i128)> {
        let exact = match (self, limit) {
            (Self::Int | Self::Uint, Value::Int(limit)) => Some(i128::from(*limit)),
            (Self::Int | Self::Uint, Value::Uint(limit)) => Some(i128::from(*limit)),
            (Self::Int | Self::Uint, Value::Double(limit)) => return self.span_of_wholes(side, *limit),
            #[expect(clippy::cast_precision_loss, reason = "both sides are compared as doubles")]
            (Self::Double, Value::Int(limit)) => place_of_double(*limit as f64),
            #[expect(clippy::cast_precision_loss, reason = "both sides are compared as doubles")]
            (Self::Double, Value::Uint(limit)) => place_of_double(*limit as f64),
            _ => self.place(limit),
        }?;
        Some(match side {
            None => (exact, exact),
            Some(Side::Below) => (i128::MIN, exact.checked_sub(1)?),
            Some(Side::AtMost) => (i128::MIN, exact),
            Some(Side::Above) => (exact.checked_add(1)?, i128::MAX),
            Some(Side::AtLeast) => (exact, i128::MAX),
        })
    }

    /// The span of whole numbers on one side of a double. They are compared as doubles, of which several wholes share
    /// one where they are great.
    fn span_of_wholes(self, side: Option<Side>, limit: f64) -> Option<(i128, i128)> {
        if limit.is_nan() {
            return None;
        }
        let (least, greatest) = match self {
            Self::Int => (i128::from(i64::MIN), i128::from(i64::MAX)),
            _ => (0, i128::from(u64::MAX)),
        };
        #[expect(clippy::cast_precision_loss, reason = "both sides are compared as doubles")]
        let (at_least, above) = (
            first(least, greatest, |whole| whole as f64 >= limit),
            first(least, greatest, |whole| whole as f64 > limit),
        );
        Some(match side {
            None => (at_least, above - 1),
            Some(Side::Below) => (i128::MIN, at_least - 1),
            Some(Side::AtMost) => (i128::MIN, above - 1),
            Some(Side::Above) => (above, i128::MAX),
            Some(Side::AtLeast) => (at_least, i128::MAX),
        })
    }
}

const NANOS: i128 = 1_000_000_000;

/// The first of `least..=greatest` that `holds`, and all after it do; the one behind them if none does.
fn first(least: i128, greatest: i128, holds: impl Fn(i128) -> bool) -> i128 {
    let (mut low, mut high) = (least, greatest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Doubles in their order; the two zeros are one.
#[inline]
fn place_of_double(value: f64) -> Option<i128> {
    if value.is_nan() {
        return None;
    }
    let bits = (value + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    Some(i128::from(ordered))
}

/// The terms of a rule that can be filed. Its tests are of facts; what it reads of others may be computed, and end its
/// evaluation.
pub(super) fn terms(asked: Asked, domains: &Domains) -> Terms {
    let Asked { conjuncts, is_all: mut are_all } = asked;
    let mut terms: Vec<Term> = Vec::with_capacity(conjuncts.len().min(TERMS_MAX));
    for conjunct in conjuncts {
        if terms.len() == TERMS_MAX || conjunct.read_before.is_some_and(|slot| !domains.knows(slot)) {
            are_all = false;
            break;
        }
        let filing = |test: &SlotTest| {
            let condition = condition(&test.test, test.slot, domains)?;
            Some(Filing { slot: test.slot, domain: domains.of(test.slot), condition, is_guarded: false })
        };
        let any_of = collected(conjunct.any_of.iter().map(filing));
        let Some(any_of) = any_of.map(merged).filter(|any_of| !any_of.is_empty()) else {
            are_all = false;
            continue;
        };
        if !narrowed(&mut terms, &any_of) {
            terms.push(Term { any_of, vagueness: 0 });
        }
    }
    let guarded: Vec<Slot> = terms.iter().filter_map(guarded_slot).collect();
    for term in &mut terms {
        for filing in &mut term.any_of {
            filing.is_guarded = guarded.contains(&filing.slot);
        }
        let each = term.any_of.iter().map(|filing| filing.condition.vagueness(filing.domain));
        term.vagueness = each.max().unwrap_or(u32::MAX);
    }
    Terms { each: terms, are_all }
}

/// All of them, or `None` if one is. Room is made once, and for no more than there are.
fn collected<T>(each: impl ExactSizeIterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(each.len());
    for one in each {
        all.push(one?);
    }
    Some(all)
}

/// The slot whose absence makes the term false.
fn guarded_slot(term: &Term) -> Option<Slot> {
    match term.any_of.as_slice() {
        [Filing { slot, condition: Condition::Present, .. }] => Some(*slot),
        _ => None,
    }
}

fn condition(test: &Test, slot: Slot, domains: &Domains) -> Option<Condition> {
    if !domains.knows(slot) {
        return None;
    }
    let domain = domains.of(slot);
    match test {
        Test::Present => Some(Condition::Present),
        Test::Absent => Some(Condition::Absent),
        Test::StartsWith(Value::String(prefix)) if !prefix.is_empty() => Some(Condition::Prefix(Arc::clone(prefix))),
        Test::StartsWith(_) => None,
        Test::Limit(side, limit) => {
            let (low, high) = domain?.span(Some(*side), limit)?;
            Some(Condition::Within(low, high))
        }
        Test::OneOf(values) if values.len() > VALUES_MAX => None,
        Test::OneOf(values) if domain == Some(Domain::Text) => {
            let text = |value: &Value| if let Value::String(text) = value { Some(Arc::clone(text)) } else { None };
            let mut texts = collected(values.iter().map(text))?;
            texts.sort_unstable();
            texts.dedup();
            Some(Condition::Texts(texts))
        }
        Test::OneOf(values) => {
            let spans = values.iter().map(|value| domain?.span(None, value)).collect::<Option<Vec<_>>>()?;
            if let [(low, high)] = spans.as_slice()
                && low != high
            {
                return Some(Condition::Within(*low, *high));
            }
            let number = |(low, high): (i128, i128)| (low == high).then_some(low);
            let mut numbers = spans.into_iter().map(number).collect::<Option<Vec<_>>>()?;
            numbers.sort_unstable();
            numbers.dedup();
            Some(Condition::Numbers(numbers))
        }
    }
}

/// Several tests of one slot for single values, as one.
fn merged(any_of: Vec<Filing>) -> Vec<Filing> {
    if any_of.len() < 2 {
        return any_of;
    }
    let mut merged: Vec<Filing> = Vec::with_capacity(any_of.len());
    for filing in any_of {
        let same = merged.iter_mut().find(|other| other.slot == filing.slot);
        match (same.map(|other| &mut other.condition), filing.condition) {
            (Some(Condition::Texts(all)), Condition::Texts(more)) => {
                all.extend(more);
                all.sort_unstable();
                all.dedup();
            }
            (Some(Condition::Numbers(all)), Condition::Numbers(more)) => {
                all.extend(more);
                all.sort_unstable();
                all.dedup();
            }
            (_, condition) => merged.push(Filing { condition, ..filing }),
        }
    }
    merged
}

/// Narrows a span that another term has of the same slot; whether there is one.
fn narrowed(terms: &mut [Term], any_of: &[Filing]) -> bool {
    let [Filing { slot, condition: Condition::Within(low, high), .. }] = any_of else { return false };
    for term in terms {
        if let [Filing { slot: other, condition: Condition::Within(other_low, other_high), .. }] =
            term.any_of.as_mut_slice()
            && other == slot
        {
            *other_low = (*other_low).max(*low);
            *other_high = (*other_high).min(*high);
            return true;
        }
    }
    false
}

impl Condition {
    /// How little it tells: few values before prefixes, these before what halves. Spans come last, since the rules
    /// filed under one are not divided further.
    fn vagueness(&self, domain: Option<Domain>) -> u32 {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        match self {
            Self::Texts(texts) => count(texts.len()),
            Self::Numbers(_) if domain == Some(Domain::Bool) => 1_002,
            Self::Numbers(numbers) => count(numbers.len()),
            Self::Prefix(_) => 1_000,
            Self::Absent => 1_001,
            Self::Present => 1_003,
            Self::Within(i128::MIN, _) | Self::Within(_, i128::MAX) => 1_005,
            Self::Within(..) => 1_004,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDES: [Side; 4] = [Side::Below, Side::AtMost, Side::Above, Side::AtLeast];

    fn is_on(side: Side, value: &Value, limit: &Value) -> bool {
        let ordering = value.compare(limit);
        ordering.is_some_and(|ordering| match side {
            Side::Below => ordering.is_lt(),
            Side::AtMost => ordering.is_le(),
            Side::Above => ordering.is_gt(),
            Side::AtLeast => ordering.is_ge(),
        })
    }

    #[test]
    fn the_line_has_the_order_and_the_equality_of_the_language() {
        let wholes =
            [i64::MIN, -9_007_199_254_740_993, -1, 0, 1, 17, 18, 9_007_199_254_740_993, i64::MAX - 1, i64::MAX];
        let doubles =
            [f64::NEG_INFINITY, -9.3e18, -1.0, -0.0, 0.0, 5e-324, 17.5, 18.0, 9_007_199_254_740_992.0, 1.9e19];
        let mut values: Vec<Value> = wholes.into_iter().map(Value::Int).collect();
        values.extend(wholes.iter().filter_map(|whole| u64::try_from(*whole).ok()).map(Value::Uint));
        values.push(Value::Uint(u64::MAX));
        values.extend(doubles.into_iter().chain([f64::INFINITY]).map(Value::Double));
        for value in &values {
            let domain = Domain::of(&value.static_type()).unwrap();
            let place = domain.place(value).unwrap();
            for limit in &values {
                for side in SIDES {
                    let (low, high) = domain.span(Some(side), limit).unwrap();
                    assert_eq!(
                        (low..=high).contains(&place),
                        is_on(side, value, limit),
                        "{value:?} {side:?} {limit:?}"
                    );
                }
                let (low, high) = domain.span(None, limit).unwrap();
                assert_eq!((low..=high).contains(&place), value == limit, "{value:?} == {limit:?}");
            }
        }
    }

    #[test]
    fn nan_has_no_place() {
        assert_eq!(Domain::Double.place(&Value::Double(f64::NAN)), None);
        assert_eq!(Domain::Int.span(None, &Value::Double(f64::NAN)), None);
        assert_eq!(Domain::Double.span(Some(Side::Below), &Value::Double(f64::NAN)), None);
    }
}
