//! Every change is counted once, whoever makes it.

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgListener};
use tenet::{
    domain::{AtRevision, Author, Revision, TenantId, TenantPatch, Tier},
    ruleset::Operation,
};

use super::{change, connect, name, psql, rule, tenant};
use crate::support::{TestDatabase, scope};

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(connection).await.unwrap();
}

async fn log(connection: &mut PgConnection, tenant: TenantId) -> Vec<(i64, String)> {
    sqlx::query_as("select revision, kind from tenant_changes where tenant_id = $1 order by revision")
        .bind(tenant.0)
        .fetch_all(connection)
        .await
        .unwrap()
}

fn entry(revision: i64, kind: &str) -> (i64, String) {
    (revision, kind.to_owned())
}

#[tokio::test]
async fn a_transaction_counts_once_however_many_statements_it_has() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    assert_eq!(acme.revision, Revision(1));
    let (one, two) = (rule("one"), rule("two"));
    let patch = TenantPatch { tier: Some(Tier::Pro), ..TenantPatch::default() };
    let operations = [Operation::InsertRule(one.clone()), Operation::InsertRule(two), Operation::UpdateTenant(patch)];
    assert_eq!(change(&store, &acme, &operations).await, Revision(2));
    assert_eq!(change(&store, &acme, &[Operation::DeleteRule(one.id)]).await, Revision(3));
    let mut owner = psql(&database).await;
    assert_eq!(log(&mut owner, acme.id).await, [entry(1, "created"), entry(2, "changed"), entry(3, "changed")]);
}

#[tokio::test]
async fn nothing_to_write_counts_nothing() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    assert_eq!(change(&store, &acme, &[]).await, Revision(1));
    // And the tenant's lock is free again.
    assert_eq!(change(&store, &acme, &[Operation::InsertRule(rule("one"))]).await, Revision(2));
}

#[tokio::test]
async fn rows_edited_by_hand_count_for_each_tenant_concerned() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let (acme, globex) = (tenant(&store, "acme").await, tenant(&store, "globex").await);
    for tenant in [&acme, &globex] {
        change(&store, tenant, &[Operation::InsertRule(rule("adult"))]).await;
    }
    let mut owner = psql(&database).await;
    run(&mut owner, "update rules set active = false").await;
    run(&mut owner, "begin; update rules set active = true; savepoint s; delete from rules; rollback to s; commit")
        .await;
    run(&mut owner, "update rules set active = true where false").await;
    let heads = store.heads_unlike(&[(acme.id, None), (globex.id, None)]).await.unwrap();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| head.revision == Some(Revision(4))), "{heads:?}");
    let known = [(acme.id, Some(Revision(4))), (globex.id, Some(Revision(3)))];
    let told: Vec<TenantId> =
        store.heads_unlike(&known).await.unwrap().into_iter().map(|head| head.tenant_id).collect();
    assert_eq!(told, [globex.id], "nothing is told of those who know");
    run(
        &mut owner,
        format!("insert into derived_fields (tenant_id, name, expression) values ('{}', 'a', '1')", acme.id),
    )
    .await;
    run(&mut owner, format!("insert into schemas (tenant_id, version, definition) values ('{}', 1, '{{}}')", acme.id))
        .await;
    assert_eq!(store.tenant(scope(acme.id)).await.unwrap().unwrap().revision, Revision(6));
    assert_eq!(store.tenant(scope(globex.id)).await.unwrap().unwrap().revision, Revision(4));
}

#[tokio::test]
async fn a_revision_written_by_hand_is_not_believed() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut owner = psql(&database).await;
    run(&mut owner, "update tenants set revision = 70, bumped_xid = null").await;
    assert_eq!(store.tenant(scope(acme.id)).await.unwrap().unwrap().revision, Revision(2));
    let refused = sqlx::query("update tenants set id = gen_random_uuid()").execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("the id of a tenant cannot be changed"), "{refused}");
}

#[tokio::test]
async fn a_deletion_is_recorded_and_outlives_the_tenant() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    change(&store, &acme, &[Operation::InsertRule(rule("adult"))]).await;
    assert_eq!(
        store.delete_tenant(scope(acme.id), &AtRevision::OneOf(vec![Revision(1)]), &Author::default()).await.unwrap(),
        Some(Err(Revision(2)))
    );
    assert_eq!(
        store.delete_tenant(scope(acme.id), &AtRevision::OneOf(vec![Revision(2)]), &Author::default()).await.unwrap(),
        Some(Ok(Revision(3)))
    );
    assert_eq!(store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap(), None);
    assert_eq!(store.heads_unlike(&[(acme.id, Some(Revision(1)))]).await.unwrap()[0].revision, None);
    let mut owner = psql(&database).await;
    assert_eq!(
        log(&mut owner, acme.id).await,
        [entry(1, "created"), entry(2, "changed"), entry(3, "deleted")],
        "and the rows deleted along with it are not counted on top"
    );
    let left: i64 = sqlx::query_scalar("select count(*) from rules").fetch_one(&mut owner).await.unwrap();
    assert_eq!(left, 0);
    run(&mut owner, format!("insert into tenants (id, name) values ('{}', 'acme')", acme.id)).await;
    assert_eq!(
        store.tenant(scope(acme.id)).await.unwrap().unwrap().revision,
        Revision(4),
        "a tenant put back goes on, so that no node takes its new state for an old one"
    );
}

#[tokio::test]
async fn truncating_is_refused() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    for table in ["tenants cascade", "schemas cascade", "rules", "derived_fields", "schema_changelog", "tenant_changes"]
    {
        let refused = sqlx::raw_sql(AssertSqlSafe(format!("truncate {table}"))).execute(&mut owner).await.unwrap_err();
        assert!(refused.to_string().contains("is refused"), "{table}: {refused}");
    }
}

#[tokio::test]
async fn each_revision_is_notified_once() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let mut listener = PgListener::connect(database.url()).await.unwrap();
    listener.listen("tenet_changes").await.unwrap();
    let acme = tenant(&store, "acme").await;
    let operations = [Operation::InsertRule(rule("one")), Operation::InsertRule(rule("two"))];
    change(&store, &acme, &operations).await;
    store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap();
    tenant(&store, "last").await;
    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.push(listener.recv().await.unwrap().payload().to_owned());
    }
    let expected: Vec<String> = (1..=3).map(|revision| format!("{}:{revision}", acme.id)).collect();
    assert_eq!(heard[..3], expected);
}

#[tokio::test]
async fn writers_of_one_tenant_make_revisions_without_gaps() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let (store, acme) = (store.clone(), acme.clone());
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for turn in 0..5 {
                    let rule = rule(&format!("{writer}-{turn}"));
                    revisions.push(change(&store, &acme, &[Operation::InsertRule(rule)]).await.0);
                }
                revisions
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for writer in writers {
        revisions.extend(writer.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=31).collect::<Vec<i64>>());
    assert_eq!(store.snapshot(scope(acme.id)).await.unwrap().unwrap().rules.len(), 30);
}

#[tokio::test]
async fn the_time_of_a_change_is_the_snapshots_time() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    let taken_at = transaction.snapshot().taken_at;
    let renamed = tenet::domain::Rule { name: name("grown up"), ..adult.clone() };
    transaction.commit(&[Operation::UpdateRule(renamed)], &Author::default()).await.unwrap();
    let (tenant, stored) = store.rule(scope(acme.id), adult.id).await.unwrap().unwrap();
    assert_eq!(stored.unwrap().updated_at, taken_at);
    assert_eq!(tenant.updated_at, taken_at);
}
