//! `/api/v1/tenants/{tenantId}/consumer`: how the decisions of a tenant's events get on.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use super::runtime::FailureBody;
use crate::{
    domain::{AuditAction, Author, TenantScope},
    http::door::{AppState, Error, auth::By, path::TenantPath, query::Query, response},
    ingest::ConsumerState,
};

/// How a tenant's events are consumed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerAnswer {
    /// `absent`: nothing is to be decided; `acquiring`: a node asks for the queue; `running`; `draining`: it was paused
    /// and finishes what it has begun; `paused`.
    #[schema(example = "running")]
    state: &'static str,
    /// The node that consumes.
    #[schema(required = true, value_type = Option<uuid::Uuid>)]
    owner: Option<uuid::Uuid>,
    /// Events that this node decides at this moment.
    in_flight: usize,
    /// Workers that were set; `null` if none were.
    #[schema(required = true)]
    workers: Option<u16>,
    /// Workers of its last batch on this node; where it does not run, those that it would have.
    effective_workers: usize,
    /// Since how many seconds the queue has not been empty.
    lag_seconds: i64,
    /// `operator` if it is paused.
    #[schema(required = true)]
    paused_reason: Option<&'static str>,
    /// What it could not do on this node, the last time that there was something.
    #[schema(required = true)]
    last_error: Option<FailureBody>,
}

/// Shows how a tenant's events are consumed.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/consumer", tag = "events", operation_id = "getConsumer",
    responses((status = 200, description = "How they are consumed.", body = ConsumerAnswer))
)]
pub async fn show(state: Data<AppState>, TenantPath(tenant): TenantPath, _: Query<()>) -> Result<HttpResponse, Error> {
    consumer_of(&state, tenant).await
}

async fn consumer_of(state: &AppState, tenant: TenantScope) -> Result<HttpResponse, Error> {
    let found = state.tenant(tenant).await?;
    let row = state.store.queue_status(tenant).await?;
    let here = state.ingest.consumer(tenant);
    let is_paused = row.as_ref().is_some_and(|row| row.paused);
    let owner = row.as_ref().and_then(|row| row.owner);
    let state = match &here {
        Some(view) => view.state.name(),
        None if is_paused && owner.is_none() => "paused",
        None if is_paused => ConsumerState::Draining.name(),
        None if owner.is_some() => ConsumerState::Running.name(),
        None => ConsumerState::Absent.name(),
    };
    let since = row.and_then(|row| row.pending_since);
    let answer = ConsumerAnswer {
        state,
        owner,
        in_flight: here.as_ref().map_or(0, |view| view.in_flight),
        workers: found.workers,
        effective_workers: here
            .as_ref()
            .map(|view| view.workers)
            .filter(|workers| *workers > 0)
            .unwrap_or_else(|| found.effective_workers().into()),
        lag_seconds: since.map_or(0, |since| (Utc::now() - since).num_seconds().max(0)),
        paused_reason: is_paused.then_some("operator"),
        last_error: here
            .and_then(|view| view.last_failure)
            .map(|failure| FailureBody::new(failure.at, failure.message)),
    };
    response::plain(StatusCode::OK, &answer)
}

/// Pauses the decisions of a tenant's events. They are accepted all the same.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/consumer/pause", tag = "events", operation_id = "pauseConsumer",
    responses((status = 200, description = "How they are consumed.", body = ConsumerAnswer))
)]
pub async fn pause(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    set_paused(&state, tenant, &author, true).await
}

/// Lets the decisions of a tenant's events go on.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/consumer/resume", tag = "events", operation_id = "resumeConsumer",
    responses((status = 200, description = "How they are consumed.", body = ConsumerAnswer))
)]
pub async fn resume(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    set_paused(&state, tenant, &author, false).await
}

async fn set_paused(
    state: &AppState,
    tenant: TenantScope,
    author: &Author,
    paused: bool,
) -> Result<HttpResponse, Error> {
    let action = if paused { AuditAction::ConsumerPause } else { AuditAction::ConsumerResume };
    state.note(tenant, author, action, "consumer", None).await?;
    state.store.pause_queue(tenant, paused).await?;
    if paused {
        state.ingest.pause(tenant);
    } else {
        state.ingest.wake(tenant);
    }
    consumer_of(state, tenant).await
}
