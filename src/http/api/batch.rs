//! `POST /api/v1/tenants/{tenantId}/evaluate/batch`: one decision for each item, in order.
//!
//! In JSON all items share one rule set. The answer is written while the caller reads it, so that only one piece of it
//! is in memory. `ndjson.rs` does the same for a stream of any length.

use std::{convert::Infallible, fmt, time::Instant};

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
    item::{self, BatchItem, PIECE_BYTES},
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
        items: Items<'a>,
    }
}

/// Items as raw JSON: each is parsed when it is decided.
#[derive(Debug)]
struct Items<'a>(Vec<&'a RawValue>);

/// The most items of any batch, whatever the setting: it bounds the memory of their list.
const ITEMS_MAX: usize = 1_000_000;

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

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
        Ok(Items(items))
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
    let ask = Query::<Options>::of(request)?.ask()?;
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
    served.allows(Quota::RequestBytes, text.len())?;
    served.allows(Quota::BatchItems, items.len())?;
    let revision = served.set.revision();
    // All items have one time.
    ask.at = Some(ask.time());
    let (writer, begun) = (Writer::default(), Instant::now());
    let batch = Batch { state: state.clone(), ask, served, items, writer, next: Some(0), begun };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::ETAG, precondition::tag(revision)))
        .streaming(stream::unfold(batch, Batch::piece)))
}

/// A batch that is being answered.
struct Batch {
    state: Data<AppState>,
    ask: Ask,
    served: Served,
    items: Vec<Bytes>,
    writer: Writer,
    /// The item to be decided next; `None` once the last piece is out.
    next: Option<usize>,
    begun: Instant,
}

impl Batch {
    /// The next piece of the answer.
    async fn piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut next = self.next?;
        // Between two pieces this thread can serve other requests.
        tokio::task::yield_now().await;
        self.writer.reserve(PIECE_BYTES + PIECE_BYTES / 4);
        if next == 0 {
            self.writer.begin_object();
            decide::write_origin(&mut self.writer, &self.served);
            decide::write_time(&mut self.writer, self.ask.time());
            self.writer.key("items");
            self.writer.begin_list();
        }
        while self.writer.len() < PIECE_BYTES {
            let Some(item) = self.items.get(next) else {
                self.writer.end_list();
                self.writer.member("evaluationTimeMs", &decide::milliseconds(self.begun.elapsed()));
                self.writer.end_object();
                self.next = None;
                return Some((Ok(self.writer.take().into()), self));
            };
            self.writer.begin_object();
            item::decide(&self.state, &self.served, &self.ask, item).write(&mut self.writer);
            self.writer.end_object();
            next += 1;
        }
        self.next = Some(next);
        Some((Ok(self.writer.take().into()), self))
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
