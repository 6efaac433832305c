//! What a load found, for people and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{Options, Workload, drive::LoadOutcome};

/// What a load found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The workload.
    pub workload: String,
    /// Its mix.
    pub mix: String,
    /// The service.
    pub url: String,
    /// Tenants under load.
    pub tenants: usize,
    /// Connections.
    pub connections: usize,
    /// Requests a second that were due; `None` in a closed loop.
    pub rate: Option<f64>,
    /// How long it took, the last answers included.
    pub seconds: f64,
    /// Requests that succeeded.
    pub requests: u64,
    /// Of these, each second.
    pub requests_per_second: f64,
    /// Times until the answer, of requests that succeeded.
    pub latency_ms: Latency,
    /// Requests that did not succeed, by what happened.
    pub errors: BTreeMap<String, u64>,
    /// Requests that were due and never sent, since the service was too far behind.
    pub not_sent: u64,
    /// Bytes of request bodies.
    pub bytes_sent: u64,
    /// Bytes of response bodies.
    pub bytes_received: u64,
    /// Processor time of the service for each request, if it runs on this machine.
    pub server_cpu_us_per_request: Option<f64>,
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

impl Report {
    pub(super) fn new(workload: &Workload, options: &Options, outcome: LoadOutcome, cpu: Option<Duration>) -> Self {
        let LoadOutcome { tally, elapsed, missed } = outcome;
        let requests = tally.latency.len();
        let quantile = |at: f64| millis(tally.latency.value_at_quantile(at));
        let latency_ms = Latency {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: millis(tally.latency.max()),
        };
        let failed: u64 = tally.errors.values().sum();
        let sent = requests + failed;
        Self {
            workload: workload.name.clone(),
            mix: options.mix.clone(),
            url: options.client.url().to_owned(),
            tenants: options.tenants.unwrap_or(workload.tenants),
            connections: options.connections,
            rate: options.rate,
            seconds: elapsed.as_secs_f64(),
            requests,
            requests_per_second: number(requests) / elapsed.as_secs_f64(),
            latency_ms,
            errors: tally.errors,
            not_sent: missed,
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            server_cpu_us_per_request: cpu.filter(|_| sent > 0).map(|cpu| cpu.as_secs_f64() * 1e6 / number(sent)),
        }
    }

    /// Whether at least one request was sent and all succeeded.
    pub fn is_clean(&self) -> bool {
        self.requests > 0 && self.errors.is_empty() && self.not_sent == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p95, p99, p999, max } = self.latency_ms;
        writeln!(f, "workload     {}, mix {}, {} tenants", self.workload, self.mix, self.tenants)?;
        match self.rate {
            Some(rate) => writeln!(f, "load         {} connections, {rate} requests/s due", self.connections)?,
            None => writeln!(f, "load         {} connections, closed loop", self.connections)?,
        }
        writeln!(f, "requests     {} in {:.1} s, {:.0}/s", self.requests, self.seconds, self.requests_per_second)?;
        writeln!(f, "latency ms   p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}")?;
        writeln!(f, "bytes        {} sent, {} received", self.bytes_sent, self.bytes_received)?;
        match self.server_cpu_us_per_request {
            Some(cpu) => writeln!(f, "server CPU   {cpu:.1} µs a request")?,
            None => writeln!(f, "server CPU   unknown: the service is on another machine, or belongs to another user")?,
        }
        if self.errors.is_empty() && self.not_sent == 0 {
            return write!(f, "errors       none");
        }
        write!(f, "errors")?;
        for (what, count) in &self.errors {
            write!(f, "\n  {count:>9}  {what}")?;
        }
        if self.not_sent > 0 {
            write!(f, "\n  {:>9}  never sent: the service was too far behind", self.not_sent)?;
        }
        Ok(())
    }
}

fn millis(micros: u64) -> f64 {
    number(micros) / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below what a double holds")]
fn number(count: u64) -> f64 {
    count as f64
}
