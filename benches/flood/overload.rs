//! Three times as much as the service can do: what it still does, how soon it refuses, and what is left of it afterwards.

use std::{cell::Cell, time::Duration};

use tenet::load::Group;

use super::service::{Bed, Running, group};

/// Tenants, of whom each sends as much as the others.
const TENANTS: usize = 20;
/// What is normal, of the peak.
const NORMAL: f64 = 0.5;
/// What is too much, of the peak.
const OVERLOAD: f64 = 3.0;
const PEAK_CONNECTIONS: usize = 16;
const CONNECTIONS: usize = 400;
/// How long after an overload everything must be as before.
const RECOVERY: Duration = Duration::from_secs(1);

pub fn run(bed: &Bed, service: &Running, round: Duration) {
    println!("\noverload: decisions of {TENANTS} enterprise tenants, three times as many as can be made");
    let one = |name: &str, rate: Option<f64>, connections: usize| Group {
        rate,
        connections,
        tenants: TENANTS,
        duration: round,
        ..group(name, "middling", "evaluate")
    };
    let peak = service.load(bed, &[one("overload-a", None, PEAK_CONNECTIONS)]).groups.remove(0).requests_per_second;
    let normal = service.load(bed, &[one("overload-a", Some(peak * NORMAL), 64)]).groups.remove(0);
    let before = service.memory_bytes();
    let most = Cell::new(before);
    let after = Group { starts_after: round + RECOVERY, ..one("overload-b", Some(peak * NORMAL), 64) };
    let groups = [one("overload-a", Some(peak * OVERLOAD), CONNECTIONS), after];
    let watch = |_| most.set(most.get().max(service.memory_bytes()));
    let reports = service.load_watched(bed, &groups, watch).groups;
    let (overload, after) = (&reports[0], &reports[1]);
    let line = |what: &str, value: String, aimed: String, holds: bool| {
        println!("  {what:<44} {value:>12}   aimed at {aimed}: {}", if holds { "holds" } else { "broken" });
    };
    println!("  peak {peak:.0}/s; normal load {:.0}/s, p99 {:.2} ms", peak * NORMAL, normal.latency_ms.p99);
    let goodput = overload.requests_per_second / peak;
    line("goodput under overload, of the peak", format!("{:.0} %", goodput * 100.0), "80 %".to_owned(), goodput >= 0.8);
    let (p99, bound) = (overload.latency_ms.p99, normal.latency_ms.p99 * 3.0);
    line("p99 of what is answered", format!("{p99:.2} ms"), format!("{bound:.2} ms"), p99 <= bound);
    let refused = overload.refused_latency_ms.p99;
    let count: u64 = overload.refused.values().sum();
    line(&format!("p99 of {count} refusals"), format!("{refused:.2} ms"), "5 ms".to_owned(), refused <= 5.0);
    let grown = (most.get() - before) / 1e6;
    line("memory grows by", format!("{grown:.1} MB"), "nothing".to_owned(), grown <= before / 1e6 * 0.1);
    let (p99, bound) = (after.latency_ms.p99, normal.latency_ms.p99 * 1.5);
    line("p99 from a second after it on", format!("{p99:.2} ms"), format!("{bound:.2} ms"), p99 <= bound);
    let success = after.success * 100.0;
    line("success from then on", format!("{success:.2} %"), "99.9 %".to_owned(), after.success >= 0.999);
}
