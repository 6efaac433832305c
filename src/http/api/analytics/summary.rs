//! `GET …/analytics/summary`: a tenant's decisions in a few numbers.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{SpanQuery, kept};
use crate::http::door::{AppState, Error, path::TenantPath, query::Query, response};

/// A tenant's decisions in a few numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummaryBody {
    /// Since when is counted.
    from: DateTime<Utc>,
    /// Until when.
    to: DateTime<Utc>,
    /// Decisions made.
    decisions: i64,
    /// Decisions in which a rule matched.
    matched: i64,
    /// Errors of rules.
    rule_errors: i64,
    /// Events that were decided or given up.
    events: i64,
    /// Events that were sent again.
    duplicates: i64,
    /// Events that were given up.
    dead_letters: i64,
    /// Microseconds that decisions took.
    micros_total: i64,
    /// When this was so.
    as_of: DateTime<Utc>,
}

/// Counts a tenant's decisions and events: by the hour in which an event occurred, or was received if it does not say.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/analytics/summary", tag = "analytics", operation_id = "summarizeCounts",
    params(SpanQuery),
    responses((status = 200, description = "The numbers.", body = SummaryBody))
)]
pub async fn show(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(query): Query<SpanQuery>,
) -> Result<HttpResponse, Error> {
    let now = Utc::now();
    let span = query.span(now)?;
    let stretch = span.stretch(kept(&state, tenant, now).await?);
    let counted = state.store.count_summary(tenant, &stretch).await?.ok_or_else(Error::tenant_not_found)?;
    let body = SummaryBody {
        from: stretch.span.from.begins(),
        to: stretch.span.to.begins(),
        decisions: counted.decisions,
        matched: counted.matched,
        rule_errors: counted.errors,
        events: counted.events,
        duplicates: counted.duplicates,
        dead_letters: counted.dead_letters,
        micros_total: counted.micros,
        as_of: counted.as_of,
    };
    response::plain(StatusCode::OK, &body)
}
