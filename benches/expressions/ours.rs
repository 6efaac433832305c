//! Expressions on facts that are read, with our evaluator: types checked, planned, within a budget.

use std::{hint::black_box, sync::Arc};

use tenet::cel::{Activation, Env, ObjectField, ObjectType, ObjectValue, Type, Value};

pub const SHORT: &str = "facts.age >= 18";
pub const LONG: &str = "facts.age >= 18 && facts.country in ['US','CA','GB'] && facts.is_premium";
pub const EXISTS: &str = "facts.items.exists(i, i.price > 100.0 && i.qty > 2)";
pub const MATCHES: &str = r"facts.email.matches('^[a-z]+@[a-z]+\\.com$')";
/// Of which the last is the one that [`EXISTS`] looks for.
pub const ITEMS: i64 = 20;
pub const EMAIL: &str = "somebody@example.com";

fn field((name, value_type): (&str, Type)) -> ObjectField {
    ObjectField::new(name, value_type)
}

fn object(name: &str, fields: Vec<(&str, Type)>) -> Arc<ObjectType> {
    Arc::new(ObjectType { name: name.to_owned(), fields: fields.into_iter().map(field).collect() })
}

pub fn price(number: i64) -> f64 {
    if number == ITEMS - 1 { 250.0 } else { 20.0 }
}

fn item() -> Arc<ObjectType> {
    object("item", vec![("price", Type::Double), ("qty", Type::Int)])
}

pub fn env() -> Env {
    let facts = vec![
        ("age", Type::Int),
        ("country", Type::String),
        ("email", Type::String),
        ("is_premium", Type::Bool),
        ("items", Type::list(Type::Object(item()))),
    ];
    Env::new(vec![("facts".to_owned(), Type::Object(object("facts", facts)))])
}

pub fn activation(env: &Env) -> Activation {
    let item = item();
    let mut activation = Activation::new(env);
    let items = (0..ITEMS).map(|number| {
        let fields = vec![Some(Value::Double(price(number))), Some(Value::Int(number))];
        Value::Object(Arc::new(ObjectValue::new(Arc::clone(&item), fields)))
    });
    for (path, value) in [
        ("facts.age", 42_i64.into()),
        ("facts.country", "US".into()),
        ("facts.email", EMAIL.into()),
        ("facts.is_premium", Value::Bool(true)),
        ("facts.items", Value::list(items.collect())),
    ] {
        assert!(activation.set_path(path, value));
    }
    activation
}

pub fn ours(source: &str, times: usize) {
    let env = env();
    let (program, activation) = (env.compile_bool(source).unwrap(), activation(&env));
    assert_eq!(program.holds(&activation), Ok(true));
    for _ in 0..times {
        black_box(program.holds(black_box(&activation)).unwrap());
    }
}
