//! What the rules of a set have in common.

use super::*;

fn stock() -> Snapshot {
    with_schema(&json!({"facts": {"l": "list<int>", "n": "int", "s": "string"}}))
}

fn facts() -> Value {
    json!({"l": (0..50).collect::<Vec<_>>(), "n": 3, "s": "a text"})
}

/// A decision's outcomes, each rule asked for alone.
fn alone(set: &RuleSet, rules: usize) -> Vec<String> {
    (0..rules).flat_map(|number| decide(set, &facts(), &named(&[&rule_id(number).to_string()]))).collect()
}

fn cost(set: &RuleSet) -> u64 {
    let facts = set.read_facts(&facts().to_string(), UnknownFacts::Refuse).unwrap();
    let all = Query::default();
    set.decide(&facts, &all).cost
}

#[test]
fn what_rules_have_in_common_is_done_once_for_a_decision() {
    let with = |count: usize| {
        let rule = |snapshot: Snapshot, n: usize| {
            snapshot.rule(&format!("r{n}"), &format!("facts.l.filter(i, i % 3 == 0).size() > {n} || facts.n == {n}"))
        };
        compile(&(0..count).fold(stock(), rule))
    };
    let (one, many) = (cost(&with(1)), cost(&with(100)));
    assert!((200..1_200).contains(&one), "{one}");
    assert!(many < one + 100 * 12, "{many} for a hundred, {one} for one");
    assert_eq!(decide(&with(100), &facts(), &Query::default()), alone(&with(100), 100));
}

#[test]
fn rules_that_share_end_as_each_would_alone() {
    let double = "facts.l.map(i, i * 2)";
    let greedy = "facts.l.all(a, facts.l.all(b, facts.l.all(c, facts.l.all(d, a + b + c + d >= 0))))";
    let snapshot = stock()
        .field("doubled", double)
        .field("failing", &format!("{double}[1000] > 1"))
        .rule("yes", &format!("{double}.size() == 50"))
        .rule("no", &format!("{double}.exists(i, i == 7)"))
        .rule("by field", "derived.doubled.exists(i, i == 8)")
        .rule("both", &format!("derived.doubled == {double}"))
        .rule("failing", &format!("facts.n == 4 || {double}[50] == 1 || derived.failing"))
        .rule("failing too", &format!("{double}[50] == 1 && facts.n == 3"))
        .rule("absorbing", &format!("{double}[50] == 1 || facts.n == 3"))
        .rule("greedy", greedy)
        .rule("greedy too", &format!("{greedy} && facts.n == 3"));
    let set = compile(&snapshot);
    let expected = [
        "yes true",
        "no false",
        "by field true",
        "both true",
        "failing index_out_of_range",
        "failing too index_out_of_range",
        "absorbing true",
        "greedy cost_exceeded",
        "greedy too cost_exceeded",
    ];
    assert_eq!(decide(&set, &facts(), &Query::default()), expected);
    assert_eq!(alone(&set, expected.len()), expected);
    // The second of two that fail alike says where it failed itself.
    let facts = set.read_facts(&facts().to_string(), UnknownFacts::Refuse).unwrap();
    let all = Query::default();
    let decision = set.decide(&facts, &all);
    let columns: Vec<_> = decision.results.errors().map(|error| error.column).collect();
    assert_eq!(columns[..2], [Some(17), Some(1)]);
}

#[test]
fn a_trace_shows_every_step_of_what_is_shared() {
    let snapshot =
        stock().rule("one", "facts.l.exists(i, i == 2)").rule("two", "facts.l.exists(i, i == 2) && facts.n == 3");
    let set = compile(&snapshot);
    let facts = set.read_facts(&facts().to_string(), UnknownFacts::Refuse).unwrap();
    let traced = Query { trace: true, ..Query::default() };
    let decision = set.decide(&facts, &traced);
    for result in decision.results.iter() {
        let turns = result.trace.unwrap().iter().filter(|entry| entry.text == "i == 2").count();
        assert_eq!((result.matched, turns), (true, 3));
    }
}

#[test]
fn what_is_shared_follows_the_rules_that_change() {
    let loops = |other: &str| stock().rule("one", "facts.l.exists(i, i == 49)").rule("two", other);
    let apart = compile(&loops("facts.n == 3 && facts.s == 'a text'"));
    let alike = RuleSet::compile(&loops("facts.l.exists(k, k == 49) && facts.n == 3"), Some(&apart));
    assert_eq!((apart.report().reused, alike.report().reused), (0, 1));
    assert!(cost(&alike) < cost(&apart) + 8, "{} {}", cost(&alike), cost(&apart));
}
