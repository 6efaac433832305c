//! `/api-docs/openapi.json`: the API as an OpenAPI 3.1 document.
//!
//! Handlers describe what is their own; what holds for many is added by `door::openapi`. `docs/openapi.json` holds a copy
//! that a test compares.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header,
    web::{Bytes, Data},
};
use utoipa::OpenApi;

use super::{
    api_keys, audit, batch, derived_fields, evaluate, health, metrics, quotas, rules, runtime, schema, tenants,
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
        rules::show,
        rules::change,
        rules::replace,
        rules::delete,
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
    ),
    components(schemas(Problem)),
    tags(
        (name = "decisions", description = "Which rules facts match."),
        (name = "tenants", description = "Who brings rules."),
        (name = "schema", description = "The shape of a tenant's facts."),
        (name = "derived fields", description = "CEL over facts, to be used in rules."),
        (name = "rules", description = "Boolean CEL expressions with a name."),
        (name = "api keys", description = "Who may call in a tenant's name."),
        (name = "audit", description = "Who changed what."),
        (name = "runtime", description = "How tenants and nodes are doing."),
        (name = "operation", description = "How the service is."),
    ),
    modifiers(&Everywhere),
    security(("key" = []))
)]
struct Document;

static TEXT: LazyLock<String> = LazyLock::new(|| Document::openapi().to_pretty_json().unwrap_or_default());

/// The document of a service that asks for no key.
static OPEN_TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::openapi();
    document.security = None;
    document.to_pretty_json().unwrap_or_default()
});

/// The document as JSON.
pub fn document() -> &'static str {
    &TEXT
}

/// Serves the document. It promises to ask for a key only where one is asked for.
pub async fn show(state: Data<AppState>) -> HttpResponse {
    let text: &'static str = if state.auth.is_open() { &OPEN_TEXT } else { &TEXT };
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, JSON)).body(Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests;
