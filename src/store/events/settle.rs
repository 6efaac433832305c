//! What comes of events, written in one transaction a batch: decisions, attempts to come, dead letters. An event has its
//! effect once because its decision has a primary key; whatever else an owner believes does not matter.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    analytics::{EventEffect, Hour, Label, Tally},
    domain::{EventId, EventOutcome, TenantScope},
    store::{CountBatch, Error, Store, counts, decisions::array_text, tx::TenantTx},
};

/// An event, and what came of it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The event.
    pub id: EventId,
    /// Its type.
    pub kind: Option<String>,
    /// Events with the same one wait behind it if it is to be tried again.
    pub ordering_key: Option<String>,
    /// How often it has been tried by now.
    pub attempts: u16,
    /// What came of it.
    pub outcome: EventOutcome,
}

/// What a batch changed. What another owner had settled before is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Events decided.
    pub decided: i64,
    /// Events to be tried again.
    pub retried: i64,
    /// New dead letters.
    pub dead: i64,
}

#[derive(Default)]
struct Decisions {
    ids: Vec<Uuid>,
    types: Vec<Option<String>>,
    revisions: Vec<i64>,
    schema_versions: Vec<i32>,
    matched: Vec<String>,
    errors: Vec<String>,
    costs: Vec<i64>,
    evaluated_at: Vec<DateTime<Utc>>,
    micros: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Retries {
    ids: Vec<Uuid>,
    attempts: Vec<i16>,
    waits: Vec<f64>,
    reasons: Vec<&'static str>,
    details: Vec<String>,
    keys: Vec<Option<String>>,
}

#[derive(Default)]
struct DeadLetters {
    ids: Vec<Uuid>,
    types: Vec<Option<String>>,
    attempts: Vec<i16>,
    reasons: Vec<&'static str>,
    details: Vec<String>,
    revisions: Vec<Option<i64>>,
}

/// The columns of a batch, a list each.
#[derive(Default)]
struct Columns {
    decisions: Decisions,
    retries: Retries,
    dead: DeadLetters,
}

impl Columns {
    fn push(&mut self, settlement: &Settlement) {
        let Settlement { id, kind, ordering_key, attempts, outcome } = settlement;
        let attempts = i16::try_from(*attempts).unwrap_or(i16::MAX);
        match outcome {
            EventOutcome::Decided {
                evaluated_at,
                revision,
                schema_version,
                matched,
                errors,
                cost,
                micros,
                rule_set_hash,
            } => {
                let to = &mut self.decisions;
                to.micros.push(i64::try_from(*micros).unwrap_or(i64::MAX));
                to.hashes.push(rule_set_hash.to_vec());
                to.ids.push(id.0);
                to.types.push(kind.clone());
                to.revisions.push(revision.0);
                to.schema_versions.push(schema_version.0);
                to.matched.push(array_text(matched));
                to.errors.push(errors.to_string());
                to.costs.push(i64::try_from(*cost).unwrap_or(i64::MAX));
                to.evaluated_at.push(*evaluated_at);
            }
            EventOutcome::Retry { failure, detail, after } => {
                let to = &mut self.retries;
                to.ids.push(id.0);
                to.attempts.push(attempts);
                to.waits.push((*after).max(TimeDelta::zero()).as_seconds_f64());
                to.reasons.push(failure.name());
                to.details.push(detail.clone());
                to.keys.push(ordering_key.clone());
            }
            EventOutcome::Dead { failure, detail, revision } => {
                let to = &mut self.dead;
                to.ids.push(id.0);
                to.types.push(kind.clone());
                to.attempts.push(attempts);
                to.reasons.push(failure.name());
                to.details.push(detail.to_string());
                to.revisions.push(revision.map(|revision| revision.0));
            }
        }
    }
}

/// Decisions, attempts to come and dead letters of a batch, in one statement: each event that is still there has one of
/// them. What another owner has decided or given up before stays so; of a dead letter, until it is brought back.
const SETTLE: &str = "with given_up as materialized (
        select array(select event_id from dead_letters where tenant_id = $1 and status <> 'redriven'
            and (event_id = any ($2) or event_id = any ($9))) as ids
     ), decided as (
        insert into decisions (tenant_id, id, event_type, revision, schema_version, matched, errors, cost,
            evaluated_at, micros, rule_set_hash)
        select $1, d.id, d.type, d.revision, d.schema_version, d.matched::uuid[], d.errors::jsonb, d.cost,
            d.evaluated_at, d.micros, d.hash
        from unnest($2::uuid[], $3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::bigint[],
            $23::timestamptz[], $24::bigint[], $25::bytea[])
            as d (id, type, revision, schema_version, matched, errors, cost, evaluated_at, micros, hash)
        where exists (select from events e
            where e.tenant_id = $1 and e.id = d.id and e.id between $21 and $22)
            and d.id <> all ((select ids from given_up)::uuid[])
        on conflict do nothing returning id
     ), settled as (
        delete from event_retries where tenant_id = $1 and (event_id = any ($2) or event_id = any ($15))
     ), retried as (
        insert into event_retries as r (tenant_id, event_id, attempt, not_before, reason, detail, ordering_key)
        select $1, n.id, n.attempt, now() + make_interval(secs => n.wait), n.reason, n.detail, n.key
        from unnest($9::uuid[], $10::smallint[], $11::double precision[], $12::text[], $13::text[], $14::text[])
            with ordinality as n (id, attempt, wait, reason, detail, key, nth)
        where exists (select from events e
            where e.tenant_id = $1 and e.id = n.id and e.id between $21 and $22)
            and n.id <> all ((select ids from given_up)::uuid[])
            and not exists (select from decisions d
                where d.tenant_id = $1 and d.id = n.id and d.id between $21 and $22)
        order by n.nth
        on conflict (tenant_id, event_id) do update set attempt = greatest(r.attempt, excluded.attempt),
            not_before = excluded.not_before, reason = excluded.reason, detail = excluded.detail
        returning event_id
     ), dead as (
        insert into dead_letters as l (tenant_id, event_id, event_type, attempts, reason, detail, revision,
            first_failed_at, last_failed_at)
        select $1, n.id, n.type, n.attempts, n.reason, n.detail::jsonb, n.revision, now(), now()
        from unnest($15::uuid[], $16::text[], $17::smallint[], $18::text[], $19::text[], $20::bigint[])
            as n (id, type, attempts, reason, detail, revision)
        where exists (select from events e
            where e.tenant_id = $1 and e.id = n.id and e.id between $21 and $22)
            and not exists (select from decisions d
                where d.tenant_id = $1 and d.id = n.id and d.id between $21 and $22)
        on conflict (tenant_id, event_id) do update set attempts = excluded.attempts, reason = excluded.reason,
            detail = excluded.detail, revision = excluded.revision, last_failed_at = now(), status = 'open'
        returning event_id, first_failed_at = now() as is_first
     ), changed as (
        select id, 'decided' as became, not exists (select from dead_letters l
            where l.tenant_id = $1 and l.event_id = decided.id) as is_first from decided
        union all select event_id, 'retried', false from retried
        union all select event_id, 'dead', is_first from dead
     )
     select c.id, c.became, c.is_first, e.project, e.occurred_at from changed c join events e
        on e.tenant_id = $1 and e.id = c.id and e.id between $21 and $22";

/// An event on which a batch had an effect.
#[derive(FromRow)]
struct ChangedEvent {
    id: Uuid,
    became: String,
    /// Whether it had no effect before.
    is_first: bool,
    project: Option<String>,
    occurred_at: Option<DateTime<Utc>>,
}

const OPERATION: &str = "settle events";

impl Store {
    /// Writes what came of a batch. An event that was deleted meanwhile has no effect: whoever deletes takes the same
    /// lock for itself alone.
    pub async fn settle_events(&self, scope: TenantScope, settlements: Vec<Settlement>) -> Result<Settled, Error> {
        if settlements.is_empty() {
            return Ok(Settled::default());
        }
        let mut tx = TenantTx::write(&self.events, &self.role, scope).await?;
        let settled = self.settle(&mut tx, scope, &settlements, Tally::default()).await?;
        tx.commit(OPERATION).await?;
        Ok(settled)
    }

    /// Writes what came of events within a transaction, and counts it beside what is counted already.
    pub(super) async fn settle(
        &self,
        tx: &mut TenantTx,
        scope: TenantScope,
        settlements: &[Settlement],
        mut tally: Tally,
    ) -> Result<Settled, Error> {
        let tenant = scope.id().0;
        tx.execute(OPERATION, sqlx::query("select tenet_share_settling($1)").bind(tenant)).await?;
        let changed = write(tx, scope, settlements).await?;
        let by_id: HashMap<Uuid, &Settlement> = settlements.iter().map(|settled| (settled.id.0, settled)).collect();
        let mut settled = Settled::default();
        for event in &changed {
            match event.became.as_str() {
                "decided" => settled.decided += 1,
                "dead" => settled.dead += 1,
                _ => settled.retried += 1,
            }
            let Some(settlement) = by_id.get(&event.id) else { continue };
            let (project, kind) = (event.project.as_deref(), settlement.kind.as_deref());
            let at = event.occurred_at.unwrap_or_else(|| settlement.id.received_at());
            let [project, kind] = self.counted_as(scope, at, project, kind);
            let effect = EventEffect { at, project, kind, outcome: &settlement.outcome, is_first: event.is_first };
            tally.add_event(&effect);
        }
        counts::add(tx, &CountBatch::new(tally.rows())).await?;
        Ok(settled)
    }

    /// What an event's project and type are counted as.
    pub fn counted_as<'a>(
        &self,
        scope: TenantScope,
        at: DateTime<Utc>,
        project: Option<&'a str>,
        kind: Option<&'a str>,
    ) -> [&'a str; 2] {
        let day = Hour::of(at).day_number();
        let mut labels = self.labels();
        [(Label::Project, project), (Label::Type, kind)].map(|(label, text)| labels.admit(scope.id(), day, label, text))
    }
}

async fn write(tx: &mut TenantTx, scope: TenantScope, settlements: &[Settlement]) -> Result<Vec<ChangedEvent>, Error> {
    let ids = || settlements.iter().map(|settlement| settlement.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(Vec::new()) };
    let mut columns = Columns::default();
    settlements.iter().for_each(|settlement| columns.push(settlement));
    let Columns { decisions, retries, dead } = columns;
    let query = sqlx::query_as(SETTLE)
        .bind(scope.id().0)
        .bind(decisions.ids)
        .bind(decisions.types)
        .bind(decisions.revisions)
        .bind(decisions.schema_versions)
        .bind(decisions.matched)
        .bind(decisions.errors)
        .bind(decisions.costs)
        .bind(retries.ids)
        .bind(retries.attempts)
        .bind(retries.waits)
        .bind(retries.reasons)
        .bind(retries.details)
        .bind(retries.keys)
        .bind(dead.ids)
        .bind(dead.types)
        .bind(dead.attempts)
        .bind(dead.reasons)
        .bind(dead.details)
        .bind(dead.revisions)
        .bind(first.0)
        .bind(last.0)
        .bind(decisions.evaluated_at)
        .bind(decisions.micros)
        .bind(decisions.hashes)
        .persistent(false);
    tx.all(OPERATION, query).await
}
