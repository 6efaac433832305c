//! Dead letters: events that were given up, to be looked at, tried again or put aside.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    domain::{EventFailure, EventId, Revision, TenantScope},
    store::{Error, Page, PageRequest, Store, tx::TenantTx},
};

/// How many of what a filter matches are shown beforehand.
const SAMPLE: i64 = 10;

/// What is with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterStatus {
    /// Nothing was done about it.
    Open,
    /// The event is tried again, or was.
    Redriven,
    /// It was put aside.
    Discarded,
}

impl LetterStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Redriven, Self::Discarded];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }

    /// The status of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Those of these events; of any if there are none named.
    pub events: Option<Vec<EventId>>,
    /// Those that were given up for this reason.
    pub reason: Option<EventFailure>,
    /// Those of events of this type.
    pub kind: Option<String>,
    /// Those that failed last at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those that failed last before this time.
    pub to: Option<DateTime<Utc>>,
    /// Those with this status.
    pub status: Option<LetterStatus>,
    /// Those that were brought back less often than this.
    pub redriven_below: Option<i16>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event.
    pub event: EventId,
    /// Its type.
    pub kind: Option<String>,
    /// Why it was given up.
    pub reason: String,
    /// What is said about it.
    pub detail: Value,
    /// How often it was tried.
    pub attempts: i16,
    /// When it failed first.
    pub first_failed_at: DateTime<Utc>,
    /// When it failed last.
    pub last_failed_at: DateTime<Utc>,
    /// The revision that refused it.
    pub revision: Option<Revision>,
    /// How often it was brought back.
    pub redrives: i16,
    /// What was done about it.
    pub status: String,
}

/// What a filter matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterCounts {
    /// How many.
    pub matched: i64,
    /// How many for each reason.
    pub by_reason: Vec<(String, i64)>,
    /// The first of them.
    pub sample: Vec<EventId>,
}

impl FromRow<'_, PgRow> for DeadLetter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event: EventId(row.try_get("event_id")?),
            kind: row.try_get("event_type")?,
            reason: row.try_get("reason")?,
            detail: row.try_get("detail")?,
            attempts: row.try_get("attempts")?,
            first_failed_at: row.try_get("first_failed_at")?,
            last_failed_at: row.try_get("last_failed_at")?,
            revision: row.try_get::<Option<i64>, _>("revision")?.map(Revision),
            redrives: row.try_get("redrives")?,
            status: row.try_get("status")?,
        })
    }
}

/// The condition of a filter, whose values are bound from the second on.
pub(super) const MATCHES: &str =
    "tenant_id = $1 and ($2::uuid[] is null or event_id = any ($2)) and ($3::text is null or reason = $3)
    and ($4::text is null or event_type = $4) and ($5::timestamptz is null or last_failed_at >= $5)
    and ($6::timestamptz is null or last_failed_at < $6) and ($7::text is null or status = $7)
    and ($8::smallint is null or redrives < $8)";

macro_rules! bind_filter {
    ($query:expr, $tenant:expr, $filter:expr) => {
        $query
            .bind($tenant)
            .bind($filter.events.as_ref().map(|events| events.iter().map(|event| event.0).collect::<Vec<Uuid>>()))
            .bind($filter.reason.map(EventFailure::name))
            .bind($filter.kind.clone())
            .bind($filter.from)
            .bind($filter.to)
            .bind($filter.status.map(LetterStatus::name))
            .bind($filter.redriven_below)
    };
}
pub(super) use bind_filter;

impl Store {
    /// A tenant's dead letters, newest event first.
    pub async fn dead_letters(
        &self,
        scope: TenantScope,
        filter: &LetterFilter,
        page: &PageRequest,
    ) -> Result<Page<DeadLetter>, Error> {
        const LIST: &str = "dead letters";
        let before: Option<Uuid> = page.after(LIST)?;
        let sql = format!(
            "select * from dead_letters where {MATCHES} and ($9::uuid is null or event_id < $9)
             order by event_id desc limit $10"
        );
        let query =
            bind_filter!(sqlx::query_as(sqlx::AssertSqlSafe(sql)), scope.id().0, filter).bind(before).bind(page.rows());
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let rows = tx.all("list dead letters", query).await?;
        tx.end().await?;
        Ok(page.page(LIST, rows, |letter: &DeadLetter| letter.event.0))
    }

    /// What a filter matches, of what can be brought back or put aside.
    pub async fn count_dead_letters(&self, scope: TenantScope, filter: &LetterFilter) -> Result<LetterCounts, Error> {
        const OPERATION: &str = "count dead letters";
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let sql = format!("select reason, count(*) from dead_letters where {MATCHES} group by reason order by reason");
        let query = bind_filter!(sqlx::query_as(sqlx::AssertSqlSafe(sql)), scope.id().0, filter);
        let by_reason: Vec<(String, i64)> = tx.all(OPERATION, query).await?;
        let sql = format!("select event_id from dead_letters where {MATCHES} order by event_id limit $9");
        let query = bind_filter!(sqlx::query_as(sqlx::AssertSqlSafe(sql)), scope.id().0, filter).bind(SAMPLE);
        let sample: Vec<(Uuid,)> = tx.all(OPERATION, query).await?;
        tx.end().await?;
        Ok(LetterCounts {
            matched: by_reason.iter().map(|(_, count)| count).sum(),
            by_reason,
            sample: sample.into_iter().map(|(id,)| EventId(id)).collect(),
        })
    }

    /// Puts aside what a filter matches, if it is `expected` many; answers how many match.
    pub async fn discard_dead_letters(
        &self,
        scope: TenantScope,
        filter: &LetterFilter,
        expected: Option<i64>,
    ) -> Result<Result<i64, i64>, Error> {
        const OPERATION: &str = "discard dead letters";
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        let sql = format!("update dead_letters set status = 'discarded' where {MATCHES}");
        let query = bind_filter!(sqlx::query(sqlx::AssertSqlSafe(sql)), scope.id().0, filter);
        let matched = i64::try_from(tx.execute(OPERATION, query).await?).unwrap_or(i64::MAX);
        if expected.is_some_and(|expected| expected != matched) {
            tx.rollback().await?;
            return Ok(Err(matched));
        }
        tx.commit(OPERATION).await?;
        Ok(Ok(matched))
    }
}
