//! What must hold of single slots for an expression to be true: what an index over many expressions files them under.
//!
//! `&&` is false where one of its terms is, whatever the others end with. So it is enough to find terms that are false
//! for certain; what they end with where their slot is absent is not asked, since that may be an error.

use std::ops::Deref;

use super::{
    activation::Slot,
    check::{Checked, CheckedKind},
    cost,
    estimate::Estimate,
    run::Limits,
    types::Type,
    value::Value,
};

/// One term of the `&&` that an expression is. If every one of its tests is false, of slots that are not absent, the
/// expression is false.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunct {
    /// Of which one must hold.
    pub any_of: Few<SlotTest>,
    /// The last slot that is read before this term. Where it is deferred, its program may end the evaluation first.
    pub read_before: Option<Slot>,
}

/// A list, mostly of one, which then needs no memory of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Few<T> {
    /// One thing.
    One(T),
    /// Any other number of them.
    More(Box<[T]>),
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Self {
        let mut things = things.into_iter();
        match (things.next(), things.next()) {
            (Some(only), None) => Self::One(only),
            (first, second) => Self::More(first.into_iter().chain(second).chain(things).collect()),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::More(things) => things,
        }
    }
}

/// A test of one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotTest {
    /// The slot.
    pub slot: Slot,
    /// What must hold of its value.
    pub test: Test,
}

/// What a slot's value is tested for. The values are those of the source: numbers may be of another type than the slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It equals one of these.
    OneOf(Few<Value>),
    /// It is on this side of a limit.
    Limit(Side, Value),
    /// It is a text that begins with this one.
    StartsWith(Value),
    /// It is there.
    Present,
    /// It is not there.
    Absent,
}

/// A side of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
}

impl Side {
    fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "_<_" => Self::Below,
            "_<=_" => Self::AtMost,
            "_>_" => Self::Above,
            "_>=_" => Self::AtLeast,
            _ => return None,
        })
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
        }
    }
}

/// The terms of a folded expression that can be told from single slots, in its order.
///
/// Nothing may absorb the end of a budget: a term counts only if none before it can use the budget up.
pub(super) fn conjuncts(root: &Checked, estimate: Estimate, limits: Limits, source: &str) -> Box<[Conjunct]> {
    // A test reads no more than its constant, and that is part of the source.
    let straight = cost::of_block(root).saturating_add(source.len() as u64);
    if root.value_type != Type::Bool || straight > limits.cost_max {
        return Box::default();
    }
    // Whatever takes memory costs a unit, and one for each sixteen bytes.
    let most = limits.cost_max.min(limits.memory_bytes_max / (2 * cost::BYTES_PER_UNIT));
    let mut search = Search { is_bounded: estimate.units <= most, read_before: None, found: Vec::new() };
    search.term(root);
    search.found.into_boxed_slice()
}

/// Whether a folded expression holds exactly where one test of each of its conjuncts does, of values that are there.
pub(super) fn are_all(root: &Checked) -> bool {
    match &root.kind {
        CheckedKind::And(terms) => terms.iter().all(are_all),
        _ => is_alternatives(root),
    }
}

fn is_alternatives(node: &Checked) -> bool {
    match &node.kind {
        CheckedKind::Or(terms) => terms.iter().all(is_alternatives),
        // One test stands for all terms of an `&&` in here.
        CheckedKind::And(_) => false,
        _ => single(node).is_some(),
    }
}

struct Search {
    /// Whether the whole expression keeps to its budget, if it reads nothing of type `dyn`.
    is_bounded: bool,
    read_before: Option<Slot>,
    found: Vec<Conjunct>,
}

impl Search {
    /// Takes a term; whether those behind it may be looked at.
    fn term(&mut self, node: &Checked) -> bool {
        if let CheckedKind::And(terms) = &node.kind {
            return terms.iter().all(|term| self.term(term));
        }
        let any_of = alternatives(node);
        let goes_on = any_of.is_some() || (self.is_bounded && !reads_dyn(node));
        if let Some(any_of) = any_of {
            self.found.push(Conjunct { any_of: any_of.into_iter().collect(), read_before: self.read_before });
        }
        self.read_before = self.read_before.max(last_slot(node));
        goes_on
    }
}

/// The tests of which one must hold for `node` to be true.
fn alternatives(node: &Checked) -> Option<Vec<SlotTest>> {
    match &node.kind {
        CheckedKind::Or(terms) => {
            let mut all = Vec::with_capacity(terms.len());
            for term in terms {
                all.extend(alternatives(term)?);
            }
            Some(all)
        }
        // Every term is told from slots, so that none can use the budget up; the most telling one stands for all.
        CheckedKind::And(terms) => {
            let each: Option<Vec<_>> = terms.iter().map(alternatives).collect();
            each?.into_iter().min_by_key(|tests| tests.iter().map(vagueness).max())
        }
        _ => single(node).map(|test| vec![test]),
    }
}

/// How little a test tells: the lower, the fewer values it holds for.
fn vagueness(test: &SlotTest) -> usize {
    match &test.test {
        Test::OneOf(values) if matches!(values.first(), Some(Value::Bool(_))) => 1_002,
        Test::OneOf(values) => values.len().min(1_000),
        Test::StartsWith(_) => 1_000,
        Test::Limit(..) => 1_001,
        Test::Present | Test::Absent => 1_003,
    }
}

fn single(node: &Checked) -> Option<SlotTest> {
    match &node.kind {
        CheckedKind::Slot(slot, _) if node.value_type == Type::Bool => Some(is(*slot, true)),
        CheckedKind::HasSlot(slot) => Some(SlotTest { slot: *slot, test: Test::Present }),
        CheckedKind::Call { function, arguments } => match (function.name, arguments.as_slice()) {
            ("!_", [operand]) => negated(operand),
            ("@in", [item, list]) => contained(item, list),
            ("startsWith", [text, constant]) => {
                let (slot, prefix) = slot_and_constant(text, constant)?;
                let test = Test::StartsWith(prefix.clone());
                matches!(prefix, Value::String(_)).then_some(SlotTest { slot, test })
            }
            (operator, [left, right]) => compared(operator, left, right),
            _ => None,
        },
        _ => None,
    }
}

fn is(slot: Slot, truth: bool) -> SlotTest {
    SlotTest { slot, test: Test::OneOf(Few::One(Value::Bool(truth))) }
}

fn negated(operand: &Checked) -> Option<SlotTest> {
    let SlotTest { slot, test } = single(operand)?;
    match test {
        Test::Present => Some(SlotTest { slot, test: Test::Absent }),
        Test::Absent => Some(SlotTest { slot, test: Test::Present }),
        Test::OneOf(values) => match &*values {
            [Value::Bool(truth)] => Some(is(slot, !truth)),
            _ => None,
        },
        Test::Limit(..) | Test::StartsWith(_) => None,
    }
}

fn contained(item: &Checked, list: &Checked) -> Option<SlotTest> {
    let CheckedKind::Slot(slot, _) = item.kind else { return None };
    let CheckedKind::Constant(Value::List(constants)) = &list.kind else { return None };
    let is_scalar = is_scalar(&item.value_type) && constants.iter().all(|value| is_scalar(&value.static_type()));
    is_scalar.then(|| SlotTest { slot, test: Test::OneOf(constants.iter().cloned().collect()) })
}

fn compared(operator: &str, left: &Checked, right: &Checked) -> Option<SlotTest> {
    if matches!(left.kind, CheckedKind::Constant(_)) && !matches!(right.kind, CheckedKind::Constant(_)) {
        let SlotTest { slot, test } = compared(operator, right, left)?;
        let test = match test {
            Test::Limit(side, value) => Test::Limit(side.mirrored(), value),
            other => other,
        };
        return Some(SlotTest { slot, test });
    }
    let (slot, constant) = slot_and_constant(left, right)?;
    match (operator, constant) {
        ("_==_", _) => Some(SlotTest { slot, test: Test::OneOf(Few::One(constant.clone())) }),
        ("_!=_", Value::Bool(truth)) => Some(is(slot, !truth)),
        _ => Some(SlotTest { slot, test: Test::Limit(Side::of(operator)?, constant.clone()) }),
    }
}

/// A slot of a type whose values are compared as a whole, and a constant of such a type.
fn slot_and_constant<'a>(left: &Checked, right: &'a Checked) -> Option<(Slot, &'a Value)> {
    match (&left.kind, &right.kind) {
        (CheckedKind::Slot(slot, _), CheckedKind::Constant(constant))
            if is_scalar(&left.value_type) && is_scalar(&constant.static_type()) =>
        {
            Some((*slot, constant))
        }
        _ => None,
    }
}

fn is_scalar(value_type: &Type) -> bool {
    matches!(
        value_type,
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::String | Type::Timestamp | Type::Duration
    )
}

fn reads_dyn(node: &Checked) -> bool {
    let mut found = node.value_type == Type::Dyn;
    node.children(&mut |child| found = found || reads_dyn(child));
    found
}

/// The last slot that `node` may read.
fn last_slot(node: &Checked) -> Option<Slot> {
    let mut last = match &node.kind {
        CheckedKind::Slot(slot, _) | CheckedKind::HasSlot(slot) | CheckedKind::OptionalSlot(slot, _) => Some(*slot),
        CheckedKind::Object(object, first) => {
            let others = u32::try_from(object.fields.len().saturating_sub(1)).unwrap_or(u32::MAX);
            Some(Slot(first.0.saturating_add(others)))
        }
        _ => None,
    };
    node.children(&mut |child| last = last.max(last_slot(child)));
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Env, ObjectField, ObjectType};

    fn env() -> Env {
        let field = |(name, value_type): (&str, Type)| ObjectField::new(name, value_type);
        let fields =
            [("a", Type::Int), ("b", Type::Bool), ("d", Type::Dyn), ("l", Type::list(Type::Int)), ("s", Type::String)];
        let fields = fields.into_iter().map(field).collect();
        let object = ObjectType { name: "facts".to_owned(), fields };
        Env::new(vec![("facts".to_owned(), Type::Object(object.into()))])
    }

    /// What an expression is filed under, in short: each term's tests, and the last slot read before it.
    fn found(source: &str) -> String {
        let program = env().compile(source).unwrap();
        let test = |SlotTest { slot, test }: &SlotTest| {
            let name = ["a", "b", "d", "l", "s"][slot.0 as usize];
            match test {
                Test::OneOf(values) => {
                    let values: Vec<_> = values.iter().map(|value| value.to_json().to_string()).collect();
                    format!("{name}={}", values.join(","))
                }
                Test::Limit(side, value) => format!("{name} {side:?} {}", value.to_json()),
                Test::StartsWith(value) => format!("{name}^{}", value.to_json()),
                Test::Present => format!("{name}+"),
                Test::Absent => format!("{name}-"),
            }
        };
        let tests = |conjunct: &Conjunct| conjunct.any_of.iter().map(test).collect::<Vec<_>>().join("|");
        program.conjuncts().iter().map(tests).collect::<Vec<_>>().join(" & ")
    }

    #[test]
    fn each_kind_of_test_is_found() {
        for (source, expected) in [
            ("facts.a == 1", "a=1"),
            ("1 == facts.a", "a=1"),
            ("facts.a > 1.5", "a Above 1.5"),
            ("facts.a in [1, 2 + 1]", "a=1,3"),
            ("facts.a >= 18", "a AtLeast 18"),
            ("18 < facts.a", "a Above 18"),
            ("facts.b", "b=true"),
            ("!facts.b", "b=false"),
            ("!!facts.b", "b=true"),
            ("facts.b == false", "b=false"),
            ("facts.b != false", "b=true"),
            ("facts.s.startsWith('x')", "s^\"x\""),
            ("has(facts.a)", "a+"),
            ("!has(facts.a)", "a-"),
        ] {
            assert_eq!(found(source), expected, "{source}");
        }
    }

    #[test]
    fn terms_are_found_around_others_and_alternatives_only_whole() {
        for (source, expected) in [
            ("facts.a == 1 && (facts.b && facts.s == 'x')", "a=1 & b=true & s=\"x\""),
            ("facts.a + 1 == 2 && facts.b", "b=true"),
            ("facts.l.exists(i, i > 1) && facts.b", "b=true"),
            ("facts.a == 1 || facts.b", "a=1|b=true"),
            ("(facts.b && facts.s == 'x') || facts.a > 1", "s=\"x\"|a Above 1"),
            ("facts.a == 1 || facts.a + 1 == 2", ""),
            ("facts.b ? facts.a == 1 : facts.a == 2", ""),
        ] {
            assert_eq!(found(source), expected, "{source}");
        }
    }

    #[test]
    fn what_is_not_false_for_certain_is_not_found() {
        for source in
            ["facts.a != 1", "facts.d == 1", "facts.d", "facts.s.endsWith('x')", "!(facts.a > 1)", "facts.a == facts.a"]
        {
            assert_eq!(found(source), "", "{source}");
        }
    }

    #[test]
    fn nothing_is_found_behind_what_may_use_the_budget_up() {
        let cubed = "facts.l.all(i, facts.l.all(j, facts.l.all(k, i + j + k > 0)))";
        assert_eq!(found(&format!("facts.a == 1 && {cubed} && facts.b")), "a=1");
        assert_eq!(found("facts.a == 1 && facts.d.exists(i, i == 1) && facts.b"), "a=1");
        let limits = Limits { cost_max: 3, memory_bytes_max: 1_000_000 };
        assert!(env().with_limits(limits).compile("facts.a == 1").unwrap().conjuncts().is_empty());
    }

    #[test]
    fn the_last_slot_read_before_is_told() {
        let program = env().compile("facts.s == 'x' && facts.a == 1 && facts.b").unwrap();
        let before: Vec<_> = program.conjuncts().iter().map(|conjunct| conjunct.read_before).collect();
        assert_eq!(before, [None, Some(Slot(4)), Some(Slot(4))]);
    }
}
