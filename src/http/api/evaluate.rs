//! `POST /api/v1/evaluate` and `POST /api/v1/tenants/{tenantId}/evaluate`: which rules these facts match.
//!
//! This is the path that has to be fast: the facts are not copied, the answer is written into one buffer, and the
//! thread that reads the request also decides, unless that costs much: then the evaluation pool does, in the tenant's turn.

use actix_web::{HttpRequest, HttpResponse, http::header, web::Data};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    decide,
    options::{Options, with_options},
};
use crate::{
    domain::{TenantId, TenantScope},
    engine::{self, Ask, Decided, RecordWish, Recorded, Served, Submission, ToBeStored, Work},
    error::Detail,
    http::door::{
        AppState, Error,
        auth::Caller,
        body::{self, JSON, RawBody},
        path::{self, TenantPath},
        precondition,
        query::Query,
        request_id,
    },
    json::{self, Writer},
};

with_options! {
    /// Facts to decide.
    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
    pub struct EvaluateBody<'a> {
        /// The tenant; only where the path does not name it, and with a tenant's key not needed there either.
        #[schema(nullable = false, value_type = Option<TenantId>)]
        tenant_id: Option<String>,
        /// The facts: flat, or under their objects' names.
        #[serde(borrow)]
        #[schema(value_type = Object, example = json!({"age": 25, "country": "US"}))]
        facts: &'a RawValue,
        /// `durable`: the decision is stored before it is answered, or the answer is 503.
        #[schema(inline)]
        record: Option<RecordWord>,
    }
}

/// What is wanted of the record of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", expecting = "`durable`")]
pub enum RecordWord {
    /// That it is stored before it is answered.
    Durable,
}

/// Bytes reserved for an answer: enough for most, so that the buffer need not grow.
const ANSWER_BYTES: usize = 2 * 1024;

/// Decides facts of the tenant that the body names.
#[utoipa::path(
    post, path = "/api/v1/evaluate", tag = "decisions", operation_id = "evaluate", request_body = EvaluateBody,
    responses((status = 200, description = "The decision.", body = super::decision::DecisionAnswer))
)]
pub async fn by_body(
    caller: Caller,
    state: Data<AppState>,
    _: Query<()>,
    request: HttpRequest,
    RawBody(text): RawBody,
) -> Result<HttpResponse, Error> {
    let mut body: EvaluateBody = json::envelope(&text, "")?;
    let scope = match (body.tenant_id.take(), caller.own()) {
        (Some(tenant), _) => caller.scope(tenant.parse().map_err(|_| Error::tenant_not_found())?)?,
        (None, Some(own)) => own,
        (None, None) => {
            return Err(Error::invalid_one(Detail::new("missing_field", "missing field `tenantId`").at("tenantId")));
        }
    };
    path::record_tenant(&request, scope);
    evaluate(&state, scope, &request, body, text.len()).await
}

/// Decides facts of the tenant that the path names.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenantId}/evaluate", tag = "decisions", operation_id = "evaluateForTenant",
    request_body = EvaluateBody,
    responses((status = 200, description = "The decision.", body = super::decision::DecisionAnswer))
)]
pub async fn by_path(
    state: Data<AppState>,
    TenantPath(tenant): TenantPath,
    _: Query<()>,
    request: HttpRequest,
    RawBody(text): RawBody,
) -> Result<HttpResponse, Error> {
    let body: EvaluateBody = json::envelope(&text, "")?;
    if body.tenant_id.is_some() {
        let detail = Detail::new("unknown_field", "the path names the tenant; remove `tenantId`").at("tenantId");
        return Err(Error::invalid_one(detail));
    }
    evaluate(&state, tenant, &request, body, text.len()).await
}

async fn evaluate(
    state: &AppState,
    scope: TenantScope,
    request: &HttpRequest,
    body: EvaluateBody<'_>,
    bytes: usize,
) -> Result<HttpResponse, Error> {
    let facts = body.facts.get();
    let is_durable = body.record == Some(RecordWord::Durable);
    let mut ask = Options::from(body).ask()?;
    if is_durable {
        ask.record = RecordWish::Durable;
    }
    let served = state.engine.deciding(scope, ask.min_revision).await?;
    if served.records(&ask) {
        ask.request_id = request_id::of(request);
    }
    let decided = state.engine.decide_if_cheap(&served, &ask, Submission { facts, bytes, depth: 1 })?;
    let answer = decided.map(|mut decided| {
        let answer = answer(&served, &decided);
        (answer, ask.to_be_stored(decided.recorded.as_mut()))
    });
    let (answer, to_be_stored) = match answer {
        Some(answer) => answer,
        None => Box::pin(in_turn(state, &served, ask, facts.to_owned(), bytes)).await?,
    };
    if let Some(decision) = to_be_stored {
        Box::pin(Recorded::stored(decision)).await?;
    }
    Ok(response(&served, answer))
}

fn response(served: &Served, answer: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::ETAG, precondition::tag(served.set.revision())))
        .body(answer)
}

/// Decides in the evaluation pool.
async fn in_turn(
    state: &AppState,
    served: &Served,
    ask: Ask,
    facts: String,
    bytes: usize,
) -> Result<(Vec<u8>, Option<ToBeStored>), engine::Error> {
    let (engine, of) = (state.engine.clone(), served.clone());
    let decide = move || {
        let mut decided = engine.decide(&of, &ask, Submission { facts: &facts, bytes, depth: 1 })?;
        let answer = answer(&of, &decided);
        Ok((answer, ask.to_be_stored(decided.recorded.as_mut())))
    };
    state.engine.in_turn(served.set.tenant(), Work::Request, decide).await?
}

fn answer(served: &Served, decided: &Decided<'_>) -> Vec<u8> {
    let mut writer = Writer::with_capacity(ANSWER_BYTES);
    writer.begin_object();
    decide::write_origin(&mut writer, served);
    decide::write_time(&mut writer, decided.evaluated_at);
    writer.member("evaluationTimeMs", &decide::milliseconds(decided.took));
    decide::write_decided(&mut writer, decided);
    writer.end_object();
    writer.into_bytes()
}
