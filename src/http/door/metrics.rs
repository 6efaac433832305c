//! What is counted of requests, by route and by tenant.

use std::time::Duration;

use crate::{
    domain::TenantId,
    telemetry::{
        Counter, EncodeLabelSet, Family, Gauge, Histogram, HistogramFamily, MetricRegistry, TenantCounts, Unit,
    },
};

/// The metrics of HTTP.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<RouteLabels, Counter>,
    seconds: HistogramFamily<RouteLabels>,
    in_flight: Gauge,
    tenants: TenantCounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    status: &'static str,
}

impl Metrics {
    /// All at zero, and registered. The `tenants_max` busiest tenants have series of their own.
    pub fn register(registry: &mut MetricRegistry, tenants_max: usize) -> Self {
        let requests_help = "Requests answered, by route and class of status";
        let seconds_help = "Time from a request to its answer, by route and class of status";
        let times = Histogram::family_of_requests();
        Self {
            requests: registry.register("http_requests", requests_help, Family::default()),
            seconds: registry.register_with_unit("http_request", seconds_help, Unit::Seconds, times),
            in_flight: registry.register(
                "http_requests_in_flight",
                "Requests that are not answered yet",
                Gauge::default(),
            ),
            tenants: registry.tenants(tenants_max),
        }
    }

    /// A request of `route` (its pattern, never its path) was answered with `status`, `took` after it came.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        let labels = RouteLabels { route, status: status_class(status) };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(took);
    }

    /// A request came in. Pair it with [`Metrics::request_ended`].
    pub fn request_begun(&self) {
        self.in_flight.inc();
    }

    /// A request was answered, or given up.
    pub fn request_ended(&self) {
        self.in_flight.dec();
    }

    /// A request of a tenant that exists was answered with `status`.
    pub fn tenant_request(&self, tenant: TenantId, status: u16) {
        self.tenants.count(tenant, status >= 400);
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
