//! `all` and `exists`: loops that end with the first element for which their condition is decisive.

use super::{
    element::Element,
    logic::Turns,
    loops::{Items, Predicate, Variables},
};
use crate::cel::{
    run::{Bound, Fault, Run},
    value::Value,
};

pub(super) struct Search {
    pub(super) predicate: Predicate,
    pub(super) variables: Variables,
    /// What a turn costs.
    pub(super) units: u64,
    /// What the condition must be for the loop to end with it.
    pub(super) decisive: bool,
}

impl Search {
    #[inline]
    pub(super) fn run(&self, run: &Run<'_>, items: Items<'_>) -> Result<bool, Fault> {
        match (items, &self.predicate.element) {
            (Items::List(items), Some(element)) => self.look_through(run, items, element),
            (Items::List(items), None) if self.variables.second.is_none() => self.run_over_list(run, items),
            _ => self.run_over_any(run, items),
        }
    }

    /// Turns that show in their elements are taken many at once, the others one by one.
    fn look_through(&self, run: &Run<'_>, items: &[Value], element: &Element) -> Result<bool, Fault> {
        let mut turns = Turns::new(self.decisive);
        let mut rest = items;
        loop {
            // No more at once than can be paid for, so that the turn that cannot is the same as one by one.
            let payable = match run.cost_left() >= self.units.saturating_mul(rest.len() as u64) {
                true => rest,
                false => self.payable(run, rest),
            };
            let (passed, is_found) = element.find(payable, self.decisive);
            run.charge(self.units.saturating_mul(passed as u64 + u64::from(is_found)))?;
            if is_found {
                return Ok(self.decisive);
            }
            let Some((item, others)) = rest.get(passed..).and_then(<[Value]>::split_first) else { return turns.end() };
            if turns.take(self.turn(run, item))? {
                return Ok(self.decisive);
            }
            rest = others;
        }
    }

    #[cold]
    fn payable<'a>(&self, run: &Run<'_>, items: &'a [Value]) -> &'a [Value] {
        let turns = run.cost_left().checked_div(self.units).and_then(|turns| usize::try_from(turns).ok());
        turns.and_then(|turns| items.get(..turns)).unwrap_or(items)
    }

    /// A turn whose condition does not show, or that cannot be paid for.
    #[cold]
    fn turn(&self, run: &Run<'_>, item: &Value) -> Result<bool, Fault> {
        run.charge(self.units)?;
        let scope = run.scope(Bound::One(self.variables.first, item));
        self.predicate.condition.test(&run.within(&scope))
    }

    fn run_over_list(&self, run: &Run<'_>, items: &[Value]) -> Result<bool, Fault> {
        let mut turns = Turns::new(self.decisive);
        for item in items {
            run.charge(self.units)?;
            let scope = run.scope(Bound::One(self.variables.first, item));
            if turns.take(self.predicate.condition.truth_here(&run.within(&scope)).result())? {
                return Ok(self.decisive);
            }
        }
        turns.end()
    }

    fn run_over_any(&self, run: &Run<'_>, items: Items<'_>) -> Result<bool, Fault> {
        let mut turns = Turns::new(self.decisive);
        for index in 0..items.len() {
            run.charge(self.units)?;
            let outcome = self.variables.bind(run, items, index, |run, _, _| self.predicate.condition.test(run));
            if turns.take(outcome)? {
                return Ok(self.decisive);
            }
        }
        turns.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::{collection::vec, prelude::*, sample::select};

    use crate::cel::{Activation, Env, Limits, ObjectField, ObjectType, ObjectValue, Type, Value};

    const TERMS: [&str; 9] = [
        "i.p > 1.5",
        "i.p != 2.0",
        "i.n >= 2",
        "i.n < 1",
        "i.s == 'x'",
        "i.s in ['x', 'yy']",
        "i.b",
        "!i.b",
        "i.n == 0",
    ];

    fn item() -> Arc<ObjectType> {
        let fields = [("b", Type::Bool), ("n", Type::Int), ("p", Type::Double), ("s", Type::String)];
        let fields = fields.into_iter().map(|(name, value_type)| ObjectField::new(name, value_type)).collect();
        Arc::new(ObjectType { name: "item".to_owned(), fields })
    }

    fn env() -> Env {
        Env::new(vec![("items".to_owned(), Type::list(Type::Object(item())))])
    }

    /// An item, of which now and then a field is missing, of another type or in no order, or which is no object.
    fn any_item() -> impl Strategy<Value = Value> {
        let broken = select(vec![None, Some(Value::Null), Some(Value::Double(f64::NAN))]);
        let texts = select(vec!["x", "yy", "longer than a key"]);
        let fields = (any::<bool>(), 0..3_i64, select(vec![1.0, 1.5, 2.0]), texts);
        (fields, 0..40_usize, broken).prop_map(|((b, n, p, s), place, broken)| {
            let mut fields = [Value::Bool(b), n.into(), Value::Double(p), s.into()].map(Some).to_vec();
            match fields.get_mut(place) {
                Some(field) => *field = broken,
                None if place == 39 => return Value::Int(7),
                None => {}
            }
            Value::Object(Arc::new(ObjectValue::new(item(), fields)))
        })
    }

    /// What comes of `source`, and what it costs.
    fn outcome(source: &str, items: &[Value], cost_max: u64) -> (String, u64) {
        let mut activation = Activation::new(&env());
        assert!(activation.set_path("items", Value::list(items.to_vec())));
        let limits = Limits { cost_max, ..Limits::default() };
        let (outcome, cost) = env().compile(source).unwrap().evaluate_within(&activation, limits);
        let outcome = outcome.map_err(|error| (error.code, error.message, error.missing));
        (format!("{outcome:?}"), cost)
    }

    proptest! {
        /// With a second variable each turn is taken by itself, within its scope.
        #[test]
        fn turns_taken_together_are_what_they_are_one_by_one(
            terms in vec(select(TERMS.as_slice()), 1..4),
            (is_all, name) in (any::<bool>(), select(vec!["all", "exists", "existsOne"])),
            items in vec(any_item(), 0..12),
            cost_max in prop_oneof![Just(100_000_u64), 1..120_u64],
        ) {
            let condition = terms.join(if is_all { " && " } else { " || " });
            let together = outcome(&format!("items.{name}(i, {condition})"), &items, cost_max);
            let one_by_one = outcome(&format!("items.{name}(k, i, {condition})"), &items, cost_max);
            prop_assert_eq!(together, one_by_one);
        }

        #[test]
        fn a_filter_keeps_what_its_condition_holds_for(
            terms in vec(select(TERMS.as_slice()), 1..4),
            is_all in any::<bool>(),
            items in vec(any_item(), 0..12),
        ) {
            let condition = terms.join(if is_all { " && " } else { " || " });
            let kept = outcome(&format!("items.filter(i, {condition})"), &items, 100_000).0;
            prop_assert_eq!(kept, outcome(&format!("items.transformList(k, i, {condition}, i)"), &items, 100_000).0);
        }
    }
}
