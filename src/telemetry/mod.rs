//! What the service tells about its work: log lines and metrics. It knows no request and no database.

mod engine;
mod families;
mod histogram;
mod log;
mod metrics;
mod process;
mod tenants;

pub use log::{ACCESS, start_logging};
pub use metrics::{Departure, Metrics, MetricsFormat};
