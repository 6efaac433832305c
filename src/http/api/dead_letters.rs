//! `/api/v1/tenants/{tenantId}/dead-letters`: events that were given up.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{AuditAction, EventFailure, EventId, Revision, TenantScope, quote::element_path},
    error::Detail,
    http::door::{
        AppState, Error,
        auth::By,
        body::{Body, Document},
        path::{DeadLetterPath, TenantPath, dead_letter_not_found},
        query::{Given, PageQuery, Parameters, Query},
        response::{self, List},
    },
    store::{DeadLetter, LetterFilter, LetterStatus, PageRequest},
};

/// Events that a call names at most.
const EVENTS_NAMED_MAX: usize = 1_000;

/// An event that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterItem {
    /// The event.
    event_id: EventId,
    /// Its type.
    #[schema(required = true)]
    r#type: Option<String>,
    /// Why: `facts_invalid`, `schema_missing`, `too_large`, `expired`, `panic`, `crashed`, `undecodable` or `key_conflict`.
    #[schema(example = "facts_invalid")]
    reason: String,
    /// What is said about it.
    #[schema(value_type = Object)]
    detail: Value,
    /// How often it was tried and failed.
    attempts: i16,
    /// When it failed first.
    first_failed_at: DateTime<Utc>,
    /// When it failed last.
    last_failed_at: DateTime<Utc>,
    /// The revision that refused it.
    #[schema(required = true)]
    revision: Option<Revision>,
    /// How often it was brought back.
    redrives: i16,
    /// `open`, `redriven` or `discarded`.
    #[schema(example = "open")]
    status: String,
}

impl From<DeadLetter> for DeadLetterItem {
    fn from(letter: DeadLetter) -> Self {
        Self {
            event_id: letter.event,
            r#type: letter.kind,
            reason: letter.reason,
            detail: letter.detail,
            attempts: letter.attempts,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            revision: letter.revision,
            redrives: letter.redrives,
            status: letter.status,
        }
    }
}

/// Which dead letters to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LetterQuery {
    /// Those that were given up for this reason.
    #[param(value_type = Option<String>)]
    reason: Option<EventFailure>,
    /// Those of events of this type.
    r#type: Option<String>,
    /// Those that failed last at this time or later.
    from: Option<DateTime<Utc>>,
    /// Those that failed last before this time.
    to: Option<DateTime<Utc>>,
    /// Those with this status: `open`, `redriven` or `discarded`.
    #[param(value_type = Option<String>)]
    status: Option<LetterStatus>,
}

impl Parameters for (LetterQuery, PageQuery) {
    fn take(given: &mut Given) -> Self {
        let query = LetterQuery {
            reason: given.word("reason", &EventFailure::ALL.map(|failure| (failure.name(), failure))),
            r#type: given.text("type"),
            from: given.time("from"),
            to: given.time("to"),
            status: given.word("status", &LetterStatus::ALL.map(|status| (status.name(), status))),
        };
        (query, PageQuery::take(given))
    }
}

/// Which dead letters a call is about: of those, only the open ones.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct LetterFilterBody {
    /// Those that were given up for this reason.
    reason: Option<String>,
    /// Those of events of this type.
    r#type: Option<String>,
    /// Those that failed last at this time or later.
    from: Option<DateTime<Utc>>,
    /// Those that failed last before this time.
    to: Option<DateTime<Utc>>,
}

/// What to put aside: named events, or what a filter matches.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct DiscardBody {
    /// The events.
    #[schema(max_items = 1_000)]
    event_ids: Option<Vec<String>>,
    /// Instead of events: what matches. `{}` matches all.
    filter: Option<LetterFilterBody>,
    /// How many that is: if another number matches, nothing is done.
    #[schema(minimum = 0)]
    expected: Option<i64>,
    /// Only say what matches.
    dry_run: Option<bool>,
}

impl Document for DiscardBody {}

/// What matches.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchedLetters {
    /// How many.
    matched: i64,
    /// How many for each reason.
    #[schema(value_type = Object)]
    by_reason: Map<String, Value>,
    /// The first ten.
    sample: Vec<EventId>,
}

/// What was put aside.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscardAnswer {
    /// How many.
    discarded: i64,
}

/// What was discarded or, for a dry run, what matches.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read by the macro alone")]
pub enum DiscardOutcome {
    /// They are discarded.
    Discarded(DiscardAnswer),
    /// A dry run.
    Matched(MatchedLetters),
}

/// What a call is about.
pub fn filter(event_ids: Option<Vec<String>>, filter: Option<LetterFilterBody>) -> Result<LetterFilter, Error> {
    let refuse =
        |code, message: &str, path: &str| Err(Error::invalid_one(Detail::new(code, message.to_owned()).at(path)));
    let status = Some(LetterStatus::Open);
    match (event_ids, filter) {
        (Some(_), Some(_)) => refuse("contradiction", "send `eventIds` or `filter`, not both", "filter"),
        (None, None) => refuse("missing_field", "send `eventIds` or `filter`", "eventIds"),
        (Some(ids), None) if ids.len() > EVENTS_NAMED_MAX => {
            refuse("too_many", &format!("a call names at most {EVENTS_NAMED_MAX} events"), "eventIds")
        }
        (Some(ids), None) => {
            let event = |(index, id): (usize, &String)| {
                let message = "must be the id of an event, such as `019eb52e-4bd0-7f0d-a59a-64d3b4e0a1c7`";
                id.parse()
                    .map_err(|_| Detail::new("invalid_value", message.to_owned()).at(element_path("eventIds", index)))
            };
            let events = ids.iter().enumerate().map(event).collect::<Result<_, _>>().map_err(Error::invalid_one)?;
            Ok(LetterFilter { events: Some(events), status, ..LetterFilter::default() })
        }
        (None, Some(LetterFilterBody { reason, r#type: kind, from, to })) => {
            let reason = reason.map(|name| failure_named(&name)).transpose().map_err(Error::invalid_one)?;
            Ok(LetterFilter { reason, kind, from, to, status, ..LetterFilter::default() })
        }
    }
}

fn failure_named(name: &str) -> Result<EventFailure, Detail> {
    let names = || EventFailure::ALL.map(|failure| format!("`{failure}`")).join(", ");
    let detail = || Detail::new("unknown_value", format!("must be one of {}", names())).at("filter.reason");
    EventFailure::named(name).ok_or_else(detail)
}

/// Lists dead letters, the newest event first.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/dead-letters", tag = "events", operation_id = "listDeadLetters",
    params(LetterQuery, PageQuery),
    responses((status = 200, description = "A page of dead letters.", body = List<DeadLetterItem>))
)]
pub async fn list(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    Query((query, page)): Query<(LetterQuery, PageQuery)>,
) -> Result<HttpResponse, Error> {
    let filter = LetterFilter {
        events: None,
        reason: query.reason,
        kind: query.r#type,
        from: query.from,
        to: query.to,
        status: query.status,
        redriven_below: None,
    };
    state.tenant(tenant).await?;
    let page = state.store.dead_letters(tenant, &filter, &PageRequest::from(page)).await?;
    response::list(page, DeadLetterItem::from)
}

/// Shows a dead letter.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenantId}/dead-letters/{eventId}", tag = "events", operation_id = "getDeadLetter",
    responses((status = 200, description = "The dead letter.", body = DeadLetterItem))
)]
pub async fn show(
    state: Data<AppState>,
    DeadLetterPath(tenant, event): DeadLetterPath,
    _: Query<()>,
) -> Result<HttpResponse, Error> {
    let filter = LetterFilter { events: Some(vec![event]), ..LetterFilter::default() };
    let page = state.store.dead_letters(tenant, &filter, &PageRequest { cursor: None, limit: 1 }).await?;
    let letter = page.items.into_iter().next();
    let letter = letter.ok_or_else(dead_letter_not_found)?;
    response::plain(StatusCode::OK, &DeadLetterItem::from(letter))
}

/// What a dry run answers.
pub async fn matched(
    state: &AppState,
    tenant: TenantScope,
    filter: &LetterFilter,
    expected: Option<i64>,
) -> Result<HttpResponse, Error> {
    state.tenant(tenant).await?;
    let counts = state.store.count_dead_letters(tenant, filter).await?;
    if expected.is_some_and(|expected| expected != counts.matched) {
        return Err(Error::other_number_matches(counts.matched));
    }
    let by_reason = counts.by_reason.into_iter().map(|(reason, count)| (reason, json!(count))).collect();
    let answer = MatchedLetters { matched: counts.matched, by_reason, sample: counts.sample };
    response::plain(StatusCode::OK, &answer)
}

/// Puts dead letters aside: nothing is to be done about them.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/dead-letters/discard", tag = "events",
    operation_id = "discardDeadLetters", request_body = DiscardBody,
    responses((status = 200, description = "They are put aside; or, of a dry run, what matches.", body = DiscardOutcome))
)]
pub async fn discard(
    By(author): By,
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    Body(body): Body<DiscardBody>,
) -> Result<HttpResponse, Error> {
    let filter = filter(body.event_ids, body.filter)?;
    if body.dry_run == Some(true) {
        return matched(&state, tenant, &filter, body.expected).await;
    }
    let discarded = match state.store.discard_dead_letters(tenant, &filter, body.expected).await? {
        Ok(discarded) => discarded,
        Err(matched) => return Err(Error::other_number_matches(matched)),
    };
    let after = Some(json!({ "discarded": discarded }));
    state.note(tenant, &author, AuditAction::DeadLettersDiscard, "dead-letters", after).await?;
    response::plain(StatusCode::OK, &DiscardAnswer { discarded })
}
