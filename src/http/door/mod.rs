//! What all requests and responses have in common, whatever they are about: the server, the router, authentication,
//! bodies, queries, errors.
//!
//! Nothing here knows a resource: the server is given the table of routes. `error` is the only map from errors to
//! statuses. The modules are listed from the ground up, and each imports only modules listed above it.

mod error;
pub mod problem;
mod hosts;
mod options;
mod readiness;
mod metrics;
mod app_state;
pub mod body;
pub mod precondition;
pub mod query;
pub mod response;
pub mod request_id;
pub mod auth;
pub mod path;
mod payload_hold;
mod gate;
pub mod router;
mod middleware;
mod schemas;
pub mod openapi;
mod tls;
mod server;

pub use self::{
    app_state::{AppState, Rooms},
    error::Error,
    metrics::Metrics,
    options::{HttpLimits, HttpOptions, TlsFiles},
    readiness::{Part, Phase, Readiness},
    server::{Server, ServerError, Stop, Stopper},
};
