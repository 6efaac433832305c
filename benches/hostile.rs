//! The time that each hostile expression takes, from its text to its end: the goal is ten milliseconds.
//!
//! `cargo bench --bench hostile`. Reads the cases of `tests/cel_hostile.rs`; the median of several runs on one thread.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenet::cel::{Activation, Env, ObjectField, ObjectType, Type, Value};

const GOAL: Duration = Duration::from_millis(10);
const RUNS: usize = 9;

fn field(name: &str, value_type: Type) -> ObjectField {
    ObjectField::new(name, value_type)
}

fn env() -> Env {
    let item = ObjectType { name: "item".into(), fields: vec![field("price", Type::Double)] };
    let fields = vec![
        field("age", Type::Int),
        field("any", Type::Dyn),
        field("country", Type::String),
        field("items", Type::list(Type::Object(Arc::new(item)))),
        field("long", Type::String),
    ];
    Env::new(vec![("facts".into(), Type::Object(Arc::new(ObjectType { name: "facts".into(), fields })))])
}

fn activation(env: &Env) -> Activation {
    let nested = (0..30).fold(Value::Int(1), |inner, _| Value::list(vec![inner]));
    let items = (0..100).map(|_| Value::from(&serde_json::json!({"price": 1.0}))).collect();
    let mut activation = Activation::new(env);
    for (path, value) in [
        ("facts.age", Value::Int(99)),
        ("facts.any", nested),
        ("facts.country", Value::from("US")),
        ("facts.items", Value::list(items)),
        ("facts.long", Value::from("a".repeat(4_096))),
    ] {
        assert!(activation.set_path(path, value));
    }
    activation
}

/// How long compiling and evaluating take, and how it ended.
fn run(env: &Env, activation: &Activation, source: &str) -> (Duration, Duration, &'static str) {
    let start = Instant::now();
    let program = env.compile(source);
    let compiled = start.elapsed();
    let Ok(program) = program else { return (compiled, Duration::ZERO, "refused") };
    let start = Instant::now();
    let outcome = program.evaluate(activation);
    (compiled, start.elapsed(), outcome.map_or_else(|error| error.code, |_| "value"))
}

fn main() {
    let env = env();
    let activation = activation(&env);
    let mut above = 0;
    for line in include_str!("../tests/cases/hostile/cases.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let parts = case["parts"].as_array().unwrap().iter();
        let times = |part: &serde_json::Value| usize::try_from(part[1].as_u64().unwrap()).unwrap();
        let source: String = parts.map(|part| part[0].as_str().unwrap().repeat(times(part))).collect();
        let mut runs: Vec<_> = (0..RUNS).map(|_| run(&env, &activation, &source)).collect();
        runs.sort_by_key(|(compiled, evaluated, _)| *compiled + *evaluated);
        let (compiled, evaluated, end) = runs[RUNS / 2];
        let mark = if compiled + evaluated > GOAL { "above the goal" } else { "" };
        above += usize::from(!mark.is_empty());
        let name = case["name"].as_str().unwrap();
        println!("{name:42} compile {compiled:>10.1?}  evaluate {evaluated:>10.1?}  {end:20} {mark}");
    }
    println!("{above} above {GOAL:?}");
}
