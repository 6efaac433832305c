//! This node's row among the nodes: written again every few seconds, so that others see that it lives and how it does.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::{
    domain::{NodeId, Vitals},
    engine::shared::Shared,
};

/// How often the row is written: a third of what makes a node count as gone.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes the row again and again.
pub async fn beat(shared: Arc<Shared>, id: NodeId) {
    let host = host();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = true;
    loop {
        ticks.tick().await;
        let written = shared.store.heartbeat(id, &host, env!("CARGO_PKG_VERSION"), vitals(&shared)).await;
        match &written {
            Ok(live) => shared.live_nodes.store((*live).max(1), Ordering::Relaxed),
            Err(error) if told => {
                warn!(error = error as &dyn std::error::Error, "cannot tell the database that this node lives");
            }
            Err(_) => {}
        }
        told = written.is_ok();
    }
}

fn vitals(shared: &Shared) -> Vitals {
    let now_ms = shared.clock.now_ms();
    let mut vitals = Vitals { synchronised_ago_ms: shared.freshness.age_ms(now_ms), ..Vitals::default() };
    shared.registry.each(|_, entry| {
        vitals.resident_tenants += 1;
        vitals.memory_bytes += entry.resident.memory_bytes();
        vitals.lag_ms = vitals.lag_ms.max(entry.lag_ms(now_ms));
    });
    vitals
}

/// What the machine calls itself.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}
