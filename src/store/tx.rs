//! A transaction in which one tenant can be seen: the only way to the tables of tenants.

use sqlx::{
    AssertSqlSafe, FromRow, Postgres, SqlSafeStr, Transaction,
    postgres::{PgArguments, PgRow},
    query::{Query, QueryAs},
};

use super::{Error, pool::Pool, statement::Observer};
use crate::domain::{TenantId, TenantScope};

/// One moment of one tenant, read only.
const READ: &str = "begin isolation level repeatable read read only";
/// Writers wait for the tenant's row; what they read under its lock cannot change.
const WRITE: &str = "begin isolation level read committed read write";

/// A transaction of one tenant. Rolls back when dropped.
#[derive(Debug)]
pub(super) struct TenantTx {
    transaction: Transaction<'static, Postgres>,
    observer: Observer,
    /// The tenant that row level security lets through.
    pub(super) tenant: TenantId,
}

impl TenantTx {
    /// Begins reading.
    pub(super) async fn read(pool: &Pool, role: &str, scope: TenantScope) -> Result<Self, Error> {
        Self::begin(pool, role, scope, READ).await
    }

    /// Begins writing.
    pub(super) async fn write(pool: &Pool, role: &str, scope: TenantScope) -> Result<Self, Error> {
        Self::begin(pool, role, scope, WRITE).await
    }

    async fn begin(pool: &Pool, role: &str, scope: TenantScope, begin: &'static str) -> Result<Self, Error> {
        let observer = pool.observer().clone();
        // In one message, so that it is one round trip.
        let begin = format!("{begin}; {}", as_tenant(role, scope));
        let transaction = pool.begin(AssertSqlSafe(begin).into_sql_str()).await?;
        Ok(Self { transaction, observer, tenant: scope.id() })
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
        self.observer.timed(operation, query.fetch_all(&mut *self.transaction)).await
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
        self.observer.timed(operation, query.fetch_optional(&mut *self.transaction)).await
    }

    /// Runs a statement; answers how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        operation: &'static str,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, Error> {
        let done = self.observer.timed(operation, query.execute(&mut *self.transaction)).await?;
        Ok(done.rows_affected())
    }

    /// Makes what was written last.
    pub(super) async fn commit(self, operation: &'static str) -> Result<(), Error> {
        let result = self.observer.answered("commit", self.transaction.commit()).await;
        result.map_err(|error| Error::of_commit(operation, error))
    }

    /// Ends reading.
    pub(super) async fn end(self) -> Result<(), Error> {
        let Self { transaction, observer, .. } = self;
        observer.timed("commit", transaction.commit()).await
    }

    /// Undoes everything.
    pub(super) async fn rollback(self) -> Result<(), Error> {
        let Self { transaction, observer, .. } = self;
        observer.timed("rollback", transaction.rollback()).await
    }
}

/// What lets a transaction see one tenant. The role again, in case anything undid it; both settings end with the
/// transaction.
pub(super) fn as_tenant(role: &str, scope: TenantScope) -> String {
    let role = role.replace('\'', "''");
    format!("select set_config('role', '{role}', true), set_config('tenet.tenant_id', '{}', true)", scope.id().0)
}
