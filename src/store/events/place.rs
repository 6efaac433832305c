//! Where events wait, as the database notes it, and what is left there when that is to change.

use chrono::Utc;
use uuid::Uuid;

use super::above;
use crate::{
    domain::{TenantId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// A tenant whose events may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingTenant {
    /// Which one.
    pub id: TenantId,
    /// Whether its events are decided now: it is active, and its consumer is not paused.
    pub is_decided: bool,
}

impl Store {
    /// The name of where events wait.
    pub async fn event_place(&self) -> Result<String, Error> {
        const OPERATION: &str = "get place of events";
        let mut connection = self.events.acquire(OPERATION).await?;
        let query = sqlx::query_scalar("select place from event_place").fetch_one(&mut *connection);
        self.events.observer().timed(OPERATION, query).await
    }

    /// Notes where events wait from now on.
    pub async fn set_event_place(&self, place: &str) -> Result<(), Error> {
        const OPERATION: &str = "set place of events";
        let mut connection = self.events.acquire(OPERATION).await?;
        let query = sqlx::query("update event_place set place = $1").bind(place).execute(&mut *connection);
        self.events.observer().timed(OPERATION, query).await.map(drop)
    }

    /// All tenants.
    pub async fn waiting_tenants(&self) -> Result<Vec<WaitingTenant>, Error> {
        const OPERATION: &str = "list tenants for their queues";
        let mut connection = self.events.acquire(OPERATION).await?;
        let query = sqlx::query_as(
            "select t.id, t.status = 'active' and not coalesce(q.paused, false)
             from tenants t left join event_queues q on q.tenant_id = t.id order by t.id",
        )
        .fetch_all(&mut *connection);
        let rows: Vec<(Uuid, bool)> = self.events.observer().timed(OPERATION, query).await?;
        Ok(rows.into_iter().map(|(id, is_decided)| WaitingTenant { id: TenantId(id), is_decided }).collect())
    }

    /// Counts the events of a tenant's log with which nothing has been done yet.
    pub async fn count_waiting(&self, scope: TenantScope) -> Result<u64, Error> {
        const OPERATION: &str = "count waiting events";
        let tenant = scope.id().0;
        let mut tx = TenantTx::read(&self.events, &self.role, scope).await?;
        let query = sqlx::query_as("select position from event_queues where tenant_id = $1").bind(tenant);
        let noted: Option<(Uuid,)> = tx.optional(OPERATION, query).await?;
        let Some((position,)) = noted else { return tx.end().await.map(|()| 0) };
        let query = sqlx::query_as(
            "select count(*) from events e where tenant_id = $1 and id > $2 and id < $3
                and not exists (select from decisions d
                    where d.tenant_id = $1 and d.id = e.id and d.id > $2 and d.id < $3)
                and not exists (select from event_retries r where r.tenant_id = $1 and r.event_id = e.id)
                and not exists (select from dead_letters l where l.tenant_id = $1 and l.event_id = e.id)",
        )
        .bind(tenant)
        .bind(position)
        .bind(above(Utc::now()))
        .persistent(false);
        let (count,): (i64,) = tx.optional(OPERATION, query).await?.unwrap_or_default();
        tx.end().await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
