//! The audit log in the database: written with what it tells or not at all, only ever added to, and found out if not.

use sqlx::{AssertSqlSafe, PgConnection};
use tenet::{
    domain::{ApiKeyId, AtRevision, AuditFault, Author, KeyDigest, Rule, Tenant, TenantId},
    ruleset::Operation,
    store::{AuditFilter, PageRequest, Store},
};

use super::{as_role, change, connect, name, psql, rule, tenant};
use crate::support::{TestDatabase, scope};

/// A tenant whose log has `rows` rows.
async fn logged(store: &Store, text: &str, rows: usize) -> Tenant {
    let tenant = tenant(store, text).await;
    for row in 1..rows {
        change(store, &tenant, &[Operation::InsertRule(rule(&format!("rule {row}")))]).await;
    }
    tenant
}

async fn faults(store: &Store, tenant: TenantId) -> Vec<AuditFault> {
    store.verify_audit(scope(tenant)).await.unwrap().faults
}

async fn by_hand(owner: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(owner).await.unwrap();
}

#[tokio::test]
async fn a_row_changed_moved_removed_or_added_by_hand_is_found() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let mut owner = psql(&database).await;
    let cases: [(&str, &[AuditFault]); 7] = [
        ("update audit_log set actor = 'nobody' where sequence = 3", &[AuditFault::Changed(3)]),
        (
            "update audit_log set after = replace(after::text, 'rule 2', 'rule 9')::json where sequence = 3",
            &[AuditFault::Changed(3)],
        ),
        ("delete from audit_log where sequence in (2, 3)", &[AuditFault::Missing(2, 3)]),
        ("delete from audit_log where sequence = 5", &[AuditFault::Missing(5, 5)]),
        ("delete from audit_log", &[AuditFault::Missing(1, 5)]),
        (
            // Rows 2 and 3 in each other's place.
            "update audit_log set sequence = 102 where sequence = 2;
             update audit_log set sequence = 2 where sequence = 3;
             update audit_log set sequence = 3 where sequence = 102",
            &[AuditFault::Changed(2), AuditFault::Changed(3), AuditFault::Changed(4)],
        ),
        (
            "insert into audit_log select tenant_id, 6, at, actor, key_id, action, resource, revision, before, after,
                request_id, address, hash from audit_log where sequence = 5",
            &[AuditFault::Changed(6), AuditFault::Added(6, 6)],
        ),
    ];
    let untouched = logged(&store, "untouched", 3).await;
    for (index, (sql, expected)) in cases.into_iter().enumerate() {
        let acme = logged(&store, &format!("acme {index}"), 5).await;
        assert_eq!(faults(&store, acme.id).await, []);
        let only = format!("create temp view mine as select * from audit_log where tenant_id = '{}'", acme.id);
        by_hand(&mut owner, only).await;
        by_hand(&mut owner, sql.replace("audit_log", "mine")).await;
        assert_eq!(faults(&store, acme.id).await, expected, "{sql}");
        by_hand(&mut owner, "drop view mine".to_owned()).await;
    }
    assert_eq!(faults(&store, untouched.id).await, []);
}

#[tokio::test]
async fn the_service_can_neither_change_nor_remove_a_row() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let [acme, globex] = [logged(&store, "acme", 2).await, logged(&store, "globex", 2).await];
    let mut service = as_role(&database).await;
    sqlx::query("select set_config('tenet.tenant_id', $1, false)")
        .bind(acme.id.to_string())
        .execute(&mut service)
        .await
        .unwrap();
    for sql in ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"] {
        let refused = sqlx::raw_sql(sql).execute(&mut service).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{sql}: {refused}");
    }
    let seen: Vec<uuid::Uuid> =
        sqlx::query_scalar("select distinct tenant_id from audit_log").fetch_all(&mut service).await.unwrap();
    assert_eq!(seen, [acme.id.0]);
    let forged = format!(
        "insert into audit_log select '{}', 3, at, actor, key_id, action, resource, revision, before, after,
            request_id, address, hash from audit_log where sequence = 2",
        globex.id
    );
    let refused = sqlx::raw_sql(AssertSqlSafe(forged)).execute(&mut service).await.unwrap_err();
    assert!(refused.to_string().contains("violates row-level security policy"), "{refused}");
}

#[tokio::test]
async fn what_is_not_changed_is_not_told_and_what_is_changed_always() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    let twin = Rule { name: name("adult"), ..rule("x") };
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    transaction.commit(&[Operation::InsertRule(twin)], &Author::default()).await.unwrap_err();
    let page = PageRequest { cursor: None, limit: 10 };
    let rows = store.audit(scope(acme.id), &AuditFilter::default(), &page).await.unwrap().unwrap().items;
    assert_eq!(rows.iter().map(|row| row.action.as_str()).collect::<Vec<_>>(), ["rule.create", "tenant.create"]);
    // If it cannot be told, nothing is changed.
    by_hand(&mut psql(&database).await, "revoke insert on audit_log from tenet_app".to_owned()).await;
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    transaction.commit(&[Operation::DeleteRule(adult.id)], &Author::default()).await.unwrap_err();
    store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap_err();
    assert_eq!(store.snapshot(scope(acme.id)).await.unwrap().unwrap().rules.len(), 1);
}

#[tokio::test]
async fn a_key_of_an_operator_is_made_and_revoked_along_with_its_row_or_not_at_all() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let by = Author::command("tenet keys");
    let make = async |store: Store| {
        let id = ApiKeyId::generate();
        store
            .create_operator_key(id, "night shift", KeyDigest([7; 32]), &Author::command("tenet keys"))
            .await
            .map(|()| id)
    };
    // Several at once wait for each other.
    let makers: Vec<_> = (0..8).map(|_| tokio::spawn(make(store.clone()))).collect();
    let mut made = Vec::new();
    for maker in makers {
        made.push(maker.await.unwrap().unwrap());
    }
    assert!(store.delete_operator_key(made[0], &by).await.unwrap());
    assert!(!store.delete_operator_key(made[0], &by).await.unwrap());
    let report = store.verify_audit(scope(TenantId::NOBODY)).await.unwrap();
    assert_eq!((report.rows, report.faults), (9, Vec::new()));
    assert_eq!(store.audited_tenants(None, 10).await.unwrap(), [TenantId::NOBODY]);

    let mut owner = psql(&database).await;
    by_hand(&mut owner, "update audit_log set actor = 'nobody' where sequence = 3".to_owned()).await;
    assert_eq!(faults(&store, TenantId::NOBODY).await, [AuditFault::Changed(3)]);
    by_hand(&mut owner, "revoke insert on audit_log from tenet_app".to_owned()).await;
    make(store.clone()).await.unwrap_err();
    store.delete_operator_key(made[1], &by).await.unwrap_err();
    assert_eq!(store.operator_keys().await.unwrap().len(), 7);
}

#[tokio::test]
async fn writers_at_once_make_one_chain() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let (store, acme) = (store.clone(), acme.clone());
            tokio::spawn(async move {
                let rules = (0..10).map(|rule_number| rule(&format!("rule {number}.{rule_number}")));
                change(&store, &acme, &rules.map(Operation::InsertRule).collect::<Vec<_>>()).await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let report = store.verify_audit(scope(acme.id)).await.unwrap();
    assert_eq!((report.rows, report.faults), (201, Vec::new()));
}
