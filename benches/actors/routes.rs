//! What a request costs the service, route by route, in one run: a decision by body, by path and with a tenant's key,
//! a refusal, a path that does not exist, and every route of the API with a request that is refused at once. Routing
//! costs the same for all of them, and a refusal no more than a decision.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method},
    config::Secret,
};

use super::{
    bed::{Bed, FACTS, Rules},
    changes::serve,
    report::{Report, median},
};

/// Rounds in which each request is sent, in turn.
const ROUNDS: usize = 7;
/// Requests of each kind in a round.
const REQUESTS: usize = 4_000;
const CONNECTIONS: usize = 8;
/// An id that no tenant has.
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";
const UNIT: &str = "µs CPU/request";

/// A request, and how it must be answered.
struct Ask {
    what: String,
    client: Client,
    method: Method,
    path: String,
    body: String,
    status: u16,
}

/// Compares the routes.
pub fn routes(bed: &Bed, report: &mut Report) {
    let database = bed.database(1, Rules::Alike);
    let (tenet, operator) = serve(bed, &database.url);
    let tenant = database.tenants[0].to_string();
    let nobody = operator.clone().with_key(None);
    let holder = nobody.clone().with_key(Some(bed.runtime.block_on(key(&operator, &tenant))));
    let post = |what: &str, client: &Client, path: String, body: String, status| Ask {
        what: what.to_owned(),
        client: client.clone(),
        method: Method::POST,
        path,
        body,
        status,
    };
    let (by_body, by_path) = ("/api/v1/evaluate".to_owned(), format!("/api/v1/tenants/{tenant}/evaluate"));
    let (named, facts) = (format!(r#"{{"tenantId":"{tenant}","facts":{FACTS}}}"#), format!(r#"{{"facts":{FACTS}}}"#));
    let mut asks = vec![
        post("the ten rules by body", &operator, by_body.clone(), named, 200),
        post("the ten rules by path", &operator, by_path.clone(), facts.clone(), 200),
        post("the ten rules by body, with a tenant's key", &holder, by_body, facts.clone(), 200),
        post("the ten rules by path, with a tenant's key", &holder, by_path.clone(), facts.clone(), 200),
        post("a request without a key: 401", &nobody, by_path.clone(), facts.clone(), 401),
        post("a path that does not exist: 404", &operator, format!("{by_path}/nothing"), facts, 404),
    ];
    let decisions = asks.len();
    asks.extend(bed.runtime.block_on(every_route(&nobody)));
    let mut costs = vec![Vec::new(); asks.len()];
    for round in 0..=ROUNDS {
        for (ask, costs) in asks.iter().zip(&mut costs) {
            let cost = cost(bed, tenet.id(), ask);
            // The first round finds everything cold.
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let costs: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
    let (decided, routed) = costs.split_at(decisions);
    report.figure(&asks[0].what, decided[0], UNIT, "the baseline of what follows");
    for (ask, (cost, target)) in asks[1..].iter().zip(decided[1..].iter().zip([1.05, 1.1, 1.1, 1.0, 1.0])) {
        report.ratio(&ask.what, *cost, decided[0], UNIT, target);
    }
    let asks = &asks[decisions..];
    report.figure(&format!("refused: {}", asks[0].what), routed[0], UNIT, "the first route, baseline of what follows");
    for (ask, cost) in asks.iter().zip(routed).skip(1) {
        report.ratio(&format!("refused: {}", ask.what), *cost, routed[0], UNIT, 1.05);
    }
}

/// A key of the tenant that may ask for decisions.
async fn key(operator: &Client, tenant: &str) -> Secret {
    let body = json!({"name": "bench", "scopes": ["evaluate"]});
    let made = operator.post_json(&format!("/api/v1/tenants/{tenant}/api-keys"), &body).await.unwrap();
    Secret::new(made.json::<Value>().unwrap()["key"].as_str().unwrap())
}

/// Every route that requires a key, asked without one.
async fn every_route(nobody: &Client) -> Vec<Ask> {
    let document: Value = nobody.get("/api-docs/openapi.json").await.unwrap().json().unwrap();
    let mut asks = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| pattern.starts_with("/api/v1/")) {
            let segment = |part| if str::starts_with(part, '{') { NOBODY } else { part };
            asks.push(Ask {
                what: format!("{} {}", method.to_uppercase(), pattern.trim_start_matches("/api/v1")),
                client: nobody.clone(),
                method: method.to_uppercase().parse().unwrap(),
                path: pattern.split('/').map(segment).collect::<Vec<_>>().join("/"),
                body: String::new(),
                status: 401,
            });
        }
    }
    asks
}

/// Processor time of the service for one request, in microseconds.
fn cost(bed: &Bed, pid: u32, ask: &Ask) -> f64 {
    let before = run_time(pid);
    bed.runtime.block_on(async {
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (client, method) = (ask.client.clone().with_own_connections(), ask.method.clone());
                let (path, body, status) = (ask.path.clone(), ask.body.clone(), ask.status);
                tokio::spawn(async move {
                    let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
                    for _ in 0..REQUESTS / CONNECTIONS {
                        let answer = client.request(method.clone(), &path, headers, body.clone()).await.unwrap();
                        assert_eq!(answer.status, status, "{path}: {}", answer.text());
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    (run_time(pid) - before).as_secs_f64() * 1e6 / REQUESTS as f64
}

/// Processor time of a process, exact to the nanosecond where `/proc/<pid>/stat` counts ticks. Its threads all live on.
fn run_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}
