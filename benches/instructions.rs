//! Instructions per piece of work, ours beside what it is measured against, counted by valgrind's callgrind.
//!
//! `cargo bench --bench instructions [PART OF A NAME]`; without valgrind it says so and measures nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

mod counting;
mod expressions;
mod many_rules;
mod snapshot;

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tenet::{
    admission::Limits,
    domain::{Snapshot, Tier},
    ruleset::{Query, Return, RuleSet, UnknownFacts},
};

use counting::{Wanted, Ways, instructions};
use expressions::{
    EXISTS, Hand, LONG, MATCHES, SHORT, by_hand, count_alone, counting_rules, env, items_json, ours, theirs,
};
use many_rules::{account_rules, change, compile, distinct_rules, one_by_one, one_by_one_of_theirs, three_term_rules};
use snapshot::{snapshot, ten_rules};

const FACTS: &str = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;
const TEN_FACTS: &str = r#"{"id":"ord-20260131-0042","customer_id":88412,"total":120.5,"currency":"EUR","item_count":3,"is_gift":false,"channel":"web","country":"DE","placed_at":"2026-01-31T23:59:59Z","discount":0.15}"#;

const WORK: &[(&str, Ways)] = &[
    (
        "one comparison",
        &[
            ("tenet", 2_000, |times| ours(SHORT, times)),
            ("cel crate", 200, |times| theirs(SHORT, times)),
            ("by hand", 2_000, |times| by_hand(expressions::one_comparison, times)),
        ],
    ),
    (
        "three terms",
        &[
            ("tenet", 2_000, |times| ours(LONG, times)),
            ("cel crate", 200, |times| theirs(LONG, times)),
            ("by hand", 2_000, |times| by_hand(expressions::three_terms, times)),
        ],
    ),
    (
        "exists, over 20 items",
        &[
            ("tenet", 1_000, |times| ours(EXISTS, times)),
            ("cel crate", 50, |times| theirs(EXISTS, times)),
            ("by hand", 1_000, |times| by_hand(expressions::exists, times)),
        ],
    ),
    (
        "matches",
        &[
            ("tenet", 1_000, |times| ours(MATCHES, times)),
            ("cel crate", 50, |times| theirs(MATCHES, times)),
            ("by hand", 1_000, |times| by_hand(expressions::matches, times)),
        ],
    ),
    (
        "ten rules on parsed facts",
        &[
            ("tenet", 1_000, |times| decide(&ten_rules(10), Return::All, times)),
            ("tenet, matched only", 1_000, |times| decide(&ten_rules(10), Return::Matched, times)),
            ("by hand", 1_000, |times| by_hand(|facts| ten_by_hand(facts) > 0, times)),
        ],
    ),
    (
        "admitting a request",
        &[("its limits and rate", 2_000, admit), ("four facts, ten rules", 1_000, read_and_decide)],
    ),
    (
        "four facts from bytes",
        &[("tenet", 1_000, read_four), ("serde_json::Value", 1_000, |times| read_value(FACTS, times))],
    ),
    (
        "10 facts from bytes",
        &[
            ("tenet", 1_000, |times| read(&snapshot(&ten_fields(), std::iter::empty()), TEN_FACTS, times)),
            ("serde_json::Value", 1_000, |times| read_value(TEN_FACTS, times)),
        ],
    ),
    (
        "40 facts from bytes",
        &[
            ("tenet", 500, |times| read(&snapshot(&forty_fields(), std::iter::empty()), &forty_facts(), times)),
            ("serde_json::Value", 500, |times| read_value(&forty_facts(), times)),
        ],
    ),
    (
        "10,000 rules of which 38 match",
        &[
            ("tenet", 100, |times| decide(&three_term_rules(10_000), Return::Matched, times)),
            ("all run", 2, |times| one_by_one(&three_term_rules(10_000), times)),
            ("cel crate, 1,000 rules", 2, |times| one_by_one_of_theirs(&three_term_rules(1_000), times)),
        ],
    ),
    (
        "10,000 rules sharing sub-expressions",
        &[
            ("tenet", 2, |times| decide_on(&counting_rules(10_000), &items_json(), Return::Matched, times)),
            ("each alone", 2, |times| count_alone(10_000, times)),
        ],
    ),
    (
        "rules of which ten match",
        &[
            ("of 100", 200, |times| decide(&account_rules(100), Return::Matched, times)),
            ("of 1,000", 200, |times| decide(&account_rules(1_000), Return::Matched, times)),
            ("of 10,000", 100, |times| decide(&account_rules(10_000), Return::Matched, times)),
            ("of 100,000", 20, |times| decide(&account_rules(100_000), Return::Matched, times)),
        ],
    ),
    (
        "compile three terms",
        &[
            ("tenet: parse, check, plan", 200, |times| compile_ours(LONG, times)),
            ("cel: parser alone", 100, |times| parse_theirs(|source| cel::parser::Parser::new().parse(source), times)),
            ("cel: Pratt parser", 200, |times| {
                parse_theirs(|source| cel::parser::PrattParser::new().parse(source), times)
            }),
        ],
    ),
    (
        "compile 1,000 rules",
        &[
            ("all", 2, |times| compile(&three_term_rules(1_000), times)),
            ("one changed", 20, |times| change(&three_term_rules(1_000), times)),
        ],
    ),
    ("compile 10,000 distinct rules", &[("tenet", 1, |times| compile(&distinct_rules(10_000), times))]),
    (INDEX_ALONE, &[("tenet", 1, |times| compile(&distinct_rules(10_000), times))]),
    ("change one of 10,000 rules", &[("tenet", 5, |times| change(&distinct_rules(10_000), times))]),
];

/// A group of which only what makes the index counts.
const INDEX_ALONE: &str = "the index of 10,000 rules";
const INDEX: &str = "tenet::ruleset::set::indexed::index";

fn ten_by_hand(facts: &Hand) -> usize {
    let matched = [
        facts.age >= 18,
        facts.age >= 65,
        facts.is_premium,
        facts.country == "US",
        facts.purchase_amount > 100.0,
        facts.country == "US" && facts.is_premium,
        facts.age >= 18 && facts.age < 25,
        facts.purchase_amount > 200.0 && !facts.is_premium,
        facts.country != "US" && facts.is_premium,
        facts.purchase_amount >= 50.0 && facts.purchase_amount <= 200.0,
    ];
    black_box(matched).into_iter().filter(|matched| *matched).count()
}

fn compile_ours(source: &str, times: usize) {
    let env = env();
    for _ in 0..times {
        black_box(env.compile(black_box(source)).unwrap());
    }
}

fn parse_theirs<T, E: std::fmt::Debug>(parse: fn(&str) -> Result<T, E>, times: usize) {
    for _ in 0..times {
        black_box(parse(black_box(LONG)).unwrap());
    }
}

fn decide(snapshot: &Snapshot, returns: Return, times: usize) {
    decide_on(snapshot, FACTS, returns, times);
}

fn decide_on(snapshot: &Snapshot, facts: &str, returns: Return, times: usize) {
    let set = RuleSet::compile(snapshot, None);
    assert!(set.broken().is_empty());
    let facts = set.read_facts(facts, UnknownFacts::Ignore).unwrap();
    let query = Query { returns, ..Query::default() };
    for _ in 0..times {
        assert!(black_box(set.decide(black_box(&facts), &query)).matched_count > 0);
    }
}

/// What the gate computes for a request of a tenant with a rate; beside it, it looks twice into a map and counts.
fn admit(times: usize) {
    let mut tenant = ten_rules(10).tenant;
    tenant.tier = Tier::Free;
    let (taken, in_hand) = (AtomicU64::new(0), AtomicU64::new(0));
    for now in (0..).step_by(1_000_000_000).take(times) {
        let limits = Limits::of(black_box(&tenant)).shared_by(black_box(1));
        let rate = limits.requests.unwrap();
        assert!(in_hand.fetch_add(1, Ordering::Relaxed) < limits.in_hand);
        let grant = rate.take(taken.load(Ordering::Relaxed), now, 1);
        taken.store(grant.state, Ordering::Relaxed);
        assert_eq!(grant.granted, 1);
        black_box(rate.standing(taken.load(Ordering::Relaxed), now));
        in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read_and_decide(times: usize) {
    let set = RuleSet::compile(&ten_rules(10), None);
    let query = Query::default();
    for _ in 0..times {
        let facts = set.read_facts(black_box(FACTS), UnknownFacts::Ignore).unwrap();
        assert!(black_box(set.decide(&facts, &query)).matched_count > 0);
    }
}

fn read_four(times: usize) {
    read(&ten_rules(10), FACTS, times);
}

fn read(snapshot: &Snapshot, facts: &str, times: usize) {
    let set = RuleSet::compile(snapshot, None);
    assert!(set.read_facts(facts, UnknownFacts::Refuse).is_ok());
    for _ in 0..times {
        black_box(set.read_facts(black_box(facts), UnknownFacts::Ignore).unwrap());
    }
}

fn read_value(facts: &str, times: usize) {
    for _ in 0..times {
        black_box(serde_json::from_slice::<Value>(black_box(facts.as_bytes())).unwrap());
    }
}

fn ten_fields() -> Value {
    json!({"order": {
        "id": {"type": "string", "required": true}, "customer_id": {"type": "int", "required": true},
        "total": {"type": "double", "minimum": 0}, "currency": {"type": "string", "enum": ["USD", "EUR", "GBP"]},
        "item_count": {"type": "int", "minimum": 1, "maximum": 1000}, "is_gift": "bool", "channel": "string",
        "country": "string", "placed_at": "timestamp", "discount": "double",
    }})
}

/// Fields of ten kinds, three of each, and what a larger schema has beside them.
fn forty_fields() -> Value {
    let kinds = [
        json!("int"),
        json!({"type": "int", "required": true}),
        json!({"type": "int", "minimum": 0, "maximum": 100000}),
        json!("string"),
        json!({"type": "string", "maxLength": 40}),
        json!("string"),
        json!("bool"),
        json!("bool"),
        json!("double"),
        json!({"type": "double", "minimum": 0}),
        json!("string"),
        json!("int"),
    ];
    let mut fields: serde_json::Map<String, Value> =
        (0..36).map(|n| (format!("field_{n}"), kinds[n % kinds.len()].clone())).collect();
    fields.insert("status".to_owned(), json!({"type": "string", "enum": ["new", "open", "closed"]}));
    fields.insert("created_at".to_owned(), json!("timestamp"));
    fields.insert("address".to_owned(), json!({"city": "string", "zip": "string", "floor": "int"}));
    fields.insert("tags".to_owned(), json!("list<string>"));
    json!({ "facts": fields })
}

/// Facts for them, in an order that is not that of the names.
fn forty_facts() -> String {
    let value = |n: usize| match n % 12 {
        0..=2 | 11 => format!("{}", n * 137),
        3..=5 | 10 => format!("\"value number {n}\""),
        6 | 7 => format!("{}", n.is_multiple_of(2)),
        _ => format!("{}.25", n * 11),
    };
    let fields: Vec<String> = (0..36).map(|n| format!("\"field_{n}\":{}", value(n))).collect();
    let address = r#"{"city":"Springfield","zip":"12345","floor":3}"#;
    let rest = format!(r#""status":"open","created_at":"2026-01-31T23:59:59Z","address":{address},"tags":["a","b"]"#);
    format!("{{{},{rest}}}", fields.join(","))
}

fn main() {
    let Some(wanted) = Wanted::of_arguments(WORK) else { return };
    for (group, (name, works)) in WORK.iter().enumerate() {
        if !wanted.has(name) {
            continue;
        }
        let part = (*name == INDEX_ALONE).then_some(INDEX);
        for (work, (who, times, _)) in works.iter().enumerate() {
            let each = instructions(group, work, *times, part);
            println!("{name:36} {who:22} {each:>12} instructions");
        }
    }
}
