//! The role that the service works as: it owns nothing, bypasses nothing, and can do only what is granted here.
//!
//! It belongs to the cluster, not to a database, and is therefore made outside the numbered migrations.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::Error;

/// Its name, unless another is set.
pub const DEFAULT: &str = "tenet_app";

/// What the role may do with each table. A catalogue test holds that every table is here.
const GRANTS: &[(&str, &str)] = &[
    ("installation", "select"),
    ("schema_migrations", "select"),
    ("nodes", "select, insert, update, delete"),
    ("api_keys", "select, insert, update, delete"),
    ("api_key_uses", "select, insert, update, delete"),
    ("operator_keys", "select, insert, delete"),
    ("tenants", "select, insert, update, delete"),
    ("tenant_changes", "select, insert, delete"),
    ("schemas", "select, insert, update, delete"),
    ("rules", "select, insert, update, delete"),
    ("derived_fields", "select, insert, update, delete"),
    ("revision_notes", "select, insert, update, delete"),
    ("rule_history", "select, insert, update, delete"),
    ("derived_field_history", "select, insert, update, delete"),
    ("schema_changelog", "select, insert, delete"),
    ("audit_log", "select, insert"),
    ("audit_heads", "select, insert, update"),
    ("events", "select, insert, delete"),
    ("decisions", "select, insert, delete"),
    ("event_keys", "select, insert, delete"),
    ("event_retries", "select, insert, update, delete"),
    ("dead_letters", "select, insert, update, delete"),
    ("redrives", "select, insert, update, delete"),
    ("event_day_counts", "select, insert, update, delete"),
    ("event_queues", "select, insert, update, delete"),
    ("event_place", "select, update"),
    ("count_deltas", "select, insert, delete"),
    ("count_hours", "select, insert, update, delete"),
    ("count_days", "select, insert, update, delete"),
    ("count_queues", "select, insert, update, delete"),
    ("decision_logs", "select, insert, delete"),
];

/// What the role may call of the owner's: these run with the owner's rights.
const CALLS: &[&str] = &["tenet_make_event_partition(integer)", "tenet_drop_event_partition(timestamptz, timestamptz)"];

/// Whether `name` can be a role's name without quoting: what all settings must be.
pub fn is_valid_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    first && rest && name.len() <= 63 && !name.starts_with("pg_")
}

/// Takes on the role for the whole session, and makes sure that row level security holds for it.
pub(super) async fn assume(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('role', $1, false)").bind(role).execute(&mut *connection).await?;
    let row = sqlx::query(
        "select current_user::text as name, r.rolsuper, r.rolbypassrls,
            exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where pg_has_role(r.oid, c.relowner, 'member') and c.relkind = 'r' and n.nspname = current_schema()
                    and c.relname in ('tenants', 'schemas', 'rules', 'derived_fields', 'api_keys',
                        'audit_log')) as owner
        from pg_roles r where r.rolname = current_user",
    )
    .fetch_one(connection)
    .await?;
    let name: String = row.try_get("name")?;
    let faults = [("rolsuper", "is a superuser"), ("rolbypassrls", "has BYPASSRLS"), ("owner", "owns the tables")];
    for (column, fault) in faults {
        if row.try_get(column)? {
            return Err(unfit(format!(
                "the role `{name}` {fault}, so that tenants would not be kept apart; \
                 name another with `TENET_DATABASE_ROLE`, and run `tenet migrate up`"
            )));
        }
    }
    Ok(())
}

fn unfit(message: String) -> sqlx::Error {
    sqlx::Error::Configuration(message.into())
}

/// What it means that a connection could not be made, or could not take on the role.
pub(super) fn explain(operation: &'static str, error: sqlx::Error, role: &str) -> Error {
    if let sqlx::Error::Configuration(message) = error {
        return Error::Role(message.to_string());
    }
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    match code.as_str() {
        "22023" => Error::Role(format!("there is no role `{role}`; run `tenet migrate up`")),
        "42501" => Error::Role(format!(
            "the login may not work as the role `{role}`; an administrator must run: grant {role} to <login>"
        )),
        _ => Error::of(operation, error),
    }
}

/// Whether the session's login is a superuser, whatever role it has taken on.
pub(super) async fn login_is_superuser(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select rolsuper from pg_roles where rolname = session_user").fetch_one(connection).await
}

/// The role cannot be made or given by this login.
#[derive(Debug, thiserror::Error)]
#[error("the login `{login}` may not {what}; an administrator must run:\n{sql}")]
pub struct RoleRefused {
    /// Who was refused.
    pub login: String,
    /// What it tried.
    pub what: String,
    /// What to run instead.
    pub sql: String,
}

/// Why a role is not ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnsureError {
    #[error(transparent)]
    Refused(#[from] RoleRefused),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Makes the role if there is none, and lets `logins` work as it. Databases of one cluster may do so at once.
pub(super) async fn ensure(connection: &mut PgConnection, role: &str, logins: &[String]) -> Result<(), EnsureError> {
    let login: String = sqlx::query_scalar("select session_user::text").fetch_one(&mut *connection).await?;
    let major = server_major(connection).await?;
    let all: Vec<&str> = std::iter::once(login.as_str()).chain(logins.iter().map(String::as_str)).collect();
    if !exists(connection, role).await? {
        let sql = format!("create role {role} nologin");
        if let Err(error) = connection.execute(AssertSqlSafe(sql.clone())).await {
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
            match code.as_str() {
                // Somebody else was quicker; which of the two is said depends on how much.
                "42710" | "23505" => {}
                "42501" => {
                    let what = format!("create the role `{role}`");
                    let grants = all.iter().map(|login| grant_to(role, login, major) + ";\n");
                    let sql = format!("{sql};\n{}", grants.collect::<String>());
                    return Err(RoleRefused { login, what, sql }.into());
                }
                _ => return Err(error.into()),
            }
        }
    }
    for member in &all {
        if !may_assume(connection, role, member, major).await? {
            admit(connection, role, member, major, &login).await?;
        }
    }
    Ok(())
}

async fn exists(connection: &mut PgConnection, role: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)").bind(role).fetch_one(connection).await
}

async fn server_major(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("select current_setting('server_version_num')::int / 10000").fetch_one(connection).await
}

/// Whether `login` can take on the role; a login that does not exist needs nothing.
async fn may_assume(connection: &mut PgConnection, role: &str, login: &str, major: i32) -> Result<bool, sqlx::Error> {
    // Until version 16 every member could; since then membership alone is not enough.
    let privilege = if major >= 16 { "SET" } else { "MEMBER" };
    let may: Option<bool> = sqlx::query_scalar("select pg_has_role(oid, $2, $3) from pg_roles where rolname = $1")
        .bind(login)
        .bind(role)
        .bind(privilege)
        .fetch_optional(connection)
        .await?;
    Ok(may.unwrap_or(true))
}

fn grant_to(role: &str, login: &str, major: i32) -> String {
    let login = quote(login);
    if major >= 16 { format!("grant {role} to {login} with set true") } else { format!("grant {role} to {login}") }
}

/// A name as SQL writes it. Logins, unlike our role, can have any name.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn admit(
    connection: &mut PgConnection,
    role: &str,
    member: &str,
    major: i32,
    login: &str,
) -> Result<(), EnsureError> {
    /// Grants of one role at the same time fail on each other's row of the catalogue.
    const ATTEMPTS_MAX: u32 = 20;
    let sql = grant_to(role, member, major);
    let mut attempt = 1;
    loop {
        let Err(error) = connection.execute(AssertSqlSafe(sql.clone())).await else { return Ok(()) };
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        match code.as_str() {
            "42501" => {
                let what = format!("let `{member}` work as the role `{role}`");
                return Err(RoleRefused { login: login.to_owned(), what, sql: format!("{sql};\n") }.into());
            }
            // "tuple concurrently updated" has no code of its own.
            "XX000" | "23505" if attempt < ATTEMPTS_MAX => attempt += 1,
            _ => return Err(error.into()),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Lets the role use what this database has; what a migration dropped took its grants along.
pub(super) async fn grant(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let schema: String =
        sqlx::query_scalar("select quote_ident(current_schema()::text)").fetch_one(&mut *transaction).await?;
    transaction.execute(AssertSqlSafe(format!("grant usage on schema {schema} to {role}"))).await?;
    for (table, privileges) in GRANTS {
        if table_exists(&mut transaction, table).await? {
            let sql = format!("revoke all on {table} from {role}; grant {privileges} on {table} to {role}");
            transaction.execute(AssertSqlSafe(sql)).await?;
        }
    }
    for function in CALLS {
        if function_exists(&mut transaction, function).await? {
            transaction.execute(AssertSqlSafe(format!("grant execute on function {function} to {role}"))).await?;
        }
    }
    transaction.commit().await
}

/// Takes from the role what it may in this database. The role itself stays: other databases use it.
pub(super) async fn revoke(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    if !exists(connection, role).await? {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    let schema: String =
        sqlx::query_scalar("select quote_ident(current_schema()::text)").fetch_one(&mut *transaction).await?;
    for (table, _) in GRANTS {
        if table_exists(&mut transaction, table).await? {
            transaction.execute(AssertSqlSafe(format!("revoke all on {table} from {role}"))).await?;
        }
    }
    for function in CALLS {
        if function_exists(&mut transaction, function).await? {
            transaction.execute(AssertSqlSafe(format!("revoke execute on function {function} from {role}"))).await?;
        }
    }
    transaction.execute(AssertSqlSafe(format!("revoke usage on schema {schema} from {role}"))).await?;
    transaction.commit().await
}

async fn table_exists(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(connection).await
}

async fn function_exists(connection: &mut PgConnection, function: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regprocedure($1) is not null").bind(function).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_plain_name() {
        for name in ["tenet_app", "_a", "a9"] {
            assert!(is_valid_name(name), "{name}");
        }
        for name in ["", "9a", "Tenet", "a-b", "a b", "a\"b", "pg_monitor", &"a".repeat(64)] {
            assert!(!is_valid_name(name), "{name}");
        }
    }

    #[test]
    fn a_login_of_any_name_is_quoted() {
        assert_eq!(grant_to("tenet_app", "o\"neil", 15), "grant tenet_app to \"o\"\"neil\"");
        assert_eq!(grant_to("tenet_app", "svc", 16), "grant tenet_app to \"svc\" with set true");
    }
}
