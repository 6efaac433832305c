//! An event as it is sent, and what accepting it comes to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    domain::{Accepted, EventDraft, EventId, TenantScope},
    http::door::{AppState, Error, body},
    ingest, json,
};

/// As of when an event is decided, if not as of the moment at which it is.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", expecting = "`occurredAt`")]
pub enum EventTime {
    /// As of when it occurred.
    OccurredAt,
}

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
    #[serde(default, deserialize_with = "body::read_time")]
    occurred_at: Option<DateTime<Utc>>,
    /// `occurredAt`: rules read that time as `now`; the time at which they decide if it is omitted.
    #[schema(inline)]
    at: Option<EventTime>,
    /// Events with the same key are decided in the order accepted.
    #[schema(min_length = 1, max_length = 255)]
    ordering_key: Option<String>,
}

/// Reads an event. `path` is where it stands in what was sent.
pub fn read(text: &[u8], path: &str) -> Result<EventDraft, json::Error> {
    let body: EventBody = json::envelope(text, path)?;
    Ok(EventDraft {
        facts: body.facts.to_owned(),
        kind: body.r#type,
        project: body.project,
        idempotency_key: body.idempotency_key,
        occurred_at: body.occurred_at,
        at_occurrence: matches!(body.at, Some(EventTime::OccurredAt)),
        ordering_key: body.ordering_key,
    })
}

/// An event that is stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedEvent {
    /// Its id; of a duplicate, that of the first.
    pub id: EventId,
    /// `accepted`, or `duplicate` if it was stored before under its idempotency key.
    #[schema(example = "accepted")]
    pub status: &'static str,
    /// When it was received.
    received_at: DateTime<Utc>,
}

/// What is answered about an event that is stored.
pub fn taken(accepted: Accepted) -> Result<AcceptedEvent, Error> {
    let (id, status) = match accepted {
        Accepted::New(id) => (id, "accepted"),
        Accepted::Duplicate(id) => (id, "duplicate"),
        Accepted::Conflict(_) | Accepted::NoTenant => return Err(Error::tenant_not_found()),
    };
    Ok(AcceptedEvent { id, status, received_at: id.received_at() })
}

/// Accepts what could be read of events that are stored together, and answers what became of each, in order. `place`
/// says in an error where the event stands.
pub async fn accept(
    state: &AppState,
    tenant: TenantScope,
    drafts: Vec<Result<EventDraft, Error>>,
    place: impl Fn(usize, ingest::Error) -> ingest::Error,
) -> Result<Vec<Result<AcceptedEvent, Error>>, Error> {
    let (mut readable, mut unreadable) = (Vec::with_capacity(drafts.len()), Vec::with_capacity(drafts.len()));
    for draft in drafts {
        match draft {
            Ok(draft) => {
                readable.push(draft);
                unreadable.push(None);
            }
            Err(error) => unreadable.push(Some(error)),
        }
    }
    let mut answers = state.ingest.accept(tenant, readable).await?.into_iter();
    let answer = |(number, unreadable): (usize, Option<Error>)| match unreadable {
        Some(error) => Err(error),
        None => match answers.next() {
            Some(answer) => answer.map_err(|error| place(number, error).into()).and_then(taken),
            None => Err(Error::tenant_not_found()),
        },
    };
    Ok(unreadable.into_iter().enumerate().map(answer).collect())
}
