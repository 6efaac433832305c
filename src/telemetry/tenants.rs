//! Requests and errors of the busiest tenants, and of all others together.
//!
//! The number of series is bounded whatever the number of tenants. Every series only ever grows: a tenant that becomes
//! one of the busiest starts at zero, and what it counted before stays under `other`.

use std::{
    cmp::Reverse,
    collections::HashSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use dashmap::DashMap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use crate::domain::TenantId;

/// Tenants watched for becoming one of the busiest, for each that is shown.
const WATCHED_PER_SHOWN: usize = 20;

/// Counts by tenant; cheap to clone.
#[derive(Debug, Clone)]
pub struct TenantCounts(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    shown_max: usize,
    watched: DashMap<TenantId, Watched>,
    others: Count,
}

#[derive(Debug, Default)]
struct Watched {
    /// Requests of late: halved at each scrape.
    recent: AtomicU64,
    /// Whether it has a series of its own.
    shown: AtomicBool,
    count: Count,
}

/// Requests and errors.
type Counted = (u64, u64);

#[derive(Debug, Default)]
struct Count {
    requests: AtomicU64,
    errors: AtomicU64,
}

impl Count {
    fn add(&self, failed: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    fn read(&self) -> Counted {
        (self.requests.load(Ordering::Relaxed), self.errors.load(Ordering::Relaxed))
    }
}

impl TenantCounts {
    /// No counts yet; `shown_max` tenants get a series of their own.
    pub(super) fn new(shown_max: usize) -> Self {
        Self(Arc::new(Counts { shown_max, watched: DashMap::new(), others: Count::default() }))
    }

    /// Counts a request of `tenant`.
    pub fn count(&self, tenant: TenantId, failed: bool) {
        let Counts { shown_max, watched, others } = &*self.0;
        if let Some(entry) = watched.get(&tenant) {
            entry.recent.fetch_add(1, Ordering::Relaxed);
            let count = if entry.shown.load(Ordering::Relaxed) { &entry.count } else { others };
            count.add(failed);
            return;
        }
        // Two first requests at once may exceed the bound by the number of threads, until the next scrape.
        if watched.len() < shown_max.saturating_mul(WATCHED_PER_SHOWN) {
            watched.entry(tenant).or_default().recent.fetch_add(1, Ordering::Relaxed);
        }
        others.add(failed);
    }

    /// Chooses anew who is shown, and answers the counts: those shown, by tenant, and the others.
    fn scrape(&self) -> (Vec<(TenantId, Counted)>, Counted) {
        let Counts { shown_max, watched, others } = &*self.0;
        let mut ranked: Vec<(TenantId, u64)> = watched.iter().map(|entry| (*entry.key(), entry.weight())).collect();
        ranked.sort_unstable_by_key(|(tenant, weight)| (Reverse(*weight), *tenant));
        ranked.truncate(*shown_max);
        let busiest: HashSet<TenantId> = ranked.into_iter().map(|(tenant, _)| tenant).collect();
        watched.retain(|tenant, entry| {
            entry.settle(busiest.contains(tenant));
            *entry.shown.get_mut() || *entry.recent.get_mut() > 0
        });
        let mut shown: Vec<_> = watched
            .iter()
            .filter(|entry| entry.shown.load(Ordering::Relaxed))
            .map(|entry| (*entry.key(), entry.count.read()))
            .collect();
        shown.sort_unstable_by_key(|(tenant, _)| *tenant);
        (shown, others.read())
    }
}

impl Watched {
    /// What it is ranked by. A tenant that is shown counts double, so that two of like size do not take turns.
    fn weight(&self) -> u64 {
        let recent = self.recent.load(Ordering::Relaxed);
        if self.shown.load(Ordering::Relaxed) { recent.saturating_mul(2) } else { recent }
    }

    fn settle(&mut self, shown: bool) {
        if !shown {
            self.count = Count::default();
        }
        *self.shown.get_mut() = shown;
        *self.recent.get_mut() /= 2;
    }
}

impl Collector for TenantCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (shown, others) = self.scrape();
        let rows: Vec<(String, Counted)> = shown
            .into_iter()
            .map(|(tenant, count)| (tenant.to_string(), count))
            .chain([("other".to_owned(), others)])
            .collect();
        let mut series = |name: &str, help: &str, pick: fn(&Counted) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (tenant, count) in &rows {
                let labels = [("tenant", tenant.as_str())];
                ConstCounter::new(pick(count)).encode(family.encode_family(&labels)?)?;
            }
            fmt::Result::Ok(())
        };
        series(
            "tenant_requests",
            "Requests, by tenant; `other` sums the tenants without a series of their own",
            |count| count.0,
        )?;
        series("tenant_errors", "Requests answered with 4xx or 5xx, by tenant", |count| count.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{MetricRegistry, MetricsFormat};

    fn times(tenants: &TenantCounts, tenant: TenantId, requests: usize) {
        (0..requests).for_each(|_| tenants.count(tenant, false));
    }

    #[test]
    fn the_busiest_tenants_are_shown_and_the_others_summed() {
        let tenants = TenantCounts::new(2);
        let ids: Vec<TenantId> = (0..5).map(|_| TenantId::generate()).collect();
        for (index, id) in ids.iter().enumerate() {
            times(&tenants, *id, 10 * (index + 1));
        }
        let (shown, others) = tenants.scrape();
        assert_eq!(shown.iter().map(|row| row.0).collect::<Vec<_>>(), [ids[3], ids[4]]);
        assert_eq!(others.0, 150, "what was counted before a tenant was shown stays with the others");

        tenants.count(ids[4], true);
        tenants.count(ids[0], true);
        let (shown, others) = tenants.scrape();
        assert_eq!(shown, [(ids[3], (0, 0)), (ids[4], (1, 1))]);
        assert_eq!(others, (151, 1));
    }

    #[test]
    fn a_tenant_that_falls_silent_makes_room_for_another() {
        let tenants = TenantCounts::new(1);
        let (first, second) = (TenantId::generate(), TenantId::generate());
        times(&tenants, first, 100);
        assert_eq!(tenants.scrape().0, [(first, (0, 0))]);
        for _ in 0..10 {
            times(&tenants, second, 100);
            tenants.scrape();
        }
        let (shown, _) = tenants.scrape();
        assert_eq!(shown.first().map(|row| row.0), Some(second));
        assert!(tenants.0.watched.len() <= 2);
    }

    #[test]
    fn tenants_beyond_the_cap_are_counted_together() {
        let mut registry = MetricRegistry::new();
        let tenants = registry.tenants(1);
        let (busy, quiet) = (TenantId::generate(), TenantId::generate());
        times(&tenants, busy, 3);
        registry.encode(MetricsFormat::OpenMetrics).unwrap();
        tenants.count(busy, true);
        tenants.count(quiet, true);
        let text = registry.encode(MetricsFormat::OpenMetrics).unwrap();
        assert!(text.contains(&format!("tenet_tenant_requests_total{{tenant=\"{busy}\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("tenet_tenant_errors_total{{tenant=\"{busy}\"}} 1\n")), "{text}");
        assert!(text.contains("tenet_tenant_requests_total{tenant=\"other\"} 4\n"), "{text}");
        assert!(text.contains("tenet_tenant_errors_total{tenant=\"other\"} 1\n"), "{text}");
        assert!(!text.contains(&quiet.to_string()), "{text}");
    }

    #[test]
    fn memory_is_bounded_whatever_the_number_of_tenants() {
        let tenants = TenantCounts::new(3);
        (0..1_000).for_each(|_| tenants.count(TenantId::generate(), true));
        assert_eq!(tenants.0.watched.len(), 3 * WATCHED_PER_SHOWN);
        let (shown, others) = tenants.scrape();
        assert_eq!((shown.len(), others), (3, (1_000, 1_000)));
        let none = TenantCounts::new(0);
        none.count(TenantId::generate(), false);
        assert_eq!(none.scrape(), (Vec::new(), (1, 0)));
    }
}
