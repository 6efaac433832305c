//! Whether the tables are those that this service works with.

use sqlx::{PgConnection, Row};

use super::migrate;

/// Why the service cannot work with a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaMismatch {
    /// No migration has been applied.
    #[error("the database is not migrated; run `tenet migrate up`, or start with `--migrate`")]
    Missing,
    /// A migration that the service needs has not been applied.
    #[error(
        "the database is at migration {found}, and this service needs {needed}; \
         run `tenet migrate up`, or start with `--migrate`"
    )]
    Older {
        /// The newest migration applied.
        found: i64,
        /// The newest migration that the service needs.
        needed: i64,
    },
    /// A migration ended halfway.
    #[error("migration {0} ended halfway; repair what it left, then run `tenet migrate force <version>`")]
    Dirty(i64),
    /// The database was migrated by a newer service, which says that this one is too old.
    #[error("the database needs tenet {minimum} or later, and this is {this}; install that")]
    TooNew {
        /// The oldest version that can work with the tables.
        minimum: String,
        /// This version.
        this: &'static str,
    },
}

const THIS_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Compares what is applied with what this service was built with.
pub(super) async fn check(connection: &mut PgConnection) -> Result<Result<(), SchemaMismatch>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar(
        "select coalesce(has_table_privilege(to_regclass('schema_migrations'), 'select'), false)
            and coalesce(has_table_privilege(to_regclass('installation'), 'select'), false)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !exists {
        return Ok(Err(SchemaMismatch::Missing));
    }
    let row = sqlx::query(
        "select coalesce(max(version), 0) as newest, min(version) filter (where not success) as dirty,
            array_agg(version) filter (where success) as applied,
            (select minimum_version from installation) as minimum
         from schema_migrations",
    )
    .fetch_one(connection)
    .await?;
    if let Some(version) = row.try_get::<Option<i64>, _>("dirty")? {
        return Ok(Err(SchemaMismatch::Dirty(version)));
    }
    let applied: Option<Vec<i64>> = row.try_get("applied")?;
    let applied = applied.unwrap_or_default();
    let needed = migrate::embedded_versions();
    if let Some(newest) = needed.iter().max().copied()
        && needed.iter().any(|version| !applied.contains(version))
    {
        return Ok(Err(SchemaMismatch::Older { found: row.try_get("newest")?, needed: newest }));
    }
    let minimum: Option<String> = row.try_get("minimum")?;
    let minimum = minimum.unwrap_or_default();
    if numbers(&minimum) > numbers(THIS_VERSION) {
        return Ok(Err(SchemaMismatch::TooNew { minimum, this: THIS_VERSION }));
    }
    Ok(Ok(()))
}

/// A version's numbers, to be compared in order.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.10.0") > numbers("0.9.9"));
        assert!(numbers("1.0.0") > numbers("0.99.0"));
        assert_eq!(numbers("1.2.3-rc.1"), [1, 2, 3]);
    }
}
