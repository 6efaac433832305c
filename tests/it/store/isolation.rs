//! What keeps tenants apart in the database, whatever the SQL above it says.

use sqlx::{AssertSqlSafe, PgConnection};
use tenet::{
    domain::{AtRevision, Author, SchemaDefinition, SchemaVersion},
    ruleset::{ChangelogEntry, Operation},
};

use super::{as_role, change, connect, psql, rule, tenant};
use crate::support::{TestDatabase, scope};

const TENANT_TABLES: [&str; 6] =
    ["schemas", "rules", "derived_fields", "schema_changelog", "rule_history", "derived_field_history"];

async fn set_tenant(connection: &mut PgConnection, tenant: &str) {
    sqlx::query("select set_config('tenet.tenant_id', $1, false)").bind(tenant).execute(connection).await.unwrap();
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(connection).await.unwrap()
}

/// Two tenants with a row in every table.
async fn twins(database: &TestDatabase) -> [tenet::domain::Tenant; 2] {
    let store = connect(database).await;
    let twins = [tenant(&store, "acme").await, tenant(&store, "globex").await];
    let definition = SchemaDefinition::parse(&serde_json::json!({"facts": {"age": "int"}})).unwrap();
    for tenant in &twins {
        let log = ChangelogEntry {
            action: "create",
            from_version: None,
            to_version: SchemaVersion(1),
            actor: "test".to_owned(),
            rules_recompiled: 0,
            rules_failed: 0,
            details: serde_json::json!([]),
        };
        let field = tenet::domain::DerivedField {
            id: tenet::domain::DerivedFieldId::generate(),
            name: "grown".to_owned(),
            expression: "facts.age >= 18".to_owned(),
            description: None,
            value_type: "bool".to_owned(),
            dependencies: vec!["facts.age".to_owned()],
            active: true,
            created_at: tenant.created_at,
            updated_at: tenant.created_at,
        };
        let operations = [
            Operation::InsertSchema(SchemaVersion(1), definition.clone().into()),
            Operation::InsertDerivedField(field),
            Operation::InsertRule(rule("adult")),
            Operation::Log(log),
        ];
        change(&store, tenant, &operations).await;
    }
    twins
}

#[tokio::test]
async fn without_a_tenant_nothing_is_seen_and_with_one_only_its_own() {
    let database = TestDatabase::fresh().await;
    let [acme, _] = twins(&database).await;
    let mut service = as_role(&database).await;
    for table in TENANT_TABLES {
        assert_eq!(count(&mut service, table).await, 0, "{table}");
    }
    set_tenant(&mut service, &acme.id.to_string()).await;
    for table in TENANT_TABLES {
        assert_eq!(count(&mut service, table).await, 1, "{table}");
    }
    // What the setting is after a transaction that set it has ended.
    set_tenant(&mut service, "").await;
    for table in TENANT_TABLES {
        assert_eq!(count(&mut service, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn another_tenants_rows_are_neither_written_nor_removed() {
    let database = TestDatabase::fresh().await;
    let [acme, globex] = twins(&database).await;
    let mut service = as_role(&database).await;
    set_tenant(&mut service, &acme.id.to_string()).await;
    for sql in [
        format!("insert into rules (tenant_id, name, expression) values ('{}', 'x', 'true')", globex.id),
        format!("update rules set tenant_id = '{}'", globex.id),
    ] {
        let refused = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut service).await.unwrap_err();
        assert!(refused.to_string().contains("violates row-level security policy"), "{sql}: {refused}");
    }
    for sql in [
        format!("update rules set name = 'x' where tenant_id = '{}'", globex.id),
        format!("delete from rules where tenant_id = '{}'", globex.id),
    ] {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut service).await.unwrap();
        assert_eq!(done.rows_affected(), 0, "{sql}");
    }
}

#[tokio::test]
async fn a_reference_cannot_reach_another_tenants_row() {
    let database = TestDatabase::fresh().await;
    let [acme, globex] = twins(&database).await;
    let mut owner = psql(&database).await;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "insert into schemas (tenant_id, version, definition) values ('{}', 2, '{{}}')",
        globex.id
    )))
    .execute(&mut owner)
    .await
    .unwrap();
    let mut service = as_role(&database).await;
    set_tenant(&mut service, &acme.id.to_string()).await;
    // Version 2 exists, for the other one: a reference without the tenant in it would find it, past the policies.
    let refused = sqlx::raw_sql(AssertSqlSafe(format!(
        "insert into schema_changelog (tenant_id, action, to_version, actor, rules_recompiled, rules_failed)
         values ('{}', 'update', 2, 'test', 0, 0)",
        acme.id
    )))
    .execute(&mut service)
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("schema_changelog_to_fkey"), "{refused}");
}

#[tokio::test]
async fn every_table_with_tenants_content_is_under_forced_row_level_security() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    let open: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind in ('r', 'p') and not relispartition and relnamespace = 'public'::regnamespace
            and not (relrowsecurity and relforcerowsecurity) order by relname",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let expected = [
        "audit_heads",
        "count_queues",
        "decision_logs",
        "event_place",
        "event_queues",
        "installation",
        "nodes",
        "operator_keys",
        "schema_migrations",
        "tenant_changes",
        "tenants",
    ];
    assert_eq!(open, expected);
    let loose: Vec<String> = sqlx::query_scalar(
        "select conrelid::regclass || '.' || conname from pg_constraint
         where contype = 'f' and connamespace = 'public'::regnamespace
            and (confdeltype <> 'c' or not exists (select from pg_attribute
                where attrelid = conrelid and attnum = any (conkey) and attname = 'tenant_id'))",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(loose, [""; 0], "every foreign key has the tenant in it, and cascades");
    let keys: Vec<String> = sqlx::query_scalar(
        "select i.indrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indisprimary and c.relforcerowsecurity and a.attname <> 'tenant_id'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(keys, [""; 0], "every primary key begins with the tenant");
}

#[tokio::test]
async fn the_role_can_do_what_it_needs_and_no_more() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    let grants: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, string_agg(lower(privilege_type), ' ' order by privilege_type)
         from information_schema.role_table_grants where grantee = 'tenet_app' and table_schema = 'public'
         group by 1 order by 1",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let all = "delete insert select update";
    let expected = [
        ("api_key_uses", all),
        ("api_keys", all),
        ("audit_heads", "insert select update"),
        ("audit_log", "insert select"),
        ("count_days", all),
        ("count_deltas", "delete insert select"),
        ("count_hours", all),
        ("count_queues", all),
        ("dead_letters", all),
        ("decision_logs", "delete insert select"),
        ("decisions", "delete insert select"),
        ("derived_field_history", all),
        ("derived_fields", all),
        ("event_day_counts", all),
        ("event_keys", "delete insert select"),
        ("event_place", "select update"),
        ("event_queues", all),
        ("event_retries", all),
        ("events", "delete insert select"),
        ("installation", "select"),
        ("nodes", all),
        ("operator_keys", "delete insert select"),
        ("redrives", all),
        ("revision_notes", all),
        ("rule_history", all),
        ("rules", all),
        ("schema_changelog", "delete insert select"),
        ("schema_migrations", "select"),
        ("schemas", all),
        ("tenant_changes", "delete insert select"),
        ("tenants", all),
    ];
    assert_eq!(grants, expected.map(|(table, grants)| (table.to_owned(), grants.to_owned())));
    let may_begin_epoch: bool =
        sqlx::query_scalar("select has_function_privilege('tenet_app', 'tenet_begin_epoch()', 'execute')")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert!(!may_begin_epoch);
}

#[tokio::test]
async fn deleting_a_tenant_leaves_nothing_of_it_and_everything_of_the_others() {
    let database = TestDatabase::fresh().await;
    let [acme, _] = twins(&database).await;
    connect(&database)
        .await
        .delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let mut owner = psql(&database).await;
    for table in TENANT_TABLES {
        assert_eq!(count(&mut owner, table).await, 1, "{table}");
    }
}
