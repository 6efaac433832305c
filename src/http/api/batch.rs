//! `POST /api/v1/tenants/{tenantId}/evaluate/batch`: one decision for each item, in order.
//!
//! In JSON all items share one rule set. The answer is written while the caller reads it, so that only one piece of it
//! is in memory. `ndjson.rs` does the same for a stream of any length.

use std::{fmt, io, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse, dev,
    http::header,
    web::{Bytes, Data, Payload},
};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    decide,
    decision::{BatchAnswer, DecisionLine},
    item::{self, BatchItem, Items, PIECE_BYTES, Patience, Step, Thread},
    ndjson,
    options::{Options, with_options},
};
use crate::{
    domain::{Permission, Quota, TenantScope},
    engine::{Ask, Served},
    error::Detail,
    http::door::{
        AppState, Error,
        auth::StreamAccess,
        body::{self, BodySize, JSON, NDJSON},
        path::TenantPath,
        precondition,
        query::Query,
        request_id,
    },
    json::{self, Writer},
};

with_options! {
    /// Items to decide. Each is an object with `facts`.
    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
    pub struct BatchBody<'a> {
        /// The items.
        #[serde(borrow)]
        #[schema(value_type = Vec<BatchItem>)]
        items: ItemTexts<'a>,
    }
}

/// Items as raw JSON: each is parsed when it is decided.
#[derive(Debug)]
struct ItemTexts<'a>(Vec<&'a RawValue>);

/// The most items of any batch, whatever the setting: it bounds the memory of their list.
const ITEMS_MAX: usize = 1_000_000;

impl<'de: 'a, 'a> Deserialize<'de> for ItemTexts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = ItemTexts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == ITEMS_MAX {
                return Err(A::Error::custom(format!("a batch has at most {ITEMS_MAX} items")));
            }
            items.push(item);
        }
        Ok(ItemTexts(items))
    }
}

/// Decides many sets of facts.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/evaluate/batch", tag = "decisions", operation_id = "evaluateBatch",
    params(Options),
    request_body(content((BatchBody = "application/json"), (BatchItem = "application/x-ndjson"))),
    responses((status = 200, description = "The decisions, in order.", content(
        (BatchAnswer = "application/json"), (DecisionLine = "application/x-ndjson")
    )))
)]
pub async fn evaluate(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Error> {
    match &*body::media_type(&request)? {
        JSON => document(&state, tenant, &request, payload.into_inner()).await,
        NDJSON => stream_of(state, tenant, &request, payload.into_inner()).await,
        _ => Err(Error::unsupported_media_type("application/json` or `application/x-ndjson")),
    }
}

async fn stream_of(
    state: Data<AppState>,
    scope: TenantScope,
    request: &HttpRequest,
    payload: dev::Payload,
) -> Result<HttpResponse, Error> {
    let mut ask = Query::<Options>::of(request)?.ask()?;
    ask.request_id = request_id::of(request);
    let access = StreamAccess::of(request, Permission::Evaluate, scope)?;
    ndjson::answer(state, scope, access, ask, payload).await
}

async fn document(
    state: &Data<AppState>,
    scope: TenantScope,
    request: &HttpRequest,
    payload: dev::Payload,
) -> Result<HttpResponse, Error> {
    Query::<()>::of(request)?;
    let text = body::read_json(request, payload, BodySize::Batch).await?;
    let body: BatchBody = json::envelope(&text, "")?;
    let items_max = state.options.limits.batch_items_max;
    if body.items.0.len() > items_max {
        let message = format!("a batch has at most {items_max} items, this one has {}", body.items.0.len());
        return Err(Error::invalid_one(Detail::new("too_many", message).at("items")));
    }
    let items: Vec<Bytes> = body.items.0.iter().map(|item| text.slice_ref(item.get().as_bytes())).collect();
    let mut ask = Options::from(body).ask()?;
    let served = state.engine.deciding(scope, ask.min_revision).await?;
    if served.records(&ask) {
        ask.request_id = request_id::of(request);
    }
    served.allows(Quota::RequestBytes, text.len())?;
    served.allows(Quota::BatchItems, items.len())?;
    let revision = served.set.revision();
    // All items have one time.
    ask.at = Some(ask.time());
    let rest = Rest { ask, served, items, writer: Writer::default(), next: 0, begun: Instant::now(), is_over: false };
    let batch = Batch { state: state.clone(), rest: Some(rest), patience: Patience::default() };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::ETAG, precondition::tag(revision)))
        .streaming(stream::unfold(batch, Batch::piece)))
}

/// A batch that is being answered.
struct Batch {
    state: Data<AppState>,
    /// `None` once the last piece is out, or no further one can be.
    rest: Option<Rest>,
    patience: Patience,
}

/// What is left of it, and what is written and not sent.
struct Rest {
    ask: Ask,
    served: Served,
    items: Vec<Bytes>,
    /// The item to be decided next.
    next: usize,
    writer: Writer,
    begun: Instant,
    /// Whether the last piece is written.
    is_over: bool,
}

impl Batch {
    /// The next piece of the answer. An error ends the connection: the caller sees that the answer is not whole.
    async fn piece(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let mut rest = self.rest.take()?;
        // Between two pieces this thread can serve other requests.
        tokio::task::yield_now().await;
        rest.writer.reserve(PIECE_BYTES + PIECE_BYTES / 4);
        let served = rest.served.clone();
        let piece = self.patience.decide(&self.state.engine, &served, rest).await.map(|mut rest| {
            let piece = rest.writer.take().into();
            self.rest = (!rest.is_over).then_some(rest);
            piece
        });
        Some((piece.map_err(io::Error::other), self))
    }
}

impl Items for Rest {
    fn step(&mut self, on: Thread<'_>) -> Step {
        let Self { ask, served, items, next, writer, begun, is_over } = self;
        if *next == 0 && writer.is_empty() {
            writer.begin_object();
            decide::write_origin(writer, served);
            decide::write_time(writer, ask.time());
            writer.key("items");
            writer.begin_list();
        }
        if writer.len() >= PIECE_BYTES {
            return Step::Done;
        }
        let Some(item) = items.get(*next) else {
            writer.end_list();
            writer.member("evaluationTimeMs", &decide::milliseconds(begun.elapsed()));
            writer.end_object();
            *is_over = true;
            return Step::Done;
        };
        let Some(decided) = item::decide(on, served, ask, item) else { return Step::Dear };
        writer.begin_object();
        decided.write(writer);
        writer.end_object();
        *next += 1;
        Step::Decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_kept_as_they_were_written() {
        let text = br#"{"items":[{"facts":{}}, 7 ,null],"trace":true}"#;
        let body: BatchBody = json::envelope(text, "").unwrap();
        let items: Vec<_> = body.items.0.iter().map(|item| item.get()).collect();
        assert_eq!(items, [r#"{"facts":{}}"#, "7", "null"]);
        let error = Error::from(json::envelope::<BatchBody>(br#"{"items":{}}"#, "").unwrap_err());
        assert_eq!(error.errors()[0].path.as_deref(), Some("items"));
    }
}
