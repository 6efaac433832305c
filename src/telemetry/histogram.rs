//! A histogram of times whose observation is two atomic additions: every request observes several.
//!
//! The crate's own takes a lock for each. A scrape may see a sum and counts that are a few observations apart.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, family::Family},
};

/// Bounds for requests and SQL, in microseconds: from an answer out of memory to a time-out.
const REQUEST_BOUNDS_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A histogram of times for each set of labels.
pub type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// A histogram of times; cheap to clone.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds in nanoseconds, rising, each with the observations at or below it and above the one before. The
    /// last bound is the greatest number there is.
    buckets: Vec<(u64, AtomicU64)>,
    sum_ns: AtomicU64,
}

impl Histogram {
    /// A histogram with buckets up to each of these bounds, in microseconds, and one for the rest.
    pub fn new(bounds_us: &[u64]) -> Self {
        let bounds = bounds_us.iter().map(|bound| bound.saturating_mul(1_000)).chain([u64::MAX]);
        let buckets = bounds.map(|bound| (bound, AtomicU64::new(0))).collect();
        Self(Arc::new(Buckets { buckets, sum_ns: AtomicU64::new(0) }))
    }

    /// A histogram for what takes from an answer out of memory to a time-out.
    pub fn of_requests() -> Self {
        Self::new(REQUEST_BOUNDS_US)
    }

    /// A histogram like [`Histogram::of_requests`] for each set of labels.
    pub fn family_of_requests<L: Clone + Eq + Hash>() -> HistogramFamily<L> {
        Family::new_with_constructor(Self::of_requests)
    }

    /// Counts one time.
    pub fn observe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some((_, count)) = self.0.buckets.iter().find(|(bound, _)| nanos <= *bound) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let buckets: Vec<(f64, u64)> =
            self.0.buckets.iter().map(|(bound, count)| (seconds(*bound), count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// The last bucket has no bound.
fn seconds(bound_ns: u64) -> f64 {
    if bound_ns == u64::MAX { f64::INFINITY } else { Duration::from_nanos(bound_ns).as_secs_f64() }
}
