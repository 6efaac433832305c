//! The database itself: away, back again, and back in time.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenet::engine::Error;

use super::{BOUND, Ledger, SCHEDULING, Watcher, Writer, caught_up, tenant};
use crate::support::{Node, PrivateServer, proof_size, scope, within};

/// What we promise for the time after an outage.
const RECOVERY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_tenants_in_memory_are_served_and_no_decision_fails() {
    let mut server = PrivateServer::start().await;
    let node = Node::start(server.url()).await;
    let ledger = Arc::new(Ledger::default());
    let mut writer = Writer::connect(server.url(), &ledger).await;
    let mut tenants = Vec::new();
    for number in 0..5 {
        tenants.push(tenant(&node, &mut writer, &format!("tenant {number}")).await);
    }
    let cold = tenants.pop().unwrap();
    let other = Node::start(server.url()).await;
    caught_up(&other, &tenants, &ledger, BOUND + SCHEDULING).await;
    let watcher = Watcher::start(&other, &tenants, &ledger);
    drop(writer);

    server.stop().await;
    within(BOUND + SCHEDULING + Duration::from_secs(1), "marked stale", async || {
        other.engine.rule_set(scope(tenants[0]), None).await.unwrap().stale
    })
    .await;
    let answer = other.engine.rule_set(scope(cold), None).await;
    assert!(matches!(answer, Err(Error::LoadFailed)), "unavailable, not unknown: {answer:?}");
    tokio::time::sleep(Duration::from_secs(proof_size(1, 27).try_into().unwrap())).await;
    server.start_again().await;

    caught_up(&other, &tenants, &ledger, RECOVERY).await;
    let mut writer = Writer::connect(server.url(), &ledger).await;
    for tenant in &tenants {
        writer.commit(*tenant).await;
    }
    caught_up(&other, &tenants, &ledger, RECOVERY).await;
    assert!(other.engine.rule_set(scope(cold), None).await.is_ok());
    let (_, stale) = watcher.end().await;
    assert!(stale > 0, "no decision was marked");
    writer.check_log().await;
    for node in [node, other] {
        node.engine.stop().await;
        node.store.close().await;
    }
}

/// Ends all connections to the database and keeps new ones out while `statements` run elsewhere.
async fn closed(server: &PrivateServer, statements: &[&str]) {
    let mut elsewhere = PgConnection::connect(&server.url().replace("/tenet?", "/postgres?")).await.unwrap();
    let around = [
        "alter database tenet with allow_connections false",
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tenet'",
    ];
    for statement in around.iter().chain(statements) {
        sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut elsewhere).await.unwrap();
    }
    sqlx::raw_sql("alter database tenet with allow_connections true").execute(&mut elsewhere).await.unwrap();
}

/// A node that has followed a tenant to some revision; then the database is what it was three revisions before.
/// Answers the node, the tenant, and the revisions served and stored.
async fn restored(
    server: &PrivateServer,
    ledger: &Arc<Ledger>,
    begin_epoch: &[&str],
) -> (Node, tenet::domain::TenantId, i64, i64) {
    let node = Node::start(server.url()).await;
    let mut writer = Writer::connect(server.url(), ledger).await;
    let tenant = tenant(&node, &mut writer, "acme").await;
    let stored = writer.commit(tenant).await;
    drop(writer);
    closed(server, &["create database backup template tenet"]).await;
    let mut writer = Writer::connect(server.url(), ledger).await;
    let mut served = stored;
    for _ in 0..3 {
        served = writer.commit(tenant).await;
    }
    caught_up(&node, &[tenant], ledger, RECOVERY).await;
    drop(writer);
    if !begin_epoch.is_empty() {
        let mut backup = PgConnection::connect(&server.url().replace("/tenet?", "/backup?")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(begin_epoch.join(";"))).execute(&mut backup).await.unwrap();
        backup.close().await.unwrap();
    }
    closed(server, &["drop database tenet with (force)", "alter database backup rename to tenet"]).await;
    (node, tenant, served, stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_with_a_new_epoch_is_served_though_its_revisions_are_lower() {
    let server = PrivateServer::start().await;
    let ledger = Arc::new(Ledger::default());
    let (node, tenant, served, stored) = restored(&server, &ledger, &["select tenet_begin_epoch()"]).await;
    assert!(stored < served);
    within(RECOVERY, "served as restored", async || {
        node.revision(tenant).await.is_ok_and(|revision| revision.0 == stored)
    })
    .await;
    assert_eq!(node.decide(tenant, stored).await, [Some(true), Some(true)]);
    assert_eq!(node.metric("tenet_revision_regressions_total"), 0);
    // From here on it counts on.
    let mut writer = Writer::connect(server.url(), &ledger).await;
    assert_eq!(writer.commit(tenant).await, stored + 1);
    within(BOUND + SCHEDULING, "followed", async || node.revision(tenant).await.unwrap().0 == stored + 1).await;
    node.engine.stop().await;
    node.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_without_a_new_epoch_raises_an_alarm_and_what_is_served_stays() {
    let server = PrivateServer::start().await;
    let ledger = Arc::new(Ledger::default());
    let (node, tenant, served, _) = restored(&server, &ledger, &[]).await;
    within(RECOVERY, "alarmed", async || node.metric("tenet_revision_regressions_total") > 0).await;
    assert_eq!(node.revision(tenant).await.unwrap().0, served, "a set never goes back on its own");
    node.engine.stop().await;
    node.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_in_place_that_breaks_no_connection_is_noticed_within_the_bound() {
    let server = PrivateServer::start().await;
    let ledger = Arc::new(Ledger::default());
    let node = Node::start(server.url()).await;
    let mut writer = Writer::connect(server.url(), &ledger).await;
    let tenant = tenant(&node, &mut writer, "acme").await;
    let stored = writer.commit(tenant).await;
    let served = writer.commit(tenant).await;
    caught_up(&node, &[tenant], &ledger, RECOVERY).await;

    // What `pg_restore` leaves behind: rows as they were, written anew, past the triggers.
    let mut owner = PgConnection::connect(server.url()).await.unwrap();
    let restore = format!(
        "begin; set local session_replication_role = replica;
         update tenants set revision = {stored};
         delete from tenant_changes where revision > {stored};
         create temporary table kept on commit drop as select * from installation;
         delete from installation; insert into installation select * from kept; commit"
    );
    sqlx::raw_sql(AssertSqlSafe(restore)).execute(&mut owner).await.unwrap();
    within(BOUND + SCHEDULING, "alarmed", async || node.metric("tenet_revision_regressions_total") > 0).await;
    assert_eq!(node.revision(tenant).await.unwrap().0, served, "a set never goes back on its own");
    node.engine.stop().await;
    node.store.close().await;
}
