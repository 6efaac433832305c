//! A decision through HTTP: what it costs the service, beside a handler written by hand and beside a bare route.

use std::{path::Path, time::Duration};

use serde_json::json;
use tenet::{
    client::{Client, Method},
    load::{self, Group, Service, Workload},
};

use super::{
    bed::{Bed, FACTS, Rules},
    changes::{serve, until_ready},
    process::{Running, cpu, memory_bytes},
    report::{Report, median},
};

/// Rounds in which each service is loaded once.
const ROUNDS: usize = 5;
/// How long each of them is.
const SECONDS: u64 = 4;

pub fn evaluate(bed: &Bed, report: &mut Report) {
    let workload =
        Workload::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workloads/ten_rules.json")).unwrap();
    let database = bed.database(0, Rules::Alike);
    let (tenet, ours) = serve(bed, &database.url);
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let by_hand = Running::again(&["by-hand", &address]);
    let theirs = Client::new(&format!("http://{address}")).unwrap();
    bed.runtime.block_on(until_ready(&theirs, "/healthz"));
    let one = |client: &Client, process: &Running, mix: &str| {
        let service = Service { client: client.clone(), server_pid: Some(process.id()) };
        let duration = Duration::from_secs(SECONDS);
        let group = Group { mix: mix.to_owned(), duration, ..Group::new(workload.clone()) };
        let reports = bed.runtime.block_on(load::run(&service, &[group], |_, _| {})).unwrap();
        let found = &reports.groups[0];
        assert!(found.is_clean(), "{found}");
        (found.server_cpu_us_per_request.unwrap(), found.requests_per_second, found.latency_ms.p99)
    };
    let (mut ours_cpu, mut hand_cpu, mut bare_cpu) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rates, mut p99s) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (cpu, rate, p99) = one(&ours, &tenet, "evaluate");
        ours_cpu.push(cpu);
        rates.push(rate);
        p99s.push(p99);
        hand_cpu.push(one(&theirs, &by_hand, "evaluate").0);
        bare_cpu.push(one(&theirs, &by_hand, "health").0);
    }
    let hand = median(&mut hand_cpu);
    let unit = "µs CPU/request";
    report.figure("GET /healthz of the handler written by hand", median(&mut bare_cpu), unit, "");
    report.figure("the ten rules, by a handler written by hand", hand, unit, "the baseline");
    report.ratio("the ten rules, by POST /api/v1/evaluate", median(&mut ours_cpu), hand, unit, 1.2);
    report.figure("  rate, with the load on the same cores", median(&mut rates), "requests/s", "");
    report.figure("  p99 of its latency", median(&mut p99s), "ms", "");
}

/// Batches of 1,000 facts, as an array and as lines.
pub fn batch(bed: &Bed, report: &mut Report) {
    let database = bed.database(1, Rules::Alike);
    let (tenet, client) = serve(bed, &database.url);
    let client = client.with_timeout(Duration::from_secs(120));
    let path = format!("/api/v1/tenants/{}/evaluate/batch", database.tenants[0]);
    let facts: serde_json::Value = serde_json::from_str(FACTS).unwrap();
    let items: Vec<_> = (0..1_000).map(|_| json!({ "facts": facts })).collect();
    let array = json!({ "items": items, "return": "matched" }).to_string();
    let line = format!("{{\"facts\":{FACTS}}}\n");
    let send = |path: &str, kind: &str, body: String| {
        let headers = [("content-type", kind), ("accept", kind)];
        let answer = bed.runtime.block_on(client.request(Method::POST, path, &headers, body)).unwrap();
        assert!(answer.is_success(), "{}", answer.text());
        answer.body
    };
    let rate = |decisions: usize, work: &dyn Fn()| {
        let before = cpu(tenet.id());
        work();
        decisions as f64 / (cpu(tenet.id()) - before).as_secs_f64()
    };
    let aimed = "aimed at 300,000 or more";
    let arrays = rate(300_000, &|| {
        for _ in 0..300 {
            send(&path, "application/json", array.clone());
        }
    });
    report.figure("batches of 1,000 facts, JSON", arrays, "decisions/CPU s", aimed);
    let lines_path = format!("{path}?return=matched");
    let lines = rate(300_000, &|| {
        for _ in 0..300 {
            send(&lines_path, "application/x-ndjson", line.repeat(1_000));
        }
    });
    report.figure("the same as NDJSON", lines, "decisions/CPU s", aimed);
    // Facts that nothing matches, and that no rule misses: the client keeps the answer as a whole, and takes no more
    // than it has room for.
    let unmatched = r#"{"facts":{"age":1,"country":"FR","is_premium":false,"purchase_amount":1.5}}"#.to_owned() + "\n";
    let before = memory_bytes(tenet.id());
    let answer = send(&lines_path, "application/x-ndjson", unmatched.repeat(400_000));
    assert_eq!(answer.iter().filter(|byte| **byte == b'\n').count(), 400_000);
    let grown = memory_bytes(tenet.id()) - before;
    report.figure(
        "one NDJSON request of 400,000 facts: memory grows by",
        grown / 1e6,
        "MB",
        "it has 9 MB, its answer more",
    );
}
