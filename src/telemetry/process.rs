//! What the process uses of its machine, under the names that all programs have for it.
//!
//! Read at each scrape. What the system does not tell has no sample: memory, open files and the start are known on Linux
//! alone.

use std::{
    fmt, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

/// Parts of a second in which Linux tells when a process started: `USER_HZ` of proc(5), 100 on every architecture that
/// Rust's standard library is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process that this is.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    started: Option<f64>,
}

impl Process {
    /// Looks up when it started.
    pub fn this() -> Self {
        let stat = fs::read_to_string("/proc/self/stat");
        let since_boot = stat.ok().as_deref().and_then(seconds_from_boot);
        let boot = fs::read_to_string("/proc/stat").ok().as_deref().and_then(|text| number_after(text, "btime "));
        Self { started: since_boot.zip(boot).map(|(since_boot, boot)| boot + since_boot) }
    }

    fn samples(&self) -> [Sample; 5] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs_f64);
        [
            Sample {
                name: "process_cpu_seconds",
                help: "Processor time used",
                kind: MetricType::Counter,
                value: Some(cpu_seconds()),
            },
            Sample {
                name: "process_resident_memory_bytes",
                help: "Memory in use, without what is swapped out",
                kind: MetricType::Gauge,
                value: resident_bytes(),
            },
            Sample {
                name: "process_open_fds",
                help: "Open files and sockets",
                kind: MetricType::Gauge,
                value: open_fds(),
            },
            Sample {
                name: "process_max_fds",
                help: "Largest number of open files and sockets that is allowed",
                kind: MetricType::Gauge,
                value: getrlimit(Resource::Nofile).current.map(as_float),
            },
            Sample {
                name: "process_start_time_seconds",
                help: "Time when the process started, in seconds since 1970",
                kind: MetricType::Gauge,
                // A machine whose clock was set back after boot would tell of a start that is yet to come.
                value: self.started.zip(now).map(|(started, now)| started.min(now)),
            },
        ]
    }
}

/// A number and how it is described.
struct Sample {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: Option<f64>,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Sample { name, help, kind, value } in self.samples() {
            let family = encoder.encode_descriptor(name, &format!("{help}."), None, kind)?;
            match (value, kind) {
                (Some(value), MetricType::Counter) => ConstCounter::new(value).encode(family)?,
                (Some(value), _) => ConstGauge::new(value).encode(family)?,
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    as_float(used.tv_sec.unsigned_abs()) + as_float(used.tv_nsec.unsigned_abs()) / 1e9
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(number_after(&status, "VmRSS:")? * 1024.0)
}

fn open_fds() -> Option<f64> {
    // The one through which the folder is read is not counted.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)?;
    Some(as_float(open as u64))
}

/// When a process started, from its line in proc(5). Its second part is a name in parentheses, which may hold anything.
fn seconds_from_boot(stat: &str) -> Option<f64> {
    const PLACE_AFTER_NAME: usize = 19;
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: f64 = after_name.split_whitespace().nth(PLACE_AFTER_NAME)?.parse().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

/// The number in the line that begins with `start`.
fn number_after(text: &str, start: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(start))?.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and these are exact up to 9 petabytes")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_read_past_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 8 9 10";
        assert_eq!(seconds_from_boot(stat), Some(123.45));
        assert_eq!(seconds_from_boot("7 (short) S 1"), None);
        assert_eq!(number_after("cpu 1 2\nbtime 1700000000\n", "btime "), Some(1_700_000_000.0));
        assert_eq!(number_after("Name:\ttenet\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2_048.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_is_measured() {
        let values = || Process::this().samples().map(|sample| sample.value.unwrap());
        let [cpu, memory, open, allowed, started] = values();
        let held: Vec<_> = (0..10).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(cpu >= 0.0 && memory > 1e6, "{cpu} {memory}");
        assert!(open >= 3.0 && open < allowed, "{open} {allowed}");
        assert!(started > now - 3_600.0 && started <= now, "{started} {now}");
        // Other tests in this process open and close files, too.
        assert!(values()[2] > 10.0, "{} files are held", held.len());
    }
}
