//! What a tenant may ask for in a minute and at once, and what it is told when that is too much.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tenet::{
    client::{Client, Method, Response},
    config::JwtAlgorithm,
};
use tokio::net::TcpStream;

use crate::{
    api::{NOBODY, body, mistakes, problem},
    support::{TestApp, TestProcess, TokenIssuer, converse, read_until, send_line, within},
};

const SOON: Duration = Duration::from_secs(60);

/// A service that limits, with a tenant whose schema has `age`.
struct Limited {
    app: TestApp,
}

/// A tenant of it, with a key that may do everything.
struct Caller {
    tenant: String,
    key: String,
    client: Client,
}

impl Limited {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut tenet::config::Settings)) -> Self {
        let app = TestApp::builder()
            .settings(|settings| {
                settings.engine.rate_limits = Some(true);
                change(settings);
            })
            .start()
            .await;
        Self { app }
    }

    async fn tenant(&self, name: &str, tier: &str) -> Caller {
        let draft = json!({"name": name, "tier": tier});
        let made = body(&self.app.client.post_json("/api/v1/tenants", &draft).await.unwrap(), 201);
        let tenant = made["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/tenants/{tenant}");
        let schema = json!({"definition": {"facts": {"age": "int"}}});
        body(&self.app.client.post_json(&format!("{path}/schema"), &schema).await.unwrap(), 201);
        let scopes = json!({"name": "k", "scopes": ["evaluate", "ingest", "read", "write", "admin"]});
        let made = body(&self.app.client.post_json(&format!("{path}/api-keys"), &scopes).await.unwrap(), 201);
        let key = made["key"].as_str().unwrap().to_owned();
        let client =
            Client::new(self.app.client.url()).unwrap().with_key(Some(tenet::config::Secret::new(key.clone())));
        Caller { tenant, key, client }
    }

    async fn set_quota(&self, caller: &Caller, quotas: Value) {
        let path = format!("/api/v1/tenants/{}", caller.tenant);
        body(&self.app.client.patch_json(&path, &json!({"quotas": quotas})).await.unwrap(), 200);
    }
}

impl Caller {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/{rest}", self.tenant)
    }

    async fn evaluate(&self) -> Response {
        self.client.post_json(&self.path("evaluate"), &json!({"facts": {"age": 1}})).await.unwrap()
    }

    async fn quota(&self, client: &Client, name: &str) -> Value {
        let quotas = body(&client.get(&self.path("quotas")).await.unwrap(), 200);
        quotas["items"].as_array().unwrap().iter().find(|item| item["quota"] == name).unwrap().clone()
    }
}

/// How many of so many requests are answered; the others are refused for their rate.
async fn answered(caller: &Caller, requests: usize) -> usize {
    let mut answered = 0;
    for _ in 0..requests {
        let answer = caller.evaluate().await;
        if answer.status == 200 {
            answered += 1;
        } else {
            assert_eq!(problem(&answer, 429)["code"], "rate_limited");
        }
    }
    answered
}

#[tokio::test]
async fn a_free_tenant_has_a_hundred_requests_in_a_minute_and_an_enterprise_tenant_as_many_as_it_likes() {
    let limited = Limited::start().await;
    let (free, enterprise) = (limited.tenant("free", "free").await, limited.tenant("large", "enterprise").await);
    let began = Instant::now();
    let answered_free = answered(&free, 110).await;
    let earned = began.elapsed().as_secs_f64() * 100.0 / 60.0;
    assert!((100..=110).contains(&answered_free) && answered_free as f64 <= 101.0 + earned, "{answered_free}");
    assert_eq!(answered(&enterprise, 120).await, 120);
    // The rest of the service is there for an operator all the same, also where it is about this tenant.
    for _ in 0..5 {
        let path = free.path("evaluate");
        body(&limited.app.client.post_json(&path, &json!({"facts": {"age": 1}})).await.unwrap(), 200);
    }
    let shown = enterprise.quota(&enterprise.client, "requestsPerMinute").await;
    assert_eq!((&shown["unlimited"], &shown["used"]), (&json!(true), &Value::Null), "{shown}");
    let shown = free.quota(&limited.app.client, "requestsPerMinute").await;
    assert_eq!((&shown["unlimited"], &shown["limit"]), (&Value::Null, &json!(100)), "{shown}");
    assert!(shown["used"].as_u64().unwrap() >= 90, "{shown}");
    let metrics = limited.app.client.get("/metrics").await.unwrap().text();
    let refused = format!("tenet_admission_total{{tier=\"free\",outcome=\"rate\"}} {}", 110 - answered_free);
    assert!(metrics.contains(&refused), "{refused}\n{metrics}");
    limited.app.stop().await;
}

#[tokio::test]
async fn an_answer_says_how_the_rate_stands_and_a_refusal_when_to_come_again() {
    let limited = Limited::start().await;
    let caller = limited.tenant("acme", "free").await;
    limited.set_quota(&caller, json!({"requestsPerMinute": 3})).await;
    // It is in memory from here on.
    body(&limited.app.client.post_json(&caller.path("evaluate"), &json!({"facts": {}})).await.unwrap(), 200);
    let first = caller.evaluate().await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"requests\";q=3;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"requests\";r=2;t=20"));
    // Whatever the request is, and whether it succeeds or not.
    assert_eq!(caller.client.get(&caller.path("rules")).await.unwrap().status, 200);
    assert_eq!(caller.client.get(&caller.path("rules/nothing")).await.unwrap().status, 404);
    let refused = caller.evaluate().await;
    let told = problem(&refused, 429);
    assert_eq!(
        (&told["code"], &told["quota"], &told["limit"]),
        (&json!("rate_limited"), &json!("requestsPerMinute"), &json!(3))
    );
    assert!(told["detail"].as_str().unwrap().contains("ask an operator"), "{told}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((15..=20).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"requests\";q=3;w=60"));
    assert_eq!(refused.header("ratelimit"), Some(format!("\"requests\";r=0;t={wait}").as_str()));
    // A changed quota holds at once.
    limited.set_quota(&caller, json!({"requestsPerMinute": 6_000})).await;
    within(SOON, "as many as the new quota allows", async || caller.evaluate().await.status == 200).await;
    let operator = limited.app.client.get(&caller.path("rules")).await.unwrap();
    assert_eq!(
        (operator.header("ratelimit"), limited.app.client.get("/readyz").await.unwrap().header("ratelimit")),
        (None, None)
    );
    limited.app.stop().await;
}

#[tokio::test]
async fn a_tenant_that_is_not_in_memory_is_limited_too() {
    let limited = Limited::with(|settings| settings.engine.idle_stop = Duration::from_secs(1)).await;
    let caller = limited.tenant("acme", "free").await;
    limited.set_quota(&caller, json!({"requestsPerMinute": 20})).await;
    let runtime = caller.path("runtime");
    within(SOON, "it left memory", async || {
        body(&limited.app.client.get(&runtime).await.unwrap(), 200)["resident"].is_null()
    })
    .await;
    // What was read of it before its quota changed is believed for two seconds.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut refused = 0;
    for _ in 0..60 {
        refused += usize::from(caller.client.get(&caller.path("rules")).await.unwrap().status == 429);
    }
    assert!((30..=45).contains(&refused), "{refused}");
    limited.app.stop().await;
}

#[tokio::test]
async fn that_there_is_no_such_tenant_is_asked_once_in_two_seconds() {
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let limited = Limited::with(|settings| settings.jwt = issuer.settings()).await;
    let token = issuer.token(NOBODY, "owner");
    let nobody = Client::new(limited.app.client.url()).unwrap().with_key(Some(tenet::config::Secret::new(token)));
    let asked = async || {
        let metrics = limited.app.client.get("/metrics").await.unwrap().text();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(r#"tenet_sql_seconds_count{statement="get tenant"} "#));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    let (before, began) = (asked().await, Instant::now());
    for _ in 0..100 {
        // It is answered without asking the database.
        problem(&nobody.get(&format!("/api/v1/tenants/{NOBODY}/rules?limit=x")).await.unwrap(), 422);
    }
    within(SOON, "it was asked", async || asked().await > before).await;
    let most = 1 + began.elapsed().as_secs() / 2;
    assert!(asked().await - before <= most, "{} of {most}", asked().await - before);
    limited.app.stop().await;
}

/// Begins a request whose body does not come.
async fn hold(limited: &Limited, caller: &Caller) -> TcpStream {
    let (host, port) = limited.app.client.address();
    let mut socket = TcpStream::connect((host, port)).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 20\r\n\r\n",
        caller.path("evaluate"),
        caller.key
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn a_tenant_has_no_more_requests_in_hand_than_its_quota_and_those_that_go_away_make_room() {
    let limited = Limited::start().await;
    let (caller, other) = (limited.tenant("acme", "pro").await, limited.tenant("other", "pro").await);
    limited.set_quota(&caller, json!({"concurrentRequests": 2})).await;
    assert_eq!(caller.evaluate().await.status, 200, "it is in memory from here on");
    let in_hand = async || caller.quota(&limited.app.client, "concurrentRequests").await["used"].clone();
    let held = [hold(&limited, &caller).await, hold(&limited, &caller).await];
    within(SOON, "both are in hand", async || in_hand().await == 2).await;
    let refused = caller.evaluate().await;
    let told = problem(&refused, 429);
    // It is not waited for a body.
    read_until(&mut hold(&limited, &caller).await, &mut String::new(), "429 Too Many Requests").await;
    let expected = (json!("too_many_requests_in_hand"), json!("concurrentRequests"), json!(2));
    assert_eq!((&told["code"], &told["quota"], &told["limit"]), (&expected.0, &expected.1, &expected.2));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(other.evaluate().await.status, 200);
    drop(held);
    within(SOON, "they make room", async || in_hand().await == 0).await;
    assert_eq!(caller.evaluate().await.status, 200);

    // A stream is in hand until it ends.
    let mut stream = converse(&limited.app, &caller.tenant, "evaluate/batch", &caller.key).await;
    send_line(&mut stream, r#"{"facts":{"age":25}}"#).await;
    read_until(&mut stream, &mut String::new(), "results").await;
    assert_eq!(in_hand().await, 1);
    drop(stream);
    within(SOON, "the stream has ended", async || in_hand().await == 0).await;
    limited.app.stop().await;
}

#[tokio::test]
async fn a_node_has_no_more_requests_in_hand_than_its_setting() {
    let limited = Limited::with(|settings| settings.engine.concurrent_requests_max = 1).await;
    let caller = limited.tenant("acme", "enterprise").await;
    let (mut held, mut answer) = (hold(&limited, &caller).await, caller.evaluate().await);
    let began = Instant::now();
    while answer.status != 503 {
        assert!(began.elapsed() < SOON, "it is never in hand: {}", answer.status);
        tokio::time::sleep(Duration::from_millis(50)).await;
        answer = caller.evaluate().await;
        if answer.status != 503 {
            // The other request was in hand when this one came.
            held = hold(&limited, &caller).await;
        }
    }
    assert_eq!(problem(&answer, 503)["code"], "overloaded");
    assert!((1..=5).contains(&answer.header("retry-after").unwrap().parse().unwrap()));
    assert_eq!(limited.app.client.get("/healthz").await.unwrap().status, 200, "probes are not counted");
    drop(held);
    within(SOON, "there is room", async || caller.evaluate().await.status == 200).await;
    limited.app.stop().await;
}

#[tokio::test]
async fn events_have_a_rate_of_their_own() {
    let limited = Limited::start().await;
    let caller = limited.tenant("acme", "pro").await;
    limited.set_quota(&caller, json!({"eventsPerMinute": 5})).await;
    let event = json!({"facts": {"age": 1}});
    let batch = json!({"events": [event, event, {"facts": {"age": "x"}}, event, event, event, event, event]});
    let answer = body(&caller.client.post_json(&caller.path("events/batch"), &batch).await.unwrap(), 202);
    assert_eq!((&answer["accepted"], &answer["refused"]), (&json!(5), &json!(3)), "{answer}");
    let codes: Vec<_> = answer["items"].as_array().unwrap().iter().map(|item| item["error"]["code"].clone()).collect();
    assert_eq!(
        (&codes[2], &codes[5], &codes[6]),
        (&json!("invalid"), &Value::Null, &json!("rate_limited")),
        "{answer}"
    );
    let refused = caller.client.post_json(&caller.path("events"), &event).await.unwrap();
    let told = problem(&refused, 429);
    assert_eq!(
        (&told["code"], &told["quota"], &told["limit"]),
        (&json!("rate_limited"), &json!("eventsPerMinute"), &json!(5))
    );
    assert!((1..=12).contains(&refused.header("retry-after").unwrap().parse().unwrap()), "{told}");

    // A stream waits for its rate.
    let sender = limited.tenant("sender", "pro").await;
    limited.set_quota(&sender, json!({"eventsPerMinute": 60})).await;
    let lines = format!("{event}\n").repeat(62);
    let (path, headers) = (sender.path("events/batch"), [("content-type", "application/x-ndjson")]);
    let began = Instant::now();
    let answer = sender.client.request(Method::POST, &path, &headers, lines.into_bytes()).await.unwrap();
    assert_eq!(answer.text().matches("\"accepted\"").count(), 62, "{}", answer.text());
    assert!(began.elapsed() >= Duration::from_millis(1_900), "{:?}", began.elapsed());
    limited.app.stop().await;
}

/// Sends so many lines to be decided, at once.
async fn stream(client: &Client, caller: &Caller, lines: usize) -> Vec<Value> {
    let text = "{\"facts\":{\"age\":1}}\n".repeat(lines);
    let (path, headers) = (caller.path("evaluate/batch"), [("content-type", "application/x-ndjson")]);
    let answer = client.request(Method::POST, &path, &headers, text.into_bytes()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn each_line_of_a_stream_of_decisions_counts_as_a_request_and_waits_for_its_rate() {
    let limited = Limited::with(|settings| settings.http.ndjson_idle_deadline = Duration::from_secs(2)).await;
    let caller = limited.tenant("acme", "free").await;
    limited.set_quota(&caller, json!({"requestsPerMinute": 120})).await;
    let (began, lines) = (Instant::now(), stream(&caller.client, &caller, 123).await);
    let took = began.elapsed();
    let is_decided = |line: &Value| line["results"].is_array();
    assert!(lines.len() == 123 && lines.iter().all(is_decided), "{lines:?}");
    // Three more than a minute's worth, one each half second.
    assert!(took >= Duration::from_millis(1_400), "{took:?}");
    assert_eq!(problem(&caller.evaluate().await, 429)["code"], "rate_limited");
    // An operator's lines have no rate.
    assert_eq!(stream(&limited.app.client, &caller, 300).await.len(), 300);

    let slow = limited.tenant("slow", "free").await;
    limited.set_quota(&slow, json!({"requestsPerMinute": 3})).await;
    // It is in memory from here on, and its quota holds at once.
    assert_eq!(stream(&limited.app.client, &slow, 1).await.len(), 1);
    let lines = stream(&slow.client, &slow, 10).await;
    assert!(lines.len() == 4 && lines[..3].iter().all(is_decided), "{lines:?}");
    assert_eq!((&lines[3]["index"], &lines[3]["error"]["code"]), (&json!(3), &json!("rate_limited")), "{lines:?}");
    let told = lines[3]["error"]["message"].as_str().unwrap();
    assert!(told.contains("`requestsPerMinute`") && told.contains("ask an operator"), "{told}");
    limited.app.stop().await;
}

#[tokio::test]
async fn a_stream_that_waits_for_its_rate_goes_on_with_a_changed_quota_and_ends_with_its_key() {
    let limited = Limited::start().await;
    let caller = limited.tenant("acme", "free").await;
    limited.set_quota(&caller, json!({"requestsPerMinute": 1})).await;
    assert_eq!(stream(&limited.app.client, &caller, 1).await.len(), 1, "it is in memory from here on");
    let (mut socket, mut read) =
        (converse(&limited.app, &caller.tenant, "evaluate/batch", &caller.key).await, String::new());
    for index in 0..2 {
        send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
        if index == 1 {
            assert!(!read.contains(r#""index":1"#), "{read}");
            limited.set_quota(&caller, json!({"requestsPerMinute": 120})).await;
        }
        read_until(&mut socket, &mut read, &format!(r#"{{"index":{index},"revision""#)).await;
    }
    limited.set_quota(&caller, json!({"requestsPerMinute": 1})).await;
    send_line(&mut socket, r#"{"facts":{"age":25}}"#).await;
    let keys = caller.path("api-keys");
    let shown = body(&limited.app.client.get(&keys).await.unwrap(), 200);
    let id = shown["items"][0]["id"].as_str().unwrap();
    assert_eq!(limited.app.client.delete(&format!("{keys}/{id}")).await.unwrap().status, 204);
    limited.set_quota(&caller, json!({"requestsPerMinute": 6_000})).await;
    read_until(&mut socket, &mut read, r#"{"index":2,"error":{"code":"unauthenticated""#).await;
    limited.app.stop().await;
}

#[tokio::test]
async fn rates_that_are_none_are_refused_and_new_tenants_have_the_tier_of_the_setting() {
    let limited = Limited::with(|settings| settings.engine.default_tier = tenet::config::TierName("pro")).await;
    let caller = limited.tenant("acme", "free").await;
    let path = format!("/api/v1/tenants/{}", caller.tenant);
    for wrong in [json!(0), json!(-1), json!(1.5), json!("unlimited"), json!(10_000_001)] {
        let quotas = json!({"quotas": {"requestsPerMinute": wrong}});
        let refused = problem(&limited.app.client.patch_json(&path, &quotas).await.unwrap(), 422);
        assert_eq!(mistakes(&refused)[0].1, "quotas.requestsPerMinute", "{wrong}");
    }
    let made = limited.app.client.post_json("/api/v1/tenants", &json!({"name": "new"})).await.unwrap();
    assert_eq!(body(&made, 201)["tier"], "pro");
    let wrong = json!({"name": "x", "tier": null});
    problem(&limited.app.client.post_json("/api/v1/tenants", &wrong).await.unwrap(), 422);
    limited.app.stop().await;
}

#[tokio::test]
async fn nodes_share_a_rate() {
    let limited = Limited::start().await;
    let caller = limited.tenant("acme", "free").await;
    let settings = [("TENET_RATE_LIMITS", "on")];
    let (_node, other) = TestProcess::serve_with(limited.app.database_url(), &settings).await;
    let other = other.with_key(Some(tenet::config::Secret::new(caller.key.clone())));
    let evaluate = async |client: &Client| {
        let answer = client.post_json(&caller.path("evaluate"), &json!({"facts": {"age": 1}})).await.unwrap();
        (answer.status, answer.header("ratelimit").unwrap_or_default().to_owned())
    };
    // A node learns of another with its next heartbeat.
    within(SOON, "half of a hundred each", async || {
        let (_, rate) =
            evaluate(&limited.app.client.clone().with_key(Some(tenet::config::Secret::new(caller.key.clone())))).await;
        let left = rate.split(['=', ';']).nth(2).and_then(|left| left.parse::<u64>().ok());
        tokio::time::sleep(Duration::from_millis(200)).await;
        left.is_some_and(|left| left < 50)
    })
    .await;
    let mut answered = 0;
    for _ in 0..110 {
        answered += usize::from(evaluate(&other).await.0 == 200);
    }
    assert!((45..=60).contains(&answered), "{answered}");
    limited.app.stop().await;
}

/// What each tier has in hand.
async fn bulkheads(app: &TestApp) -> Value {
    body(&app.client.get("/metrics/bulkheads").await.unwrap(), 200)
}

#[tokio::test]
async fn each_tier_has_a_bulkhead_that_can_be_looked_at() {
    let limited = Limited::start().await;
    let shown = bulkheads(&limited.app).await;
    for (tier, connections, per_tenant, rate, in_hand) in [
        ("free", 4, 10, json!(100), 800),
        ("pro", 7, 30, json!(1_000), 1_400),
        ("enterprise", 10, 60, Value::Null, 2_000),
    ] {
        let tier = &shown[tier];
        let pool = json!({"active": 0, "idle": connections, "pending": 0, "max": connections});
        assert_eq!(tier["connectionPool"], pool);
        assert_eq!(tier["threadPool"], json!({"active": 0, "queued": 0, "poolSize": per_tenant}));
        assert_eq!(tier["circuitBreaker"], json!({"state": "CLOSED", "failures": 0}));
        assert_eq!(tier["rateLimit"], json!({"limitPerMinute": rate, "refused": 0}));
        assert_eq!((&tier["admission"]["inHand"], &tier["admission"]["max"]), (&json!(0), &json!(in_hand)));
        assert_eq!(tier["breakers"]["postgresWrite"]["state"], "CLOSED");
    }
    let nobody = Client::new(limited.app.client.url()).unwrap();
    assert_eq!(nobody.get("/metrics/bulkheads").await.unwrap().status, 200);
    limited.app.stop().await;
}

#[tokio::test]
async fn ten_faults_of_a_tier_open_its_breaker_alone_and_it_closes_by_itself() {
    let limited = Limited::with(|settings| settings.http.faults = true).await;
    let callers = [
        limited.tenant("free", "free").await,
        limited.tenant("pro", "pro").await,
        limited.tenant("large", "enterprise").await,
    ];
    limited.set_quota(&callers[0], json!({"requestsPerMinute": 100_000})).await;
    for caller in &callers {
        assert_eq!(caller.evaluate().await.status, 200);
    }
    let fault = json!({"tier": "free", "dependency": "postgresRead", "kind": "error", "count": 10});
    assert_eq!(limited.app.client.post_json("/api/v1/runtime/faults", &fault).await.unwrap().status, 202);
    let rules = async |caller: &Caller| caller.client.get(&caller.path("rules")).await.unwrap();
    for _ in 0..5 {
        assert_eq!(problem(&rules(&callers[0]).await, 503)["code"], "database_unavailable");
    }
    let began = Instant::now();
    let refused = rules(&callers[0]).await;
    let told = problem(&refused, 503);
    assert_eq!(
        (&told["code"], &told["dependency"]),
        (&json!("dependency_unavailable"), &json!("postgresRead")),
        "{told}"
    );
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    println!("refused in {:?}", began.elapsed());
    let shown = bulkheads(&limited.app).await;
    assert_eq!(shown["free"]["circuitBreaker"]["state"], "OPEN", "{shown}");
    assert!(shown["free"]["breakers"]["postgresRead"]["nextProbeInMs"].as_u64().unwrap() <= 1_200, "{shown}");
    assert_eq!(
        (&shown["pro"]["circuitBreaker"]["state"], &shown["enterprise"]["circuitBreaker"]["state"]),
        (&json!("CLOSED"), &json!("CLOSED"))
    );
    let metrics = limited.app.client.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("tenet_breaker_state{dependency=\"postgresRead\",tier=\"free\"} 2"), "{metrics}");
    assert!(metrics.contains("tenet_tier_connections{tier=\"pro\",state=\"max\"} 7"), "{metrics}");
    for caller in &callers[1..] {
        assert_eq!(rules(caller).await.status, 200);
    }
    // What is in memory is decided all the same.
    assert_eq!(callers[0].evaluate().await.status, 200);
    assert_eq!(limited.app.client.delete("/api/v1/runtime/faults").await.unwrap().status, 204);
    within(SOON, "it is closed again", async || {
        rules(&callers[0]).await;
        bulkheads(&limited.app).await["free"]["circuitBreaker"]["state"] == "CLOSED"
    })
    .await;
    assert_eq!(rules(&callers[0]).await.status, 200);
    for (wrong, path) in [
        (json!({"tier": "free", "dependency": "x", "kind": "error", "count": 1}), "dependency"),
        (json!({"tier": "free", "dependency": "postgresRead", "kind": "error", "count": 0}), "count"),
        (json!({"tier": "free", "dependency": "postgresRead", "kind": "delay", "count": 1}), "delayMs"),
        (json!({"tier": "free", "dependency": "postgresRead", "kind": "hang", "count": 1, "delayMs": 5}), "delayMs"),
        (json!({"tier": "gold", "dependency": "postgresRead", "kind": "error", "count": 1}), "tier"),
    ] {
        let refused = problem(&limited.app.client.post_json("/api/v1/runtime/faults", &wrong).await.unwrap(), 422);
        assert_eq!(mistakes(&refused)[0].1, path, "{wrong}");
    }
    assert_eq!(problem(&callers[0].client.delete("/api/v1/runtime/faults").await.unwrap(), 403)["code"], "forbidden");
    limited.app.stop().await;
}

#[tokio::test]
async fn mistakes_of_tenants_open_no_breaker_and_faults_are_not_served_unless_they_are_asked_for() {
    let limited = Limited::start().await;
    let caller = limited.tenant("acme", "enterprise").await;
    for number in 0..40 {
        let rule = json!({"name": "r", "expression": if number % 2 == 0 { "facts.nope" } else { "true" }});
        let answer = caller.client.post_json(&caller.path("rules"), &rule).await.unwrap();
        assert!(number == 1 && answer.status == 201 || matches!(answer.status, 409 | 422), "{}", answer.text());
        assert_eq!(caller.client.get(&caller.path("rules/nothing")).await.unwrap().status, 404);
    }
    let shown = bulkheads(&limited.app).await;
    let breakers = &shown["enterprise"]["breakers"];
    assert_eq!((&breakers["postgresRead"]["failures"], &breakers["postgresWrite"]["failures"]), (&json!(0), &json!(0)));
    assert!(breakers["postgresWrite"]["calls"].as_u64().unwrap() > 10, "{shown}");
    let fault = json!({"tier": "free", "dependency": "postgresRead", "kind": "error", "count": 10});
    problem(&limited.app.client.post_json("/api/v1/runtime/faults", &fault).await.unwrap(), 404);
    limited.app.stop().await;
}

#[tokio::test]
async fn a_tier_whose_connections_are_in_use_leaves_the_others_theirs() {
    let limited = Limited::with(|settings| {
        settings.http.faults = true;
        settings.database.acquire_timeout = Duration::from_millis(500);
    })
    .await;
    let (slow, quick) = (limited.tenant("slow", "free").await, limited.tenant("quick", "enterprise").await);
    limited.set_quota(&slow, json!({"concurrentRequests": 100, "requestsPerMinute": 1_000})).await;
    for caller in [&slow, &quick] {
        assert_eq!(caller.evaluate().await.status, 200, "their tiers are known");
    }
    let fault = json!({"tier": "free", "dependency": "postgresRead", "kind": "delay", "count": 4, "delayMs": 2_000});
    assert_eq!(limited.app.client.post_json("/api/v1/runtime/faults", &fault).await.unwrap().status, 202);
    let path = slow.path("rules");
    let read = |client: Client| {
        let path = path.clone();
        tokio::spawn(async move { client.with_own_connections().get(&path).await.unwrap() })
    };
    let reads: Vec<_> = (0..20).map(|_| read(slow.client.clone())).collect();
    within(SOON, "all of its connections are in use", async || {
        bulkheads(&limited.app).await["free"]["connectionPool"]["active"] == 4
    })
    .await;
    let began = Instant::now();
    assert_eq!(quick.client.get(&quick.path("rules")).await.unwrap().status, 200);
    println!("another tier waits {:?}", began.elapsed());
    let mut statuses = Vec::new();
    for read in reads {
        let answer = read.await.unwrap();
        if answer.status != 200 {
            let code = problem(&answer, 503)["code"].clone();
            assert!(code == "database_busy" || code == "dependency_unavailable", "{code}");
        }
        statuses.push(answer.status);
    }
    // Four had a connection, and the others waited for half a second.
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
    within(SOON, "all are given back", async || bulkheads(&limited.app).await["free"]["connectionPool"]["active"] == 0)
        .await;
    limited.app.stop().await;
}

/// Without an evaluation pool costly decisions hold the threads that answer requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_threads_are_late_who_uses_more_than_its_share_is_refused_and_nobody_else() {
    flood_of_costly_decisions(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_there_is_a_line_before_the_pool_who_waits_in_it_in_vain_is_refused_and_nobody_else() {
    flood_of_costly_decisions(1).await;
}

/// One tenant sends more costly decisions than can be made, by so many threads of a pool, until it is refused for the
/// pressure, and another cheap ones, which are all answered.
async fn flood_of_costly_decisions(threads: usize) {
    let limited = Limited::with(|settings| settings.engine.evaluation_threads = Some(threads)).await;
    let (large, small) = (limited.tenant("large", "enterprise").await, limited.tenant("small", "enterprise").await);
    let operator = &limited.app.client;
    let schema = json!({"definition": {"facts": {"age": "int", "list": {"type": "list<int>", "maxItems": 45}}}});
    body(&operator.put_json(&large.path("schema"), &schema).await.unwrap(), 200);
    let expression = "facts.list.all(x, facts.list.all(y, facts.list.all(z, x + y + z >= 0)))";
    body(
        &operator.post_json(&large.path("rules"), &json!({"name": "costly", "expression": expression})).await.unwrap(),
        201,
    );
    small.evaluate().await;
    let costly = json!({"facts": {"list": (0..40).collect::<Vec<u32>>()}});
    let (is_over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let flood = join_all((0..24).map(|_| async {
        while !is_over.load(Ordering::Relaxed) {
            let answer = large.client.post_json(&large.path("evaluate"), &costly).await.unwrap();
            if answer.status == 503 {
                assert_eq!(problem(&answer, 503)["code"], "overloaded");
                assert!((1..=5).contains(&answer.header("retry-after").unwrap().parse::<u8>().unwrap()));
                refused.fetch_add(1, Ordering::Relaxed);
            } else if answer.status != 200 {
                assert_eq!(problem(&answer, 429)["code"], "too_many_requests_in_hand");
                assert_eq!(threads, 1, "nobody waits for a turn without a pool");
            }
        }
    }));
    let watch = async {
        let mut is_seen = false;
        let began = Instant::now();
        while began.elapsed() < SOON && !(is_seen && refused.load(Ordering::Relaxed) > 0) {
            for _ in 0..5 {
                body(&small.evaluate().await, 200);
            }
            let load = body(&operator.get("/api/v1/runtime/admission").await.unwrap(), 200);
            let of_large =
                load["tenants"].as_array().unwrap().iter().find(|item| item["tenantId"] == large.tenant.as_str());
            is_seen |= of_large.is_some_and(|item| item["admittedPermille"].as_u64().unwrap() < 700);
        }
        is_over.store(true, Ordering::Relaxed);
        is_seen
    };
    let (_, is_seen) = tokio::join!(flood, watch);
    assert!(is_seen && refused.load(Ordering::Relaxed) > 0, "{refused:?}");
    within(SOON, "all is admitted again", async || {
        let load = body(&operator.get("/api/v1/runtime/admission").await.unwrap(), 200);
        load["underPressure"] == false
            && load["tenants"].as_array().unwrap().iter().all(|item| item["admittedPermille"] == 1000)
    })
    .await;
    body(&large.evaluate().await, 200);
}
