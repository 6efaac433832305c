//! Sending events: answered once they are stored.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    config::limits::{APPEND_EVENTS_MAX, EVENT_BATCH_MAX},
    domain::{Accepted, EventDraft, EventId, TenantScope},
    error::Detail,
    http::door::{
        AppState, Error,
        body::{RawBatch, RawBody},
        path::TenantPath,
        query::Query,
        response,
    },
    ingest, json,
};

/// An event to be accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `facts`")]
pub struct EventBody<'a> {
    /// The facts: flat, or under their objects' names.
    #[serde(borrow)]
    #[schema(value_type = Object, example = json!({"amount": 120, "country": "US"}))]
    facts: &'a RawValue,
    /// What kind of event it is: letters, digits and `_.:-`.
    #[schema(min_length = 1, max_length = 64, example = "payment")]
    r#type: Option<String>,
    /// What it is counted by beside its type: letters, digits and `_.:-`.
    #[schema(min_length = 1, max_length = 64)]
    project: Option<String>,
    /// The same key within 7 days is the same event. The header `Idempotency-Key` may be used instead.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
    /// When it occurred.
    occurred_at: Option<DateTime<Utc>>,
    /// Events with the same key are decided in the order accepted.
    #[schema(min_length = 1, max_length = 255)]
    ordering_key: Option<String>,
}

impl EventBody<'_> {
    fn draft(self) -> EventDraft {
        EventDraft {
            facts: self.facts.to_owned(),
            kind: self.r#type,
            project: self.project,
            idempotency_key: self.idempotency_key,
            occurred_at: self.occurred_at,
            ordering_key: self.ordering_key,
        }
    }
}

/// Events to be accepted. A bad one spoils no other.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `events`")]
pub struct EventsBody<'a> {
    /// The events.
    #[serde(borrow)]
    #[schema(value_type = Vec<EventBody>, max_items = 10_000)]
    events: Vec<&'a RawValue>,
}

/// An event that is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedEvent {
    /// Its id; of a duplicate, that of the first.
    id: EventId,
    /// `accepted`, or `duplicate` if it was stored before under its idempotency key.
    #[schema(example = "accepted")]
    status: &'static str,
    /// When it was received.
    received_at: DateTime<Utc>,
}

/// What became of an event of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchEvent {
    /// It is stored.
    Accepted(AcceptedEvent),
    /// It is not.
    Refused {
        /// Why.
        error: EventRefusal,
    },
}

/// Why an event is not stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventRefusal {
    /// A stable name.
    code: &'static str,
    /// What is wrong.
    message: String,
    /// Everything that is wrong, each with its path.
    #[schema(value_type = Vec<crate::http::door::problem::ErrorDetail>)]
    errors: Vec<Detail>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsAnswer {
    /// One for each event, in order.
    items: Vec<BatchEvent>,
    /// Events stored now.
    accepted: usize,
    /// Events stored before.
    duplicates: usize,
    /// Events not stored.
    refused: usize,
}

fn accepted(accepted: Accepted) -> Result<AcceptedEvent, Error> {
    let (id, status) = match accepted {
        Accepted::New(id) => (id, "accepted"),
        Accepted::Duplicate(id) => (id, "duplicate"),
        Accepted::Conflict(_) | Accepted::NoTenant => return Err(Error::tenant_not_found()),
    };
    Ok(AcceptedEvent { id, status, received_at: id.received_at() })
}

/// Accepts an event: answered once it is stored durably.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/events", tag = "events", operation_id = "sendEvent",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `idempotencyKey` in the body.")),
    request_body = EventBody,
    responses((status = 202, description = "The event is stored.", body = AcceptedEvent))
)]
pub async fn send(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
    RawBody(text): RawBody,
) -> Result<HttpResponse, Error> {
    let mut draft = json::envelope::<EventBody>(&text, "")?.draft();
    if let Some(key) = header_key(&request)? {
        if draft.idempotency_key.as_ref().is_some_and(|given| *given != key) {
            let message = "the header `Idempotency-Key` says otherwise; send one of the two";
            return Err(Error::invalid_one(Detail::new("contradiction", message).at("idempotencyKey")));
        }
        draft.idempotency_key = Some(key);
    }
    let answers = state.ingest.accept(tenant, vec![draft]).await?;
    let answer = answers.into_iter().next().ok_or_else(Error::tenant_not_found)?;
    let event = accepted(answer?)?;
    let location = format!("/api/v1/tenants/{tenant}/events/{}", event.id);
    let mut response = response::plain(StatusCode::ACCEPTED, &event)?;
    if let Ok(location) = header::HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn header_key(request: &HttpRequest) -> Result<Option<String>, Error> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().map_err(|_| {
        let message = "the header must be printable ASCII";
        Error::invalid_one(Detail::new("invalid_character", message).at("Idempotency-Key"))
    })?;
    Ok(Some(text.to_owned()))
}

/// Accepts many events: answered once all that can be are stored durably.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/events/batch", tag = "events", operation_id = "sendEvents",
    request_body = EventsBody,
    responses((status = 202, description = "What became of each, in order.", body = EventsAnswer))
)]
pub async fn send_many(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    RawBatch(text): RawBatch,
) -> Result<HttpResponse, Error> {
    let body: EventsBody = json::envelope(&text, "")?;
    if body.events.len() > EVENT_BATCH_MAX {
        let message = format!("a batch has at most {EVENT_BATCH_MAX} events, this one has {}", body.events.len());
        return Err(Error::invalid_one(Detail::new("too_many", message).at("events")));
    }
    let mut items = Vec::with_capacity(body.events.len());
    for (number, chunk) in body.events.chunks(APPEND_EVENTS_MAX).enumerate() {
        accept_chunk(&state, tenant, chunk, number * APPEND_EVENTS_MAX, &mut items).await?;
    }
    let count = |status: &str| {
        let has = |item: &&BatchEvent| matches!(item, BatchEvent::Accepted(event) if event.status == status);
        items.iter().filter(has).count()
    };
    let (accepted, duplicates) = (count("accepted"), count("duplicate"));
    let refused = items.len() - accepted - duplicates;
    response::plain(StatusCode::ACCEPTED, &EventsAnswer { items, accepted, duplicates, refused })
}

/// Accepts events that are stored together, and adds what became of each.
async fn accept_chunk(
    state: &AppState,
    tenant: TenantScope,
    chunk: &[&RawValue],
    first: usize,
    items: &mut Vec<BatchEvent>,
) -> Result<(), Error> {
    let mut drafts = Vec::with_capacity(chunk.len());
    let mut refusals = Vec::new();
    for (place, text) in chunk.iter().enumerate() {
        match json::envelope::<EventBody>(text.get().as_bytes(), &format!("events[{}]", first + place)) {
            Ok(body) => drafts.push(body.draft()),
            Err(error) => refusals.push((place, Error::from(error))),
        }
    }
    let mut answers = state.ingest.accept(tenant, drafts).await?.into_iter();
    let mut refusals = refusals.into_iter().peekable();
    for place in 0..chunk.len() {
        let answer = match refusals.next_if(|(refused, _)| *refused == place) {
            Some((_, error)) => Err(error),
            None => {
                let answer = answers.next().ok_or_else(Error::tenant_not_found)?;
                answer.map_err(|error| refused(error, first + place)).and_then(accepted)
            }
        };
        items.push(match answer {
            Ok(event) => BatchEvent::Accepted(event),
            Err(error) => BatchEvent::Refused {
                error: EventRefusal {
                    code: error.code(),
                    message: error.detail().to_owned(),
                    errors: error.errors().to_vec(),
                },
            },
        });
    }
    Ok(())
}

/// An error with the event's place before each path.
fn refused(error: ingest::Error, place: usize) -> Error {
    error.beneath(&format!("events[{place}]")).into()
}
