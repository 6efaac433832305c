//! One expression on facts that are read: with our evaluator, with the `cel` crate's interpreter, and as a program would
//! have it that knows its rules.

mod ours;

use std::{collections::HashMap, hint::black_box, sync::Arc};

use regex::Regex;
use serde_json::json;
use tenet::{cel::Program, domain::Snapshot};

use ours::{EMAIL, ITEMS, activation, price};
pub use ours::{EXISTS, LONG, MATCHES, SHORT, env, ours};

use crate::snapshot::snapshot;

/// Rules that no index can rule out, which all count the same items.
pub fn counting_rules(count: usize) -> Snapshot {
    let item = json!({"price": "double", "qty": "int"});
    let schema = json!({"facts": {"items": {"type": "list", "items": {"type": "object", "fields": item}}}});
    snapshot(&schema, (0..count).map(counting_rule))
}

fn counting_rule(number: usize) -> String {
    format!("facts.items.filter(i, i.price > 100.0 && i.qty > 2).size() != {number}")
}

/// The facts of [`counting_rules`].
pub fn items_json() -> String {
    let items: Vec<_> = (0..ITEMS).map(|number| json!({"price": price(number), "qty": number})).collect();
    json!({ "items": items }).to_string()
}

/// Each of so many [`counting_rules`] by itself.
pub fn count_alone(count: usize, times: usize) {
    let env = env();
    let activation = activation(&env);
    let programs: Vec<_> = (0..count).map(|number| env.compile_bool(&counting_rule(number)).unwrap()).collect();
    for _ in 0..times {
        let holds = |program: &&Program| program.holds(black_box(&activation)).unwrap();
        assert_eq!(programs.iter().filter(holds).count(), count - 1);
    }
}

pub fn theirs(source: &str, times: usize) {
    let program = cel::Program::compile(source).unwrap();
    let mut context = cel::Context::default();
    let item = |number| {
        let fields = [("price", cel::Value::Float(price(number))), ("qty", cel::Value::Int(number))];
        cel::Value::from(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<HashMap<_, _>>())
    };
    let text = |text: &str| cel::Value::String(Arc::new(text.to_owned()));
    let facts: HashMap<String, cel::Value> = HashMap::from([
        ("age".to_owned(), cel::Value::Int(42)),
        ("country".to_owned(), text("US")),
        ("email".to_owned(), text(EMAIL)),
        ("is_premium".to_owned(), cel::Value::Bool(true)),
        ("items".to_owned(), cel::Value::List(Arc::new((0..ITEMS).map(item).collect()))),
    ]);
    context.add_variable_from_value("facts", facts);
    assert_eq!(program.execute(&context).unwrap(), cel::Value::Bool(true));
    for _ in 0..times {
        black_box(program.execute(black_box(&context)).unwrap());
    }
}

/// The facts as a program would have them that knows its rules.
pub struct Hand {
    pub age: i64,
    pub country: String,
    pub is_premium: bool,
    pub purchase_amount: f64,
    items: Vec<Item>,
    email: String,
    pattern: Regex,
}

struct Item {
    price: f64,
    qty: i64,
}

pub fn by_hand(predicate: fn(&Hand) -> bool, times: usize) {
    let facts = Hand {
        age: 42,
        country: "US".to_owned(),
        is_premium: true,
        purchase_amount: 120.5,
        items: (0..ITEMS).map(|qty| Item { price: price(qty), qty }).collect(),
        email: EMAIL.to_owned(),
        pattern: Regex::new(r"^[a-z]+@[a-z]+\.com$").unwrap(),
    };
    assert!(predicate(&facts));
    for _ in 0..times {
        black_box(predicate(black_box(&facts)));
    }
}

pub fn one_comparison(facts: &Hand) -> bool {
    facts.age >= 18
}

pub fn three_terms(facts: &Hand) -> bool {
    facts.age >= 18 && matches!(facts.country.as_str(), "US" | "CA" | "GB") && facts.is_premium
}

pub fn exists(facts: &Hand) -> bool {
    facts.items.iter().any(|item| item.price > 100.0 && item.qty > 2)
}

pub fn matches(facts: &Hand) -> bool {
    facts.pattern.is_match(&facts.email)
}
