//! Rates that nodes share in Redis, and what they do without it.

use std::time::{Duration, Instant};

use serde_json::json;
use tenet::{
    admission::{Block, Order},
    breakers::Breakers,
    client::Client,
    config::Secret,
    domain::{Quota, System, TenantId, TenantScope},
    shared::{self, SharedRates},
    telemetry::MetricRegistry,
};
use tokio::time::sleep;

use crate::{
    api::body,
    support::{PrivateRedis, TestApp, TestProcess, redis, within},
};

const SOON: Duration = Duration::from_secs(60);
/// A node learns of another with its next heartbeat, each 5 s.
const HEARTBEAT: Duration = Duration::from_millis(5_500);

/// Two nodes of one database and one Redis.
struct Nodes {
    app: TestApp,
    _other: TestProcess,
    /// Operators' clients of both.
    operators: [Client; 2],
}

/// A tenant's clients of both nodes.
struct Caller {
    path: String,
    clients: [Client; 2],
}

impl Nodes {
    async fn start(redis: &str) -> Self {
        let settings = |settings: &mut tenet::config::Settings| {
            settings.engine.rate_limits = Some(true);
            settings.events.redis_url = Some(Secret::new(redis));
        };
        let app = TestApp::builder().settings(settings).start().await;
        let settings = [("TENET_RATE_LIMITS", "on"), ("TENET_REDIS_URL", redis)];
        let (other, client) = TestProcess::serve_with(app.database_url(), &settings).await;
        sleep(HEARTBEAT).await;
        let operators = [app.client.clone(), client];
        Self { app, _other: other, operators }
    }

    /// A tenant in the memory of both nodes.
    async fn tenant(&self, name: &str) -> Caller {
        let made = self.app.client.post_json("/api/v1/tenants", &json!({"name": name, "tier": "free"})).await.unwrap();
        let tenant = format!("/api/v1/tenants/{}", body(&made, 201)["id"].as_str().unwrap());
        let schema = json!({"definition": {"facts": {"age": "int"}}});
        body(&self.app.client.post_json(&format!("{tenant}/schema"), &schema).await.unwrap(), 201);
        let key = json!({"name": "k", "scopes": ["evaluate"]});
        let made = body(&self.app.client.post_json(&format!("{tenant}/api-keys"), &key).await.unwrap(), 201);
        let key = Secret::new(made["key"].as_str().unwrap());
        let path = format!("{tenant}/evaluate");
        for operator in &self.operators {
            let facts = json!({"facts": {"age": 1}});
            within(SOON, "in memory", async || operator.post_json(&path, &facts).await.unwrap().status == 200).await;
        }
        let clients = [0, 1].map(|node: usize| self.operators[node].clone().with_key(Some(key.clone())));
        Caller { path, clients }
    }

    /// How many blocks had this outcome.
    async fn blocks(&self, outcome: &str) -> u64 {
        let mut sum = 0;
        for operator in &self.operators {
            let metrics = operator.get("/metrics").await.unwrap().text();
            let name = format!("tenet_shared_rate_blocks_total{{outcome=\"{outcome}\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&name)).map(|count| count.parse().unwrap());
            sum += count.unwrap_or(0);
        }
        sum
    }
}

impl Caller {
    /// Whether a request to a node is answered, and not refused for its rate.
    async fn is_answered(&self, node: usize) -> bool {
        let answer = self.clients[node].post_json(&self.path, &json!({"facts": {"age": 1}})).await.unwrap();
        assert!(answer.header("ratelimit-policy").unwrap().starts_with("\"requests\";q=100"), "{}", answer.text());
        assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
        answer.status == 200
    }

    /// How many of so many requests, to the nodes in turn, are answered.
    async fn answered(&self, requests: usize) -> f64 {
        let mut answered = 0;
        for number in 0..requests {
            answered += u32::from(self.is_answered(number % 2).await);
        }
        f64::from(answered)
    }
}

/// What a tenant of a hundred a minute has earned since.
fn earned(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 100.0 / 60.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_allow_a_rate_and_a_block_together_whichever_is_asked() {
    let (redis, _redis) = redis().await;
    let nodes = Nodes::start(&redis).await;
    let caller = nodes.tenant("spread").await;
    let began = Instant::now();
    let answered = caller.answered(220).await;
    let most = 105.0 + earned(began);
    assert!((95.0..=most).contains(&answered), "{answered} of {most}");
    // One node may allow all of it.
    let caller = nodes.tenant("one node").await;
    let began = Instant::now();
    let mut answered = 0.0;
    for node in [0, 1] {
        for _ in 0..200 {
            answered += f64::from(u8::from(caller.is_answered(node).await));
        }
        println!("{answered} answered after node {node}");
        assert!(answered >= 90.0, "{answered}");
    }
    let most = 105.0 + earned(began);
    assert!(answered <= most, "{answered} of {most}");
    assert!(nodes.blocks("taken").await >= 20 && nodes.blocks("empty").await > 0);
    nodes.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_node_allows_its_part_and_there_is_no_jump_when_it_is_back() {
    let mut redis = PrivateRedis::start().await;
    let nodes = Nodes::start(&redis.url()).await;
    redis.kill();
    let caller = nodes.tenant("acme").await;
    let began = Instant::now();
    let answered = caller.answered(220).await;
    let expected = 90.0..=110.0 + earned(began);
    assert!(expected.contains(&answered), "{answered} of {expected:?}");
    assert!(nodes.blocks("unanswered").await > 0);
    redis.start_again().await;
    let taken = nodes.blocks("taken").await;
    let mut after = 0.0;
    within(SOON, "asked again", async || {
        after += caller.answered(20).await;
        sleep(Duration::from_millis(200)).await;
        nodes.blocks("taken").await > taken + 1
    })
    .await;
    after += caller.answered(100).await;
    let most = 115.0 + earned(began);
    assert!(answered + after <= most, "{answered} and {after} of {most}");
    nodes.app.stop().await;
}

/// What is asked of the script in Redis, and what it grants: owed, returned, wanted, granted.
type Step = (u64, u64, u64, u64);

/// Asks for a rate of a tenant of its own; `None`: Redis took too long, as on a busy machine.
async fn grants(rates: &SharedRates, per_minute: u64, steps: &[Step]) -> Option<()> {
    let scope = TenantScope::of_system(System::Command, TenantId::generate());
    let began = Instant::now();
    for (owed, returned, wanted, expected) in steps.iter().copied() {
        let order = Order { per_minute, owed, returned, wanted };
        let Block { granted, ahead } = rates.take(scope, Quota::RequestsPerMinute, order).await?;
        let earned = began.elapsed().as_secs_f64() * per_minute as f64 / 60.0;
        let most = expected as f64 + earned + 1e-9;
        assert!(
            granted >= expected && granted as f64 <= most,
            "{granted} of {expected} with {per_minute} of {steps:?}"
        );
        assert!(granted <= wanted && ahead <= Duration::from_secs(60), "{granted} of {wanted}, {ahead:?}");
        if granted < wanted {
            let one = Duration::from_secs_f64(60.0 / per_minute as f64);
            assert!(ahead + one + Duration::from_millis(1) >= Duration::from_secs(60), "all is used up: {ahead:?}");
        }
    }
    Some(())
}

#[tokio::test]
async fn redis_grants_what_a_rate_allows_and_never_more() {
    let (url, _redis) = redis().await;
    let metrics = shared::Metrics::register(&mut MetricRegistry::new());
    let (_, rates) = shared::connect(&Secret::new(url), None, Breakers::default(), metrics).unwrap();
    let cases: [(u64, &[Step]); 10] = [
        (100, &[(0, 0, 60, 60), (0, 0, 60, 40), (0, 0, 5, 0)]),
        // What is returned is there again, but not twice; what was given out elsewhere is not.
        (100, &[(0, 0, 100, 100), (0, 10, 50, 10)]),
        (100, &[(0, 50, 200, 100)]),
        (100, &[(70, 0, 50, 30)]),
        (100, &[(1_000, 0, 50, 0)]),
        (1, &[(0, 0, 1, 1), (0, 0, 1, 0)]),
        (7, &[(0, 0, 7, 7), (0, 0, 7, 0)]),
        (7, &[(0, 0, 5, 5), (0, 0, 5, 2)]),
        (10_000_000, &[(0, 0, 9_999_999, 9_999_999), (0, 0, 10_000_000, 1)]),
        (100_000_000, &[(0, 0, 100_000_000, 100_000_000)]),
    ];
    for (per_minute, steps) in cases {
        within(SOON, "granted", async || grants(&rates, per_minute, steps).await.is_some()).await;
    }
}
