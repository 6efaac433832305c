//! When circuit breakers open and close: a database that falls silent, faults that are asked for, and mistakes of tenants,
//! which open none.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use tenet::client::{Client, Method};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};

use crate::{
    api::{NOBODY, body, problem},
    ingest::size,
    support::{Flow, OPERATOR_KEY, PrivateServer, Proxy, TestApp, TestProcess, proof_size, within},
};

const SOON: Duration = Duration::from_secs(60);
/// How often a call is made: a hundred in a second.
const PAUSE: Duration = Duration::from_millis(10);
/// What is promised, 5 ms, and what a busy machine adds; one that is busier yet takes as long for what needs nothing.
const REFUSED_MAX: Duration = Duration::from_millis(100);

/// A call: when it began, how long it took, and what it was answered.
#[derive(Debug, Clone)]
struct Call {
    began: Instant,
    took: Duration,
    code: String,
}

impl Call {
    /// Whether the breaker let it through.
    fn was_made(&self) -> bool {
        self.code != "dependency_unavailable"
    }
}

async fn state(client: &Client, tier: &str, dependency: &str) -> String {
    let shown = body(&client.get("/metrics/bulkheads").await.unwrap(), 200);
    shown[tier]["breakers"][dependency]["state"].as_str().unwrap().to_owned()
}

/// How often breakers became what `to` says, in all, or of one dependency.
async fn transitions(client: &Client, of: &str, to: &str) -> u64 {
    let metrics = client.get("/metrics").await.unwrap().text();
    let lines = metrics.lines().filter(|line| {
        let name = "tenet_breaker_transitions_total{";
        line.starts_with(name) && line.contains(of) && line.contains(&format!("to=\"{to}\""))
    });
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// Makes a hundred calls in a second until it is dropped.
fn call_on(client: &Client, path: &str) -> (Arc<Mutex<Vec<Call>>>, JoinSet<()>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut calling = JoinSet::new();
    let (client, path, log) = (client.clone(), path.to_owned(), calls.clone());
    calling.spawn(async move {
        let mut under_way = JoinSet::new();
        loop {
            let (client, path, log) = (client.clone().with_own_connections(), path.clone(), log.clone());
            under_way.spawn(async move {
                let began = Instant::now();
                let answer = client.get(&path).await.unwrap();
                let code = match answer.status {
                    200 => "answered".to_owned(),
                    _ => problem(&answer, 503)["code"].as_str().unwrap().to_owned(),
                };
                log.lock().unwrap().push(Call { began, took: began.elapsed(), code });
            });
            while under_way.try_join_next().is_some() {}
            sleep(PAUSE).await;
        }
    });
    (calls, calling)
}

/// How long all calls but a hundredth took at most.
fn p99<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Duration {
    let mut times: Vec<Duration> = calls.into_iter().map(|call| call.took).collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// How many calls were under way at once at most.
fn most_at_once(calls: &[Call]) -> usize {
    let at_once = |at: Instant| calls.iter().filter(|call| call.began <= at && at < call.began + call.took).count();
    calls.iter().map(|call| at_once(call.began)).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_left_alone_but_for_three_probes() {
    let server = PrivateServer::start().await;
    let proxy = Proxy::before(server.socket()).await;
    let acquire = Duration::from_millis(500);
    let settings =
        [("TENET_ACQUIRE_TIMEOUT", "500ms"), ("TENET_STATEMENT_TIMEOUT", "1s"), ("TENET_LOCK_TIMEOUT", "500ms")];
    let (_process, client) = TestProcess::serve_with(&proxy.url(tenet::cluster::NAME), &settings).await;
    let made = client.post_json("/api/v1/tenants", &json!({"name": "acme", "tier": "pro"})).await.unwrap();
    let path = format!("/api/v1/tenants/{}/rules", body(&made, 201)["id"].as_str().unwrap());
    within(SOON, "its tier is known", async || {
        assert_eq!(client.get(&path).await.unwrap().status, 200);
        body(&client.get("/metrics/bulkheads").await.unwrap(), 200)["pro"]["breakers"]["postgresRead"]["calls"] != 0
    })
    .await;
    let (calls, calling) = call_on(&client, &path);
    let (idle_calls, idle_calling) = call_on(&client, "/healthz");
    sleep(Duration::from_secs(1)).await;
    proxy.set(Flow::Silent);
    let silent = Instant::now();
    // It opens, tries, and opens again.
    within(SOON, "open twice", async || {
        sleep(Duration::from_millis(20)).await;
        transitions(&client, r#"postgresRead",tier="pro""#, "open").await >= 2
    })
    .await;
    proxy.set(Flow::Open);
    let answers = Instant::now();
    within(SOON, "closed", async || state(&client, "pro", "postgresRead").await == "CLOSED").await;
    let closed = answers.elapsed();
    drop((calling, idle_calling));
    let calls = calls.lock().unwrap().clone();
    let late = calls.iter().filter(|call| call.began >= silent && call.code != "answered" && call.took >= acquire);
    let first_late = late.map(|call| call.began + call.took).min().unwrap();
    let refused: Vec<Call> = calls.iter().filter(|call| !call.was_made()).cloned().collect();
    let first_refused = refused.iter().min_by_key(|call| call.began + call.took).unwrap();
    let opened = first_refused.began.saturating_duration_since(first_late);
    let idle_calls = idle_calls.lock().unwrap().clone();
    let (p99, idle_p99) = (p99(&refused), p99(idle_calls.iter().filter(|call| call.began >= first_refused.began)));
    let is_open = |at: Instant| at > first_refused.began + first_refused.took && at < answers;
    let is_probe = |call: &&Call| call.was_made() && is_open(call.began);
    let probes: Vec<Call> = calls.iter().filter(is_probe).cloned().collect();
    println!(
        "opened {opened:?} after the first timeout, closed after {closed:?}; {} refused in {p99:?} (p99, where what needs \
         nothing takes {idle_p99:?}); {} probes",
        refused.len(),
        probes.len()
    );
    assert!(opened <= Duration::from_secs(1), "{opened:?}");
    assert!(p99 <= REFUSED_MAX.max(idle_p99 * 2), "{p99:?}, {idle_p99:?}");
    assert!((1..=3).contains(&most_at_once(&probes)), "{probes:?}");
    // Three seconds, and what a busy machine adds.
    assert!(closed <= Duration::from_secs(15), "{closed:?}");
    assert!(refused.len() > 100, "{}", refused.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mistake_of_tenants_opens_a_breaker() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
    app.create_rule(&tenant, "taken", "facts.age > 1").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let mistakes = size("TENET_PROOF_MISTAKES", proof_size(2_000, 30_000));
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let (client, path) = (app.client.clone().with_own_connections(), path.clone());
        senders.spawn(async move {
            for number in (sender..mistakes).step_by(8) {
                let rule = |expression: &str| json!({"name": "taken", "expression": expression});
                let answer = match number / 8 % 40 {
                    0 => client.post_json(&format!("{path}/rules"), &rule("facts.nope")).await.unwrap(),
                    1 => client.post_json(&format!("{path}/rules"), &rule("true")).await.unwrap(),
                    2..4 => {
                        hang_up(&client, &format!("{path}/rules")).await;
                        continue;
                    }
                    4..8 => client.post_json(&format!("{path}/evaluate"), &json!({"facts": 1})).await.unwrap(),
                    8..12 => {
                        let (rules, json) = (format!("{path}/rules"), [("content-type", "application/json")]);
                        client.request(Method::POST, &rules, &json, b"{".to_vec()).await.unwrap()
                    }
                    12..14 => client.get(&format!("{path}/rules?limit=x")).await.unwrap(),
                    _ => client.get(&format!("{path}/rules/{NOBODY}")).await.unwrap(),
                };
                assert!((400..500).contains(&answer.status), "{number}: {} {}", answer.status, answer.text());
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    let shown = body(&app.client.get("/metrics/bulkheads").await.unwrap(), 200);
    assert_eq!(transitions(&app.client, "", "open").await, 0, "{shown}");
    for dependency in ["postgresRead", "postgresWrite"] {
        let breaker = &shown["free"]["breakers"][dependency];
        assert_eq!((&breaker["state"], &breaker["failures"]), (&json!("CLOSED"), &json!(0)), "{shown}");
        assert!(breaker["calls"].as_u64().unwrap() > 10, "{shown}");
    }
    app.stop().await;
}

/// Asks, and does not wait for the answer.
async fn hang_up(client: &Client, path: &str) {
    let (host, port) = client.address();
    let mut socket = TcpStream::connect((host, port)).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {OPERATOR_KEY}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
}
