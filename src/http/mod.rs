//! The REST API: what comes in is checked and handed to the engine or the store, what they say is put into words.
//!
//! One resource a file, named like its path; `routes.rs` is the one table of routes, `error.rs` the one of errors.
//! Nothing is decided here, and nothing stored.

mod answer;
mod api_keys;
mod audit;
mod auth;
mod batch;
mod body;
mod decide;
mod decision;
mod derived_fields;
mod document;
mod error;
mod evaluate;
mod exchange;
mod failures;
mod health;
mod hosts;
mod metrics;
mod ndjson;
mod openapi;
mod options;
mod path;
mod precondition;
mod problem;
mod query;
mod quotas;
mod readiness;
mod routes;
mod rule_bodies;
mod rules;
mod runtime;
mod schema;
mod server;
mod strict;
mod swagger;
mod tenants;
mod tls;
mod unread;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use actix_web::{HttpRequest, http::StatusCode, web::Data};

use crate::{engine::Engine, jwt::Issuers, store::Store, telemetry::Metrics};

use self::{error::Error, failures::Failures};

pub use self::{
    failures::FailureLimits,
    openapi::document as openapi_document,
    options::{HttpLimits, HttpOptions, OperatorKey, TlsFiles},
    readiness::{Part, Phase, Readiness},
    server::{Server, ServerError, Stop, Stopper},
};

/// What every handler works with.
#[derive(Debug)]
struct Api {
    engine: Engine,
    store: Store,
    /// Whose tokens are believed.
    issuers: Arc<Issuers>,
    metrics: Metrics,
    readiness: Readiness,
    options: HttpOptions,
    failures: Failures,
    /// Where it listens for operators, once it does.
    admin_address: OnceLock<SocketAddr>,
}

impl Api {
    /// Whether the request came in where operators and collectors of metrics are served.
    fn is_for_operators(&self, request: &HttpRequest) -> bool {
        self.admin_address.get().is_none_or(|admin| request.app_config().local_addr() == *admin)
    }

    /// Refuses a request for another name than the service's. Probes know nothing but an address, and so do those who
    /// come where operators do; where no key is asked for, that is no reason to let a page in.
    fn admit_host(&self, request: &HttpRequest) -> Result<(), Error> {
        let is_inside = self.admin_address.get().is_some() && self.is_for_operators(request) && !self.options.is_open;
        if is_inside || matches!(request.path(), "/healthz" | "/readyz") {
            return Ok(());
        }
        self.options.hosts.admit(request)
    }

    /// The one that the request's server was opened with.
    fn of(request: &HttpRequest) -> Result<&Data<Self>, Error> {
        request.app_data().ok_or_else(|| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
