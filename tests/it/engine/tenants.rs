//! Several tenants side by side: each is decided by its own rules, and knows of no other's.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use tenet::{
    domain::TenantId,
    ruleset::{ChangeOutcome, Query, UnknownFacts},
};

use crate::support::{Node, TestDatabase, scope};

/// A tenant whose one rule holds from `bound` on, and that rule's id.
async fn tenant_with_bound(node: &Node, bound: i64) -> (TenantId, String) {
    let tenant = node.tenant(&format!("from {bound} on")).await;
    let changed = node.create_rule(tenant, "bound", &format!("facts.n >= {bound}")).await;
    let ChangeOutcome::Rule(rule) = changed.applied.outcome else { panic!("{:?}", changed.applied.outcome) };
    (tenant, rule.to_string())
}

#[tokio::test]
async fn an_evaluation_uses_the_rules_of_its_own_tenant_alone() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let (low, _) = tenant_with_bound(&node, 10).await;
    let (high, _) = tenant_with_bound(&node, 20).await;
    assert_eq!(node.decide(low, 15).await, [Some(true)]);
    assert_eq!(node.decide(high, 15).await, [Some(false)]);
}

#[tokio::test]
async fn the_rule_of_another_tenant_is_as_unknown_as_one_that_does_not_exist() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let (one, own) = tenant_with_bound(&node, 10).await;
    let (_, foreign) = tenant_with_bound(&node, 20).await;
    let nobody = TenantId::generate().to_string();
    let served = node.engine.rule_set(scope(one), None).await.unwrap();
    let facts = served.set.read_facts(&json!({"n": 30}).to_string(), UnknownFacts::Ignore).unwrap();
    let query = Query { rules: Some(vec![own, foreign, nobody]), ..Query::default() };
    let decision = served.set.decide(&facts, &query);
    let results: Vec<_> = decision.results.iter().collect();
    assert!(results[0].matched);
    let said = |index: usize| results[index].error.map(|error| (error.code, results[index].rule_name));
    assert_eq!(said(1), Some(("rule_not_found", None)));
    assert_eq!(said(1), said(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_sets_of_many_tenants_work_side_by_side_while_they_change() {
    let database = TestDatabase::fresh().await;
    let node = Arc::new(Node::start(database.url()).await);
    let tenants = join_all((0..20).map(|number| tenant_with_bound(&node, number * 100))).await;
    let work = tenants.into_iter().enumerate().map(|(number, (tenant, _))| {
        let (node, bound) = (node.clone(), i64::try_from(number).unwrap() * 100);
        tokio::spawn(async move {
            for round in 0..10 {
                assert_eq!(node.decide(tenant, bound).await, vec![Some(true); round + 1]);
                assert_eq!(node.decide(tenant, bound - 1).await, vec![Some(false); round + 1]);
                node.create_rule(tenant, &format!("again {round}"), &format!("facts.n >= {bound}")).await;
            }
        })
    });
    for task in join_all(work).await {
        task.unwrap();
    }
}
