//! Looking events up, counting and deleting them.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::accepting::EventTime;
use crate::{
    domain::{AuditAction, EventId, EventState, Quota, Revision, RuleId},
    engine::Served,
    http::door::{
        AppState, Error,
        auth::By,
        path::{EventPath, TenantPath, event_not_found},
        query::{Given, PageQuery, Parameters, Query},
        response::{self, List},
    },
    store::{EventFilter, EventLine, PageRequest},
};

/// An event in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventItem {
    /// Its id.
    id: EventId,
    /// Its type.
    #[schema(required = true)]
    r#type: Option<String>,
    /// Its project.
    #[schema(required = true)]
    project: Option<String>,
    /// `pending`, `retrying`, `decided`, `dead` or `discarded`.
    #[schema(example = "decided")]
    state: &'static str,
    /// When it was received.
    received_at: DateTime<Utc>,
    /// When it occurred, as its sender said.
    #[schema(required = true)]
    occurred_at: Option<DateTime<Utc>>,
    /// Ids of the rules that matched.
    matched_rules: Vec<RuleId>,
    /// The revision that decided it.
    #[schema(required = true)]
    revision: Option<Revision>,
    /// How often it was tried in vain.
    attempts: i16,
}

/// An event with its facts and its decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventAnswer {
    /// What a list shows of it.
    #[serde(flatten)]
    event: EventItem,
    /// Its facts; sensitive values are masked.
    facts: Value,
    /// `occurredAt` if rules read that time as `now`.
    #[schema(required = true, inline)]
    at: Option<EventTime>,
    /// Its ordering key.
    #[schema(required = true)]
    ordering_key: Option<String>,
    /// Its decision; `null` until it is decided.
    #[schema(required = true)]
    decision: Option<EventDecision>,
}

/// The decision of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDecision {
    /// The version of the schema.
    schema_version: i32,
    /// The time of the decision, which rules read as `now`.
    evaluated_at: DateTime<Utc>,
    /// Ids of the rules that matched.
    matched_rules: Vec<RuleId>,
    /// Errors of rules.
    errors: Value,
    /// When the decision was stored.
    decided_at: DateTime<Utc>,
}

/// Counts of a tenant's events.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventStatsAnswer {
    /// All within what is kept.
    total: i64,
    /// Those of the last 24 hours.
    last24_hours: i64,
    /// Those of the last hour.
    last_hour: i64,
    /// Those that are not decided yet.
    pending: i64,
    /// Those that wait to be tried again.
    retrying: i64,
    /// Those that were given up and not put aside.
    dead_letters: i64,
    /// Age of the oldest undecided event.
    oldest_pending_seconds: i64,
    /// When this was counted.
    as_of: DateTime<Utc>,
}

/// Which events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Those of this type.
    r#type: Option<String>,
    /// Those of this project.
    project: Option<String>,
    /// Those in this state: `pending`, `retrying`, `decided`, `dead` or `discarded`.
    #[param(value_type = Option<String>)]
    state: Option<EventState>,
    /// Those received at this time or later.
    from: Option<DateTime<Utc>>,
    /// Those received before this time.
    to: Option<DateTime<Utc>>,
    /// Those that this rule matched.
    matched: Option<RuleId>,
}

/// Which events to count.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Those of this project.
    project: Option<String>,
    /// Those of this type.
    r#type: Option<String>,
}

impl Parameters for (EventQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let filter = EventQuery {
            r#type: given.text("type"),
            project: given.text("project"),
            state: given.word("state", &EventState::ALL.map(|state| (state.name(), state))),
            from: given.time("from"),
            to: given.time("to"),
            matched: given.id("matched"),
        };
        (filter, PageQuery::take(given))
    }
}

impl Parameters for StatsQuery {
    fn take(given: &mut Given) -> Self {
        Self { project: given.text("project"), r#type: given.text("type") }
    }
}

impl From<EventLine> for EventItem {
    fn from(line: EventLine) -> Self {
        Self {
            id: line.id,
            r#type: line.kind,
            project: line.project,
            state: line.state.name(),
            received_at: line.id.received_at(),
            occurred_at: line.occurred_at,
            matched_rules: line.matched,
            revision: line.revision,
            attempts: line.attempts,
        }
    }
}

/// Lists a tenant's events, the newest first.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/events", tag = "events", operation_id = "listEvents",
    params(EventQuery, PageQuery),
    responses((status = 200, description = "A page of events.", body = List<EventItem>))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, page)): Query<(EventQuery, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let filter = EventFilter {
        kind: query.r#type,
        project: query.project,
        state: query.state,
        from: query.from,
        to: query.to,
        matched: query.matched,
    };
    let [retention] = state.kept_for(tenant, [Quota::EventRetentionDays]).await?;
    let page = state.store.events(tenant, &filter, retention, &PageRequest::from(page), Utc::now()).await?;
    response::list(page, EventItem::from)
}

/// Shows an event with its facts and its decision.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/events/{eventId}", tag = "events", operation_id = "getEvent",
    responses((status = 200, description = "The event.", body = EventAnswer))
)]
pub async fn show(
    state: Data<AppState>,
    EventPath(tenant, id): EventPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    let [retention] = state.kept_for(tenant, [Quota::EventRetentionDays]).await?;
    let kept_since = Utc::now() - retention;
    let event = state.store.event(tenant, id).await?.filter(|event| event.line.id.received_at() >= kept_since);
    let event = event.ok_or_else(event_not_found)?;
    let served: Option<Served> = state.engine.deciding(tenant, None).await.ok();
    // Without the schema it is not known what may be shown.
    let mut facts = serde_json::from_str(&event.facts).unwrap_or_default();
    match served {
        Some(served) => served.set.mask_facts(&mut facts),
        None => facts = Value::Null,
    }
    let decision = match (event.schema_version, event.evaluated_at, event.decided_at) {
        (Some(schema_version), Some(evaluated_at), Some(decided_at)) => Some(EventDecision {
            schema_version,
            evaluated_at,
            matched_rules: event.line.matched.clone(),
            errors: event.errors,
            decided_at,
        }),
        _ => None,
    };
    let at = event.at_occurrence.then_some(EventTime::OccurredAt);
    let answer = EventAnswer { event: event.line.into(), facts, at, ordering_key: event.ordering_key, decision };
    response::plain(StatusCode::OK, &answer)
}

/// Deletes an event and its decision. One that is not decided yet never is. Counts stay.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenantId}/events/{eventId}", tag = "events", operation_id = "deleteEvent",
    responses((status = 204, description = "The event is deleted."))
)]
pub async fn delete(
    By(author): By,
    state: Data<AppState>,
    EventPath(tenant, id): EventPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    if !state.store.delete_event(tenant, id).await? {
        return Err(event_not_found());
    }
    state.note(tenant, &author, AuditAction::EventDelete, format!("events/{id}"), None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Counts a tenant's events.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/events/stats", tag = "events", operation_id = "countEvents",
    params(StatsQuery),
    responses((status = 200, description = "The counts.", body = EventStatsAnswer))
)]
pub async fn stats(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query(query): Query<StatsQuery>,
) -> Result<HttpResponse, Error> {
    let [retention] = state.kept_for(tenant, [Quota::EventRetentionDays]).await?;
    let now = Utc::now();
    let (project, kind) = (query.project.as_deref(), query.r#type.as_deref());
    let stats = state.store.event_stats(tenant, project, kind, retention, state.ingest.position(tenant), now).await?;
    let answer = EventStatsAnswer {
        total: stats.total,
        last24_hours: stats.last_24_hours,
        last_hour: stats.last_hour,
        pending: stats.pending,
        retrying: stats.retrying,
        dead_letters: stats.dead_letters,
        oldest_pending_seconds: stats.oldest_pending.map_or(0, |at| (now - at).num_seconds().max(0)),
        as_of: now,
    };
    response::plain(StatusCode::OK, &answer)
}
