//! What the load of one group found, for people and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    Group,
    drive::LoadOutcome,
    events::{Decided, Sent, age_ms},
    tally::add_counts,
};
use crate::domain::Tier;

/// What the load of a group found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The group; the workload's name if it is the only one.
    pub group: String,
    /// The workload.
    pub workload: String,
    /// Its mix.
    pub mix: String,
    /// The service.
    pub url: String,
    /// Tenants under load.
    pub tenants: usize,
    /// Their tier.
    pub tier: Tier,
    /// Connections.
    pub connections: usize,
    /// Requests a second that were due; `None` in a closed loop.
    pub rate: Option<f64>,
    /// How long it took, the last answers included.
    pub seconds: f64,
    /// Requests that were sent.
    pub sent: u64,
    /// Of these, how many had an answer, whichever.
    pub answered: u64,
    /// Requests that succeeded.
    pub requests: u64,
    /// Of these, each second: the goodput.
    pub requests_per_second: f64,
    /// Their share of all that were sent or due.
    pub success: f64,
    /// Times until the answer, of requests that succeeded.
    pub latency_ms: Latency,
    /// Requests that were refused, by status and code, if the group expects that; else they are errors.
    pub refused: BTreeMap<String, u64>,
    /// Times from when these were sent until they were refused.
    pub refused_latency_ms: Latency,
    /// Whether refusals are expected.
    #[serde(skip)]
    expects_refusals: bool,
    /// Requests that failed, by what happened.
    pub errors: BTreeMap<String, u64>,
    /// Requests that were due and never sent, since the service was too far behind.
    pub not_sent: u64,
    /// What became of events, if any were sent.
    pub events: Option<EventReport>,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of response bodies.
    pub bytes_received: u64,
    /// Processor time of the service for each request, if this is the only group and the service runs on this machine;
    /// until all events are decided.
    pub server_cpu_us_per_request: Option<f64>,
}

/// What became of events.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventReport {
    /// Answered 202 and stored.
    pub accepted: u64,
    /// Of these, each second of the load.
    pub accepted_per_second: f64,
    /// Not stored although the request was answered well, by the error's code.
    pub refused: BTreeMap<String, u64>,
    /// Decided once the queues were empty.
    pub decided: i64,
    /// Of these, each second from the begin of the load until the last was decided.
    pub decided_per_second: f64,
    /// Given up.
    pub dead_letters: i64,
    /// Accepted, and neither decided nor given up.
    pub lost: i64,
    /// Until all were decided, from the begin of the load on.
    pub decided_after_seconds: f64,
    /// How old they were when they were decided, as the node that is asked counts them; `None` if it shows no metrics.
    pub age_ms: Option<EventAges>,
}

/// From accepted to decided, in milliseconds, read from a histogram.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EventAges {
    /// Half were at most this.
    pub p50: f64,
    /// 95 of 100 were.
    pub p95: f64,
    /// 99 of 100 were.
    pub p99: f64,
}

/// Times until the answer, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half were at most this.
    pub p50: f64,
    /// 95 of 100 were.
    pub p95: f64,
    /// 99 of 100 were.
    pub p99: f64,
    /// 999 of 1,000 were.
    pub p999: f64,
    /// All were.
    pub max: f64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let quantile = |at: f64| millis(histogram.value_at_quantile(at));
        Self {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: millis(histogram.max()),
        }
    }
}

impl Report {
    pub(super) fn new(group: &Group, url: &str, outcome: LoadOutcome, decided: Option<&Decided>) -> Self {
        let LoadOutcome { tally, elapsed, missed, .. } = outcome;
        let events = decided.map(|decided| EventReport::new(&tally.events, decided, elapsed));
        let requests = tally.latency.len();
        let sent = requests + tally.refused.values().sum::<u64>() + tally.errors.values().sum::<u64>();
        let (mut refused, mut errors) = (tally.refused, tally.errors);
        if !group.expects_refusals {
            add_counts(&mut errors, &refused);
            refused.clear();
        }
        Self {
            group: group.name.clone(),
            workload: group.workload.name.clone(),
            mix: group.mix.clone(),
            url: url.to_owned(),
            tenants: group.tenants,
            tier: group.tier,
            connections: group.connections,
            rate: group.rate,
            seconds: elapsed.as_secs_f64(),
            sent,
            answered: sent.saturating_sub(tally.unanswered),
            requests,
            requests_per_second: number(requests) / elapsed.as_secs_f64(),
            success: number(requests) / number((sent + missed).max(1)),
            latency_ms: Latency::of(&tally.latency),
            refused,
            refused_latency_ms: Latency::of(&tally.refused_latency),
            expects_refusals: group.expects_refusals,
            errors,
            not_sent: missed,
            events,
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            server_cpu_us_per_request: None,
        }
    }

    /// The same with the processor time that the service took for all of it.
    pub(super) fn with_server_cpu(mut self, spent: Duration) -> Self {
        self.server_cpu_us_per_request = (self.sent > 0).then(|| spent.as_secs_f64() * 1e6 / number(self.sent));
        self
    }

    /// Whether at least one request was answered, none failed or, unless that is expected, was refused or never sent, and
    /// all events were decided.
    pub fn is_clean(&self) -> bool {
        if self.expects_refusals {
            let are_decided = self.events.as_ref().is_none_or(EventReport::is_settled);
            return self.answered > 0 && self.errors.is_empty() && are_decided;
        }
        let are_decided = self.events.as_ref().is_none_or(EventReport::is_clean);
        self.requests > 0 && self.errors.is_empty() && self.not_sent == 0 && are_decided
    }

    fn write_measured(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p95, p99, p999, max } = self.latency_ms;
        writeln!(f, "requests     {} in {:.1} s, {:.0}/s", self.requests, self.seconds, self.requests_per_second)?;
        writeln!(f, "latency ms   p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}")?;
        writeln!(f, "bytes        {} sent, {} received", self.bytes_sent, self.bytes_received)?;
        if let Some(events) = &self.events {
            write!(f, "{events}")?;
        }
        if let Some(cpu) = self.server_cpu_us_per_request {
            writeln!(f, "server CPU   {cpu:.1} µs a request")?;
        }
        Ok(())
    }

    fn write_failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expects_refusals {
            let count: u64 = self.refused.values().sum();
            write!(f, "refused      {count} of {}", self.sent)?;
            if count > 0 {
                let Latency { p50, p99, .. } = self.refused_latency_ms;
                write!(f, "; ms until then p50 {p50:.2}  p99 {p99:.2}")?;
            }
            write_counts(f, &self.refused)?;
            writeln!(f)?;
        }
        if self.errors.is_empty() && self.not_sent == 0 {
            return write!(f, "errors       none");
        }
        write!(f, "errors")?;
        write_counts(f, &self.errors)?;
        if self.not_sent > 0 {
            write!(f, "\n  {:>9}  never sent: the service was too far behind", self.not_sent)?;
        }
        Ok(())
    }
}

fn write_counts(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, u64>) -> fmt::Result {
    counts.iter().try_for_each(|(what, count)| write!(f, "\n  {count:>9}  {what}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, mix, tenants, connections, .. } = self;
        writeln!(f, "workload     {workload}, mix {mix}, {tenants} tenants of {}", self.tier.name())?;
        match self.rate {
            Some(rate) => writeln!(f, "load         {connections} connections, {rate} requests/s due")?,
            None => writeln!(f, "load         {connections} connections, closed loop")?,
        }
        self.write_measured(f)?;
        self.write_failures(f)
    }
}

impl EventReport {
    fn new(sent: &Sent, decided: &Decided, elapsed: Duration) -> Self {
        let age = |share| age_ms(&decided.ages, share);
        let ages = || Some(EventAges { p50: age(0.5)?, p95: age(0.95)?, p99: age(0.99)? });
        let count = u64::try_from(decided.decided).unwrap_or(0);
        Self {
            accepted: sent.accepted,
            accepted_per_second: number(sent.accepted) / elapsed.as_secs_f64(),
            refused: sent.refused.clone(),
            decided: decided.decided,
            decided_per_second: number(count) / decided.after.as_secs_f64(),
            dead_letters: decided.dead_letters,
            lost: decided.lost,
            decided_after_seconds: decided.after.as_secs_f64(),
            age_ms: ages(),
        }
    }

    /// Whether all events were accepted, and all of these decided.
    fn is_clean(&self) -> bool {
        self.accepted > 0 && self.refused.is_empty() && self.is_settled()
    }

    /// Whether all that were accepted were decided.
    fn is_settled(&self) -> bool {
        self.dead_letters == 0 && self.lost == 0
    }
}

impl fmt::Display for EventReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, accepted_per_second, decided, decided_per_second, dead_letters, lost, .. } = self;
        let refused: u64 = self.refused.values().sum();
        writeln!(f, "accepted     {accepted} events, {accepted_per_second:.0}/s; {refused} refused")?;
        for (what, count) in &self.refused {
            writeln!(f, "  {count:>9}  {what}")?;
        }
        let after = self.decided_after_seconds;
        writeln!(
            f,
            "decided      {decided} in {after:.1} s, {decided_per_second:.0}/s; {dead_letters} dead, {lost} lost"
        )?;
        match self.age_ms {
            Some(EventAges { p50, p95, p99 }) => {
                writeln!(f, "age ms       p50 {p50:.1}  p95 {p95:.1}  p99 {p99:.1}, from accepted to decided")
            }
            None => writeln!(f, "age ms       unknown: no metrics at this address, or older than they tell"),
        }
    }
}

fn millis(micros: u64) -> f64 {
    number(micros) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below what a double holds")]
fn number(count: u64) -> f64 {
    count as f64
}
