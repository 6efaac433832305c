//! What a fuzzer calls: any bytes at all, as an expression. Driven by `cargo fuzz` and by `tests/cel_bytes.rs`.
//!
//! Nothing may panic or go beyond its limits; what an expression that compiles ends with is for the other proofs.

use std::sync::Arc;

use tenet::cel::{Activation, Env, Limits, ObjectField, ObjectType, Type, Value};

/// Units of cost of an evaluation: fewer than in service, so that more of them run.
const COST_MAX: u64 = 50_000;

/// Parses and checks; every mistake must say where it is.
pub fn compile(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    if let Err(details) = env().compile(source) {
        assert!(!details.is_empty(), "refused without a word: {source:?}");
        for detail in details {
            let span = detail.span.unwrap_or_else(|| panic!("{source:?}: {detail:?}"));
            let is_ordered = (span.line, span.column) <= (span.end_line, span.end_column);
            assert!(span.line >= 1 && span.column >= 1 && is_ordered, "{source:?}: {detail:?}");
        }
    }
}

/// Parses, checks, evaluates and traces, with and without the checker.
pub fn evaluate(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let limits = Limits { cost_max: COST_MAX, ..Limits::default() };
    let env = env().with_limits(limits);
    let activation = activation(&env);
    for env in [env.clone(), env.without_checks()] {
        let Ok(program) = env.compile(source) else { continue };
        let (outcome, cost) = program.evaluate_within(&activation, limits);
        assert!(cost <= limits.cost_max, "{source:?} took {cost}");
        let again = program.evaluate_within(&activation, limits);
        assert_eq!(format!("{outcome:?}, {cost}"), format!("{:?}, {}", again.0, again.1), "{source:?}");
        assert!(program.trace(&activation).len() <= 1_000, "{source:?}");
    }
}

fn field(name: &str, value_type: Type) -> ObjectField {
    ObjectField::new(name, value_type)
}

fn env() -> Env {
    let item = ObjectType { name: "item".into(), fields: vec![field("price", Type::Double), field("qty", Type::Int)] };
    let fields = vec![
        field("age", Type::Int),
        field("any", Type::Dyn),
        field("country", Type::String),
        field("items", Type::list(Type::Object(Arc::new(item)))),
        field("long", Type::String),
        field("score", Type::Double),
    ];
    let names = Type::list(Type::String);
    let order = Type::map(Type::String, Type::Dyn);
    Env::new(vec![
        ("age".into(), Type::Int),
        ("facts".into(), Type::Object(Arc::new(ObjectType { name: "facts".into(), fields }))),
        ("names".into(), names),
        ("order".into(), order),
        ("price".into(), Type::Double),
    ])
}

fn activation(env: &Env) -> Activation {
    let mut activation = Activation::new(env);
    let json = serde_json::json!([{"price": 1.5, "qty": 3}, {"price": 200.0}]);
    for (path, value) in [
        ("age", Value::Int(34)),
        ("facts.age", Value::Int(99)),
        ("facts.any", Value::from(&serde_json::json!({"a": [1, 2.5, null, "x"]}))),
        ("facts.country", Value::from("US")),
        ("facts.items", Value::from(&json)),
        ("facts.long", Value::from("aé".repeat(500))),
        ("names", Value::list(vec![Value::from("ann"), Value::from("bo")])),
    ] {
        assert!(activation.set_path(path, value), "{path}");
    }
    activation
}
