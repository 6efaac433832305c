//! Changes: served when they are answered, one after the other, and never half.

use std::sync::Arc;

use futures_util::future::join_all;
use tenet::{
    domain::{Change, ChangeOptions, Revision, RulePatch},
    engine::Error,
    ruleset::Outcome,
};

use crate::support::{Node, TestDatabase, rule, scope};

#[tokio::test]
async fn a_change_is_served_when_it_is_answered() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    let changed = node.create_rule(tenant, "least", "facts.n >= 0").await;
    let Outcome::Rule(id) = changed.amendment.outcome else { panic!("{:?}", changed.amendment.outcome) };
    for bound in 1..50 {
        let patch = RulePatch { expression: Some(format!("facts.n >= {bound}")), ..RulePatch::default() };
        let changed = node.change(tenant, Change::PatchRule(id, patch)).await.unwrap();
        assert_eq!(node.revision(tenant).await.unwrap(), changed.revision);
        assert_eq!(node.decide(tenant, bound).await, [Some(true)]);
        assert_eq!(node.decide(tenant, bound - 1).await, [Some(false)]);
    }
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
    let options = ChangeOptions { if_match: Some(Revision(1)), ..ChangeOptions::default() };
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
    let Outcome::Rule(id) = changed.amendment.outcome else { panic!("{:?}", changed.amendment.outcome) };
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
