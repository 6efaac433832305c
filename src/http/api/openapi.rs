//! `/api-docs/openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! Handlers describe their own operation; `door::openapi` adds what holds for many. A test compares the document with
//! its copy in `docs/openapi.json`.

mod schemas;

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header,
    web::{Bytes, Data},
};
use utoipa::OpenApi;

use super::{
    admission, analytics, api_keys, audit, batch, bulkheads, concurrency, consumer, dead_letters, decisions,
    derived_fields, evaluate, events, health, metrics, quotas, redrives, rules, runtime, schema, tenants, trial,
};
use crate::http::door::{AppState, body::JSON, openapi::Everywhere, problem::Problem};

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Tenet", description = "A multi-tenant rules engine: typed facts, rules in CEL, live in milliseconds."),
    paths(
        evaluate::by_body,
        evaluate::by_path,
        batch::evaluate,
        decisions::reading::list,
        decisions::export::send,
        decisions::reading::show,
        decisions::replay::replay,
        decisions::config::show,
        decisions::config::set,
        tenants::create,
        tenants::list,
        tenants::show,
        tenants::change,
        tenants::delete,
        quotas::show,
        schema::create,
        schema::put,
        schema::show,
        schema::check,
        schema::changelog,
        schema::versions,
        schema::version,
        schema::activate,
        derived_fields::create,
        derived_fields::list,
        derived_fields::show,
        derived_fields::change,
        derived_fields::delete,
        rules::create,
        rules::replace_all,
        rules::list,
        rules::check,
        trial::attempt,
        rules::show,
        rules::change,
        rules::replace,
        rules::delete,
        events::sending::send,
        events::sending::send_many,
        events::reading::list,
        events::reading::show,
        events::reading::delete,
        events::reading::stats,
        concurrency::show,
        concurrency::set,
        consumer::show,
        consumer::pause,
        consumer::resume,
        dead_letters::list,
        dead_letters::show,
        redrives::create,
        redrives::show,
        redrives::stop,
        dead_letters::discard,
        analytics::summary::show,
        analytics::series::show,
        analytics::rules::list,
        analytics::health::show,
        api_keys::create,
        api_keys::list,
        api_keys::delete,
        api_keys::rotate,
        audit::list,
        runtime::show,
        runtime::load,
        runtime::stop,
        runtime::reload,
        runtime::release,
        runtime::list,
        runtime::nodes,
        health::alive,
        health::ready,
        metrics::show,
        admission::show,
        bulkheads::show,
        bulkheads::add,
        bulkheads::end,
    ),
    components(schemas(Problem)),
    tags(
        (name = "decisions", description = "Which rules facts match."),
        (name = "tenants", description = "The owners of schemas and rules."),
        (name = "schema", description = "The shape of a tenant's facts."),
        (name = "derived fields", description = "CEL expressions over facts, for use in rules."),
        (name = "rules", description = "Boolean CEL expressions with a name."),
        (name = "events", description = "Facts that are stored now and decided soon after."),
        (name = "analytics", description = "How many decisions were made, and what came of them."),
        (name = "api keys", description = "The keys of a tenant's callers."),
        (name = "audit", description = "Who changed what."),
        (name = "runtime", description = "The state of tenants and nodes."),
        (name = "operation", description = "The health and the metrics of the service."),
    ),
    modifiers(&Everywhere),
    security(("key" = []))
)]
struct Document;

static TEXT: LazyLock<String> = LazyLock::new(|| text(&Document::openapi()));

/// The document of a service that requires no key.
static OPEN_TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::openapi();
    document.security = None;
    text(&document)
});

fn text(document: &utoipa::openapi::OpenApi) -> String {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    schemas::complete(&mut document);
    format!("{document:#}")
}

/// The document as JSON.
pub fn document() -> &'static str {
    &TEXT
}

/// Serves the document, which lists the key as required only if it is.
pub async fn show(state: Data<AppState>) -> HttpResponse {
    let text: &'static str = if state.auth.is_open() { &OPEN_TEXT } else { &TEXT };
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JSON)).body(Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests;
