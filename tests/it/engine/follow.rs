//! Following what other nodes, and other programs, write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tenet::{domain::Revision, engine::Error};

use crate::support::{Node, TestDatabase, kill_listeners, proof_size, scope, within};

/// What we promise: with PostgreSQL reachable no node serves a set that is older.
const BOUND: Duration = Duration::from_secs(2);

#[tokio::test]
async fn another_node_follows_a_change() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = here.tenant("acme").await;
    assert_eq!(elsewhere.decide(tenant, 1).await, []);
    here.create_rule(tenant, "positive", "facts.n > 0").await;
    within(BOUND, "followed", async || elsewhere.decide(tenant, 1).await == [Some(true)]).await;
}

#[tokio::test]
async fn a_row_changed_by_hand_is_followed() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "positive", "facts.n > 0").await;
    assert_eq!(node.decide(tenant, 1).await, [Some(true)]);
    let mut by_hand = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("update rules set expression = 'facts.n > 1'").execute(&mut by_hand).await.unwrap();
    within(BOUND, "followed", async || node.decide(tenant, 1).await == [Some(false)]).await;
}

#[tokio::test]
async fn a_rule_broken_by_hand_is_set_aside_alone() {
    let database = TestDatabase::fresh().await;
    let node = Node::start(database.url()).await;
    let tenant = node.tenant("acme").await;
    node.create_rule(tenant, "positive", "facts.n > 0").await;
    node.create_rule(tenant, "big", "facts.n > 100").await;
    assert_eq!(node.decide(tenant, 1).await, [Some(true), Some(false)]);
    let mut by_hand = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("update rules set expression = 'facts.n >' where name = 'big'").execute(&mut by_hand).await.unwrap();
    within(BOUND, "set aside", async || node.decide(tenant, 1).await == [Some(true), None]).await;
}

#[tokio::test]
async fn an_evaluation_waits_for_the_revision_it_asks_for() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = here.tenant("acme").await;
    elsewhere.revision(tenant).await.unwrap();
    for number in 0..20 {
        let revision = here.create_rule(tenant, &format!("rule {number}"), "facts.n > 0").await.revision;
        let served = elsewhere.engine.rule_set(scope(tenant), Some(revision)).await.unwrap();
        assert!(served.set.revision() >= revision);
    }
    let current = elsewhere.revision(tenant).await.unwrap();
    let never = elsewhere.engine.rule_set(scope(tenant), Some(Revision(1_000_000))).await;
    assert!(matches!(never, Err(Error::RevisionNotReached { current: at }) if at == current), "{never:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_listener_is_killed_again_and_again() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let mut tenants = Vec::new();
    for number in 0..10 {
        let tenant = here.tenant(&format!("tenant {number}")).await;
        elsewhere.revision(tenant).await.unwrap();
        tenants.push(tenant);
    }
    let done = Arc::new(AtomicBool::new(false));
    let killer = kill_listeners(database.url(), 50..51, &done);
    let rounds = proof_size(30, 200);
    for round in 0..rounds {
        for tenant in &tenants {
            here.create_rule(*tenant, &format!("rule {round}"), "facts.n > 0").await;
        }
    }
    done.store(true, Ordering::Relaxed);
    assert!(killer.await.unwrap() > 10, "the listeners were killed");
    let newest = Revision(2 + i64::try_from(rounds).unwrap());
    for tenant in &tenants {
        within(BOUND, "followed", async || elsewhere.revision(*tenant).await.unwrap() == newest).await;
    }
}

#[tokio::test]
async fn changes_are_followed_without_any_notification() {
    let database = TestDatabase::fresh().await;
    let (here, elsewhere) = (Node::start(database.url()).await, Node::start(database.url()).await);
    let tenant = here.tenant("acme").await;
    elsewhere.revision(tenant).await.unwrap();
    let mut by_hand = PgConnection::connect(database.url()).await.unwrap();
    // Notifications go to a channel that nobody listens on.
    let definition: String = sqlx::query_scalar("select pg_get_functiondef('tenet_record_tenant'::regproc)")
        .fetch_one(&mut by_hand)
        .await
        .unwrap();
    let silenced = definition.replace("'tenet_changes'", "'nobody_listens'");
    assert_ne!(silenced, definition);
    sqlx::raw_sql(sqlx::AssertSqlSafe(silenced)).execute(&mut by_hand).await.unwrap();
    here.create_rule(tenant, "positive", "facts.n > 0").await;
    within(BOUND, "followed", async || elsewhere.decide(tenant, 1).await == [Some(true)]).await;
    assert!(elsewhere.metric("tenet_reconcile_catches_total") >= 1);
}
