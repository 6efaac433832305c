//! The table that tells which migrations are applied.

use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor, FromRow, PgConnection, migrate::Migration};

use super::Status;

/// A row of `schema_migrations`.
#[derive(Debug, FromRow)]
pub(super) struct Applied {
    pub(super) version: i64,
    description: String,
    installed_on: DateTime<Utc>,
    /// False while, and after, a migration outside a transaction was cut short.
    pub(super) success: bool,
    pub(super) checksum: Vec<u8>,
}

impl Applied {
    pub(super) fn status(&self) -> Status {
        Status {
            version: self.version,
            description: self.description.clone(),
            applied_at: Some(self.installed_on),
            dirty: !self.success,
        }
    }
}

/// Makes the table. The columns are those that `sqlx`'s own tools read; `dirty` is what others call the contrary of
/// `success`.
pub(super) async fn ensure(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection
        .execute(
            "create table if not exists schema_migrations (
                version bigint primary key,
                description text not null,
                installed_on timestamptz not null default now(),
                success boolean not null,
                dirty boolean not null generated always as (not success) stored,
                checksum bytea not null,
                execution_time bigint not null
            )",
        )
        .await
        .map(drop)
}

/// Every row, oldest first; none if there is no table.
pub(super) async fn read(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('schema_migrations') is not null").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select version, description, installed_on, success, checksum from schema_migrations order by version",
    )
    .fetch_all(connection)
    .await
}

/// Says that `migration` is under way, if not yet `success`, or applied.
pub(super) async fn record(
    connection: &mut PgConnection,
    migration: &Migration,
    success: Success,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into schema_migrations (version, description, success, checksum, execution_time)
         values ($1, $2, $3, $4, -1)
         on conflict (version) do update set success = excluded.success, checksum = excluded.checksum",
    )
    .bind(migration.version)
    .bind(&*migration.description)
    .bind(success == Success::Complete)
    .bind(&*migration.checksum)
    .execute(connection)
    .await
    .map(drop)
}

/// How far a migration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Success {
    /// Begun. If it stays so, it ended halfway.
    Begun,
    /// Complete.
    Complete,
}

/// How long an applied migration took.
pub(super) async fn record_time(
    connection: &mut PgConnection,
    version: i64,
    nanoseconds: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update schema_migrations set execution_time = $2 where version = $1")
        .bind(version)
        .bind(nanoseconds)
        .execute(connection)
        .await
        .map(drop)
}

/// Says that `version` is not applied any more.
pub(super) async fn remove(connection: &mut PgConnection, version: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from schema_migrations where version = $1").bind(version).execute(connection).await.map(drop)
}

/// Says that `below` are applied as they are now, and nothing beyond `version`.
pub(super) async fn force(connection: &mut PgConnection, version: i64, below: &[Migration]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("delete from schema_migrations where version > $1").bind(version).execute(&mut *transaction).await?;
    for migration in below {
        record(&mut transaction, migration, Success::Complete).await?;
    }
    transaction.commit().await
}
