//! Following changes: polling misses none, and the listener says when it may have.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use tenet::{
    domain::{AtRevision, Author, Revision, Tenant},
    ruleset::Operation,
    store::{ChangeCursor, Heard, Listener, Poll, TenantHead},
};
use tokio::time::timeout;

use super::{change, connect, psql, rule, tenant};
use crate::support::{TestDatabase, scope};

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

fn head(tenant: &Tenant, revision: Option<i64>) -> TenantHead {
    TenantHead { tenant_id: tenant.id, revision: revision.map(Revision) }
}

#[tokio::test]
async fn a_poll_tells_what_changed_since_the_last_one_and_once() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let (acme, globex) = (tenant(&store, "acme").await, tenant(&store, "globex").await);
    let mut reconciler = store.reconciler();
    let mut cursor = ChangeCursor::default();
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![]), "the first only says from where on");
    change(&store, &acme, &[Operation::InsertRule(rule("one"))]).await;
    change(&store, &acme, &[Operation::InsertRule(rule("two"))]).await;
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&acme, Some(3))]));
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![]));
    store.delete_tenant(scope(globex.id), &AtRevision::Any, &Author::default()).await.unwrap();
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&globex, None)]));
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![]));
}

#[tokio::test]
async fn a_poll_never_misses_who_began_early_and_commits_late() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let (acme, globex) = (tenant(&store, "acme").await, tenant(&store, "globex").await);
    let (mut early, mut late) = (psql(&database).await, psql(&database).await);
    let mut reconciler = store.reconciler();
    let mut cursor = ChangeCursor::default();
    reconciler.poll(&mut cursor).await.unwrap();
    run(&mut early, &format!("begin; update tenants set tier = 'pro' where id = '{}'", acme.id)).await;
    run(&mut late, &format!("update tenants set tier = 'pro' where id = '{}'", globex.id)).await;
    assert_eq!(
        reconciler.poll(&mut cursor).await.unwrap(),
        Poll::Changes(vec![head(&globex, Some(2))]),
        "a transaction that stays open hides nobody else's change"
    );
    // Several polls pass by the open transaction.
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![]));
    run(&mut late, &format!("update tenants set tier = 'free' where id = '{}'", globex.id)).await;
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&globex, Some(3))]));
    run(&mut early, "commit").await;
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&acme, Some(2))]));
}

#[tokio::test]
async fn a_restored_database_is_told_apart() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    tenant(&store, "acme").await;
    let mut reconciler = store.reconciler();
    let mut cursor = ChangeCursor::default();
    reconciler.poll(&mut cursor).await.unwrap();
    let before = store.epoch().await.unwrap();
    run(&mut psql(&database).await, "select tenet_begin_epoch()").await;
    assert_ne!(store.epoch().await.unwrap(), before);
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Discontinuity);
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![]), "once");
}

#[tokio::test]
async fn polling_goes_on_after_its_connection_is_lost() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut reconciler = store.reconciler();
    let mut cursor = ChangeCursor::default();
    reconciler.poll(&mut cursor).await.unwrap();
    change(&store, &acme, &[Operation::InsertRule(rule("one"))]).await;
    terminate(&database, "tenet-reconcile").await;
    reconciler.poll(&mut cursor).await.unwrap_err();
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&acme, Some(2))]));
}

#[tokio::test]
async fn a_poll_given_up_halfway_loses_nothing() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut reconciler = store.reconciler();
    let mut cursor = ChangeCursor::default();
    reconciler.poll(&mut cursor).await.unwrap();
    change(&store, &acme, &[Operation::InsertRule(rule("one"))]).await;
    let mut owner = psql(&database).await;
    run(&mut owner, "begin; lock table tenant_changes in access exclusive mode").await;
    let given_up = timeout(Duration::from_millis(200), reconciler.poll(&mut cursor)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    run(&mut owner, "commit").await;
    assert_eq!(reconciler.poll(&mut cursor).await.unwrap(), Poll::Changes(vec![head(&acme, Some(2))]));
}

#[tokio::test]
async fn old_changes_are_forgotten() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    tenant(&store, "acme").await;
    run(&mut psql(&database).await, "update tenant_changes set changed_at = now() - interval '8 days'").await;
    tenant(&store, "globex").await;
    assert_eq!(store.purge_changes().await.unwrap(), 1);
    assert_eq!(store.purge_changes().await.unwrap(), 0);
}

async fn next(listener: &mut Listener) -> Heard {
    timeout(Duration::from_secs(10), listener.next()).await.expect("heard nothing").unwrap()
}

/// Ends the connections of that name, and waits until they are gone.
async fn terminate(database: &TestDatabase, application: &str) {
    let mut owner = psql(database).await;
    let ended: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where application_name = $1 and datname = current_database()",
    )
    .bind(application)
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(ended, [true], "{application}");
}

#[tokio::test]
async fn a_listener_that_lost_its_connection_says_so_before_it_goes_on() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut listener = store.listener();
    assert_eq!(next(&mut listener).await, Heard::Gap, "what was before is not known");
    change(&store, &acme, &[Operation::InsertRule(rule("one"))]).await;
    assert_eq!(next(&mut listener).await, Heard::Change(acme.id, Revision(2)));
    terminate(&database, "tenet-listener").await;
    change(&store, &acme, &[Operation::InsertRule(rule("two"))]).await;
    listener.next().await.unwrap_err();
    assert_eq!(next(&mut listener).await, Heard::Gap);
    change(&store, &acme, &[Operation::InsertRule(rule("three"))]).await;
    assert_eq!(next(&mut listener).await, Heard::Change(acme.id, Revision(4)));
    store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap();
    assert_eq!(next(&mut listener).await, Heard::Change(acme.id, Revision(5)));
}

#[tokio::test]
async fn a_notification_that_says_nothing_counts_as_a_gap() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let mut listener = store.listener();
    assert_eq!(next(&mut listener).await, Heard::Gap);
    run(&mut psql(&database).await, "notify tenet_changes, 'hello'").await;
    assert_eq!(next(&mut listener).await, Heard::Gap);
}
