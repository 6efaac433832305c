//! Changes: served when they are answered, one after the other, and never half.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use tenet::{
    domain::{AtRevision, Change, ChangeOptions, Revision, RuleId, RulePatch, SchemaDefinition, TenantId, TenantPatch},
    engine::Error,
    ruleset::{ChangeOutcome, Query, RuleResult, RuleSet, UnknownFacts},
};

use crate::support::{Node, TestDatabase, kill_listeners, proof_size, rule, scope};

/// A tenant, and a rule of it that every `n` from 0 on matches.
async fn tenant_with_a_rule(node: &Node) -> (TenantId, RuleId) {
    let tenant = node.tenant("acme").await;
    let changed = node.create_rule(tenant, "least", "facts.n >= 0").await;
    let ChangeOutcome::Rule(id) = changed.applied.outcome else { panic!("{:?}", changed.applied.outcome) };
    (tenant, id)
}

/// How often a rule set was loaded.
fn loads(node: &Node) -> u64 {
    node.metric("tenet_cold_loads_total") + node.metric("tenet_reloads_total")
}

#[tokio::test]
async fn a_change_is_served_when_it_is_answered() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let (tenant, id) = tenant_with_a_rule(&node).await;
    for bound in 1..50 {
        let patch = RulePatch { expression: Some(format!("facts.n >= {bound}")), ..RulePatch::default() };
        let changed = node.change(tenant, Change::PatchRule(id, patch)).await.unwrap();
        assert_eq!(node.revision(tenant).await.unwrap(), changed.revision);
        assert_eq!(node.decide(tenant, bound).await, [Some(true)]);
        assert_eq!(node.decide(tenant, bound - 1).await, [Some(false)]);
    }
}

/// The listener hears of each change at about the same time as the writer, and must not make the actor load it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_change_compiled_is_served_and_nothing_is_loaded_again() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let (tenant, id) = tenant_with_a_rule(&node).await;
    node.decide(tenant, 0).await;
    let before = loads(&node);
    for bound in 1..50 {
        let patch = RulePatch { expression: Some(format!("facts.n >= {bound}")), ..RulePatch::default() };
        node.change(tenant, Change::PatchRule(id, patch)).await.unwrap();
        assert_eq!(node.decide(tenant, bound).await, [Some(true)]);
    }
    let rules = ["b", "a", "least"].map(|name| rule(name, "facts.n > 7"));
    node.change(tenant, Change::ReplaceRules(rules.to_vec())).await.unwrap();
    let patch = TenantPatch { idle_stop_seconds: Some(Some(77)), ..TenantPatch::default() };
    node.change(tenant, Change::Tenant(patch)).await.unwrap();
    let schema = SchemaDefinition::parse(&serde_json::json!({"facts": {"n": "int", "more": "bool"}})).unwrap();
    node.change(tenant, Change::PutSchema(schema)).await.unwrap();
    assert_eq!(loads(&node), before);
    let handed = node.engine.rule_set(scope(tenant), None).await.unwrap().set;
    node.engine.reload_tenant(scope(tenant)).await.unwrap();
    assert_eq!(loads(&node), before + 1);
    let loaded = node.engine.rule_set(scope(tenant), None).await.unwrap().set;
    assert_eq!((handed.tenant(), handed.epoch()), (loaded.tenant(), loaded.epoch()));
    assert_eq!((handed.schema_version(), handed.active_rules()), (loaded.schema_version(), loaded.active_rules()));
    let answers = |set: &RuleSet| {
        let facts = set.read_facts(r#"{"n": 9}"#, UnknownFacts::Ignore).unwrap();
        let query = Query::default();
        let decision = set.decide(&facts, &query);
        let answer = |result: RuleResult<'_>| (result.rule_name.map(str::to_owned), result.matched);
        let answers: Vec<(Option<String>, bool)> = decision.results.iter().map(answer).collect();
        answers
    };
    assert_eq!(answers(&handed), answers(&loaded));
}

/// Each end of the listener's connection makes the node compare all tenants, and changes are committed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_a_change_overtakes_loads_nothing() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let (tenant, id) = tenant_with_a_rule(&node).await;
    node.decide(tenant, 0).await;
    let before = loads(&node);
    let done = Arc::new(AtomicBool::new(false));
    let killer = kill_listeners(database.url(), 1..20, &done);
    for bound in 1..proof_size(300, 2000) {
        let expression = Some(format!("facts.n >= {bound}"));
        node.change(tenant, Change::PatchRule(id, RulePatch { expression, ..RulePatch::default() })).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(killer.await.unwrap() > 3, "the listener was killed");
    assert_eq!(loads(&node), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_tenant_come_one_after_the_other_and_the_line_is_short() {
    let database = TestDatabase::fresh().await;
    let node = Arc::new(Node::start(database.url()).await);
    let tenant = node.tenant("acme").await;
    let writers = join_all((0..40).map(|number| {
        let node = node.clone();
        tokio::spawn(async move {
            let change = Change::CreateRule(rule(&format!("rule {number}"), "facts.n > 0"));
            node.change(tenant, change).await
        })
    }));
    let mut revisions = Vec::new();
    for written in writers.await {
        match written.unwrap() {
            Ok(changed) => revisions.push(changed.revision.0),
            Err(Error::TenantBusy) => {}
            Err(error) => panic!("{error}"),
        }
    }
    revisions.sort_unstable();
    let expected: Vec<i64> = (3..3 + i64::try_from(revisions.len()).unwrap()).collect();
    assert_eq!(revisions, expected, "every answered change has a revision of its own, without gaps");
    assert_eq!(node.decide(tenant, 1).await.len(), revisions.len());
}

#[tokio::test]
async fn a_change_for_another_revision_is_refused() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    let options = ChangeOptions { if_match: AtRevision::OneOf(vec![Revision(1)]), ..ChangeOptions::default() };
    let refused = node.engine.change(scope(tenant), Change::CreateRule(rule("late", "facts.n > 0")), options).await;
    assert!(matches!(refused, Err(Error::RevisionMismatch { current: Revision(2) })), "{refused:?}");
    assert_eq!(node.decide(tenant, 1).await, []);
}

#[tokio::test]
async fn a_change_that_changes_nothing_has_no_revision() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    let changed = node.create_rule(tenant, "some", "facts.n > 0").await;
    let ChangeOutcome::Rule(id) = changed.applied.outcome else { panic!("{:?}", changed.applied.outcome) };
    let again = node.change(tenant, Change::PatchRule(id, RulePatch::default())).await.unwrap();
    assert_eq!(again.revision, changed.revision);
}

#[tokio::test]
async fn what_does_not_compile_is_not_stored() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    let refused = node.change(tenant, Change::CreateRule(rule("typo", "facts.m > 0"))).await;
    let Err(Error::Invalid(details)) = refused else { panic!("{refused:?}") };
    assert_eq!(details[0].path.as_deref(), Some("expression"));
    assert_eq!(node.store.snapshot(scope(tenant)).await.unwrap().unwrap().rules, []);
}
