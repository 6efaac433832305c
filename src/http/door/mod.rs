//! The plumbing of HTTP: what every request and every response passes, whatever they are about.
//!
//! Nothing here knows a resource: the routes come in as a table. `error` is the one map from errors to statuses.

mod app_state;
pub mod auth;
pub mod body;
mod error;
mod hosts;
mod metrics;
mod middleware;
pub mod openapi;
mod options;
pub mod path;
mod payload_hold;
pub mod precondition;
pub mod problem;
pub mod query;
mod readiness;
pub mod response;
pub mod router;
mod schemas;
mod server;
mod tls;

pub use self::{
    app_state::AppState,
    error::Error,
    metrics::Metrics,
    options::{HttpLimits, HttpOptions, TlsFiles},
    readiness::{Part, Phase, Readiness},
    server::{Server, ServerError, Stop, Stopper},
};
