//! Events that waited elsewhere: stored and settled in one transaction, once they are decided. Until then the database
//! knows nothing of them.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::DraftColumns;
use crate::{
    analytics::Tally,
    domain::{EventDraft, EventFailure, EventId, EventOutcome, TenantId, TenantScope},
    store::{Error, Settled, Settlement, Store, tx::TenantTx},
};

/// An event that was decided, and what came of it.
#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    /// Its id, made when it was accepted.
    pub id: EventId,
    /// What was sent.
    pub draft: EventDraft,
    /// How often it has been tried by now.
    pub attempts: u16,
    /// What came of it, if nobody was first.
    pub outcome: EventOutcome,
}

/// What became of events that were received.
#[derive(Debug, Default)]
pub struct Received {
    /// What they changed.
    pub settled: Settled,
    /// Those that were stored with what came of them. Others are there already, are another's duplicate or conflict, or
    /// wait behind one with the same ordering key.
    pub stored: Vec<EventId>,
    /// Those whose idempotency key another event has: that one is decided, and these are not.
    pub duplicates: Vec<Duplicate>,
    /// Those whose idempotency key is that of another event with another body: they are dead letters.
    pub conflicts: u64,
}

/// An event whose idempotency key another one has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Duplicate {
    /// Its id.
    pub id: EventId,
    /// That of the other, and for how long the key still counts; `None` if it is among the same events.
    pub first: Option<(EventId, Duration)>,
}

/// Stores events under the tenant's lock, but for those that are there and those whose key is another's. Answers what
/// is with each, and which of their ordering keys have events that wait to be tried again. An event in conflict is stored
/// without its key, so that its dead letter has something to tell.
const RECEIVE: &str = "with given as materialized (
        select g.* from unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::timestamptz[],
            $13::bool[], $8::text[], $9::text[]) with ordinality
            as g (id, key, digest, type, project, occurred_at, at_occurrence, ordering_key, facts, place)
        where exists (select from tenants where id = $1)
     ), there as materialized (
        select id from events where tenant_id = $1 and id = any ($2) and id between $10 and $11
     ), known as materialized (
        select key, digest, event_id, at from event_keys where tenant_id = $1 and key = any ($3) and at >= $12
     ), fresh as materialized (
        select g.*, row_number() over (partition by g.key order by g.place) as nth
        from given g where g.id not in (select id from there)
     ), judged as materialized (
        select f.*, case
            when f.key is null or (k.key is null and f.nth = 1) then 'accepted'
            when coalesce(k.digest, first.digest) = f.digest then 'duplicate'
            else 'conflict' end as status, coalesce(k.event_id, first.id) as first_id,
            extract(epoch from k.at - $12)::float8 as seconds
        from fresh f left join known k on k.key = f.key left join fresh first on first.key = f.key and first.nth = 1
     ), keys as (
        insert into event_keys (tenant_id, key, at, digest, event_id)
        select $1, key, now(), digest, id from judged where status = 'accepted' and key is not null
     ), stored as (
        insert into events (tenant_id, id, type, project, occurred_at, at_occurrence, ordering_key, key, facts)
        select $1, id, type, project, occurred_at, at_occurrence, ordering_key, key, facts::json
        from judged where status <> 'duplicate' order by place
     )
     select id, status, first_id, seconds, null from judged
     union all select id, 'there', null, null, null from there
     union all select null, 'waiting', null, null, k.key from (
        select distinct ordering_key as key from event_retries where tenant_id = $1 and ordering_key = any ($8)) k";

/// An event, what is with it, the first event with its idempotency key, and the seconds for which the key still counts; or
/// an ordering key.
type Judgement = (Option<Uuid>, String, Option<Uuid>, Option<f64>, Option<String>);

impl Received {
    /// Adds what became of other events.
    pub fn add(&mut self, other: Self) {
        let Self { settled, stored, duplicates, conflicts } = other;
        self.settled.decided += settled.decided;
        self.settled.retried += settled.retried;
        self.settled.dead += settled.dead;
        self.stored.extend(stored);
        self.duplicates.extend(duplicates);
        self.conflicts += conflicts;
    }
}

impl Store {
    /// Stores events of one tenant, each with what came of it, in one transaction. One that is there already, or whose
    /// idempotency key counts for another, has no effect. A key counts for `key_window`.
    pub async fn receive_events(
        &self,
        scope: TenantScope,
        events: &[ReceivedEvent],
        key_window: TimeDelta,
    ) -> Result<Received, Error> {
        const OPERATION: &str = "receive events";
        let ids = || events.iter().map(|event| event.id);
        let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(Received::default()) };
        let mut columns = DraftColumns::default();
        events.iter().for_each(|event| columns.push(&event.draft));
        let tenant = scope.id().0;
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        // A statement of its own: what follows sees what others stored under the lock.
        tx.execute(OPERATION, sqlx::query("select tenet_lock_events($1)").bind(tenant)).await?;
        let query = sqlx::query_as(RECEIVE)
            .bind(tenant)
            .bind(ids().map(|id| id.0).collect::<Vec<_>>())
            .bind(columns.keys)
            .bind(columns.digests)
            .bind(columns.types)
            .bind(columns.projects)
            .bind(columns.occurred)
            .bind(columns.ordering_keys)
            .bind(columns.facts)
            .bind(first.0)
            .bind(last.0)
            .bind(Utc::now() - key_window)
            .bind(columns.at_occurrences)
            .persistent(false);
        let rows: Vec<Judgement> = tx.all(OPERATION, query).await?;
        let (mut received, settlements) = judge(events, &rows);
        let tally = self.count_duplicates(scope, events, &received.duplicates);
        received.settled = self.settle(&mut tx, scope, &settlements, tally).await?;
        if received.settled.retried > 0 {
            // Whoever had the queue may have given it back meanwhile: nobody knew of these.
            let query = sqlx::query(
                "update event_queues set pending_since = now() where tenant_id = $1 and pending_since is null",
            );
            tx.execute(OPERATION, query.bind(tenant)).await?;
        }
        tx.commit(OPERATION).await?;
        Ok(received)
    }

    fn count_duplicates(&self, scope: TenantScope, events: &[ReceivedEvent], duplicates: &[Duplicate]) -> Tally {
        let mut tally = Tally::default();
        for ReceivedEvent { id, draft, .. } in events {
            if duplicates.iter().any(|duplicate| duplicate.id == *id) {
                let at = draft.occurred_at.unwrap_or_else(|| id.received_at());
                let [project, kind] = self.counted_as(scope, at, draft.project.as_deref(), draft.kind.as_deref());
                tally.add_duplicate(at, project, kind);
            }
        }
        tally
    }

    /// Notes that queues may have something to decide; answers whether there are some of deleted tenants among them, of
    /// which something came late and is to be deleted again.
    pub async fn mark_queues(&self, tenants: &[TenantId]) -> Result<bool, Error> {
        const OPERATION: &str = "mark queues";
        let query = sqlx::query_scalar(
            "insert into event_queues as q (tenant_id, pending_since, position)
             select t, now(), tenet_event_floor(now()) from unnest($1::uuid[]) as t
             where not exists (select from event_queues q where q.tenant_id = t and q.pending_since is not null)
             order by t
             on conflict (tenant_id) do update set pending_since = coalesce(q.pending_since, excluded.pending_since)
             returning not exists (select from tenants t where t.id = q.tenant_id)",
        )
        .bind(tenants.iter().map(|tenant| tenant.0).collect::<Vec<_>>());
        let mut connection = self.events.acquire(OPERATION).await?;
        let marked: Vec<bool> = self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(marked.into_iter().any(|is_deleted| is_deleted))
    }

    /// Active tenants after `after`, in order of id.
    pub async fn active_tenants(&self, after: TenantId, limit: i64) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "list active tenants";
        let query =
            sqlx::query_scalar("select id from tenants where id > $1 and status = 'active' order by id limit $2")
                .bind(after.0)
                .bind(limit);
        let mut connection = self.events.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.events.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }
}

/// What is to be settled of events, as they were found.
fn judge(events: &[ReceivedEvent], rows: &[Judgement]) -> (Received, Vec<Settlement>) {
    let mut received = Received::default();
    let mut settlements = Vec::with_capacity(events.len());
    for event in events {
        let row = rows.iter().find(|(id, ..)| *id == Some(event.id.0));
        let (mut attempts, mut outcome) = (event.attempts, event.outcome.clone());
        match row.map(|(_, status, first, seconds, _)| (status.as_str(), first, seconds)) {
            Some(("accepted", ..)) if is_early(event, rows) => {
                attempts -= 1;
                if matches!(outcome, EventOutcome::Decided { .. }) {
                    outcome = EventOutcome::behind();
                }
            }
            Some(("accepted", ..)) => received.stored.push(event.id),
            Some(("conflict", first, _)) => {
                received.conflicts += 1;
                outcome = EventOutcome::Dead {
                    failure: EventFailure::KeyConflict,
                    detail: serde_json::json!({
                        "message": "another event was accepted under this idempotency key",
                        "eventId": first,
                    }),
                    revision: None,
                };
            }
            Some(("duplicate", first, seconds)) => {
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let first = first.map(EventId).zip(time);
                received.duplicates.push(Duplicate { id: event.id, first });
                continue;
            }
            // It was received before, or there is no such tenant any more.
            Some(_) | None => continue,
        }
        let EventDraft { kind, ordering_key, .. } = &event.draft;
        let (kind, ordering_key) = (kind.clone(), ordering_key.clone());
        settlements.push(Settlement { id: event.id, kind, ordering_key, attempts, outcome });
    }
    (received, settlements)
}

/// Whether an event was tried, or is about to be, though one before it with the same ordering key waits: whoever tried
/// that one did not hear that it was noted.
fn is_early(event: &ReceivedEvent, rows: &[Judgement]) -> bool {
    let is_tried = match event.outcome {
        EventOutcome::Decided { .. } | EventOutcome::Retry { failure: EventFailure::Crashed, .. } => event.attempts > 0,
        EventOutcome::Retry { .. } | EventOutcome::Dead { .. } => false,
    };
    let key = event.draft.ordering_key.as_ref();
    is_tried && key.is_some() && rows.iter().any(|(.., waiting)| waiting.as_ref() == key)
}
