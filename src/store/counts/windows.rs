//! What became of each rule, within several windows of time at once. How often a rule was evaluated is not counted: it is
//! the decisions of the revisions in which it was active.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, Row, SqlSafeStr, postgres::PgRow};
use uuid::Uuid;

use super::{moments, read::counted};
use crate::{
    analytics::{RuleCounts, Span, Stretch, WHOLE, WindowCounts},
    domain::{RuleId, TenantScope},
    store::{Error, Store, tx::TenantTx},
};

/// Rules of a tenant, with their counts in several windows.
#[derive(Debug)]
pub struct RuleWindows {
    /// Those that there are, and those that were active or matched in one of the windows.
    pub rules: Vec<RuleCounts>,
    /// When this was so.
    pub as_of: DateTime<Utc>,
}

struct RuleRow(RuleCounts, DateTime<Utc>);

impl FromRow<'_, PgRow> for RuleRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let numbers = |column| row.try_get::<Vec<i64>, _>(column);
        let (evaluated, matched) = (numbers("evaluated")?, numbers("matched")?);
        let (errors, missing) = (numbers("errors")?, numbers("missing")?);
        let windows = evaluated
            .into_iter()
            .zip(matched)
            .zip(errors.into_iter().zip(missing))
            .map(|((evaluated, matched), (errors, missing))| WindowCounts { evaluated, matched, errors, missing })
            .collect();
        let last_matched: i64 = row.try_get("last_matched")?;
        let counts = RuleCounts {
            rule: RuleId(row.try_get::<Uuid, _>("id")?),
            name: row.try_get("name")?,
            active: row.try_get("active")?,
            active_since: row.try_get("active_since")?,
            last_matched: DateTime::from_timestamp(last_matched, 0).filter(|_| last_matched > 0),
            windows,
        };
        Ok(Self(counts, row.try_get("as_of")?))
    }
}

/// The statement for so many windows; that with number `n` is from `$(6 + 2n)` until before `$(7 + 2n)`.
fn statement(windows: usize) -> String {
    let within = |n: usize| format!("at >= ${} and at < ${}", 6 + 2 * n, 7 + 2 * n);
    let each = |form: &dyn Fn(usize) -> String| (0..windows).map(form).collect::<Vec<_>>().join(", ");
    let decided = each(&|n| format!("coalesce(sum(decisions - partial) filter (where {}), 0) as d{n}", within(n)));
    let summed = each(&|n| {
        ["matched", "errors", "missing", "selected"]
            .map(|name| format!("coalesce(sum({name}) filter (where {}), 0)::bigint as {name}{n}", within(n)))
            .join(", ")
    });
    let had = each(&|n| format!("sum(d{n})::bigint as e{n}"));
    let array = |form: &dyn Fn(usize) -> String| format!("array[{}]", each(form));
    let mut sql = format!("with counted as materialized ({}), ", counted(""));
    let _ = write!(
        sql,
        "by_revision as (select revision, {decided} from counted where rule_id = '{whole}' group by 1),
         by_rule as (select rule_id, max(last_matched) as last_matched, {summed} from counted
            where rule_id <> '{whole}' group by 1),
         had as (
            select h.rule_id, {had} from rule_history h join by_revision b
                on b.revision >= h.from_revision and (h.to_revision is null or b.revision < h.to_revision)
            where h.tenant_id = $1 and h.active group by 1
         ),
         since as (
            select h.rule_id, min(h.from_revision) as revision from rule_history h
            where h.tenant_id = $1 and h.active and h.from_revision >= coalesce((select max(i.to_revision)
                from rule_history i where i.tenant_id = $1 and i.rule_id = h.rule_id and not i.active), 0)
            group by 1
         ),
         known as (
            select id from rules where tenant_id = $1 union select rule_id from by_rule union select rule_id from had
         )
         select k.id, r.name, coalesce(r.active, false) as active,
            case when r.active then coalesce(n.at, r.created_at) end as active_since,
            coalesce(c.last_matched, 0) as last_matched, now() as as_of, {evaluated} as evaluated, {matched} as matched,
            {errors} as errors, {missing} as missing
         from known k left join rules r on r.tenant_id = $1 and r.id = k.id
         left join by_rule c on c.rule_id = k.id left join had on had.rule_id = k.id
         left join since s on s.rule_id = k.id
         left join revision_notes n on n.tenant_id = $1 and n.revision = s.revision
         order by k.id",
        whole = WHOLE.0,
        evaluated = array(&|n| format!("coalesce(had.e{n}, 0) + coalesce(c.selected{n}, 0)")),
        matched = array(&|n| format!("coalesce(c.matched{n}, 0)")),
        errors = array(&|n| format!("coalesce(c.errors{n}, 0)")),
        missing = array(&|n| format!("coalesce(c.missing{n}, 0)")),
    );
    sql
}

impl Store {
    /// What became of each rule of a tenant in each of the windows, which lie within the stretch. `None`: there is no
    /// such tenant.
    pub async fn rule_counts(
        &self,
        scope: TenantScope,
        stretch: &Stretch,
        windows: &[Span],
    ) -> Result<RuleWindows, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let rules = rule_counts(&mut tx, stretch, windows).await?;
        tx.end().await?;
        Ok(rules)
    }

    /// The same for windows of days, and for windows of hours, at one moment.
    pub async fn rule_counts_of_both(
        &self,
        scope: TenantScope,
        days: (&Stretch, &[Span]),
        hours: (&Stretch, &[Span]),
    ) -> Result<[RuleWindows; 2], Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let both = [rule_counts(&mut tx, days.0, days.1).await?, rule_counts(&mut tx, hours.0, hours.1).await?];
        tx.end().await?;
        Ok(both)
    }
}

async fn rule_counts(tx: &mut TenantTx, stretch: &Stretch, windows: &[Span]) -> Result<RuleWindows, Error> {
    let sql = statement(windows.len());
    let mut query = sqlx::query_as(AssertSqlSafe(sql).into_sql_str())
        .bind(tx.tenant.0)
        .bind(moments(&stretch.days))
        .bind(moments(&stretch.hours))
        .bind(stretch.span.from.begins())
        .bind(stretch.span.to.begins());
    for window in windows {
        query = query.bind(window.from.begins()).bind(window.to.begins());
    }
    let rows: Vec<RuleRow> = tx.all("read counts of rules", query).await?;
    let as_of = rows.first().map_or_else(Utc::now, |RuleRow(_, as_of)| *as_of);
    Ok(RuleWindows { rules: rows.into_iter().map(|RuleRow(counts, _)| counts).collect(), as_of })
}
