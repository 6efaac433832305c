//! Reading counts: sums of hours and days, and what is not merged yet, in one statement.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, SqlSafeStr};

use super::{columns, moments};
use crate::{
    analytics::{Hour, Interval, Stretch, WHOLE},
    domain::{RuleId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// A number that a series shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Decisions made.
    Decisions,
    /// Decisions in which a rule matched, or this one.
    Matched,
    /// Errors of rules.
    Errors,
    /// Events that had an effect.
    Events,
    /// Time, in microseconds.
    Micros,
}

/// Which counts.
#[derive(Debug, Clone, Default)]
pub struct CountFilter {
    /// Those of this rule; of whole decisions if `None`.
    pub rule: Option<RuleId>,
    /// Those of events of this project.
    pub project: Option<String>,
    /// Those of events of this type.
    pub kind: Option<String>,
}

/// Counts of whole decisions, and when they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Counted {
    /// Decisions made.
    pub decisions: i64,
    /// Those in which a rule matched.
    pub matched: i64,
    /// Errors of rules.
    pub errors: i64,
    /// Events that had an effect.
    pub events: i64,
    /// Events that were sent again.
    pub duplicates: i64,
    /// Events given up.
    pub dead_letters: i64,
    /// Time, in microseconds.
    pub micros: i64,
    /// When this was so.
    pub as_of: DateTime<Utc>,
}

/// A point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The first hour of it.
    pub at: Hour,
    /// The number.
    pub value: i64,
}

#[derive(FromRow)]
struct PointRow {
    as_of: DateTime<Utc>,
    /// Nothing, if there are no points.
    at: Option<DateTime<Utc>>,
    value: Option<i64>,
}

/// Everything counted in a stretch: `$2` are whole days, `$3` hours, from `$4` until before `$5` whatever is not merged.
/// With one `rule` it is found in the index hour by hour.
pub(super) fn counted(rule: &str) -> String {
    let names = columns("#", "#");
    let branch = |table: &str, at: &str, when: &str| {
        format!(
            "select {at} as at, rule_id, revision, source, project, event_type, {names} from {table}
             where tenant_id = $1 and {when}{rule}"
        )
    };
    [
        branch("count_days", "at", "at = any ($2::timestamptz[])"),
        branch("count_hours", "at", "at = any ($3::timestamptz[])"),
        branch("count_deltas", "hour", "hour >= $4 and hour < $5"),
    ]
    .join(" union all ")
}

static SUMMARY: LazyLock<String> = LazyLock::new(|| {
    let sums = ["decisions", "matched", "errors", "events", "duplicates", "dead_letters", "micros"]
        .map(|name| format!("coalesce(sum({name}), 0)::bigint as {name}"))
        .join(", ");
    format!("select {sums}, now() as as_of from ({}) c", counted(" and rule_id = $6"))
});

impl Metric {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Decisions, Self::Matched, Self::Errors, Self::Events, Self::Micros];

    /// What it is called outside, and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Matched => "matched",
            Self::Errors => "errors",
            Self::Events => "events",
            Self::Micros => "micros",
        }
    }

    /// Whether it is counted of each rule.
    pub fn is_of_rules(self) -> bool {
        matches!(self, Self::Matched | Self::Errors)
    }
}

impl Store {
    /// Counts of a tenant's whole decisions.
    pub async fn count_summary(&self, scope: TenantScope, stretch: &Stretch) -> Result<Option<Counted>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let sql: &'static str = SUMMARY.as_str();
        let query = sqlx::query_as(AssertSqlSafe(sql).into_sql_str())
            .bind(scope.id().0)
            .bind(moments(&stretch.days))
            .bind(moments(&stretch.hours))
            .bind(stretch.span.from.begins())
            .bind(stretch.span.to.begins())
            .bind(WHOLE.0);
        let counted = tx.optional("read summary of counts", query).await?;
        tx.end().await?;
        Ok(counted)
    }

    /// A number of a tenant's, hour by hour or day by day; points of nothing are left out. With it, when this was so.
    pub async fn count_series(
        &self,
        scope: TenantScope,
        metric: Metric,
        interval: Interval,
        filter: &CountFilter,
        stretch: &Stretch,
    ) -> Result<(Vec<Point>, DateTime<Utc>), Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let sql = format!(
            "select n.as_of, p.at, p.value from (select now() as as_of) n left join (
                select date_trunc('{}', at, 'UTC') as at, sum({})::bigint as value from ({}) c
                where ($7::text is null or project = $7) and ($8::text is null or event_type = $8)
                group by 1
             ) p on true order by p.at",
            interval.name(),
            metric.name(),
            counted(" and rule_id = $6"),
        );
        let query = sqlx::query_as(AssertSqlSafe(sql).into_sql_str())
            .bind(scope.id().0)
            .bind(moments(&stretch.days))
            .bind(moments(&stretch.hours))
            .bind(stretch.span.from.begins())
            .bind(stretch.span.to.begins())
            .bind(filter.rule.unwrap_or(WHOLE).0)
            .bind(&filter.project)
            .bind(&filter.kind);
        let rows: Vec<PointRow> = tx.all("read series of counts", query).await?;
        tx.end().await?;
        let as_of = rows.first().map_or_else(Utc::now, |row| row.as_of);
        let point = |row: &PointRow| Some(Point { at: Hour::of(row.at?), value: row.value? });
        Ok((rows.iter().filter_map(point).collect(), as_of))
    }

    /// Whether a tenant has a rule, or had one.
    pub async fn has_had_rule(&self, scope: TenantScope, rule: RuleId) -> Result<bool, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let query = sqlx::query_as("select exists (select from rule_history where tenant_id = $1 and rule_id = $2)")
            .bind(scope.id().0)
            .bind(rule.0);
        let found: Option<(bool,)> = tx.optional("look for a rule", query).await?;
        tx.end().await?;
        Ok(found.is_some_and(|(found,)| found))
    }
}
