//! Conditions decided together: each slot that they read is looked at once.
//!
//! Only where nothing can go wrong: each slot must hold a value of its type. Then every test is true or false, and the
//! value of a slot tells by its class which conditions it leaves undecided. Where it is otherwise, nobody is told
//! anything, and each condition must be asked by itself.

use super::{
    activation::{Activation, Slot, State},
    plan::{Asked, Column},
    program::Program,
};

/// Conditions on a sheet: a bit for each.
const ROWS_MAX: usize = u64::BITS as usize;
/// Classes of the values of one slot; what has more takes more room than it is worth.
const CLASSES_MAX: usize = 256;

/// Conditions over slots.
#[derive(Debug)]
pub struct Sheet {
    columns: Box<[OfSlot]>,
    /// For each class of the values of each column the conditions that they do not decide: `&&` is decided by what is
    /// false, and `||` by what is true.
    undecided_by: Box<[u64]>,
    /// The conditions that are decided by values.
    undecided: u64,
    /// Those that are `||`.
    any_rows: u64,
}

/// What is asked of one slot.
#[derive(Debug)]
struct OfSlot {
    slot: Slot,
    column: Column,
    /// Where its classes begin among those of all columns.
    first: usize,
}

/// A test, and the condition that it is a term of.
struct Term {
    slot: Slot,
    asked: Asked,
    row: u64,
    is_all: bool,
}

impl Sheet {
    /// The sheet of `programs`; `None` if there are more than 64, one asks for more than tests of slots, or all for too
    /// many.
    pub fn of<'p>(programs: impl Iterator<Item = &'p Program>) -> Option<Self> {
        let (mut rows, mut any_rows) = (0, 0);
        let mut terms: Vec<Term> = Vec::new();
        for (place, program) in programs.enumerate() {
            if place >= ROWS_MAX {
                return None;
            }
            let row = 1 << place;
            let (is_all, of_row) = program.tests()?;
            terms.extend(of_row.into_iter().map(|(slot, asked)| Term { slot, asked, row, is_all }));
            rows |= row;
            any_rows |= if is_all { 0 } else { row };
        }
        let (mut columns, mut undecided_by, mut undecided) = (Vec::new(), Vec::new(), rows);
        // What asks for more of a slot than a value comes first, and what asks for a value then asks for nothing.
        terms.sort_by_key(|term| matches!(term.asked, Asked::Presence));
        while let Some(Term { slot, asked, .. }) = terms.first() {
            let slot = *slot;
            let others = terms.iter().filter(|term| term.slot == slot).map(|term| &term.asked);
            let column = Column::new(asked, others);
            let (here, elsewhere) = terms.into_iter().partition(|term| term.slot == slot && column.takes(&term.asked));
            terms = elsewhere;
            let of_classes = undecided_by_classes(&column, &here)?;
            if let (Column::Presence, [of_all]) = (&column, &*of_classes)
                && columns.iter().any(|known: &OfSlot| known.slot == slot)
            {
                undecided &= of_all;
                continue;
            }
            columns.push(OfSlot { slot, column, first: undecided_by.len() });
            undecided_by.extend(of_classes);
        }
        Some(Self { columns: columns.into(), undecided_by: undecided_by.into(), undecided, any_rows })
    }

    /// Which conditions hold, a bit for each from the lowest on, if every slot that they read holds a value of its type.
    #[inline]
    pub fn truths(&self, activation: &Activation) -> Option<u64> {
        let slots = activation.slots();
        let mut undecided = self.undecided;
        for OfSlot { slot, column, first } in &self.columns {
            let Some(class) = slots.get(slot.index()).and_then(|state| column.class_here(state)) else {
                return self.truths_in_full(slots);
            };
            undecided &= self.undecided_by.get(first.wrapping_add(class))?;
        }
        Some(undecided ^ self.any_rows)
    }

    /// The same, where a value must be searched for, or is missing. From the start: so nothing is kept for it meanwhile.
    #[inline(never)]
    fn truths_in_full(&self, slots: &[State]) -> Option<u64> {
        let mut undecided = self.undecided;
        for OfSlot { slot, column, first } in &self.columns {
            let class = column.class(slots.get(slot.index())?)?;
            undecided &= self.undecided_by.get(first.wrapping_add(class))?;
        }
        Some(undecided ^ self.any_rows)
    }
}

/// For each class of values the conditions that `terms`, those of the column, do not decide.
fn undecided_by_classes(column: &Column, terms: &[Term]) -> Option<Vec<u64>> {
    let examples = column.examples();
    let undecided = |example| {
        let decided = terms.iter().filter(|term| term.asked.holds(example) != Some(term.is_all));
        decided.fold(u64::MAX, |undecided, term| undecided & !term.row)
    };
    (examples.len() <= CLASSES_MAX).then(|| examples.iter().map(undecided).collect())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::cel::{Env, ObjectField, ObjectType, Type, Value};

    const TERMS: [&str; 20] = [
        "facts.a >= 1",
        "facts.a < 1",
        "facts.a == 2",
        "facts.a != 2",
        "facts.a > 0.5",
        "facts.d <= 1.5",
        "facts.d > 1.5",
        "facts.d == 1.5",
        "facts.d != 1.5",
        "facts.s == 'x'",
        "facts.s != 'x'",
        "facts.s == 'longer than a key'",
        "facts.b",
        "!facts.b",
        "facts.e",
        "2 <= facts.a",
        "facts.s in ['x', 'y', 'longer than a kez']",
        "facts.s in ['']",
        "has(facts.d)",
        "facts.d < -0.0",
    ];

    fn env() -> Env {
        let fields = [("a", Type::Int), ("b", Type::Bool), ("d", Type::Double), ("e", Type::Bool), ("s", Type::String)];
        let fields = fields.into_iter().map(|(name, value_type)| ObjectField::new(name, value_type)).collect();
        Env::new(vec![("facts".to_owned(), Type::Object(ObjectType { name: "facts".to_owned(), fields }.into()))])
    }

    fn sheet(sources: &[String]) -> (Vec<Program>, Option<Sheet>) {
        let programs: Vec<_> = sources.iter().map(|source| env().compile_bool(source).unwrap()).collect();
        let sheet = Sheet::of(programs.iter());
        (programs, sheet)
    }

    fn bits(truths: u64, count: usize) -> Vec<bool> {
        (0..count).map(|place| truths >> place & 1 == 1).collect()
    }

    fn any_value() -> impl Strategy<Value = Option<Value>> {
        let numbers = select(vec![f64::NAN, f64::INFINITY, -0.0, 1.5, 2.0]);
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(Value::Null)),
            8 => (0..4_i64).prop_map(|number| Some(Value::Int(number))),
            8 => numbers.prop_map(|number| Some(Value::Double(number))),
            8 => select(vec!["x", "y", "", "longer than a key", "longer than a kez"]).prop_map(|text| Some(text.into())),
            8 => any::<bool>().prop_map(|truth| Some(Value::Bool(truth))),
        ]
    }

    fn fitting() -> impl Strategy<Value = Vec<Option<Value>>> {
        let text = select(vec!["x", "y", "", "longer than a key", "longer than a kez"]);
        (0..4_i64, any::<bool>(), select(vec![1.0, 1.5, 2.0]), any::<bool>(), text).prop_map(|(a, b, d, e, s)| {
            [a.into(), Value::Bool(b), Value::Double(d), Value::Bool(e), s.into()].map(Some).to_vec()
        })
    }

    proptest! {
        #[test]
        fn together_conditions_are_what_each_is_alone(
            rules in vec((vec(select(TERMS.as_slice()), 1..5), any::<bool>()), 1..12),
            values in prop_oneof![3 => fitting(), 1 => vec(any_value(), 5)],
        ) {
            let joined = |(terms, is_all): &(Vec<&str>, bool)| terms.join(if *is_all { " && " } else { " || " });
            let (programs, sheet) = sheet(&rules.iter().map(joined).collect::<Vec<_>>());
            let mut activation = Activation::new(&env());
            for (name, value) in ["a", "b", "d", "e", "s"].into_iter().zip(values) {
                if let Some(value) = value {
                    let path = format!("facts.{name}");
                    prop_assert!(activation.set_path(&path, value));
                }
            }
            if let Some(truths) = sheet.as_ref().and_then(|sheet| sheet.truths(&activation)) {
                let alone: Vec<_> = programs.iter().map(|program| program.holds(&activation).map_err(|error| *error)).collect();
                prop_assert_eq!(bits(truths, programs.len()).into_iter().map(Ok).collect::<Vec<_>>(), alone);
            }
        }
    }

    #[test]
    fn conditions_of_slots_alone_have_a_sheet_where_all_are_filled() {
        let all: Vec<String> = TERMS.iter().map(|term| format!("{term} && facts.e")).collect();
        let (_, sheet) = sheet(&all);
        let sheet = sheet.unwrap();
        let mut activation = Activation::new(&env());
        for (name, value) in [("a", Value::Int(2)), ("b", true.into()), ("d", Value::Double(1.5)), ("s", "x".into())] {
            assert!(activation.set_path(&format!("facts.{name}"), value));
        }
        assert!(sheet.truths(&activation).is_none(), "a slot is empty");
        assert!(activation.set_path("facts.e", Value::Bool(true)));
        let expected = [1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 0].map(|truth| truth == 1);
        assert_eq!(bits(sheet.truths(&activation).unwrap(), all.len()), expected);
        assert!(activation.set_path("facts.d", Value::Double(f64::NAN)));
        assert!(sheet.truths(&activation).is_none(), "NaN is in no order");
    }

    #[test]
    fn what_asks_for_more_has_none() {
        let has_sheet = |sources: &[String]| sheet(sources).1.is_some();
        for more in ["facts.a + 1 > 2", "!has(facts.a)", "facts.b && (facts.e || facts.a > 1)"] {
            assert!(!has_sheet(&["facts.b".to_owned(), more.to_owned()]), "{more}");
        }
        let ages = |count: i64| (0..count).map(|age| format!("facts.a >= {age}")).collect::<Vec<_>>();
        assert!(has_sheet(&ages(64)) && !has_sheet(&ages(65)));
        let words =
            |count: usize| [format!("facts.s in {:?}", (0..count).map(|word| word.to_string()).collect::<Vec<_>>())];
        assert!(has_sheet(&words(255)) && !has_sheet(&words(256)));
    }
}
