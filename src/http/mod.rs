//! HTTP: reads requests, calls the engine or the store, writes responses. Nothing is decided here, and nothing stored.
//!
//! `door` has what all requests have in common: the server, the router, authentication, bodies, queries, errors. `api`
//! has the resources, a file each, named like their paths, and the table of routes. `door` never imports `api`;
//! `tests/tidy.rs` checks that.

mod door;
mod api;

use crate::telemetry::MetricRegistry;

pub use self::{
    api::openapi::document as openapi_document,
    door::{
        HttpLimits, HttpOptions, Metrics, Part, Phase, Readiness, Rooms, Server, ServerError, Stop, Stopper, TlsFiles,
    },
};

/// Opens the port for a server of the whole API. Must be called within a tokio runtime.
pub fn bind(
    options: HttpOptions,
    rooms: Rooms,
    metrics: Metrics,
    registry: MetricRegistry,
    readiness: Readiness,
) -> Result<Server, ServerError> {
    Server::bind(door::AppState::new(options, rooms, metrics, registry, readiness), api::routes::table())
}
