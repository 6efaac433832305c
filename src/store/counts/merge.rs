//! Merging deltas into hours and days. What is merged is deleted by the same statement, so that whatever commits late is
//! merged later, and nothing twice.

use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use uuid::Uuid;

use super::columns;
use crate::{
    domain::{TenantId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// Deltas that one statement merges at most.
const MERGED_MAX: i64 = 50_000;

/// Whose counts are to be merged.
#[derive(Debug, Default)]
pub struct MergeQueue {
    /// Those whose counts are due.
    pub due: Vec<TenantId>,
    /// How long the oldest of all counts have not been merged.
    pub lag: Duration,
}

/// What a merge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// So many deltas were merged.
    Deltas(i64),
    /// Another node merges the tenant's.
    Elsewhere,
}

static MERGE: LazyLock<String> = LazyLock::new(|| {
    let (names, sums) = (columns("#", "#"), columns("sum(#)::bigint as #", "max(#) as #"));
    let into = |table: &str| {
        let adding = columns("# = t.# + excluded.#", "# = greatest(t.#, excluded.#)");
        format!(
            "insert into {table} as t (tenant_id, at, rule_id, revision, source, project, event_type, {names})
             select $1, at, rule_id, revision, source, project, event_type, {names} from summed_{table}
             on conflict (tenant_id, at, rule_id, revision, source, project, event_type) do update set {adding}"
        )
    };
    format!(
        "with gone as (
            delete from count_deltas where tenant_id = $1 and id in (
                select id from count_deltas where tenant_id = $1 order by id limit $2)
            returning *
         ), summed_count_hours as materialized (
            select hour as at, rule_id, revision, source, project, event_type, {sums} from gone
            group by 1, 2, 3, 4, 5, 6
         ), summed_count_days as materialized (
            select date_trunc('day', at, 'UTC') as at, rule_id, revision, source, project, event_type, {sums}
            from summed_count_hours group by 1, 2, 3, 4, 5, 6
         ), hours as ({}), days as ({})
         select count(*) from gone",
        into("count_hours"),
        into("count_days")
    )
});

impl Store {
    /// Tenants whose counts have not been merged for so long, those that wait for longest first.
    pub async fn counts_to_merge(&self, every: Duration, limit: i64) -> Result<MergeQueue, Error> {
        const OPERATION: &str = "find counts to merge";
        let query = sqlx::query_as(
            "select tenant_id, since <= now() - make_interval(secs => $1),
                greatest(extract(epoch from now() - since), 0)::float8
             from count_queues order by since limit $2",
        )
        .bind(every.as_secs_f64())
        .bind(limit);
        let mut connection = self.events.acquire(OPERATION).await?;
        let rows: Vec<(Uuid, bool, f64)> =
            self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        let lag = rows.first().map_or(0.0, |(.., seconds)| *seconds);
        let due = rows.into_iter().filter(|(_, is_due, _)| *is_due).map(|(tenant, ..)| TenantId(tenant)).collect();
        Ok(MergeQueue { due, lag: Duration::try_from_secs_f64(lag).unwrap_or_default() })
    }

    /// Merges counts of a tenant, in one transaction. One that has none left leaves the queue, and so does one that is
    /// gone.
    pub async fn merge_counts(&self, scope: TenantScope) -> Result<Merged, Error> {
        const OPERATION: &str = "merge counts";
        let tenant = scope.id().0;
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let query = sqlx::query_as(
            "select tenet_try_merging($1), exists (select from tenants where id = $1), (select since from count_queues
                where tenant_id = $1)",
        );
        let state: Option<(bool, bool, Option<DateTime<Utc>>)> = tx.optional(OPERATION, query.bind(tenant)).await?;
        let (is_alone, is_there, since) = state.unwrap_or_default();
        if !is_alone || since.is_none() {
            tx.rollback().await?;
            return Ok(if is_alone { Merged::Deltas(0) } else { Merged::Elsewhere });
        }
        let merged = if is_there {
            let sql: &'static str = MERGE.as_str();
            let query = sqlx::query_as(AssertSqlSafe(sql).into_sql_str()).bind(tenant).bind(MERGED_MAX);
            let counted: Option<(i64,)> = tx.optional(OPERATION, query).await?;
            counted.map_or(0, |(count,)| count)
        } else {
            let query = sqlx::query("delete from count_deltas where tenant_id = $1").bind(tenant);
            tx.execute(OPERATION, query).await?;
            0
        };
        self.leave_queue(&mut tx, merged).await?;
        tx.commit(OPERATION).await?;
        Ok(Merged::Deltas(merged))
    }

    /// Notes what is left to merge. The row is touched last: those who count look at it.
    async fn leave_queue(&self, tx: &mut TenantTx, merged: i64) -> Result<(), Error> {
        const OPERATION: &str = "leave queue of counts";
        let tenant = tx.tenant.0;
        let query = sqlx::query_as("select $2 = 0 and tenet_try_stop_settling($1)").bind(tenant).bind(merged);
        let is_alone: Option<(bool,)> = tx.optional(OPERATION, query).await?;
        // Nobody counts now, and whoever does from here on waits for this transaction: what is seen is all that there is.
        let sql = match is_alone {
            Some((true,)) => {
                "delete from count_queues where tenant_id = $1
                    and not exists (select from count_deltas where tenant_id = $1)"
            }
            _ => "update count_queues set since = now() where tenant_id = $1",
        };
        tx.execute(OPERATION, sqlx::query(sql).bind(tenant)).await.map(drop)
    }
}
