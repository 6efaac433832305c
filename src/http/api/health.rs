//! `/healthz`: the process runs. `/readyz`: it is ready for requests, or what is missing. No key is required.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::ErrorKind,
    http::door::{AppState, Error, Part, Phase, problem::Problem, response},
};

/// How long the database may take to answer before it counts as missing: less than the timeout of probes, often a
/// second.
const PING_DEADLINE: Duration = Duration::from_millis(300);

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`; of readiness `ready`, or `degraded` where something is missing without which tenants in memory are served
    /// all the same.
    #[schema(example = "ok")]
    status: &'static str,
    /// What is missing: `database`, `listener`.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<&'static str>>,
}

/// Says that the process runs.
#[utoipa::path(
    get, path = "/healthz", tag = "operation", operation_id = "health", security(()),
    responses((status = 200, description = "The process runs.", body = Health))
)]
pub async fn alive() -> Result<HttpResponse, Error> {
    response::plain(StatusCode::OK, &Health { status: "ok", missing: None })
}

/// Says whether the node should be sent requests. Once it was ready it stays so until it stops: if the database went
/// away and every node said that it is not ready, nothing would be served at all, though all of them could.
#[utoipa::path(
    get, path = "/readyz", tag = "operation", operation_id = "readiness", security(()),
    responses(
        (status = 200, description = "The node serves; `missing` says what it has lost since.", body = Health),
        (status = 503, description = "It does not; `missing` says why.", body = Problem,
         content_type = "application/problem+json")
    )
)]
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, Error> {
    let missing = match state.readiness.phase() {
        Phase::Starting(missing) => missing,
        Phase::Ready => return response::plain(StatusCode::OK, &health_of(missing_now(&state).await)),
        Phase::Stopping => {
            let error = Error::new(ErrorKind::Unavailable, "stopping", "the service is stopping");
            return Err(error.extend("missing", Vec::<String>::new()));
        }
    };
    let names: Vec<&str> = missing.into_iter().map(Part::name).collect();
    let message = format!("the service is waiting for: {}", names.join(", "));
    Err(Error::new(ErrorKind::Unavailable, "not_ready", message).extend("missing", names))
}

fn health_of(missing: BTreeSet<Part>) -> Health {
    let status = if missing.is_empty() { "ready" } else { "degraded" };
    Health { status, missing: Some(missing.into_iter().map(Part::name).collect()) }
}

/// What a node that was ready misses now.
async fn missing_now(state: &AppState) -> BTreeSet<Part> {
    let mut missing = BTreeSet::new();
    if !matches!(tokio::time::timeout(PING_DEADLINE, state.store.ping()).await, Ok(Ok(()))) {
        missing.insert(Part::Database);
    }
    if !state.engine.health().listening {
        missing.insert(Part::Listener);
    }
    missing
}
