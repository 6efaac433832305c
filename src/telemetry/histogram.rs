//! A histogram of times, or of counts, whose observation is two atomic additions: every request observes several.
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

use crate::domain::nanos;

/// Bounds for requests and SQL, in microseconds: from an answer out of memory to a time-out.
const REQUEST_BOUNDS_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A histogram of times for each set of labels.
pub type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// A histogram of times or counts; cheap to clone.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    of: Of,
    /// Upper bounds, of times in nanoseconds, rising, each with the observations at or below it and above the one before. The
    /// last bound is the greatest number there is.
    buckets: Vec<(u64, AtomicU64)>,
    sum: AtomicU64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// In nanoseconds, shown as seconds.
    Times,
    Counts,
}

impl Histogram {
    /// A histogram with buckets up to each of these bounds, in microseconds, and one for the rest.
    pub fn new(bounds_us: &[u64]) -> Self {
        Self::with(Of::Times, bounds_us.iter().map(|bound| bound.saturating_mul(1_000)))
    }

    /// A histogram of counts, with buckets up to each of these bounds, and one for the rest.
    pub fn of_counts(bounds: &[u64]) -> Self {
        Self::with(Of::Counts, bounds.iter().copied())
    }

    fn with(of: Of, bounds: impl Iterator<Item = u64>) -> Self {
        let buckets = bounds.chain([u64::MAX]).map(|bound| (bound, AtomicU64::new(0))).collect();
        Self(Arc::new(Buckets { of, buckets, sum: AtomicU64::new(0) }))
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
        self.observe_count(nanos(time));
    }

    /// Counts one count.
    pub fn observe_count(&self, value: u64) {
        if let Some((_, count)) = self.0.buckets.iter().find(|(bound, _)| value <= *bound) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let of = self.0.of;
        let bucket = |(bound, count): &(u64, AtomicU64)| {
            // The last bucket has no bound.
            let bound = if *bound == u64::MAX { f64::INFINITY } else { of.shown(*bound) };
            (bound, count.load(Ordering::Relaxed))
        };
        let buckets: Vec<(f64, u64)> = self.0.buckets.iter().map(bucket).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = of.shown(self.0.sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl Of {
    #[expect(clippy::cast_precision_loss, reason = "a sum beyond 2^53 is shown rounded")]
    fn shown(self, value: u64) -> f64 {
        match self {
            Self::Times => Duration::from_nanos(value).as_secs_f64(),
            Self::Counts => value as f64,
        }
    }
}
