//! The metrics of one service, for `/metrics`. What is counted is each room's own: see its `metrics.rs`.
//!
//! A service has a registry of its own, so that two services in one process stay apart. Labels are static texts or
//! bounded in number, and never contain anything of a tenant's content.

use std::fmt;

use prometheus_client::{
    metrics::{counter::Counter, info::Info},
    registry::{Metric, Unit},
};

use super::{families::Families, process::Process, tenants::TenantCounts};

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// That of OpenMetrics 1.0.
    OpenMetrics,
    /// That of Prometheus 0.0.4, which is older and which every tool reads.
    Prometheus,
}

impl MetricsFormat {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Where each room registers its metrics when the service starts.
pub struct MetricRegistry {
    families: Families,
    before_scrape: Vec<Box<dyn Fn() + Send + Sync>>,
}

impl MetricRegistry {
    /// A registry with the version and the process alone.
    pub fn new() -> Self {
        let mut families = Families::new();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        families.add("build", "The running version", Info::new(build.to_vec()));
        families.collect_of_process(Process::this());
        Self { families, before_scrape: Vec::new() }
    }

    /// Registers `metric`, and returns it. Its name in `/metrics` begins with `tenet_`.
    pub fn register<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.families.add(name, help, metric.clone());
        metric
    }

    /// Registers `metric`, whose name in `/metrics` ends with its unit, and returns it.
    pub fn register_with_unit<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Unit, metric: M) -> M {
        self.families.add_with_unit(name, help, unit, metric.clone());
        metric
    }

    /// Registers a counter without labels.
    pub fn counter(&mut self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// Registers counts by tenant; the `shown_max` busiest tenants have series of their own.
    pub fn tenants(&mut self, shown_max: usize) -> TenantCounts {
        let tenants = TenantCounts::new(shown_max);
        self.families.collect(tenants.clone());
        tenants
    }

    /// Runs `measure` before each scrape: for gauges that nobody sets when they change.
    pub fn before_scrape(&mut self, measure: impl Fn() + Send + Sync + 'static) {
        self.before_scrape.push(Box::new(measure));
    }

    /// Everything, as text.
    pub fn encode(&self, format: MetricsFormat) -> Result<String, fmt::Error> {
        self.before_scrape.iter().for_each(|measure| measure());
        match format {
            MetricsFormat::OpenMetrics => self.families.open_metrics(),
            MetricsFormat::Prometheus => self.families.prometheus(),
        }
    }
}

impl Default for MetricRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MetricRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricRegistry")
    }
}
