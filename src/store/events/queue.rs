//! Which node consumes which tenant's queue: a lease, renewed every few seconds together with the position. A lease
//! saves work and proves nothing: that an event has its effect once, its primary key sees to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::above;
use crate::{
    domain::{EventId, NodeId, TenantId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// A queue that a node has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Counts owners: an older one holds nothing.
    pub token: i64,
    /// Everything up to here is settled.
    pub position: EventId,
    /// How many owners in a row ended without giving the queue back or getting on.
    pub crashes: i16,
}

/// What a node tells of a queue that it holds.
#[derive(Debug, Clone, Copy)]
pub struct HeldQueue {
    /// Whose queue.
    pub tenant: TenantId,
    /// The lease's token.
    pub token: i64,
    /// Everything up to here is settled.
    pub position: EventId,
    /// How many events are left, as far as is known.
    pub pending: i64,
}

/// A queue that something is to be done about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenQueue {
    /// It has something to decide, and nobody does it.
    WithoutOwner(TenantId),
    /// The node that asks has it, and is to give it back.
    Paused(TenantId),
}

/// A queue as its row tells.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct QueueStatus {
    /// The node that consumes it.
    pub owner: Option<Uuid>,
    /// Since when there may be something to decide.
    pub pending_since: Option<DateTime<Utc>>,
    /// How many events are left, as of the last renewal.
    pub pending: i64,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Everything up to here is settled.
    pub position: Uuid,
}

impl Store {
    /// Queues of active tenants with something to decide and no live owner, those that wait longest first, and those
    /// of `node` that are paused.
    pub async fn look_at_queues(&self, node: NodeId, limit: u32) -> Result<Vec<SeenQueue>, Error> {
        const OPERATION: &str = "find queues";
        let query = sqlx::query_as(
            "(select tenant_id, true from event_queues where owner = $2 and paused)
             union all
             (select q.tenant_id, false from event_queues q join tenants t on t.id = q.tenant_id and t.status = 'active'
              where q.pending_since is not null and not q.paused and (q.owner is null or q.owner_until < now())
              order by q.pending_since limit $1)",
        )
        .bind(i64::from(limit))
        .bind(node.0);
        let mut connection = self.events.acquire(OPERATION).await?;
        let rows: Vec<(Uuid, bool)> =
            self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        let seen = |(tenant, is_paused)| match is_paused {
            true => SeenQueue::Paused(TenantId(tenant)),
            false => SeenQueue::WithoutOwner(TenantId(tenant)),
        };
        Ok(rows.into_iter().map(seen).collect())
    }

    /// Takes a queue for `node`, if nobody else holds it and it is not paused.
    pub async fn take_queue(&self, scope: TenantScope, node: NodeId, time: Duration) -> Result<Option<Lease>, Error> {
        const OPERATION: &str = "take queue";
        let query = sqlx::query_as(
            "update event_queues set owner = $2, owner_until = now() + make_interval(secs => $3), token = token + 1,
                crashes = case when owner is null then crashes else least(crashes + 1, 1000)::smallint end
             where tenant_id = $1 and not paused and (owner is null or owner_until < now())
             returning token, position, crashes",
        )
        .bind(scope.id().0)
        .bind(node.0)
        .bind(time.as_secs_f64());
        let mut connection = self.events.acquire(OPERATION).await?;
        let row: Option<(i64, Uuid, i16)> =
            self.events.observer().timed(OPERATION, query.fetch_optional(&mut *connection)).await?;
        Ok(row.map(|(token, position, crashes)| Lease { token, position: EventId(position), crashes }))
    }

    /// Renews all leases of a node and notes how far it is; answers the tenants whose lease it still has. Rows that
    /// somebody has locked are left for the next time: they are taken in order of id like everywhere, and not waited for.
    pub async fn renew_queues(&self, node: NodeId, held: &[HeldQueue], time: Duration) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "renew queues";
        let query = sqlx::query_scalar(
            "with mine as (
                select q.tenant_id, h.position, h.pending
                from unnest($3::uuid[], $4::bigint[], $5::uuid[], $6::bigint[])
                    as h (tenant_id, token, position, pending)
                join event_queues q on q.tenant_id = h.tenant_id and q.owner = $1 and q.token = h.token
                order by q.tenant_id for update of q skip locked
             )
             update event_queues q set owner_until = now() + make_interval(secs => $2), pending = m.pending,
                position = greatest(q.position, m.position),
                crashes = case when m.position > q.position then 0 else q.crashes end
             from mine m where q.tenant_id = m.tenant_id returning q.tenant_id",
        )
        .bind(node.0)
        .bind(time.as_secs_f64())
        .bind(held.iter().map(|queue| queue.tenant.0).collect::<Vec<_>>())
        .bind(held.iter().map(|queue| queue.token).collect::<Vec<_>>())
        .bind(held.iter().map(|queue| queue.position.0).collect::<Vec<_>>())
        .bind(held.iter().map(|queue| queue.pending).collect::<Vec<_>>());
        let mut connection = self.events.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    /// Whether a queue is still this node's under the lease.
    pub async fn is_queue_held(&self, node: NodeId, held: &HeldQueue) -> Result<bool, Error> {
        const OPERATION: &str = "check lease";
        let query = sqlx::query_scalar(
            "select exists (select from event_queues where tenant_id = $1 and owner = $2 and token = $3)",
        )
        .bind(held.tenant.0)
        .bind(node.0)
        .bind(held.token);
        let mut connection = self.events.acquire(OPERATION).await?;
        self.events.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await
    }

    /// Gives a queue back, so that another node can take it at once.
    pub async fn give_back_queue(&self, node: NodeId, held: HeldQueue) -> Result<(), Error> {
        const OPERATION: &str = "give back queue";
        let query = sqlx::query(
            "update event_queues set owner = null, owner_until = null, pending = $5,
                crashes = case when $4 > position then 0 else crashes end, position = greatest(position, $4)
             where tenant_id = $1 and owner = $2 and token = $3",
        )
        .bind(held.tenant.0)
        .bind(node.0)
        .bind(held.token)
        .bind(held.position.0)
        .bind(held.pending);
        let mut connection = self.events.acquire(OPERATION).await?;
        self.events.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }

    /// Gives back a queue with nothing left in it; answers whether that is so. Whoever appends marks the queue under
    /// the same lock, so that no event falls between the last look and the mark.
    pub async fn finish_queue(
        &self,
        scope: TenantScope,
        node: NodeId,
        held: HeldQueue,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        const OPERATION: &str = "finish queue";
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let tenant = scope.id().0;
        tx.execute(OPERATION, sqlx::query("select tenet_lock_events($1)").bind(tenant)).await?;
        let query = sqlx::query(
            "update event_queues set pending_since = null, owner = null, owner_until = null, pending = 0, crashes = 0,
                position = greatest(position, $4)
             where tenant_id = $1 and owner = $2 and token = $3
                and not exists (select from events where tenant_id = $1 and id > $4 and id < $5)
                and not exists (select from event_retries where tenant_id = $1)
                and not exists (select from redrives where tenant_id = $1 and state = 'running')",
        )
        .bind(tenant)
        .bind(node.0)
        .bind(held.token)
        .bind(held.position.0)
        .bind(above(now))
        .persistent(false);
        let finished = tx.execute(OPERATION, query).await? > 0;
        tx.commit(OPERATION).await?;
        Ok(finished)
    }

    /// Counts what is to be decided beyond `position`, or beyond what the queue's row says if that is further, and what
    /// is to be tried again; no further than `limit`.
    pub async fn count_pending(
        &self,
        scope: TenantScope,
        position: Option<EventId>,
        limit: u64,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        const OPERATION: &str = "count pending events";
        let tenant = scope.id().0;
        let mut tx = TenantTx::read(&self.events, &self.role, scope).await?;
        let query = sqlx::query_as("select position from event_queues where tenant_id = $1").bind(tenant);
        let noted: Option<(Uuid,)> = tx.optional(OPERATION, query).await?;
        let Some((noted,)) = noted else { return tx.end().await.map(|()| 0) };
        let query = sqlx::query_as(
            "select (select count(*) from (
                    select from events where tenant_id = $1 and id > $2 and id < $3 limit $4) e)
                + (select count(*) from (select from event_retries where tenant_id = $1 limit $4) r)",
        )
        .bind(tenant)
        .bind(position.map_or(noted, |position| position.0.max(noted)))
        .bind(above(now))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .persistent(false);
        let (count,): (i64,) = tx.optional(OPERATION, query).await?.unwrap_or_default();
        tx.end().await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// A queue as its row tells; nothing if the tenant never had an event.
    pub async fn queue_status(&self, scope: TenantScope) -> Result<Option<QueueStatus>, Error> {
        const OPERATION: &str = "get queue";
        let query = sqlx::query_as(
            "select case when owner_until >= now() then owner end as owner, pending_since, pending, paused, position
             from event_queues where tenant_id = $1",
        )
        .bind(scope.id().0);
        let mut connection = self.requests.acquire(OPERATION).await?;
        self.requests.observer().timed(OPERATION, query.fetch_optional(&mut *connection)).await
    }

    /// Pauses a queue, or lets it go on. One that was paused is given back by its owner at the next renewal.
    pub async fn pause_queue(&self, scope: TenantScope, paused: bool) -> Result<(), Error> {
        const OPERATION: &str = "pause queue";
        let query = sqlx::query(
            "insert into event_queues (tenant_id, position, paused)
             select id, tenet_event_floor(now()), $2 from tenants where id = $1 for key share
             on conflict (tenant_id) do update set paused = excluded.paused",
        )
        .bind(scope.id().0)
        .bind(paused);
        let mut connection = self.requests.acquire(OPERATION).await?;
        self.requests.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }
}
