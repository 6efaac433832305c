//! `GET …/analytics/rules`: how often each rule matched.

use std::cmp::Ordering;

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{SpanQuery, kept};
use crate::{
    analytics::{RuleCounts, WindowCounts},
    domain::RuleId,
    http::door::{
        AppState, Error,
        path::TenantPath,
        query::{Given, PageQuery, Parameters, Query},
        response,
    },
    store::{Page, PageRequest},
};

/// What the rules are ordered by, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSort {
    /// How often they matched.
    Matched,
    /// How often they failed.
    Errors,
    /// In which share of their evaluations they matched.
    MatchRate,
}

/// In which order.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RulesQuery {
    /// `matched` (the default), `errors` or `matchRate`; the greatest first.
    #[param(value_type = Option<String>)]
    sort: RuleSort,
}

impl Parameters for (RulesQuery, SpanQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let words = [("matched", RuleSort::Matched), ("errors", RuleSort::Errors), ("matchRate", RuleSort::MatchRate)];
        let query = RulesQuery { sort: given.word("sort", &words).unwrap_or(RuleSort::Matched) };
        (query, SpanQuery::take(given), PageQuery::take(given))
    }
}

/// How often rules matched.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCountsBody {
    /// The rules: those that there are, and deleted ones that were active or matched in this time.
    items: Vec<RuleCountsItem>,
    /// The `cursor` of the next page; `null` at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// Since when is counted.
    from: DateTime<Utc>,
    /// Until when.
    to: DateTime<Utc>,
    /// When this was so.
    as_of: DateTime<Utc>,
}

/// How often a rule matched.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCountsItem {
    /// The rule.
    rule_id: RuleId,
    /// Its name; `null` if it is deleted.
    #[schema(required = true)]
    rule_name: Option<String>,
    /// Whether it is active.
    active: bool,
    /// Decisions for which it was evaluated.
    evaluated: i64,
    /// Those that it matched.
    matched: i64,
    /// Which share of them that is; `null` if there are none.
    #[schema(required = true)]
    match_rate: Option<f64>,
    /// Decisions in which it failed.
    errors: i64,
    /// Which share of them that is; `null` if there are none.
    #[schema(required = true)]
    error_rate: Option<f64>,
    /// Those in which it failed for want of a fact.
    missing: i64,
    /// When it last matched in this time.
    #[schema(required = true)]
    last_matched_at: Option<DateTime<Utc>>,
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn item(counts: RuleCounts) -> RuleCountsItem {
    let WindowCounts { evaluated, matched, errors, missing } = counts.windows.first().copied().unwrap_or_default();
    RuleCountsItem {
        rule_id: counts.rule,
        rule_name: counts.name,
        active: counts.active,
        evaluated,
        matched,
        match_rate: rate(matched, evaluated),
        errors,
        error_rate: rate(errors, evaluated),
        missing,
        last_matched_at: counts.last_matched,
    }
}

/// What an item is ordered by, the greatest first, and by its id among equals.
fn key(sort: RuleSort, item: &RuleCountsItem) -> (f64, Uuid) {
    #[expect(clippy::cast_precision_loss, reason = "numbers beyond 2^52 are equals")]
    let value = match sort {
        RuleSort::Matched => item.matched as f64,
        RuleSort::Errors => item.errors as f64,
        RuleSort::MatchRate => item.match_rate.unwrap_or(-1.0),
    };
    (value, item.rule_id.0)
}

fn order(one: (f64, Uuid), other: (f64, Uuid)) -> Ordering {
    other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
}

/// A page of items, in order. A cursor names the last item of a page and what it was ordered by.
fn page(mut items: Vec<RuleCountsItem>, sort: RuleSort, page: &PageRequest) -> Result<Page<RuleCountsItem>, Error> {
    let list = match sort {
        RuleSort::Matched => "rule counts by matched",
        RuleSort::Errors => "rule counts by errors",
        RuleSort::MatchRate => "rule counts by match rate",
    };
    let after: Option<(f64, Uuid)> = page.after(list)?;
    items.retain(|item| after.is_none_or(|after| order(after, key(sort, item)) == Ordering::Less));
    items.sort_by(|one, other| order(key(sort, one), key(sort, other)));
    Ok(page.page(list, items, |item| key(sort, item)))
}

/// Lists how often rules matched.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/analytics/rules", tag = "analytics", operation_id = "listRuleCounts",
    params(RulesQuery, SpanQuery, PageQuery),
    responses((status = 200, description = "A page of rules.", body = RuleCountsBody))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, span, request)): Query<(RulesQuery, SpanQuery, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let now = Utc::now();
    let stretch = span.span(now)?.stretch(kept(&state, tenant, now).await?);
    let found = state.store.rule_counts(tenant, &stretch, &[stretch.span]).await?;
    let items = found.rules.into_iter().map(item).collect();
    let Page { items, next_cursor } = page(items, query.sort, &PageRequest::from(request))?;
    let (from, to) = (stretch.span.from.begins(), stretch.span.to.begins());
    response::plain(StatusCode::OK, &RuleCountsBody { items, next_cursor, from, to, as_of: found.as_of })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(matched: i64, evaluated: i64) -> RuleCountsItem {
        let windows = vec![WindowCounts { evaluated, matched, errors: 0, missing: 0 }];
        let rule = RuleId::generate();
        let name = Some("rule".to_owned());
        item(RuleCounts { rule, name, active: true, active_since: None, last_matched: None, windows })
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        for sort in [RuleSort::Matched, RuleSort::Errors, RuleSort::MatchRate] {
            let all = || (0..20).map(|number| some(number % 4, number / 3));
            let items: Vec<_> = all().collect();
            let copy = || {
                items.iter().map(|one| {
                    let windows = vec![WindowCounts {
                        evaluated: one.evaluated,
                        matched: one.matched,
                        errors: one.errors,
                        missing: 0,
                    }];
                    let (rule, name) = (one.rule_id, one.rule_name.clone());
                    item(RuleCounts { rule, name, active: true, active_since: None, last_matched: None, windows })
                })
            };
            let whole = page(copy().collect(), sort, &PageRequest { cursor: None, limit: 100 }).unwrap();
            assert_eq!((whole.items.len(), whole.next_cursor), (20, None));
            let (mut cursor, mut seen) = (None, Vec::new());
            loop {
                let part = page(copy().collect(), sort, &PageRequest { cursor, limit: 3 }).unwrap();
                seen.extend(part.items.iter().map(|item| item.rule_id));
                cursor = part.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, whole.items.iter().map(|item| item.rule_id).collect::<Vec<_>>(), "{sort:?}");
            let keys: Vec<f64> = whole.items.iter().map(|item| key(sort, item).0).collect();
            assert!(keys.is_sorted_by(|one, other| one >= other), "{keys:?}");
        }
    }
}
