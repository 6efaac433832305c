//! Several conditions decided together: what they ask of one slot is asked at once.
//!
//! Only where nothing can go wrong: each slot must hold a value of its type. Then every test is true or false, and a
//! condition is a pattern in the bits that they give. Where it is otherwise, nobody is told anything, and each condition
//! must be asked by itself.

use super::{
    activation::{Activation, Slot, State},
    plan::{Column, Sought},
    program::Program,
};

/// Conditions over slots.
#[derive(Debug)]
pub struct Sheet {
    columns: Box<[(Slot, Column)]>,
    rows: Box<[Row]>,
}

/// A condition: the tests that it is made of, and the results for which `&&` is true or `||` is false.
#[derive(Debug)]
struct Row {
    tests: u64,
    results: u64,
    is_all: bool,
}

/// The results of all tests, a bit for each.
#[derive(Debug, Clone, Copy)]
pub struct Results<'s> {
    rows: &'s [Row],
    bits: u64,
}

impl Sheet {
    /// The sheet of `programs`; `None` if one asks for more than tests of slots, or all for too many.
    pub fn of<'p>(programs: impl Iterator<Item = &'p Program>) -> Option<Self> {
        let mut columns: Vec<(Slot, Column)> = Vec::new();
        let mut patterns = Vec::new();
        for program in programs {
            let (is_all, sought) = program.sought()?;
            let mut tests = Vec::with_capacity(sought.len());
            for Sought { slot, test, wanted } in sought {
                let column = match columns.iter().position(|(of, column)| *of == slot && column.takes(&test)) {
                    Some(column) => column,
                    None => {
                        columns.push((slot, Column::for_test(&test)));
                        columns.len() - 1
                    }
                };
                let (_, tests_of_slot) = columns.get_mut(column)?;
                tests.push((column, tests_of_slot.place(test)?, wanted));
            }
            patterns.push((is_all, tests));
        }
        // The results of later columns are shifted in below those of earlier ones.
        let mut below = 0;
        let mut shifts = vec![0; columns.len()];
        for (shift, (_, column)) in shifts.iter_mut().zip(&columns).rev() {
            *shift = below;
            below += column.len();
        }
        if below > u64::BITS as usize {
            return None;
        }
        let row = |(is_all, tests): (bool, Vec<(usize, usize, bool)>)| {
            let mut row = Row { tests: 0, results: 0, is_all };
            for (column, place, wanted) in tests {
                let (_, of_slot) = columns.get(column)?;
                let bit = 1 << (shifts.get(column)? + of_slot.len() - 1 - place);
                let result = if wanted == is_all { bit } else { 0 };
                // Two terms that ask for opposites of one test.
                if row.tests & bit != 0 && row.results & bit != result {
                    return None;
                }
                row.tests |= bit;
                row.results |= result;
            }
            Some(row)
        };
        let rows = patterns.into_iter().map(row).collect::<Option<_>>()?;
        Some(Self { columns: columns.into(), rows })
    }

    /// What the conditions are, if every slot that they read holds a value of its type.
    #[inline]
    pub fn results(&self, activation: &Activation) -> Option<Results<'_>> {
        let slots = activation.slots();
        let mut bits = 0;
        for (slot, column) in &self.columns {
            let Some(State::Present(value)) = slots.get(slot.index()) else { return None };
            bits = column.results(value, bits)?;
        }
        Some(Results { rows: &self.rows, bits })
    }
}

impl<'s> Results<'s> {
    /// Whether each condition holds, in their order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = bool> + use<'s> {
        self.rows.iter().map(move |row| (self.bits & row.tests == row.results) == row.is_all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::cel::{Env, ObjectField, ObjectType, Type, Value};

    const TERMS: [&str; 16] = [
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
            if let Some(results) = sheet.as_ref().and_then(|sheet| sheet.results(&activation)) {
                let alone: Vec<_> = programs.iter().map(|program| program.holds(&activation).map_err(|error| *error)).collect();
                prop_assert_eq!(results.iter().map(Ok).collect::<Vec<_>>(), alone);
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
        assert!(sheet.results(&activation).is_none(), "a slot is empty");
        assert!(activation.set_path("facts.e", Value::Bool(true)));
        let expected = [1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1].map(|truth| truth == 1);
        assert_eq!(sheet.results(&activation).unwrap().iter().collect::<Vec<_>>(), expected);
        assert!(activation.set_path("facts.d", Value::Double(f64::NAN)));
        assert!(sheet.results(&activation).is_none(), "NaN is in no order");
    }

    #[test]
    fn what_asks_for_more_has_none() {
        let has_sheet = |sources: &[String]| sheet(sources).1.is_some();
        for more in ["facts.a + 1 > 2", "facts.b && !facts.b", "has(facts.a)", "facts.b && (facts.e || facts.a > 1)"] {
            assert!(!has_sheet(&["facts.b".to_owned(), more.to_owned()]), "{more}");
        }
        let ages = |count: i64| (0..count).map(|age| format!("facts.a >= {age}")).collect::<Vec<_>>();
        assert!(has_sheet(&ages(64)) && !has_sheet(&ages(65)));
    }
}
