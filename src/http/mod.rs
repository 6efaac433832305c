//! HTTP: reads requests, calls the engine or the store, writes responses. Nothing is decided here, and nothing stored.
//!
//! Two rooms. `door` is the plumbing that every request passes: the server, the router, authentication, bodies, queries,
//! errors. `api` holds the resources, a file each, named like their paths, and the one table of routes.

mod door;
mod api;

use std::sync::Arc;

use crate::{engine::Engine, jwt::Issuers, store::Store, telemetry::Metrics};

pub use self::{
    api::openapi::document as openapi_document,
    door::{
        FailureLimits, HttpLimits, HttpOptions, OperatorKey, Part, Phase, Readiness, Server, ServerError, Stop,
        Stopper, TlsFiles,
    },
};

/// Takes the port for a server of the whole API. To be called within a tokio runtime.
pub fn bind(
    options: HttpOptions,
    engine: Engine,
    store: Store,
    issuers: Arc<Issuers>,
    metrics: Metrics,
    readiness: Readiness,
) -> Result<Server, ServerError> {
    Server::bind(door::AppState::new(options, engine, store, issuers, metrics, readiness), api::routes::table)
}
