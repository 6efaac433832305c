//! `GET …/analytics/series`: a number of a tenant's, hour by hour or day by day.

use std::collections::HashMap;

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{SpanQuery, kept};
use crate::{
    analytics::{Hour, Interval},
    domain::RuleId,
    error::Detail,
    http::door::{
        AppState, Error,
        path::{TenantPath, rule_not_found},
        query::{Given, Parameters, Query},
        response,
    },
    store::{CountFilter, Metric},
};

/// Points that a series has at most.
const POINTS_MAX: i64 = 2_000;

/// Which number.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// `decisions` (the default), `matched`, `errors`, `events` or `micros`.
    #[param(value_type = Option<String>)]
    metric: Metric,
    /// `hour` (the default) or `day`.
    #[param(value_type = Option<String>)]
    interval: Interval,
    /// Of this rule: `matched` and `errors` are counted by rule.
    rule: Option<RuleId>,
    /// Of events of this type. Beyond 200 types a day, those that come later are `(other)`.
    r#type: Option<String>,
    /// Of events of this project. Beyond 200 projects a day, those that come later are `(other)`.
    project: Option<String>,
}

impl Parameters for (SeriesQuery, SpanQuery) {
    fn take(given: &mut Given) -> Self {
        let intervals = [Interval::Hour, Interval::Day].map(|interval| (interval.name(), interval));
        let query = SeriesQuery {
            metric: given
                .word("metric", &Metric::ALL.map(|metric| (metric.name(), metric)))
                .unwrap_or(Metric::Decisions),
            interval: given.word("interval", &intervals).unwrap_or(Interval::Hour),
            rule: given.id("rule"),
            r#type: given.text("type"),
            project: given.text("project"),
        };
        (query, SpanQuery::take(given))
    }
}

/// A number, hour by hour or day by day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesBody {
    /// `hour` or `day`.
    #[schema(example = "hour")]
    interval: &'static str,
    /// Since when is counted.
    from: DateTime<Utc>,
    /// Until when.
    to: DateTime<Utc>,
    /// When this was so.
    as_of: DateTime<Utc>,
    /// A point for each hour or day, also where it is 0.
    points: Vec<PointItem>,
}

/// The number of an hour or a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointItem {
    /// When the hour or day begins.
    at: DateTime<Utc>,
    /// The number.
    value: i64,
}

/// Shows a number of a tenant's, hour by hour or day by day.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/analytics/series", tag = "analytics", operation_id = "listCounts",
    params(SeriesQuery, SpanQuery),
    responses((status = 200, description = "The points.", body = SeriesBody))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, span)): Query<(SeriesQuery, SpanQuery)>,
) -> Result<HttpResponse, Error> {
    let SeriesQuery { metric, interval, rule, r#type: kind, project } = query;
    let now = Utc::now();
    let span = span.span(now)?;
    let points = span.points(interval);
    if points > POINTS_MAX {
        let message = format!("the series would have {points} points; {POINTS_MAX} is the most");
        let hint = "ask for less time, or for days";
        return Err(Error::invalid_one(Detail::new("too_many", message).at("from").hint(hint)));
    }
    if rule.is_some() && !metric.is_of_rules() {
        let message = format!("`{}` is not counted by rule; `matched` and `errors` are", metric.name());
        return Err(Error::invalid_one(Detail::new("invalid_value", message).at("metric")));
    }
    let kept = kept(&state, tenant, now).await?;
    if let Some(rule) = rule
        && !state.store.has_had_rule(tenant, rule).await?
    {
        return Err(rule_not_found());
    }
    let stretch = match interval {
        Interval::Hour => span.stretch_of_hours(kept),
        Interval::Day => span.in_whole(interval).stretch(kept),
    };
    let filter = CountFilter { rule, project, kind };
    let (found, as_of) = state.store.count_series(tenant, metric, interval, &filter, &stretch).await?;
    let values: HashMap<Hour, i64> = found.iter().map(|point| (point.at, point.value)).collect();
    let (from, to) = (stretch.span.from, stretch.span.in_whole(interval).to);
    let all = (from.0..to.0).step_by(usize::try_from(interval.hours()).unwrap_or(1)).map(Hour);
    let point = |at: Hour| PointItem { at: at.begins(), value: values.get(&at).copied().unwrap_or_default() };
    let points = all.map(point).collect();
    let body = SeriesBody { interval: interval.name(), from: from.begins(), to: to.begins(), as_of, points };
    response::plain(StatusCode::OK, &body)
}
