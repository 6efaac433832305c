//! The nodes that serve this database: each writes its row again every few seconds.

use sqlx::{FromRow, Row, postgres::PgRow};

use super::{Error, Store};
use crate::{
    config::limits::NODE_SILENCE_MAX,
    domain::{Node, NodeId, Vitals},
};

struct NodeRow(Node);

impl FromRow<'_, PgRow> for NodeRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let number = |column| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self(Node {
            id: NodeId(row.try_get("id")?),
            host: row.try_get("host")?,
            version: row.try_get("version")?,
            started_at: row.try_get("started_at")?,
            heartbeat_at: row.try_get("heartbeat_at")?,
            vitals: Vitals {
                resident_tenants: number("resident_tenants")?,
                memory_bytes: number("memory_bytes")?,
                lag_ms: number("lag_ms")?,
                synchronised_ago_ms: number("synchronised_ago_ms")?,
            },
        }))
    }
}

impl Store {
    /// Writes a node's row, on the database's clock, and removes those of nodes that have fallen silent; answers how many
    /// live, this one among them.
    pub async fn heartbeat(&self, id: NodeId, host: &str, version: &str, vitals: Vitals) -> Result<u64, Error> {
        const OPERATION: &str = "heartbeat";
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let query = sqlx::query_scalar(
            "with silent as (delete from nodes where id <> $1 and heartbeat_at < now() - $8 * interval '1 second')
             insert into nodes (id, host, version, resident_tenants, memory_bytes, lag_ms, synchronised_ago_ms)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (id) do update set heartbeat_at = now(), resident_tenants = $4, memory_bytes = $5,
                lag_ms = $6, synchronised_ago_ms = $7
             returning (select count(*) from nodes n where n.id <> $1
                and n.heartbeat_at >= now() - $8 * interval '1 second') + 1",
        )
        .bind(id.0)
        .bind(host)
        .bind(version)
        .bind(number(vitals.resident_tenants))
        .bind(number(vitals.memory_bytes))
        .bind(number(vitals.lag_ms))
        .bind(number(vitals.synchronised_ago_ms))
        .bind(NODE_SILENCE_MAX.as_secs_f64());
        let mut connection = self.loads.acquire(OPERATION).await?;
        let live: i64 = self.loads.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await?;
        Ok(u64::try_from(live).unwrap_or(1))
    }

    /// The nodes that live, the longest-serving first.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        const OPERATION: &str = "list nodes";
        let query = sqlx::query_as(
            "select id, host, version, started_at, heartbeat_at, resident_tenants, memory_bytes, lag_ms,
                synchronised_ago_ms
             from nodes where heartbeat_at >= now() - $1 * interval '1 second' order by started_at, id",
        )
        .bind(NODE_SILENCE_MAX.as_secs_f64());
        let mut connection = self.requests.acquire(OPERATION).await?;
        let rows = self.requests.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(rows.into_iter().map(|NodeRow(node)| node).collect())
    }

    /// Removes the row of a node that stops.
    pub async fn forget_node(&self, id: NodeId) -> Result<(), Error> {
        const OPERATION: &str = "forget node";
        let query = sqlx::query("delete from nodes where id = $1").bind(id.0);
        let mut connection = self.loads.acquire(OPERATION).await?;
        self.loads.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }
}
