//! Who pays for deferred values: each evaluation that reads one, and the decision once.
//!
//! A value is computed by whoever reads it first, and kept. Every evaluation that reads it is charged what computing it
//! took, with the values that it read in turn, each of them once: so what an evaluation may still do does not depend on
//! which others ran before it. What was really done is counted apart, for the decision that pays for all of them.

use std::cell::Cell;

use super::{fault::EvaluationError, value::Value};

/// A deferred value, and what computing it took.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    /// The value, or why there is none.
    pub(super) outcome: Result<Value, EvaluationError>,
    /// Units of its own program, without those of the values that it read.
    pub(super) own_cost: u64,
    /// Units of the work that was done for it: its own, and of the values that it was the first to read.
    pub(super) work: u64,
    /// The deferred values that it read, and those that they read.
    pub(super) reads: Marks,
}

/// A set of deferred values, by their numbers. Without memory of its own for the first of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    first: u64,
    more: Vec<u64>,
}

/// Numbers in a word.
const WORD: usize = u64::BITS as usize;

impl Marks {
    pub(super) fn has(&self, number: u32) -> bool {
        let (word, bit) = (number as usize / WORD, number as usize % WORD);
        let word = if word == 0 { Some(&self.first) } else { self.more.get(word - 1) };
        word.is_some_and(|word| word & (1 << bit) != 0)
    }

    pub(super) fn insert(&mut self, number: u32) {
        let (word, bit) = (number as usize / WORD, number as usize % WORD);
        if word == 0 {
            self.first |= 1 << bit;
            return;
        }
        if self.more.len() < word {
            self.more.resize(word, 0);
        }
        if let Some(word) = self.more.get_mut(word - 1) {
            *word |= 1 << bit;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let words = std::iter::once(self.first).chain(self.more.iter().copied());
        (0_u32..).step_by(WORD).zip(words).flat_map(|(start, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(start + bit)
            })
        })
    }
}

/// What an evaluation has been charged for deferred values.
#[derive(Default)]
pub(super) struct Account {
    /// The values that it has paid for.
    paid: Cell<Marks>,
    /// Units charged for them.
    pub(super) charged: Cell<u64>,
    /// The values that were read since somebody asked.
    seen: Cell<Marks>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("charged", &self.charged).finish_non_exhaustive()
    }
}

impl Account {
    /// Notes that the value called `number` is read; what is to be charged for it: nothing if that was done already.
    pub(super) fn enter<'c>(
        &self,
        number: u32,
        computed: &'c Computed,
        known: impl Fn(u32) -> Option<&'c Computed>,
    ) -> u64 {
        self.note(|seen| seen.insert(number));
        let mut paid = self.paid.take();
        let mut units = 0_u64;
        if !paid.has(number) {
            paid.insert(number);
            units = computed.own_cost;
            for read in computed.reads.iter() {
                if !paid.has(read) {
                    paid.insert(read);
                    units = units.saturating_add(known(read).map_or(0, |computed| computed.own_cost));
                }
            }
        }
        self.paid.set(paid);
        units
    }

    fn note(&self, change: impl FnOnce(&mut Marks)) {
        let mut seen = self.seen.take();
        change(&mut seen);
        self.seen.set(seen);
    }

    /// The values that were read since this was asked last.
    pub(super) fn take_seen(&self) -> Marks {
        self.seen.take()
    }

    /// Notes that these were read as well.
    pub(super) fn see(&self, more: &Marks) {
        self.note(|seen| more.iter().for_each(|number| seen.insert(number)));
    }

    /// The values that were paid for.
    pub(super) fn into_reads(self) -> Marks {
        self.paid.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cel::{Activation, Env, Frame, Limits, ObjectField, ObjectType, Type};

    const LIMITS: Limits = Limits { cost_max: 1_000, memory_bytes_max: 1 << 20 };

    /// The names of derived fields are single letters, sorted, all of type `int`.
    fn env(names: &[&str]) -> Env {
        let field = |name: &&str| ObjectField::new(*name, Type::Int);
        let object = ObjectType { name: "derived".to_owned(), fields: names.iter().map(field).collect() };
        Env::new(vec![("derived".to_owned(), Type::Object(Arc::new(object)))]).with_limits(LIMITS)
    }

    fn activation(env: &Env, fields: &[(&str, &str)]) -> Activation {
        let program = |(name, source): &(&str, &str)| {
            (env.slot(&format!("derived.{name}")).unwrap(), env.compile(source).unwrap())
        };
        Activation::of(&Arc::new(Frame::new(env, fields.iter().map(program).collect())))
    }

    /// An expression that costs so many units, and twelve more.
    fn work(units: u64) -> String {
        format!("size(lists.range({units} / 5).map(x, x))")
    }

    #[test]
    fn a_derived_value_is_charged_to_each_reader_and_done_once() {
        let (env, source) = (env(&["a"]), work(500));
        let activation = activation(&env, &[("a", &source)]);
        let program = env.compile("derived.a + derived.a > 0").unwrap();
        let costs = [(); 2].map(|()| program.evaluate_within(&activation, LIMITS).1);
        assert_eq!(costs[0], costs[1]);
        assert!((500..LIMITS.cost_max).contains(&costs[0]), "{costs:?}");
        let mut work_left = 10_000;
        program.holds_sharing(&activation, &mut work_left, None).unwrap();
        assert_eq!(work_left, 10_000 - 5, "what was computed before costs no work");
    }

    #[test]
    fn what_is_read_in_many_ways_is_charged_once() {
        let names = ["a", "b", "c", "d", "e"];
        let env = env(&names);
        let fields = [
            ("a", &*work(200)),
            ("b", "derived.a + derived.a"),
            ("c", "derived.b + derived.a"),
            ("d", "derived.c + derived.b"),
            ("e", "derived.d + derived.c"),
        ];
        let activation = activation(&env, &fields);
        let alone = env.compile("derived.a > 0").unwrap().evaluate_within(&activation, LIMITS).1;
        let sum = env.compile("derived.e + derived.a > 0").unwrap();
        assert_eq!(sum.evaluate_within(&activation, LIMITS).1, alone - 3 + 4 * 3 + 5);
    }

    #[test]
    fn a_reader_that_cannot_pay_is_stopped_wherever_it_stands() {
        let env = env(&["a", "b"]);
        let source = work(600);
        let activation = activation(&env, &[("a", &source), ("b", &source)]);
        let (both, one) = (env.compile("derived.a + derived.b > 0").unwrap(), env.compile("derived.b > 0").unwrap());
        let mut work_left = 100_000;
        for _ in 0..2 {
            let error = both.holds_sharing(&activation, &mut work_left, None).unwrap_err();
            assert_eq!((error.code, error.within.as_deref()), ("cost_exceeded", Some("derived.b")));
            assert_eq!(
                error.message,
                "`derived.b`: stopped after 1000 of the 1000 units of cost that an evaluation may take"
            );
            assert_eq!(one.holds_sharing(&activation, &mut work_left, None), Ok(true));
        }
    }

    #[test]
    fn a_derived_value_that_costs_too_much_is_named_by_all_who_read_it() {
        let env = env(&["a", "b", "c"]);
        let fields = [("a", &*work(5_000)), ("b", "derived.a + 1"), ("c", "1")];
        let activation = activation(&env, &fields);
        for source in ["derived.b > 0 || true", "derived.a > 0", "derived == derived"] {
            let error = env.compile(source).unwrap().evaluate(&activation).unwrap_err();
            assert_eq!((error.code, error.within.as_deref()), ("cost_exceeded", Some("derived.a")), "{source}");
            assert!(error.message.starts_with("`derived.a`: stopped after "), "{}", error.message);
            assert!(
                error.message.ends_with(" of the 1000 units of cost that an evaluation may take"),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn what_is_left_to_the_work_bounds_what_is_computed_for_the_first_time() {
        let (env, source) = (env(&["a"]), work(500));
        let activation = activation(&env, &[("a", &source)]);
        let program = env.compile("derived.a > 0").unwrap();
        let mut work_left = 100;
        let error = program.holds_sharing(&activation, &mut work_left, None).unwrap_err();
        assert_eq!((error.code, work_left), ("cost_exceeded", 0));
        assert!(error.message.contains("the decision has used up"), "{}", error.message);
    }

    #[test]
    fn marks_hold_what_was_put_into_them() {
        let mut marks = Marks::default();
        let numbers = [0, 5, 63, 64, 129, 500];
        numbers.iter().for_each(|number| marks.insert(*number));
        assert_eq!(marks.iter().collect::<Vec<_>>(), numbers);
        assert!((0..600).all(|number| marks.has(number) == numbers.contains(&number)));
    }
}
