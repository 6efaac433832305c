//! What is measured of the broker.

use crate::telemetry::{Counter, Gauge, MetricRegistry};

/// The metrics of the broker.
#[derive(Debug, Clone)]
pub struct Metrics {
    connected: Gauge,
    blocked: Gauge,
    connections: Counter,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let connected_help = "1 while RabbitMQ is connected, 0 also where none is used";
        let blocked_help = "1 while RabbitMQ blocks publishers, because it is short of memory or disk";
        Self {
            connected: registry.register("broker_connected", connected_help, Gauge::default()),
            blocked: registry.register("broker_blocked", blocked_help, Gauge::default()),
            connections: registry.counter("broker_connections", "How often RabbitMQ was connected"),
        }
    }

    pub(super) fn connected(&self, is_connected: bool) {
        self.connected.set(i64::from(is_connected));
        if is_connected {
            self.connections.inc();
        } else {
            self.blocked.set(0);
        }
    }

    pub(super) fn blocked(&self, is_blocked: bool) {
        self.blocked.set(i64::from(is_blocked));
    }
}
