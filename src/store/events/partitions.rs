//! Days and weeks of events as tables of their own: made ahead, dropped whole. The service's role owns no table; two
//! functions of the owner's do it, one partition a call, each call a transaction.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::floor;
use crate::{
    domain::{TenantId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// Days for which there are partitions ahead of today.
pub const PARTITION_DAYS_AHEAD: i32 = 7;
/// Rows of a tenant deleted at once.
const DELETED_ROWS: i64 = 5_000;

impl Store {
    /// Makes what is missing of the coming days; answers how many partitions were made.
    pub async fn make_event_partitions(&self) -> Result<u32, Error> {
        const OPERATION: &str = "make partition";
        let mut made = 0;
        while self
            .partition(
                OPERATION,
                sqlx::query_scalar("select tenet_make_event_partition($1)").bind(PARTITION_DAYS_AHEAD),
            )
            .await?
            .is_some()
        {
            made += 1;
        }
        Ok(made)
    }

    /// Drops partitions with nothing but events from before `events_before` or keys from before `keys_before`; answers
    /// how many.
    pub async fn drop_event_partitions(
        &self,
        events_before: DateTime<Utc>,
        keys_before: DateTime<Utc>,
    ) -> Result<u32, Error> {
        const OPERATION: &str = "drop partition";
        let mut dropped = 0;
        let query =
            || sqlx::query_scalar("select tenet_drop_event_partition($1, $2)").bind(events_before).bind(keys_before);
        while self.partition(OPERATION, query()).await?.is_some() {
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn partition(
        &self,
        operation: &'static str,
        query: sqlx::query::QueryScalar<'_, sqlx::Postgres, Option<String>, sqlx::postgres::PgArguments>,
    ) -> Result<Option<String>, Error> {
        let mut connection = self.events.acquire(operation).await?;
        self.events.observer().timed(operation, query.fetch_one(&mut *connection)).await
    }

    /// How many days ahead of today can take events without a gap.
    pub async fn event_partition_days_ahead(&self) -> Result<i64, Error> {
        const OPERATION: &str = "count partitions";
        let query = sqlx::query_scalar(
            "select coalesce(min(n) - 1, $1) from generate_series(0, $1::bigint) n
             where exists (select from unnest(array['events', 'decisions', 'count_deltas']) parent where
                to_regclass(parent || '_' || to_char((now() at time zone 'UTC')::date + n::integer, 'YYYYMMDD')) is null)",
        )
        .bind(i64::from(PARTITION_DAYS_AHEAD));
        let mut connection = self.events.acquire(OPERATION).await?;
        self.events.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await
    }

    /// Deletes some of a tenant's events of a time, with their decisions and dead letters; answers how many rows went.
    /// Called until it answers 0, with pauses.
    pub async fn delete_events_between(
        &self,
        scope: TenantScope,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<u64, Error> {
        const OPERATION: &str = "delete old events";
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let settling = sqlx::query("select tenet_stop_settling($1)").bind(scope.id().0);
        tx.execute(OPERATION, settling).await?;
        let mut deleted = 0;
        for sql in [
            "delete from events where tenant_id = $1 and id >= $2 and id < $3 and id in (
                select id from events where tenant_id = $1 and id >= $2 and id < $3 order by id limit $4)",
            "delete from decisions where tenant_id = $1 and id >= $2 and id < $3 and id in (
                select id from decisions
                where tenant_id = $1 and id >= $2 and id < $3 and source = 'event' order by id limit $4)",
            "delete from dead_letters where tenant_id = $1 and event_id in (
                select event_id from dead_letters where tenant_id = $1 and event_id >= $2 and event_id < $3 limit $4)",
            "delete from event_retries where tenant_id = $1 and event_id in (
                select event_id from event_retries where tenant_id = $1 and event_id >= $2 and event_id < $3 limit $4)",
            "delete from redrives where tenant_id = $1 and id in (
                select id from redrives where tenant_id = $1 and id >= $2 and id < $3 and state <> 'running' limit $4)",
        ] {
            let query = sqlx::query(sql)
                .bind(scope.id().0)
                .bind(floor(from))
                .bind(floor(to))
                .bind(DELETED_ROWS)
                .persistent(false);
            deleted += tx.execute(OPERATION, query).await?;
        }
        tx.commit(OPERATION).await?;
        Ok(deleted)
    }

    /// Deletes a tenant's events, decisions and keys, a week at a time and few rows at once, so that no transaction is
    /// long: what hangs on the tenant's row goes with that.
    pub async fn delete_all_events(&self, scope: TenantScope, now: DateTime<Utc>) -> Result<(), Error> {
        const OPERATION: &str = "delete events of tenant";
        let week = TimeDelta::days(7);
        let mut from = now - TimeDelta::days(100);
        while from < now + TimeDelta::days(8) {
            while self.delete_events_between(scope, from, from + week).await? > 0 {}
            while self.delete_keys_between(scope, from, from + week).await? > 0 {}
            from += week;
        }
        let query = sqlx::query("delete from event_queues where tenant_id = $1").bind(scope.id().0);
        let mut connection = self.events.acquire(OPERATION).await?;
        self.events.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }

    /// Tenants that are deleted and whose events are not.
    pub async fn deleted_tenants_with_events(&self) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "find events of deleted tenants";
        let query = sqlx::query_scalar(
            "select tenant_id from event_queues q where not exists (select from tenants t where t.id = q.tenant_id)",
        );
        let mut connection = self.events.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    /// Tenants after `after` that have ever had an event, in order of id.
    pub async fn tenants_with_events(&self, after: TenantId, limit: i64) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "find tenants with events";
        let query = sqlx::query_scalar("select tenant_id from event_queues where tenant_id > $1 order by 1 limit $2")
            .bind(after.0)
            .bind(limit);
        let mut connection = self.events.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    async fn delete_keys_between(
        &self,
        scope: TenantScope,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<u64, Error> {
        const OPERATION: &str = "delete keys of events";
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let query = sqlx::query(
            "delete from event_keys where tenant_id = $1 and at >= $2 and at < $3 and (key, at) in (
                select key, at from event_keys where tenant_id = $1 and at >= $2 and at < $3 limit $4)",
        )
        .bind(scope.id().0)
        .bind(from)
        .bind(to)
        .bind(DELETED_ROWS)
        .persistent(false);
        let deleted = tx.execute(OPERATION, query).await?;
        tx.commit(OPERATION).await?;
        Ok(deleted)
    }
}
