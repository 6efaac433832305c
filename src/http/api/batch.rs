//! `POST /api/v1/tenants/{tenantId}/evaluate/batch`: one decision for each item, in order.
//!
//! In JSON all items share one rule set, and the answer is written while the caller reads it: of the decisions no more
//! is in memory than one piece. `ndjson.rs` does the same for a stream of any length.

use std::{convert::Infallible, fmt, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse, dev,
    http::header,
    web::{Bytes, Data, Payload},
};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    decide::{self, Given, ReturnWord},
    decision::{BatchAnswer, DecisionLine},
    ndjson,
};
use crate::{
    config::limits,
    domain::{Permission, Quota, TenantScope},
    engine::{Ask, Decided, Served, Submission},
    error::Detail,
    http::door::{
        AppState, Error,
        auth::StreamAccess,
        body::{self, BodySize, JSON, NDJSON},
        path::TenantPath,
        precondition,
        query::{self, Parameters, Query},
    },
    json::{self, Writer},
};

/// Bytes after which a piece of the answer is sent.
pub const PIECE_BYTES: usize = 32 * 1024;

/// Items to be decided. Each is an object with `facts`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct BatchBody<'a> {
    /// The items.
    #[serde(borrow)]
    #[schema(value_type = Vec<BatchItem>)]
    items: Items<'a>,
    /// Ids or names of the rules to evaluate, in this order; all active rules if it is left out.
    #[schema(max_items = 10_000)]
    rules: Option<Vec<String>>,
    /// Only rules with any of these tags.
    #[schema(max_items = 10_000)]
    tags: Option<Vec<String>>,
    /// Which results to answer; `all` if it is left out.
    #[schema(inline)]
    r#return: Option<ReturnWord>,
    /// Whether to answer the value of each sub-expression.
    trace: Option<bool>,
    /// The revision that the answer must have reached.
    #[schema(minimum = 1)]
    min_revision: Option<i64>,
    /// Whether facts that the schema does not declare are an error.
    strict_facts: Option<bool>,
    /// The time of the decision, which rules read as `now`; the current time if it is omitted.
    #[serde(default, deserialize_with = "body::read_time")]
    #[schema(nullable = false, example = "2026-01-31T23:59:59Z")]
    at: Option<DateTime<Utc>>,
}

/// An item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `facts`")]
pub struct BatchItem<'a> {
    /// The facts: flat, or under their objects' names.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    facts: &'a RawValue,
}

/// Items as they were written: each is read when it is its turn.
#[derive(Debug)]
struct Items<'a>(Vec<&'a RawValue>);

/// Items of any batch at most, whatever the setting says: the list of them must not outgrow the body.
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

/// How to decide a stream, whose body has no place to say it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct StreamQuery {
    /// NDJSON only. The id or name of a rule to evaluate; may be given more than once.
    #[param(max_items = 1_000)]
    rules: Option<Vec<String>>,
    /// NDJSON only. A tag that rules must have; may be given more than once, any of them is enough.
    #[param(max_items = 1_000)]
    tags: Option<Vec<String>>,
    /// NDJSON only. Which results to answer.
    #[param(inline)]
    r#return: Option<ReturnWord>,
    /// NDJSON only. Whether to answer the value of each sub-expression.
    trace: Option<bool>,
    /// NDJSON only. The revision that the answer must have reached.
    #[param(minimum = 1)]
    min_revision: Option<i64>,
    /// NDJSON only. Whether facts that the schema does not declare are an error.
    strict_facts: Option<bool>,
    /// NDJSON only. The time of the decision, which rules read as `now`; if it is omitted, the time at which a line is decided.
    at: Option<DateTime<Utc>>,
}

impl Parameters for StreamQuery {
    fn take(given: &mut query::Given) -> Self {
        Self {
            rules: given.texts("rules", limits::QUERY_SELECTION_MAX),
            tags: given.texts("tags", limits::QUERY_SELECTION_MAX),
            r#return: given.word("return", &[("all", ReturnWord::All), ("matched", ReturnWord::Matched)]),
            trace: given.flag("trace"),
            min_revision: given.number("minRevision", 1, i64::MAX),
            strict_facts: given.flag("strictFacts"),
            at: given.time("at"),
        }
    }
}

/// Decides many sets of facts.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/evaluate/batch", tag = "decisions", operation_id = "evaluateBatch",
    params(StreamQuery),
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
    let query = Query::<StreamQuery>::of(request)?;
    let ask = Given {
        rules: query.rules,
        tags: query.tags,
        returns: query.r#return,
        trace: query.trace,
        min_revision: query.min_revision,
        strict_facts: query.strict_facts,
        at: query.at,
    }
    .ask()?;
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
    let items = body.items.0;
    let items_max = state.options.limits.batch_items_max;
    if items.len() > items_max {
        let message = format!("a batch has at most {items_max} items, this one has {}", items.len());
        return Err(Error::invalid_one(Detail::new("too_many", message).at("items")));
    }
    let items: Vec<Bytes> = items.iter().map(|item| text.slice_ref(item.get().as_bytes())).collect();
    let mut ask = Given {
        rules: body.rules,
        tags: body.tags,
        returns: body.r#return,
        trace: body.trace,
        min_revision: body.min_revision,
        strict_facts: body.strict_facts,
        at: body.at,
    }
    .ask()?;
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

/// A batch on its way out.
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
        // Other requests of this thread come between two pieces.
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
            decide_item(&self.state, &self.served, &self.ask, item).write(&mut self.writer);
            self.writer.end_object();
            next += 1;
        }
        self.next = Some(next);
        Some((Ok(self.writer.take().into()), self))
    }
}

/// What became of an item.
pub enum Item<'a> {
    /// It was decided.
    Decided(Decided<'a>),
    /// It could not be.
    Refused {
        /// Why.
        error: ItemRefusal,
    },
}

impl Item<'_> {
    /// Writes its members.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Decided(decided) => decide::write_decided(writer, decided),
            Self::Refused { error } => writer.member("error", error),
        }
    }
}

/// Why an item is not decided.
#[derive(Serialize)]
pub struct ItemRefusal {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Detail>,
}

impl From<Error> for ItemRefusal {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: error.detail().to_owned(), errors: error.errors().to_vec() }
    }
}

/// Decides one item, written as an object with `facts`.
pub fn decide_item<'a>(state: &AppState, served: &'a Served, ask: &'a Ask, item: &[u8]) -> Item<'a> {
    let decided = json::envelope::<BatchItem>(item, "").map_err(Error::from).and_then(|BatchItem { facts }| {
        let submission = Submission { facts: facts.get(), bytes: item.len(), depth: ITEM_DEPTH };
        Ok(state.engine.decide(served, ask, submission)?)
    });
    match decided {
        Ok(decided) => Item::Decided(decided),
        Err(error) => Item::Refused { error: error.into() },
    }
}

/// Levels of a batch above the facts of an item: the batch, its list, the item.
const ITEM_DEPTH: usize = 3;

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

    #[test]
    fn a_stream_says_how_it_is_decided_in_its_query() {
        let query = Query::<StreamQuery>::read("rules=a&rules=b&return=matched&minRevision=3").unwrap();
        assert_eq!(query.rules.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
        assert!(matches!(query.r#return, Some(ReturnWord::Matched)));
        assert!(Query::<StreamQuery>::read("minRevision=0").is_err());
    }
}
