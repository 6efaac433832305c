//! `/api/v1/tenants/{tenantId}/dead-letters/redrive` and `/redrives/{redriveId}`: dead letters that are brought back.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dead_letters::{LetterFilterBody, MatchedLetters, filter, matched};
use crate::{
    domain::RedriveId,
    error::Detail,
    http::door::{
        AppState, Error,
        auth::By,
        body::{Body, Document},
        path::{RedrivePath, TenantPath, redrive_not_found},
        query::Query,
        response,
    },
    store::{LetterFilter, Redrive, RedriveOrder, redrivable},
};

/// Dead letters that one redrive brings back at most, and if it is not said how many.
const REDRIVE_MAX: i64 = 10_000;
/// Events a second that are brought back, if that is not said either, and at most.
const RATE_DEFAULT: i64 = 100;
const RATE_MAX: i64 = 10_000;
/// What to bring back: named events, or what a filter matches.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RedriveBody {
    /// The events.
    #[schema(max_items = 1_000)]
    event_ids: Option<Vec<String>>,
    /// Instead of events: what matches. `{}` matches all.
    filter: Option<LetterFilterBody>,
    /// Bring back so many at most.
    #[schema(minimum = 1, maximum = 10_000)]
    max: Option<i64>,
    /// Bring back so many a second.
    #[schema(minimum = 1, maximum = 10_000)]
    rate_per_second: Option<i64>,
    /// Only say what matches.
    dry_run: Option<bool>,
}

impl Document for RedriveBody {}

/// A redrive that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedriveAnswer {
    /// Its id.
    redrive_id: RedriveId,
    /// How many dead letters are brought back.
    matched: i64,
}

/// Dead letters that are being brought back, or were.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redrive)]
#[serde(rename_all = "camelCase")]
pub struct RedriveItem {
    /// Its id.
    id: RedriveId,
    /// `running`, `done` or `stopped`.
    #[schema(example = "running")]
    state: String,
    /// How many matched when it began.
    matched: i64,
    /// How many were brought back by now.
    redriven: i64,
    /// How many are brought back a second.
    rate_per_second: i32,
    /// Who began it.
    #[schema(example = "operator")]
    created_by: String,
    /// When it began.
    created_at: DateTime<Utc>,
    /// When it ended; `null` while it is running.
    #[schema(required = true)]
    ended_at: Option<DateTime<Utc>>,
}

impl From<Redrive> for RedriveItem {
    fn from(redrive: Redrive) -> Self {
        let Redrive { id, matched, redriven, rate_per_second, state, actor, created_at, ended_at } = redrive;
        Self { id, state, matched, redriven, rate_per_second, created_by: actor, created_at, ended_at }
    }
}

fn in_range(value: i64, most: i64, path: &str) -> Result<i64, Error> {
    let detail = || Detail::new("invalid_value", format!("must be a whole number from 1 to {most}")).at(path);
    if (1..=most).contains(&value) { Ok(value) } else { Err(Error::invalid_one(detail())) }
}

/// Brings dead letters back: they are decided by the rules of now. A dry run only says which.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/dead-letters/redrive", tag = "events",
    operation_id = "redriveDeadLetters", request_body = RedriveBody,
    responses(
        (status = 202, description = "They are being brought back.", body = RedriveAnswer),
        (status = 200, description = "A dry run: what matches.", body = MatchedLetters)
    )
)]
pub async fn create(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    Body(body): Body<RedriveBody>,
) -> Result<HttpResponse, Error> {
    let max = in_range(body.max.unwrap_or(REDRIVE_MAX), REDRIVE_MAX, "max")?;
    let rate = in_range(body.rate_per_second.unwrap_or(RATE_DEFAULT), RATE_MAX, "ratePerSecond")?;
    let named = filter(body.event_ids, body.filter)?;
    let filter = LetterFilter { redriven_below: redrivable().redriven_below, ..named };
    if body.dry_run == Some(true) {
        return matched(&state, tenant, &filter, None).await;
    }
    let order = RedriveOrder { filter, max, rate_per_second: i32::try_from(rate).unwrap_or(i32::MAX) };
    let redrive = state.ingest.redrive(tenant, &order, &author).await?.ok_or_else(Error::tenant_not_found)?;
    let location = format!("/api/v1/tenants/{tenant}/redrives/{}", redrive.id);
    let answer = RedriveAnswer { redrive_id: redrive.id, matched: redrive.matched };
    let mut response = response::plain(StatusCode::ACCEPTED, &answer)?;
    if let Ok(location) = header::HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows how far a redrive is.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/redrives/{redriveId}", tag = "events", operation_id = "getRedrive",
    responses((status = 200, description = "The redrive.", body = RedriveItem))
)]
pub async fn show(
    state: Data<AppState>,
    RedrivePath(tenant, id): RedrivePath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    let redrive = state.store.redrive(tenant, id).await?.ok_or_else(redrive_not_found)?;
    response::plain(StatusCode::OK, &RedriveItem::from(redrive))
}

/// Stops a redrive: it brings back no more. What it has brought back by then is decided.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/redrives/{redriveId}", tag = "events", operation_id = "stopRedrive",
    responses((status = 204, description = "It brings back no more."))
)]
pub async fn stop(
    By(author): By,
    state: Data<AppState>,
    RedrivePath(tenant, id): RedrivePath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    if !state.store.stop_redrive(tenant, id, &author).await? {
        return Err(redrive_not_found());
    }
    Ok(HttpResponse::NoContent().finish())
}
