//! A decision allocates nothing: the reference workload on facts that are read. In a binary of its own, whose allocator
//! counts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that meets the unexpected must fail")]

#[path = "../benches/snapshot/mod.rs"]
mod snapshot;

use std::hint::black_box;

use serde_json::json;
use tenet::ruleset::{Query, Return, RuleSet, UnknownFacts};

/// What deciding `facts` by `set` allocates, once the thread has the room that it keeps.
fn allocations(set: &RuleSet, facts: &str, returns: Return) -> u64 {
    assert!(set.broken().is_empty(), "{:?}", set.broken());
    let facts = set.read_facts(facts, UnknownFacts::Refuse).unwrap();
    let query = Query { returns, ..Query::default() };
    assert!(set.decide(&facts, &query).matched_count > 0);
    allocation_counter::measure(|| drop(black_box(set.decide(black_box(&facts), &query)))).count_total
}

#[test]
fn what_counts_allocations_counts_them() {
    assert_eq!(allocation_counter::measure(|| drop(black_box(Box::new(7)))).count_total, 1);
}

#[test]
fn ten_rules_over_scalars_are_decided_without_allocating() {
    let facts = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;
    for returns in [Return::All, Return::Matched] {
        assert_eq!(allocations(&RuleSet::compile(&snapshot::ten_rules(10), None), facts, returns), 0);
        assert_eq!(allocations(&RuleSet::compile(&snapshot::ten_rules(200), None), facts, returns), 0);
    }
}

#[test]
fn loops_that_test_elements_allocate_nothing() {
    let schema = json!({"facts": {"items": "list<int>", "words": "list<string>", "n": "int"}});
    let rules = [
        "facts.items.exists(i, i > 2 && i < facts.n)",
        "facts.items.all(i, facts.words.exists(w, w == 'b' && i > 0))",
        "facts.words.exists_one(w, w in ['a', 'c'])",
        "facts.items.exists(place, i, place == 1 && i == 2)",
        "facts.words.exists(w, w.matches('^b$') || w.startsWith('c'))",
    ];
    let set = RuleSet::compile(&snapshot::snapshot(&schema, rules.into_iter().map(str::to_owned)), None);
    let facts = r#"{"items":[1,2,3],"words":["a","b"],"n":9}"#;
    assert_eq!(allocations(&set, facts, Return::All), 0);
}
