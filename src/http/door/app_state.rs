//! What every handler works with.

use std::{net::SocketAddr, sync::OnceLock};

use actix_web::{HttpRequest, http::StatusCode, web::Data};

use super::{Error, HttpOptions, Metrics, Readiness};
use crate::{auth::Auth, engine::Engine, store::Store, telemetry::MetricRegistry};

/// The parts of the process that requests use, shared by all threads of the server.
#[derive(Debug)]
pub struct AppState {
    /// Who calls.
    pub auth: Auth,
    /// Decisions and changes.
    pub engine: Engine,
    /// What is read from the database.
    pub store: Store,
    /// What is counted of requests.
    pub metrics: Metrics,
    /// The metrics of all rooms, for `/metrics`.
    pub registry: MetricRegistry,
    /// Whether the node should be sent requests.
    pub readiness: Readiness,
    /// How the server was configured.
    pub options: HttpOptions,
    /// The address for operators, once the server listens on one of their own.
    pub admin_address: OnceLock<SocketAddr>,
}

impl AppState {
    /// Puts the parts together, for a server that does not listen yet.
    pub fn new(
        options: HttpOptions,
        auth: Auth,
        engine: Engine,
        store: Store,
        metrics: Metrics,
        registry: MetricRegistry,
        readiness: Readiness,
    ) -> Self {
        Self { auth, engine, store, metrics, registry, readiness, options, admin_address: OnceLock::new() }
    }

    /// Whether the request came in on the address for operators and metrics collectors, if there is one of its own.
    pub fn is_for_operators(&self, request: &HttpRequest) -> bool {
        self.admin_address.get().is_none_or(|admin| request.app_config().local_addr() == *admin)
    }

    /// Refuses a request whose `Host` is not one of the service's names. Probes know only an address, and so do
    /// operators on their own address; without keys that is no reason to let a web page in.
    pub fn admit_host(&self, request: &HttpRequest) -> Result<(), Error> {
        let is_inside = self.admin_address.get().is_some() && self.is_for_operators(request) && !self.auth.is_open();
        if is_inside || matches!(request.path(), "/healthz" | "/readyz") {
            return Ok(());
        }
        self.options.hosts.admit(request)
    }

    /// The state that the request's server was opened with.
    pub fn of(request: &HttpRequest) -> Result<&Data<Self>, Error> {
        request.app_data().ok_or_else(|| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
