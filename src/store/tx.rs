//! A transaction in which one tenant can be seen: the only way to the tables of tenants.

use std::time::Instant;

use sqlx::{
    AssertSqlSafe, FromRow, Postgres, SqlSafeStr, Transaction,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs},
};

use super::{Error, guard::Passage, pool::Pool, statement::Observer};
use crate::{
    breakers::Dependency,
    domain::{TenantId, TenantScope},
};

/// One moment of one tenant, read only.
const READ: &str = "begin isolation level repeatable read read only";
/// Writers wait for the tenant's row; what they read under its lock cannot change.
const WRITE: &str = "begin isolation level read committed read write";

/// A transaction of one tenant. Rolls back when dropped.
#[derive(Debug)]
pub(super) struct TenantTx {
    transaction: Transaction<'static, Postgres>,
    observer: Observer,
    passage: Option<Passage>,
    /// The tenant that row level security lets through.
    pub(super) tenant: TenantId,
}

impl TenantTx {
    /// Begins reading.
    pub(super) async fn read(pool: &Pool, role: &str, scope: TenantScope) -> Result<Self, Error> {
        Self::begin(pool, role, scope, (READ, Dependency::PostgresRead)).await
    }

    /// Begins writing.
    pub(super) async fn write(pool: &Pool, role: &str, scope: TenantScope) -> Result<Self, Error> {
        Self::begin(pool, role, scope, (WRITE, Dependency::PostgresWrite)).await
    }

    async fn begin(
        pool: &Pool,
        role: &str,
        scope: TenantScope,
        (begin, dependency): (&'static str, Dependency),
    ) -> Result<Self, Error> {
        let mut passage = match pool.guard() {
            Some(guard) => Some(guard.pass("begin", scope.id(), dependency).await?),
            None => None,
        };
        let observer = pool.observer().clone();
        // In one message, so that it is one round trip.
        let begin = format!("{begin}; {}", as_tenant(role, scope));
        let began = Instant::now();
        let transaction = pool.begin(AssertSqlSafe(begin).into_sql_str()).await;
        if let Some(passage) = &mut passage {
            match &transaction {
                Err(error) if !pool.is_used_up() => passage.note_unconnected(error),
                answer => passage.note(answer.as_ref().err(), began),
            }
        }
        Ok(Self { transaction: transaction?, observer, passage, tenant: scope.id() })
    }

    /// Notes how a statement that began then has ended.
    fn noted<T>(&mut self, began: Instant, result: Result<T, Error>) -> Result<T, Error> {
        if let Some(passage) = &mut self.passage {
            passage.note(result.as_ref().err(), began);
        }
        result
    }

    /// The rows of a query.
    pub(super) async fn all<T>(
        &mut self,
        operation: &'static str,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> Result<Vec<T>, Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let began = Instant::now();
        let result = self.observer.timed(operation, query.fetch_all(&mut *self.transaction)).await;
        self.noted(began, result)
    }

    /// The row of a query, if there is one.
    pub(super) async fn optional<T>(
        &mut self,
        operation: &'static str,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> Result<Option<T>, Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let began = Instant::now();
        let result = self.observer.timed(operation, query.fetch_optional(&mut *self.transaction)).await;
        self.noted(began, result)
    }

    /// Runs a statement; answers how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        operation: &'static str,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, Error> {
        let began = Instant::now();
        let result = self.observer.timed(operation, query.execute(&mut *self.transaction)).await;
        self.noted(began, result).map(|done| done.rows_affected())
    }

    /// Makes what was written last.
    pub(super) async fn commit(self, operation: &'static str) -> Result<(), Error> {
        let Self { transaction, observer, mut passage, .. } = self;
        let began = Instant::now();
        let result = observer.answered("commit", transaction.commit()).await;
        let result = result.map_err(|error| Error::of_commit(operation, error));
        if let Some(passage) = &mut passage {
            passage.note(result.as_ref().err(), began);
        }
        result
    }

    /// Ends reading.
    pub(super) async fn end(self) -> Result<(), Error> {
        let Self { transaction, observer, passage: _passage, .. } = self;
        observer.timed("commit", transaction.commit()).await
    }

    /// Undoes everything.
    pub(super) async fn rollback(self) -> Result<(), Error> {
        let Self { transaction, observer, passage: _passage, .. } = self;
        observer.timed("rollback", transaction.rollback()).await
    }
}

/// What lets a transaction see one tenant. The role again, in case anything undid it; both settings end with the
/// transaction.
pub(super) fn as_tenant(role: &str, scope: TenantScope) -> String {
    let role = role.replace('\'', "''");
    format!("select set_config('role', '{role}', true), set_config('tenet.tenant_id', '{}', true)", scope.id().0)
}
