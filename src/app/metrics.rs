//! The metrics of a service: those of each room, in one registry.

use crate::{auth, breakers, engine, http, ingest, shared, store, telemetry::MetricRegistry};

/// The metrics of each room, and where they are registered.
#[derive(Debug)]
pub(super) struct Metrics {
    pub registry: MetricRegistry,
    pub breakers: breakers::Metrics,
    pub store: store::Metrics,
    pub auth: auth::Metrics,
    pub engine: engine::Metrics,
    pub ingest: ingest::Metrics,
    #[cfg(feature = "rabbitmq")]
    pub broker: crate::broker::Metrics,
    pub shared: shared::Metrics,
    pub http: http::Metrics,
}

impl Metrics {
    /// Registers the metrics of all rooms. The `tenants_max` busiest tenants have series of their own.
    pub fn register(tenants_max: usize) -> Self {
        let mut registry = MetricRegistry::new();
        Self {
            http: http::Metrics::register(&mut registry, tenants_max),
            auth: auth::Metrics::register(&mut registry),
            engine: engine::Metrics::register(&mut registry),
            ingest: ingest::Metrics::register(&mut registry),
            #[cfg(feature = "rabbitmq")]
            broker: crate::broker::Metrics::register(&mut registry),
            shared: shared::Metrics::register(&mut registry),
            breakers: breakers::Metrics::register(&mut registry),
            store: store::Metrics::register(&mut registry),
            registry,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{engine::Departure, store::PoolStatus, telemetry::MetricsFormat};

    fn line(metrics: &Metrics, start: &str) -> Option<String> {
        let text = metrics.registry.encode(MetricsFormat::OpenMetrics).unwrap();
        text.lines().find_map(|line| line.strip_prefix(start).map(|rest| rest.trim().to_owned()))
    }

    #[test]
    fn what_is_told_is_what_can_be_read() {
        let metrics = Metrics::register(1);
        metrics.http.request("/api/v1/evaluate", 200, Duration::from_millis(2));
        metrics.http.request("/api/v1/evaluate", 204, Duration::from_millis(3));
        metrics.http.request("/api/v1/evaluate", 422, Duration::from_secs(60));
        metrics.engine.decision(10, 3, Duration::from_micros(7));
        metrics.engine.rule_error("cost_exceeded");
        metrics.store.pool(PoolStatus { pool: "requests", size: 10, idle: 8, in_use: 2 });
        metrics.store.statement("load_snapshot", Duration::from_micros(300));
        metrics.engine.departure(Departure::Evicted);
        for (start, value) in [
            ("tenet_http_requests_total{route=\"/api/v1/evaluate\",status=\"2xx\"}", "2"),
            ("tenet_http_request_seconds_sum{route=\"/api/v1/evaluate\",status=\"2xx\"}", "0.005"),
            ("tenet_http_request_seconds_bucket{le=\"0.0025\",route=\"/api/v1/evaluate\",status=\"2xx\"}", "1"),
            ("tenet_http_request_seconds_bucket{le=\"10.0\",route=\"/api/v1/evaluate\",status=\"4xx\"}", "0"),
            ("tenet_http_request_seconds_bucket{le=\"+Inf\",route=\"/api/v1/evaluate\",status=\"4xx\"}", "1"),
            ("tenet_decisions_total", "1"),
            ("tenet_rules_evaluated_total", "10"),
            ("tenet_rules_matched_total", "3"),
            ("tenet_rule_errors_total{code=\"cost_exceeded\"}", "1"),
            ("tenet_evaluation_seconds_bucket{le=\"0.000005\"}", "0"),
            ("tenet_evaluation_seconds_bucket{le=\"0.00001\"}", "1"),
            ("tenet_pool_in_use{pool=\"requests\"}", "2"),
            ("tenet_pool_idle{pool=\"requests\"}", "8"),
            ("tenet_sql_seconds_count{statement=\"load_snapshot\"}", "1"),
            ("tenet_evictions_total", "1"),
            ("tenet_idle_stops_total", "0"),
            (concat!("tenet_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), "1"),
        ] {
            assert_eq!(
                line(&metrics, start).as_deref(),
                Some(value),
                "{start}\n{}",
                metrics.registry.encode(MetricsFormat::OpenMetrics).unwrap()
            );
        }
    }

    #[test]
    fn services_in_one_process_do_not_share_counts() {
        let (one, other) = (Metrics::register(1), Metrics::register(1));
        one.engine.resident_miss();
        one.engine.clone().resident_miss();
        assert_eq!(line(&one, "tenet_resident_misses_total").as_deref(), Some("2"));
        assert_eq!(line(&other, "tenet_resident_misses_total").as_deref(), Some("0"));
    }

    #[test]
    #[cfg(feature = "rabbitmq")]
    fn the_documentation_lists_every_metric_and_no_other() {
        let text = Metrics::register(1).registry.encode(MetricsFormat::OpenMetrics).unwrap();
        let help = |line: &str| {
            let (name, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
            Some((name.to_owned(), help.trim_end_matches('.').to_owned()))
        };
        let told: Vec<(String, String)> = text.lines().filter_map(help).collect();
        let page = include_str!("../../docs/operations.md");
        let row = |line: &str| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
            let name = cells[0].trim_end_matches('`');
            let is_metric = name.starts_with("tenet_") || name.starts_with("process_");
            is_metric.then(|| (name.to_owned(), cells[3].to_owned()))
        };
        let documented: Vec<(String, String)> = page.lines().filter_map(row).collect();
        let sorted = |mut rows: Vec<(String, String)>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(documented), sorted(told));
    }
}
