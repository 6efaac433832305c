//! Expressions written to hurt: each is refused, or ends within its budget; none takes the process down.
//!
//! Reads `tests/cases/hostile/cases.jsonl`: each case is parts of text, each repeated so many times. Runs on the stack
//! that a thread gets by default, in whatever build the tests run.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::{sync::Arc, time::Instant};

use tenet::cel::{Activation, Env, Limits, ObjectField, ObjectType, Type, Value};

/// What any case may take in a debug build on a busy machine: far more than the budget stands for, far less than a hang.
const SECONDS_MAX: u64 = 20;

/// What compiling and evaluating any case may hold at one time. Counted on the thread that runs it, so that other tests
/// of this process take no part.
const BYTES_MAX: u64 = 8 << 20;

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

fn field(name: &str, value_type: Type) -> ObjectField {
    ObjectField::new(name, value_type)
}

fn activation(env: &Env) -> Activation {
    let mut nested = Value::Int(1);
    for _ in 0..30 {
        nested = Value::list(vec![nested]);
    }
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

#[test]
fn a_hostile_expression_is_refused_or_ends_within_its_budget() {
    let env = env();
    let activation = activation(&env);
    let cases = include_str!("cases/hostile/cases.jsonl");
    let (mut refused, mut stopped, mut ended) = (0, 0, 0);
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let source: String = case["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part[0].as_str().unwrap().repeat(usize::try_from(part[1].as_u64().unwrap()).unwrap()))
            .collect();
        let start = Instant::now();
        let (mut compiled, mut evaluated) = (None, None);
        let allocated = allocation_counter::measure(|| {
            compiled = Some(env.compile(&source));
            if let Some(Ok(program)) = &compiled {
                evaluated = Some(program.evaluate_within(&activation, Limits::default()));
            }
        });
        assert!(allocated.bytes_max <= BYTES_MAX, "{case} held {} bytes", allocated.bytes_max);
        match compiled.unwrap() {
            Err(details) => {
                assert!(!details.is_empty(), "{case}");
                refused += 1;
            }
            Ok(program) => {
                let limits = Limits::default();
                let (outcome, cost) = evaluated.unwrap();
                assert!(cost <= limits.cost_max, "{case} took {cost}");
                match outcome {
                    Err(error) if error.is_stop() => {
                        let estimate = program.cost_estimate().units;
                        let is_foreseen = estimate > limits.cost_max || error.code == "memory_exceeded";
                        assert!(is_foreseen, "{case} exceeded its budget, and was estimated at {estimate}");
                        stopped += 1;
                    }
                    _ => ended += 1,
                }
                // A trace is bounded too.
                assert!(program.trace(&activation).len() <= 1_000, "{case}");
            }
        }
        assert!(start.elapsed().as_secs() < SECONDS_MAX, "{case} took {:?}", start.elapsed());
        println!("{:>8.1?} {:>9} bytes {}", start.elapsed(), allocated.bytes_max, case["name"]);
    }
    assert!(refused > 0 && stopped > 0 && ended > 0, "{refused} refused, {stopped} stopped, {ended} ended");
}

#[test]
fn what_is_not_an_expression_at_all_is_refused_without_a_panic() {
    let env = env();
    let mut state = 1_u64;
    let pieces = [
        "(", ")", "[", "]", "{", "}", "'", "\"", "\\", "`", ".", "?", ":", ",", "&&", "||", "!", "-", "1", "u", "0x",
        "e5", "a", "in", "facts", "has", "map", "//", "\n", "é", "\u{0}", "b'", "r\"", "'''", "=", "==", "cel.bind",
    ];
    for _ in 0..20_000 {
        let mut source = String::new();
        for _ in 0..(state % 24) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            source.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if let Err(details) = env.compile(&source) {
            for detail in details {
                let span = detail.span.unwrap_or_else(|| panic!("{source:?}: {detail:?}"));
                assert!(span.line >= 1 && span.column >= 1, "{source:?}: {detail:?}");
            }
        }
    }
}
