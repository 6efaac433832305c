//! Generated cases for the proofs of the language: a schema, a well-typed expression, and facts that fit the schema.
//!
//! Included by the tests that compare two ways to evaluate. All of a case follows from one number, its seed: a failure
//! names it, and `TENET_SEED=<that number> TENET_CASES=1` runs that case alone.
#![allow(dead_code, reason = "each test that includes this needs a part of it")]

mod expression;
mod facts;
mod library;
mod random;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub use facts::{Schema, schema};
pub use library::names;
pub use random::Random;

use crate::cel::{Env, Limits, Type, Value};
use expression::Generator;

/// Facts that each expression is evaluated on.
pub const FACTS_EACH: usize = 4;

/// Far more than the cases need, so that nearly none is stopped; few enough that none takes long.
const LIMITS: Limits = Limits { cost_max: 5_000_000, memory_bytes_max: 64 << 20 };

/// Which functions an expression may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Those that the `cel` crate has too.
    Shared,
    /// All.
    Whole,
}

/// What is generated for one seed.
pub struct Case {
    /// What it was made from.
    pub seed: u64,
    /// The types of the facts.
    pub schema: Schema,
    /// The expression.
    pub source: String,
    /// Whether types that are known at run time only take part.
    pub has_dyn: bool,
    /// Whether a loop goes over the entries of a map.
    pub loops_over_map: bool,
    /// Sets of facts.
    pub facts: Vec<Vec<(String, Value)>>,
}

impl Case {
    /// The case of a seed. What its expression uses is counted in `coverage`.
    pub fn of(seed: u64, dialect: Dialect, coverage: &mut Coverage) -> Self {
        let random = &mut Random::new(seed);
        let schema = schema(random, dialect);
        let depth = if random.below(20) == 0 { 7 } else { 2 + random.below(4) };
        let wanted = match random.below(10) {
            0..6 => Type::Bool,
            6 => facts::scalar(random),
            _ => facts::comparable(random, 2),
        };
        let mut generator = Generator::new(random, &schema, dialect, coverage);
        let source = generator.expression(&wanted, depth);
        let (has_dyn, loops_over_map) = (generator.has_dyn, generator.loops_over_map);
        let facts = (0..FACTS_EACH).map(|_| schema.facts(random)).collect();
        Self { seed, schema, source, has_dyn, loops_over_map, facts }
    }

    /// The environment that the expression is compiled in.
    pub fn env(&self) -> Env {
        self.schema.env().with_limits(LIMITS)
    }

    /// How to run this case alone.
    pub fn replay(&self) -> String {
        format!("replay with TENET_SEED={} TENET_CASES=1: `{}`", self.seed, self.source)
    }
}

/// How often each function, operator and macro was generated.
#[derive(Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    /// Prints the counts, and fails if something of the dialect was never generated.
    pub fn check(&self, dialect: Dialect) {
        let line: Vec<_> = self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!("generated: {}", line.join(", "));
        let missing: Vec<_> = names(dialect).into_iter().filter(|name| !self.0.contains_key(name)).collect();
        assert!(missing.is_empty(), "never generated: {missing:?}");
    }
}

/// How many cases to run, and from which seed on.
pub struct Extent {
    first: u64,
    next: u64,
    count: u64,
    until: Option<Instant>,
}

impl Extent {
    /// `little` cases, or `full` ones where `TENET_PROOFS` is `full`. `TENET_FUZZ_SECONDS` goes on for as long,
    /// `TENET_SEED` says where to begin, `TENET_CASES` how many.
    pub fn of(little: u64, full: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let is_full = std::env::var_os("TENET_PROOFS").is_some_and(|size| size == "full");
        let until = number("TENET_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let count = match until {
            Some(_) => u64::MAX,
            None => number("TENET_CASES").unwrap_or(if is_full { full } else { little }),
        };
        let first = number("TENET_SEED").unwrap_or(0);
        Self { first, next: first, count, until }
    }

    /// Whether so many cases ran that a rate or a coverage says something.
    pub fn is_large(&self) -> bool {
        self.next - self.first >= 2_000
    }
}

impl Iterator for Extent {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        if is_over || self.next - self.first >= self.count {
            return None;
        }
        let seed = self.next;
        self.next += 1;
        Some(seed)
    }
}
