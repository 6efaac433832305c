//! What a rule set costs: to compile, to compile again after a change, to read facts, to decide.
//!
//! The rules and facts are those of `workloads/ten_rules.json`. No database and no actor takes part.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

mod snapshot;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tenet::{
    domain::Revision,
    ruleset::{Query, RuleSet, UnknownFacts},
};

use snapshot::ten_rules;

const FACTS: &str = r#"{"age":42,"country":"US","is_premium":true,"purchase_amount":120.5}"#;

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    for rules in [10, 100, 1_000] {
        let before = ten_rules(rules);
        group.bench_with_input(BenchmarkId::new("all", rules), &before, |bencher, snapshot| {
            bencher.iter(|| RuleSet::compile(black_box(snapshot), None));
        });
        let previous = RuleSet::compile(&before, None);
        assert!(previous.broken().is_empty(), "{:?}", previous.broken());
        let mut after = before.clone();
        after.rules[0].expression = "facts.age >= 21".to_owned();
        after.tenant.revision = Revision(2);
        group.bench_with_input(BenchmarkId::new("one changed", rules), &after, |bencher, snapshot| {
            bencher.iter(|| RuleSet::compile(black_box(snapshot), Some(&previous)));
        });
    }
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let query = Query::default();
    for rules in [1, 10, 100, 1_000] {
        let set = RuleSet::compile(&ten_rules(rules), None);
        let facts = set.read_facts(FACTS, UnknownFacts::Ignore).unwrap();
        assert_eq!(set.decide(&facts, &query).results.len(), rules);
        group.bench_function(BenchmarkId::new("rules", rules), |bencher| {
            bencher.iter(|| set.decide(black_box(&facts), &query).matched_count);
        });
    }
    let set = RuleSet::compile(&ten_rules(10), None);
    group.bench_function("read facts", |bencher| {
        bencher.iter(|| set.read_facts(black_box(FACTS), UnknownFacts::Ignore).unwrap());
    });
    group.bench_function("read facts, decide and write the answer", |bencher| {
        bencher.iter(|| {
            let facts = set.read_facts(black_box(FACTS), UnknownFacts::Ignore).unwrap();
            serde_json::to_vec(&set.decide(&facts, &query)).unwrap()
        });
    });
}

criterion_group!(benches, compile, decide);
criterion_main!(benches);
