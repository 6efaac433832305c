//! Sets of many rules of which few match, and what they are measured against: every rule run, by us and by the `cel`
//! crate's interpreter.

use std::{collections::HashMap, hint::black_box, sync::Arc};

use serde_json::json;
use tenet::{
    cel::{Activation, Env, ObjectField, ObjectType, Program, Type, Value},
    domain::Snapshot,
    ruleset::RuleSet,
};

use crate::snapshot::snapshot;

/// How many of 10,000 [`three_term_rules`] match.
const MATCHING: usize = 38;

/// Rules of three terms: an age from 0 to 99, three of 260 countries, and a bool.
pub fn three_term_rules(count: usize) -> Snapshot {
    rules_of_ages(count, |number| number * 21 % 100)
}

/// The same, each of another age, so that no two rules are compiled as one.
pub fn distinct_rules(count: usize) -> Snapshot {
    rules_of_ages(count, |number| number)
}

fn rules_of_ages(count: usize, age: fn(usize) -> usize) -> Snapshot {
    let country = |number: usize| match number * 37 % 260 {
        0 => "US".to_owned(),
        other => format!("C{other}"),
    };
    let rule = |number: usize| {
        let [one, two, three] = [number, number * 7 + 1, number * 13 + 5].map(country);
        let age = age(number);
        format!("facts.age >= {age} && facts.country in ['{one}', '{two}', '{three}'] && facts.is_premium")
    };
    with_rules((0..count).map(rule))
}

/// Rules for many countries, of which ten are for that of the facts.
pub fn account_rules(count: usize) -> Snapshot {
    let rule = |number: usize| {
        let country = if number.is_multiple_of(count / 10) { "US".to_owned() } else { format!("C{number}") };
        format!("facts.country == '{country}' && facts.age >= 18")
    };
    with_rules((0..count).map(rule))
}

fn with_rules(rules: impl Iterator<Item = String>) -> Snapshot {
    let schema =
        json!({"facts": {"age": "int", "country": "string", "is_premium": "bool", "purchase_amount": "double"}});
    snapshot(&schema, rules)
}

/// Runs every rule, as without an index.
pub fn one_by_one(snapshot: &Snapshot, times: usize) {
    let field = |(name, value_type): (&str, Type)| ObjectField::new(name, value_type);
    let fields = [("age", Type::Int), ("country", Type::String), ("is_premium", Type::Bool)];
    let object = ObjectType { name: "facts".to_owned(), fields: fields.into_iter().map(field).collect() };
    let env = Env::new(vec![("facts".to_owned(), Type::Object(Arc::new(object)))]);
    let mut activation = Activation::new(&env);
    for (path, value) in
        [("facts.age", 42_i64.into()), ("facts.country", "US".into()), ("facts.is_premium", Value::Bool(true))]
    {
        assert!(activation.set_path(path, value));
    }
    let programs: Vec<Program> = snapshot.rules.iter().map(|rule| env.compile(&rule.expression).unwrap()).collect();
    let is_true = |program: &&Program| matches!(program.evaluate(&activation), Ok(Value::Bool(true)));
    for _ in 0..times {
        assert_eq!(black_box(&programs).iter().filter(is_true).count(), MATCHING);
    }
}

/// The same with the `cel` crate's interpreter; it parses so slowly that few rules must stand for all.
pub fn one_by_one_of_theirs(snapshot: &Snapshot, times: usize) {
    let facts: HashMap<String, cel::Value> = HashMap::from([
        ("age".to_owned(), cel::Value::Int(42)),
        ("country".to_owned(), cel::Value::String(Arc::new("US".to_owned()))),
        ("is_premium".to_owned(), cel::Value::Bool(true)),
    ]);
    let mut context = cel::Context::default();
    context.add_variable_from_value("facts", facts);
    let compile = |source: &str| cel::Program::compile(source).unwrap();
    let programs: Vec<cel::Program> = snapshot.rules.iter().map(|rule| compile(&rule.expression)).collect();
    let is_true = |program: &&cel::Program| matches!(program.execute(&context), Ok(cel::Value::Bool(true)));
    for _ in 0..times {
        assert!(black_box(&programs).iter().filter(is_true).count() > 0);
    }
}

/// Compiles all rules, the index with them.
pub fn compile(snapshot: &Snapshot, times: usize) {
    for _ in 0..times {
        black_box(RuleSet::compile(black_box(snapshot), None));
    }
}

/// Compiles them after one has changed.
pub fn change(snapshot: &Snapshot, times: usize) {
    let set = RuleSet::compile(snapshot, None);
    let mut changed = snapshot.clone();
    changed.rules[50].expression = "facts.age >= 21 && facts.country == 'US'".to_owned();
    for _ in 0..times {
        let set = black_box(RuleSet::compile(black_box(&changed), Some(&set)));
        assert_eq!(set.report().compiled, 1);
    }
}
