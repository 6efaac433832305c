//! Sending events: answered once they are stored.

use actix_web::{
    HttpRequest, HttpResponse, dev,
    http::{StatusCode, header},
    web::{Data, Payload},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    accepting::{AcceptedEvent, EventBody, accept, read, taken},
    stream::{self, SentLine},
};
use crate::{
    config::limits::{APPEND_EVENTS_MAX, EVENT_BATCH_MAX},
    domain::{Permission, TenantScope},
    error::Detail,
    http::{
        api::{decision::ItemError, item::ItemRefusal},
        door::{
            AppState, Error,
            auth::StreamAccess,
            body::{self, BodySize, JSON, NDJSON, RawBody},
            path::TenantPath,
            query::Query,
            response,
        },
    },
    json,
};

const KEY_HEADER: &str = "Idempotency-Key";

/// Events to be accepted. A bad one spoils no other.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `events`")]
pub struct EventsBody<'a> {
    /// The events.
    #[serde(borrow)]
    #[schema(value_type = Vec<EventBody>, max_items = 10_000)]
    events: Vec<&'a RawValue>,
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
        #[schema(value_type = ItemError)]
        error: ItemRefusal,
    },
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
    let mut draft = read(&text, "")?;
    if let Some(key) = header_key(&request)? {
        if draft.idempotency_key.as_ref().is_some_and(|given| *given != key) {
            let message = "the header `Idempotency-Key` says otherwise; send one of the two";
            return Err(Error::invalid_one(Detail::new("contradiction", message).at("idempotencyKey")));
        }
        draft.idempotency_key = Some(key);
    }
    let answers = state.ingest.accept(tenant, vec![draft]).await?;
    let answer = answers.into_iter().next().ok_or_else(Error::tenant_not_found)?;
    let event = taken(answer?)?;
    let location = format!("/api/v1/tenants/{tenant}/events/{}", event.id);
    let mut response = response::plain(StatusCode::ACCEPTED, &event)?;
    if let Ok(location) = header::HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The idempotency key in the header, if there is one.
fn header_key(request: &HttpRequest) -> Result<Option<String>, Error> {
    let invalid = |code, message: &str| Error::invalid_one(Detail::new(code, message).at(KEY_HEADER));
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("repeated", "the header must be given only once"));
    }
    let text = value.to_str().map_err(|_| invalid("invalid_character", "the header must be printable ASCII"))?;
    Ok(Some(text.to_owned()))
}

/// Accepts many events: answered once all that can be are stored durably; as NDJSON, each line is answered once its event
/// is.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/events/batch", tag = "events", operation_id = "sendEvents",
    request_body(content((EventsBody = "application/json"), (EventBody = "application/x-ndjson"))),
    responses((status = 202, description = "What became of each, in order.", content(
        (EventsAnswer = "application/json"), (SentLine = "application/x-ndjson")
    )))
)]
pub async fn send_many(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    if header_key(&request)?.is_some() {
        let message = "the header is for a single event; give each event of a batch its own `idempotencyKey`";
        return Err(Error::invalid_one(Detail::new("not_applicable", message).at(KEY_HEADER)));
    }
    match &*body::media_type(&request)? {
        JSON => document(&state, tenant, &request, payload.into_inner()).await,
        NDJSON => {
            let access = StreamAccess::of(&request, Permission::Ingest, tenant)?;
            stream::answer(state, tenant, access, payload.into_inner()).await
        }
        _ => Err(Error::unsupported_media_type("application/json` or `application/x-ndjson")),
    }
}

async fn document(
    state: &AppState,
    tenant: TenantScope,
    request: &HttpRequest,
    payload: dev::Payload,
) -> Result<HttpResponse, Error> {
    let text = body::read_json(request, payload, BodySize::Batch).await?;
    let body: EventsBody = json::envelope(&text, "")?;
    if body.events.len() > EVENT_BATCH_MAX {
        let message = format!("a batch has at most {EVENT_BATCH_MAX} events, this one has {}", body.events.len());
        return Err(Error::invalid_one(Detail::new("too_many", message).at("events")));
    }
    let mut items = Vec::with_capacity(body.events.len());
    for (number, chunk) in body.events.chunks(APPEND_EVENTS_MAX).enumerate() {
        accept_chunk(state, tenant, chunk, number * APPEND_EVENTS_MAX, &mut items).await?;
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
    let path = |place| format!("events[{}]", first + place);
    let draft = |(place, text): (usize, &&RawValue)| Ok(read(text.get().as_bytes(), &path(place))?);
    let drafts = chunk.iter().enumerate().map(draft).collect();
    let accepted = accept(state, tenant, drafts, |place, error| error.beneath(&path(place))).await?;
    items.extend(accepted.into_iter().map(|accepted| match accepted {
        Ok(event) => BatchEvent::Accepted(event),
        Err(error) => BatchEvent::Refused { error: error.into() },
    }));
    Ok(())
}
