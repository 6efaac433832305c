//! The frequent queries find their rows by an index, whatever the number of tenants.

use sqlx::{AssertSqlSafe, PgConnection};

use super::psql;
use crate::support::TestDatabase;

const TENANTS: i32 = 1_000;
const RULES: i32 = 10;

async fn fill(connection: &mut PgConnection) {
    let sql = format!(
        "insert into tenants (name) select 'tenant ' || n from generate_series(1, {TENANTS}) n;
         insert into rules (tenant_id, name, expression, active)
            select id, 'rule ' || n, 'facts.age >= 18', n % 2 = 0 from tenants, generate_series(1, {RULES}) n;
         insert into schemas (tenant_id, version, definition, active)
            select id, n, jsonb_build_object('facts', jsonb_build_object('f' || n, 'int')), n = 2
            from tenants, generate_series(1, 10) n;
         insert into derived_fields (tenant_id, name, expression, dependencies)
            select id, 'field' || n, '1', jsonb_build_array('facts.f' || n || left(id::text, 8))
            from tenants, generate_series(1, 5) n;
         insert into schema_changelog (tenant_id, action, to_version, actor, rules_recompiled, rules_failed)
            select id, 'create', 1, 'test', 0, 0 from tenants;
         insert into audit_log (tenant_id, sequence, at, actor, action, resource, revision, hash)
            select id, n, now() + n * interval '1 second', 'actor ' || n % 7, 'action ' || n % 5, 'tenant', 1,
                sha256(''::bytea)
            from (select id from tenants order by name limit 20) t, generate_series(1, 1000) n;
         insert into audit_heads (tenant_id, sequence, hash) select id, 1, sha256(''::bytea) from tenants;
         analyze"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// The plan of `sql` for one tenant, as the service runs it: under the role's policies, prepared, and planned for any
/// value rather than for one.
async fn plan(connection: &mut PgConnection, tenant: uuid::Uuid, sql: &str) -> String {
    let statements = format!(
        "set local role tenet_app;
         select set_config('tenet.tenant_id', '{tenant}', true);
         set local plan_cache_mode = force_generic_plan;
         prepare planned (uuid) as {sql}"
    );
    let mut transaction = sqlx::Connection::begin(connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await.unwrap();
    let explain = AssertSqlSafe(format!("explain execute planned ('{tenant}')"));
    let lines: Vec<(String,)> =
        sqlx::raw_sql(explain).fetch_all(&mut *transaction).await.unwrap().iter().map(text).collect();
    sqlx::raw_sql("deallocate planned").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    lines.into_iter().map(|(line,)| line + "\n").collect()
}

fn text(row: &sqlx::postgres::PgRow) -> (String,) {
    (sqlx::Row::get(row, 0),)
}

#[tokio::test]
async fn the_frequent_queries_use_their_indexes() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    fill(&mut owner).await;
    let tenant: uuid::Uuid =
        sqlx::query_scalar("select id from tenants where name = 'tenant 500'").fetch_one(&mut owner).await.unwrap();
    let cases = [
        ("select * from tenants where id = $1", "tenants_pkey"),
        ("select * from tenants where id = $1 for no key update", "tenants_pkey"),
        (
            "select * from tenants where name >= 'tenant 5' and name < 'tenant 6' and $1 is not null order by name limit 51",
            "tenants_name_key",
        ),
        ("select * from rules where tenant_id = $1 order by created_at, id", "rules_created"),
        ("select * from rules where tenant_id = $1 and active order by created_at, id", "rules_active"),
        ("select * from rules where tenant_id = $1 and id = $1", "rules_pkey"),
        (
            "select * from rules where tenant_id = $1 and (created_at, id) > (now(), $1) order by created_at, id limit 51",
            "rules_created",
        ),
        ("select * from schemas where tenant_id = $1 and active", "schemas_active"),
        ("select * from schemas where tenant_id = $1 and version = 2", "schemas_version_key"),
        ("select max(version) from schemas where tenant_id = $1", "schemas_version_key"),
        ("select * from derived_fields where tenant_id = $1 order by created_at, id", "derived_fields_created"),
        (
            "select * from schema_changelog where tenant_id = $1 order by changed_at desc, id desc limit 51",
            "schema_changelog_changed",
        ),
        ("select * from audit_log where tenant_id = $1 order by sequence desc limit 51", "audit_log_pkey"),
        ("select * from audit_log where tenant_id = $1 and sequence > 10 order by sequence limit 51", "audit_log_pkey"),
        (
            "select * from audit_log where tenant_id = $1 and actor = 'nobody' order by sequence desc limit 51",
            "audit_log_actor",
        ),
        (
            "select * from audit_log where tenant_id = $1 and action = 'nothing' order by sequence desc limit 51",
            "audit_log_action",
        ),
        ("select sequence, hash from audit_heads where tenant_id = $1", "audit_heads_pkey"),
        ("select * from tenant_changes where xid >= '9999999999' and $1 is not null", "tenant_changes_xid"),
    ];
    for (sql, index) in cases {
        let plan = plan(&mut owner, tenant, sql).await;
        let found = plan.contains(index) && !plan.contains("Seq Scan");
        assert!(found, "{sql}\ndoes not use {index}:\n{plan}");
    }
}

#[tokio::test]
async fn schemas_and_dependencies_can_be_searched_by_their_content() {
    let database = TestDatabase::fresh().await;
    let mut owner = psql(&database).await;
    fill(&mut owner).await;
    for (sql, index) in [
        (r#"explain select * from schemas where definition @> '{"facts": {"f99": "int"}}'"#, "schemas_definition"),
        (
            r#"explain select * from derived_fields where dependencies @> '["facts.age"]'"#,
            "derived_fields_dependencies",
        ),
        ("explain select * from derived_fields where dependencies ? 'facts.age'", "derived_fields_dependencies"),
    ] {
        let rows = sqlx::raw_sql(sql).fetch_all(&mut owner).await.unwrap();
        let plan: String = rows.iter().map(|row| text(row).0 + "\n").collect();
        assert!(plan.contains(index), "{sql}\ndoes not use {index}:\n{plan}");
    }
}
