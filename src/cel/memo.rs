//! Values of sub-expressions that several evaluations share: each is computed by whoever needs it first, and kept.
//!
//! Whoever finds one is charged for it, cost and memory, as if it had computed it: what an evaluation ends with does not
//! depend on whether it shares. Where it cannot pay it evaluates the sub-expression itself, and so ends where it would
//! have. A fault is not kept: it names a place in the source of one expression.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    account::Marks,
    program::Program,
    run::{Outcome, Run},
    value::Value,
};
use crate::config::limits::EVALUATION_MEMORY_BYTES_MAX;

/// The sub-expressions that some programs evaluate more than once, all together.
#[derive(Debug, Default)]
pub struct Repeated {
    numbers: HashSet<u64, BuildHasherDefault<NumberHasher>>,
}

impl Repeated {
    /// What `programs` have in common, or evaluate in each turn of a loop.
    pub fn of<'a>(programs: impl Iterator<Item = &'a Program>) -> Self {
        let mut once: HashSet<u64, BuildHasherDefault<NumberHasher>> = HashSet::default();
        let mut numbers = HashSet::default();
        for (shareable, again) in programs.flat_map(Program::shareables) {
            if !once.insert(shareable.number) || *again {
                numbers.insert(shareable.number);
            }
        }
        Self { numbers }
    }

    /// The values of a decision; `None` if there is nothing that it could share.
    pub fn memo(&self) -> Option<Memo<'_>> {
        (!self.numbers.is_empty()).then(|| Memo::new(self))
    }
}

/// What was computed in one decision and may be needed again.
#[derive(Debug)]
pub struct Memo<'a> {
    repeated: &'a Repeated,
    kept: RefCell<Table>,
    /// Bytes that may still be kept.
    room: Cell<u64>,
}

type Table = HashMap<u64, Kept, BuildHasherDefault<NumberHasher>>;

/// A value, and what computing it took.
#[derive(Debug)]
pub(super) struct Kept {
    value: Value,
    /// Units, without those of deferred values.
    pub(super) cost: u64,
    /// Bytes taken.
    pub(super) memory: u64,
    /// The deferred values that it read.
    pub(super) reads: Marks,
    /// Units that these can cost at most.
    pub(super) reads_cost_max: u64,
}

/// Entries up to which the room for them is kept for the next decision: 100 KiB for each thread.
const SPARE_ENTRIES_MAX: usize = 1_024;

thread_local! {
    /// The room that the last decision of this thread had.
    static SPARE: Cell<Table> = Cell::new(Table::default());
}

impl Drop for Memo<'_> {
    fn drop(&mut self) {
        let mut table = self.kept.take();
        if table.capacity() <= SPARE_ENTRIES_MAX * 2 {
            table.clear();
            // A thread that ends has no room to keep.
            let _ = SPARE.try_with(|spare| spare.set(table));
        }
    }
}

impl<'a> Memo<'a> {
    fn new(repeated: &'a Repeated) -> Self {
        let kept = RefCell::new(SPARE.try_with(Cell::take).unwrap_or_default());
        Self { repeated, kept, room: Cell::new(EVALUATION_MEMORY_BYTES_MAX) }
    }

    /// The value of a sub-expression: the one that is kept, or what `evaluate` gives.
    pub(super) fn value(&self, run: &Run<'_>, number: u64, evaluate: impl FnOnce(&Run<'_>) -> Outcome) -> Outcome {
        if let Ok(table) = self.kept.try_borrow()
            && let Some(kept) = table.get(&number)
            && run.repay(kept)
        {
            return Ok(kept.value.clone());
        }
        if !self.repeated.numbers.contains(&number) {
            return evaluate(run);
        }
        let before = run.expenses();
        let outcome = evaluate(run);
        let after = run.expenses_since(before);
        if let Ok(value) = &outcome {
            self.keep(number, Kept { value: value.clone(), ..after });
        }
        outcome
    }

    /// Keeps a value, unless too much is kept.
    fn keep(&self, number: u64, kept: Kept) {
        let bytes = kept.memory.saturating_add(size_of::<Kept>() as u64);
        if let Some(room) = self.room.get().checked_sub(bytes)
            && let Ok(mut table) = self.kept.try_borrow_mut()
        {
            self.room.set(room);
            table.insert(number, kept);
        }
    }
}

impl Kept {
    /// What was spent on a value that is not known yet.
    pub(super) fn spent(cost: u64, memory: u64, reads: Marks, reads_cost_max: u64) -> Self {
        Self { value: Value::Null, cost, memory, reads, reads_cost_max }
    }
}

/// Spreads numbers that were counted up: nobody chooses them.
#[derive(Debug, Default, Clone, Copy)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 over the golden ratio: Knuth's multiplicative hashing.
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::cel::{Activation, Env, Frame, Limits, ObjectField, ObjectType, Type};

    const LIMITS: Limits = Limits { cost_max: 10_000, memory_bytes_max: 1 << 16 };

    /// Facts `f`, and derived fields `d` of which `a` and `b` are lists, `c` is an error and `e` costs too much.
    fn env() -> Env {
        let object = |name: &str, fields: Vec<ObjectField>| {
            (name.to_owned(), Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields })))
        };
        let facts = [
            ("k", Type::Int),
            ("l", Type::list(Type::Int)),
            ("m", Type::list(Type::Dyn)),
            ("none", Type::list(Type::Int)),
            ("s", Type::String),
        ];
        let derived = [("a", Type::list(Type::Int)), ("b", Type::list(Type::Int)), ("c", Type::Int), ("e", Type::Int)];
        let fields = |fields: &[(&str, Type)]| {
            fields.iter().map(|(name, value_type)| ObjectField::new(*name, value_type.clone())).collect()
        };
        Env::new(vec![object("f", fields(&facts)), object("d", fields(&derived))]).with_limits(LIMITS)
    }

    fn programs_of_derived(env: &Env) -> Vec<(&'static str, Program)> {
        let sources = [
            ("a", "f.l.map(i, i * 2)"),
            ("b", "d.a.filter(i, i > 2) + f.l.map(i, i * 2)"),
            ("c", "f.l.map(i, i * 2)[100]"),
            ("e", "size(lists.range(4000).map(i, [i]))"),
        ];
        sources.into_iter().map(|(name, source)| (name, env.compile(source).unwrap())).collect()
    }

    fn activation(env: &Env, derived: &[(&str, Program)]) -> Activation {
        let deferred = derived.iter().map(|(name, program)| (env.slot(&format!("d.{name}")).unwrap(), program.clone()));
        let mut activation = Activation::of(&Arc::new(Frame::new(env, deferred.collect())));
        let ints = |count: i64| Value::list((0..count).map(Value::Int).collect());
        activation.set_path("f.k", Value::Int(3));
        activation.set_path("f.l", ints(8));
        activation.set_path("f.m", Value::list(vec![Value::Int(1), Value::from("text"), Value::Int(0)]));
        activation.set_path("f.s", Value::from("a text that is longer than some"));
        activation
    }

    /// What is shared, what contains it, and what faults early, late, or for want of means.
    fn any_piece() -> BoxedStrategy<String> {
        let whole = [
            "f.l.map(i, i * 2) == [1]",
            "f.l.map(other, other * 2).size() > 3",
            "f.l.filter(i, i > f.k).map(i, i * 2).exists(i, i == 6)",
            "f.l.exists(i, f.l.map(j, j * 2).exists(k, k == i + 1))",
            "f.none.exists(i, i > 1)",
            "f.m.exists(i, i + 1 == 99)",
            "f.m.map(i, 6 / i).size() == 3",
            "f.l.map(i, [f.l, f.l.map(j, j)]).size() > 1",
            "lists.range(f.k * 300).map(i, string(i)).size() > 0",
            "lists.range(f.k * 3000).map(i, [i, i]).size() > 0",
            "f.s.upperAscii() == f.s.upperAscii().reverse()",
            "f.s.matches('t[a-z]+ t')",
            "f.s.split(' ').map(t, t + f.s).size() == 7",
            "d.a.map(i, i + 1).size() > d.b.size()",
            "d.b.filter(i, i in d.a).size() > 2",
            "f.l.exists(i, i > 100 || d.c == i)",
            "f.l.exists(i, d.a.exists(j, j == i) && i > 6)",
            "f.l.exists(i, d.e > i)",
            "d.a.exists(i, i > 3) || d.c > 1",
            "cel.bind(x, f.l.map(i, i * 2), x.exists(y, y in x && y > 8))",
            "optional.of(f.l).optMap(x, x.map(i, i * 2)).orValue([]).size() == 8",
        ];
        let whole = select(whole.to_vec()).prop_map(str::to_owned);
        whole
            .prop_recursive(3, 6, 2, |inner| {
                (inner.clone(), inner, 0..4_usize).prop_map(|(left, right, shape)| match shape {
                    0 => format!("{left} && {right}"),
                    1 => format!("({left}) || ({right})"),
                    2 => format!("!({left})  ==  ({right})"),
                    _ => format!("f.l.all(z, z < 2 || ({left}))"),
                })
            })
            .boxed()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// The same values, faults with their places, and costs; with means that suffice, and that do not.
        #[test]
        fn sharing_changes_nothing_but_the_work(
            sources in proptest::collection::vec(any_piece(), 1..6),
            cost_max in select(vec![10, 40, 80, 150, 300, 800, 5_000, 100_000]),
            memory_bytes_max in select(vec![100, 400, 1_000, 5_000, 1 << 20]),
        ) {
            let env = env();
            let derived = programs_of_derived(&env);
            let programs: Vec<_> = sources.iter().map(|source| env.compile(source).unwrap()).collect();
            let repeated = Repeated::of(programs.iter().chain(derived.iter().map(|(_, program)| program)));
            let memo = repeated.memo();
            let (shared, alone) = (activation(&env, &derived), activation(&env, &derived));
            let limits = Limits { cost_max, memory_bytes_max };
            for program in programs.iter().chain(&programs) {
                let expected = program.evaluate_within(&alone, limits);
                prop_assert_eq!(program.evaluate_sharing(&shared, limits, memo.as_ref()), expected, "{}", program.source());
            }
        }
    }

    /// The work that a decision over `sources` takes, shared or not.
    fn work(sources: &[&str], is_shared: bool) -> u64 {
        let env = env();
        let derived = programs_of_derived(&env);
        let programs: Vec<_> = sources.iter().map(|source| env.compile(source).unwrap()).collect();
        let repeated = Repeated::of(programs.iter());
        let (memo, activation) = (repeated.memo().filter(|_| is_shared), activation(&env, &derived));
        let mut work_left = 1_000_000;
        for program in &programs {
            let _ = program.holds_sharing(&activation, &mut work_left, memo.as_ref());
        }
        1_000_000 - work_left
    }

    #[test]
    fn what_is_repeated_is_done_once_however_it_is_written() {
        for (sources, is_less) in [
            (&["f.l.map(i, i * 2).size() > 1", "f.l.map( other, other*2 ).size() > 2"][..], true),
            (&["f.l.exists(i, f.s.split(' ').size() > 100)"], true),
            (&["f.s.matches('a.b') || f.k > 3", "f.s.matches('a.b') || f.k > 4"], true),
            (&["f.k in f.l", "f.k in f.l && f.k > 1"], true),
            (&["f.l.map(i, i * 2).size() > 1", "f.l.map(i, i * 3).size() > 1"], false),
            (&["f.l.exists(i, i == 1)", "f.l.exists(i, double(i) == 1.0)", "f.l.exists(i, i != 1)"], false),
            (&["f.l.exists(i, f.l.exists(j, i == j + 9))", "f.l.exists(i, f.l.exists(j, j == i + 9))"], false),
            (&["f.k > 1 && f.s == 'a'", "f.k > 1 && f.s == 'a'"], false),
        ] {
            let (shared, alone) = (work(sources, true), work(sources, false));
            assert_eq!(shared < alone, is_less, "{sources:?}: {shared}, {alone}");
        }
    }

    #[test]
    fn what_no_two_evaluate_is_not_kept() {
        let env = env();
        let compile = |source: &str| env.compile(source).unwrap();
        let (one, other) = (compile("f.l.exists(i, i > 1)"), compile("f.l.exists(i, i > 2)"));
        assert!(Repeated::of([&one, &other].into_iter()).memo().is_none());
        assert!(Repeated::of([&one, &one].into_iter()).memo().is_some());
        assert!(Repeated::of([&compile("f.k > 1 && f.s == 'a'"); 2].into_iter()).memo().is_none());
    }

    #[test]
    fn a_decision_keeps_no_more_than_an_evaluation_may_hold() {
        let env = env().with_limits(Limits::default());
        let source = |n: usize| format!("lists.range(f.k * 4000 + {n}).size() > 1");
        let programs: Vec<_> = (0..40).map(|n| env.compile(&source(n)).unwrap()).collect();
        let repeated = Repeated::of(programs.iter().chain(&programs));
        let (memo, activation) = (repeated.memo().unwrap(), activation(&env, &[]));
        for program in &programs {
            let mut work_left = u64::MAX;
            assert_eq!(program.holds_sharing(&activation, &mut work_left, Some(&memo)), Ok(true));
        }
        let kept: u64 = memo.kept.borrow().values().map(|kept| kept.memory).sum();
        assert!((EVALUATION_MEMORY_BYTES_MAX / 2..=EVALUATION_MEMORY_BYTES_MAX).contains(&kept), "{kept}");
    }

    #[test]
    fn forms_that_no_program_has_are_let_go() {
        let env = env();
        let number = |source: &str| env.compile(source).unwrap().shareables()[0].0.number;
        let held = env.compile("f.l.exists(i, i > 7000)").unwrap();
        let before = held.shareables()[0].0.number;
        for n in 0..2_000 {
            number(&format!("f.l.exists(i, i > 10000 + {n} + f.k)"));
        }
        assert_eq!(number("f.l.exists(j, j > 7000)"), before);
        assert!(crate::cel::share::known_forms() < 1_500);
    }
}
