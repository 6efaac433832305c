//! Writing counts: as deltas, whose ids are made before they are written.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use uuid::Uuid;

use super::{SUMS, columns, numbers};
use crate::{
    analytics::CountRow,
    domain::TenantScope,
    store::{Error, Store, tx::TenantTx},
};

/// Counts of one tenant that are written together, or not at all.
#[derive(Debug, Clone)]
pub struct CountBatch {
    ids: Vec<Uuid>,
    rows: Vec<CountRow>,
    made: Instant,
    /// The transaction that may have written them: the database did not say so.
    doubt: Option<String>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// It is written, by now or before.
    Written,
    /// A transaction that may have written it is still under way; it is to be asked for again.
    UnderWay,
}

/// From then on a batch that is certainly not written gets other ids: the days of its ids may be gone.
const OLD: Duration = Duration::from_secs(3_600);

fn ids(rows: &[CountRow]) -> Vec<Uuid> {
    rows.iter().map(|_| Uuid::now_v7()).collect()
}

#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    hours: Vec<DateTime<Utc>>,
    rules: Vec<Uuid>,
    revisions: Vec<i64>,
    sources: Vec<&'static str>,
    projects: Vec<String>,
    kinds: Vec<String>,
    sums: [Vec<i64>; SUMS.len()],
    last_matched: Vec<i64>,
}

/// Adds deltas, and notes that the tenant has some. Nothing is counted for a tenant that is gone.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let names = columns("#", "#");
    let parameters: Vec<String> = (9..9 + SUMS.len() + 1).map(|number| format!("${number}::bigint[]")).collect();
    format!(
        "with there as materialized (select from tenants where id = $1),
         queue as (
            insert into count_queues (tenant_id, since) select $1, now() where exists (select from there)
            on conflict do nothing
         )
         insert into count_deltas (tenant_id, id, hour, rule_id, revision, source, project, event_type, {names})
         select $1, d.* from unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::bigint[], $6::text[], $7::text[],
            $8::text[], {}) as d
         where exists (select from there)
         on conflict do nothing",
        parameters.join(", ")
    )
});

impl CountBatch {
    /// A batch with ids of its own.
    pub fn new(rows: Vec<CountRow>) -> Self {
        Self { ids: ids(&rows), rows, made: Instant::now(), doubt: None }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn columns(&self) -> Columns {
        let mut columns = Columns { ids: self.ids.clone(), ..Columns::default() };
        for CountRow { slot, rule, counts } in &self.rows {
            columns.hours.push(slot.hour.begins());
            columns.rules.push(rule.0);
            columns.revisions.push(slot.revision.0);
            columns.sources.push(slot.source.name());
            columns.projects.push(slot.project.to_string());
            columns.kinds.push(slot.kind.to_string());
            let (sums, last_matched) = numbers(counts);
            columns.sums.iter_mut().zip(sums).for_each(|(column, sum)| column.push(sum));
            columns.last_matched.push(last_matched);
        }
        columns
    }
}

/// Adds deltas within a transaction, whose tenant's settling is shared by now.
pub(in crate::store) async fn add(tx: &mut TenantTx, batch: &CountBatch) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let columns = batch.columns();
    let sql: &'static str = INSERT.as_str();
    let mut query = sqlx::query(AssertSqlSafe(sql).into_sql_str())
        .bind(tx.tenant.0)
        .bind(columns.ids)
        .bind(columns.hours)
        .bind(columns.rules)
        .bind(columns.revisions)
        .bind(columns.sources)
        .bind(columns.projects)
        .bind(columns.kinds);
    for sums in columns.sums {
        query = query.bind(sums);
    }
    tx.execute("add counts", query.bind(columns.last_matched)).await.map(drop)
}

impl Store {
    /// Writes a batch in a transaction of its own. If the database does not say whether it was committed, the batch
    /// remembers the transaction, and is to be flushed again: then that one is asked for first. Its ids alone would not
    /// do: what was written may be merged by now, and its rows gone.
    pub async fn flush_counts(&self, scope: TenantScope, batch: &mut CountBatch) -> Result<Flushed, Error> {
        const OPERATION: &str = "flush counts";
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        if let Some(transaction) = &batch.doubt {
            let query = sqlx::query_as("select pg_xact_status($1::xid8)").bind(transaction);
            let status: Option<(Option<String>,)> = tx.optional("ask for a transaction", query).await?;
            match status.and_then(|(status,)| status).as_deref() {
                Some("aborted") => batch.doubt = None,
                Some("in progress") => return Ok(Flushed::UnderWay),
                // One so old that nobody knows of it any more: better not counted than counted twice.
                Some(_) | None => return Ok(Flushed::Written),
            }
        }
        if batch.made.elapsed() > OLD {
            *batch = CountBatch::new(std::mem::take(&mut batch.rows));
        }
        let query = sqlx::query_as("select pg_current_xact_id()::text from tenet_share_settling($1)");
        let transaction: Option<(String,)> = tx.optional(OPERATION, query.bind(scope.id().0)).await?;
        add(&mut tx, batch).await?;
        // Before: whoever waits for the answer may be told to wait no longer.
        batch.doubt = transaction.map(|(id,)| id);
        let result = tx.commit(OPERATION).await;
        if !matches!(result, Ok(()) | Err(Error::OutcomeUnknown { .. })) {
            batch.doubt = None;
        }
        result.map(|()| Flushed::Written)
    }
}
