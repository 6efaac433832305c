//! Logs, and what the rooms need to have metrics of their own. It knows no request and no database.

mod core_wait;
mod families;
mod histogram;
mod log;
mod process;
mod registry;
mod tenants;

pub use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Unit,
};

pub use self::{
    core_wait::CoreWait,
    histogram::{Histogram, HistogramFamily},
    log::{ACCESS, start_logging},
    registry::{MetricRegistry, MetricsFormat},
    tenants::TenantCounts,
};
