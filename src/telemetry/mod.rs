//! What the service tells about its work: log lines and metrics. It knows no request and no database.

mod engine;
mod histogram;
mod log;
mod metrics;
mod tenants;

pub use log::start_logging;
pub use metrics::{Departure, METRICS_CONTENT_TYPE, Metrics};
