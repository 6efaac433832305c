//! What a decision may cost, and who pays.

use super::*;

#[test]
fn a_decision_ends_when_its_rules_have_used_up_its_budget_together() {
    let greedy = "facts.l.all(a, facts.l.all(b, facts.l.all(c, a + b + c >= 0)))";
    let mut snapshot = with_schema(&json!({"facts": {"l": {"type": "list<int>", "maxItems": 100}}}));
    for number in 0..6 {
        snapshot = snapshot.rule(&format!("greedy {number}"), greedy);
    }
    let snapshot = snapshot.rule("modest", "size(facts.l) > 1");
    let set = compile(&snapshot);
    let facts = json!({"l": vec![1; 100]});
    let decided = decide(&set, &facts, &Query::default());
    assert!(decided.iter().all(|word| word.ends_with("cost_exceeded")), "{decided:?}");
    let facts_read = set.read_facts(&facts.to_string(), UnknownFacts::Refuse).unwrap();
    let all = Query::default();
    let decision = set.decide(&facts_read, &all);
    let last = decision.results.errors().last().unwrap();
    assert!(last.message.starts_with("the decision has used up its 5000000 units"), "{}", last.message);
    assert_eq!(decide(&set, &facts, &named(&[&rule_id(6).to_string()])), ["modest true"]);
}

#[test]
fn a_rule_that_reads_a_costly_derived_field_ends_alike_wherever_it_stands() {
    let schema = json!({"facts": {"l": {"type": "list<int>", "maxItems": 100}}});
    let half = "facts.l.all(a, facts.l.all(b, [1, 2, 3, 4, 5, 6].all(c, a + b + c >= 0)))";
    let rules = [("both", "derived.first && derived.second"), ("one", "derived.second"), ("other", "derived.first")];
    let decided = |order: [usize; 3]| {
        let snapshot = with_schema(&schema).field("first", half).field("second", &format!("{half} || false"));
        let snapshot = order.iter().fold(snapshot, |snapshot, place| snapshot.rule(rules[*place].0, rules[*place].1));
        let mut words = decide(&compile(&snapshot), &json!({"l": vec![1; 100]}), &Query::default());
        words.sort();
        words
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(decided(order), ["both cost_exceeded", "one true", "other true"], "{order:?}");
    }
}
