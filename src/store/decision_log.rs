//! Evaluations as they are recorded: of many tenants at once, by one statement.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Error, Store, decisions::array_text, events, tx::TenantTx};
use crate::domain::{Revision, RuleId, SchemaVersion, TenantId, TenantScope};

const OPERATION: &str = "record decisions";
/// Rows deleted at once.
const DELETED_ROWS: i64 = 5_000;

/// An evaluation to be recorded.
#[derive(Debug, Clone)]
pub struct RecordedDecision {
    /// The tenant that asked.
    pub tenant: TenantId,
    /// Its id, made by this node.
    pub id: Uuid,
    /// The request that asked.
    pub request_id: Option<String>,
    /// The revision that decided.
    pub revision: Revision,
    /// The schema version that decided.
    pub schema_version: SchemaVersion,
    /// The hash of the rule set that decided.
    pub rule_set_hash: [u8; 32],
    /// The rules that matched.
    pub matched: Vec<RuleId>,
    /// The errors of rules, as JSON.
    pub errors: Value,
    /// Units of cost.
    pub cost: u64,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// What the rules read as `now`.
    pub evaluated_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// Its facts as JSON, if they are kept.
    pub facts: Option<String>,
    /// Why facts are missing.
    pub left_out: Option<LeftOut>,
    /// Which rules were asked for, as JSON; `None`: all that are active.
    pub selection: Option<Value>,
}

/// Why facts of a recorded decision are missing, or some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// The schema says that some are sensitive: these are not stored.
    Sensitive,
    /// They are larger than what is stored with a decision.
    TooLarge,
    /// The tenant's settings say that facts are not kept.
    NotKept,
}

impl LeftOut {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sensitive, Self::TooLarge, Self::NotKept];

    /// What it is called outside, and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensitive => "sensitive",
            Self::TooLarge => "too_large",
            Self::NotKept => "not_kept",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// The columns of many decisions, a list each.
#[derive(Default)]
struct Columns {
    tenants: Vec<Uuid>,
    counts: Vec<i32>,
    ids: Vec<Uuid>,
    revisions: Vec<i64>,
    schema_versions: Vec<i32>,
    matched: Vec<String>,
    errors: Vec<String>,
    costs: Vec<i64>,
    evaluated: Vec<DateTime<Utc>>,
    decided: Vec<DateTime<Utc>>,
    micros: Vec<i64>,
    request_ids: Vec<Option<String>>,
    hashes: Vec<Vec<u8>>,
    facts: Vec<Option<String>>,
    left_out: Vec<Option<&'static str>>,
    selections: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, entry: &RecordedDecision) {
        match (self.tenants.last(), self.counts.last_mut()) {
            (Some(last), Some(count)) if *last == entry.tenant.0 => *count += 1,
            _ => {
                self.tenants.push(entry.tenant.0);
                self.counts.push(1);
            }
        }
        self.ids.push(entry.id);
        self.revisions.push(entry.revision.0);
        self.schema_versions.push(entry.schema_version.0);
        self.matched.push(array_text(&entry.matched));
        self.errors.push(entry.errors.to_string());
        self.costs.push(i64::try_from(entry.cost).unwrap_or(i64::MAX));
        self.evaluated.push(entry.evaluated_at);
        self.decided.push(entry.decided_at);
        self.micros.push(i64::try_from(entry.micros).unwrap_or(i64::MAX));
        self.request_ids.push(entry.request_id.clone());
        self.hashes.push(entry.rule_set_hash.to_vec());
        self.facts.push(entry.facts.clone());
        self.left_out.push(entry.left_out.map(LeftOut::name));
        self.selections.push(entry.selection.as_ref().map(Value::to_string));
    }
}

impl Store {
    /// Stores evaluations; answers how many of them are stored then: those of tenants that are deleted are not. To do it
    /// again changes nothing.
    pub async fn record_decisions(&self, entries: &mut [RecordedDecision]) -> Result<u64, Error> {
        entries.sort_by_key(|entry| entry.tenant);
        let mut columns = Columns::default();
        entries.iter().for_each(|entry| columns.push(entry));
        let query = sqlx::query_scalar(
            "select tenet_decisions_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(columns.tenants)
        .bind(columns.counts)
        .bind(columns.ids)
        .bind(columns.revisions)
        .bind(columns.schema_versions)
        .bind(columns.matched)
        .bind(columns.errors)
        .bind(columns.costs)
        .bind(columns.evaluated)
        .bind(columns.decided)
        .bind(columns.micros)
        .bind(columns.request_ids)
        .bind(columns.hashes)
        .bind(columns.facts)
        .bind(columns.left_out)
        .bind(columns.selections);
        let mut connection = self.recorder.acquire(OPERATION).await?;
        let stored: i64 = self.recorder.observer().timed(OPERATION, query.fetch_one(&mut *connection)).await?;
        Ok(u64::try_from(stored).unwrap_or_default())
    }

    /// Tenants after `after` that have ever had an evaluation recorded, in order of id; deleted ones until nothing of
    /// them is left.
    pub async fn tenants_with_recorded_decisions(&self, after: TenantId, limit: i64) -> Result<Vec<TenantId>, Error> {
        const OPERATION: &str = "find decision logs";
        let query = sqlx::query_scalar("select tenant_id from decision_logs where tenant_id > $1 order by 1 limit $2")
            .bind(after.0)
            .bind(limit);
        let mut connection = self.recorder.acquire(OPERATION).await?;
        let ids: Vec<Uuid> = self.recorder.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    /// Deletes some of a tenant's recorded evaluations of a time; answers how many. Called until it answers 0, with pauses.
    pub async fn delete_recorded_between(
        &self,
        scope: TenantScope,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<u64, Error> {
        const OPERATION: &str = "delete recorded decisions";
        let mut tx = TenantTx::write(&self.recorder, &self.role, scope).await?;
        let query = sqlx::query(
            "delete from decisions where tenant_id = $1 and id >= $2 and id < $3 and id in (
                select id from decisions
                where tenant_id = $1 and id >= $2 and id < $3 and source = 'evaluate' order by id limit $4)",
        )
        .bind(scope.id().0)
        .bind(events::floor(from))
        .bind(events::floor(to))
        .bind(DELETED_ROWS)
        .persistent(false);
        let deleted = tx.execute(OPERATION, query).await?;
        tx.commit(OPERATION).await?;
        Ok(deleted)
    }

    /// Forgets that a tenant has had evaluations recorded.
    pub async fn forget_decision_log(&self, scope: TenantScope) -> Result<(), Error> {
        const OPERATION: &str = "forget decision log";
        let query = sqlx::query("delete from decision_logs where tenant_id = $1").bind(scope.id().0);
        let mut connection = self.recorder.acquire(OPERATION).await?;
        self.recorder.observer().timed(OPERATION, query.execute(&mut *connection)).await.map(drop)
    }
}
