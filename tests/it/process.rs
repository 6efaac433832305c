//! The program as it is run: signals, two processes on one database, kill and start again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tenet::client::Client;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Directory, OPERATOR_KEY, TestDatabase, TestProcess, free_address};

/// Creates a tenant with a rule on `facts.age`; answers the tenant's id and the rule's path.
async fn create_rule(client: &Client, expression: &str) -> (String, String) {
    let tenant: Value = client.post_json("/api/v1/tenants", &json!({ "name": "acme" })).await.unwrap().json().unwrap();
    let tenant = tenant["id"].as_str().unwrap().to_owned();
    let definition = json!({ "definition": { "facts": { "age": "int" } } });
    let answer = client.post_json(&format!("/api/v1/tenants/{tenant}/schema"), &definition).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let rule = json!({ "name": "adults", "expression": expression });
    let answer = client.post_json(&format!("/api/v1/tenants/{tenant}/rules"), &rule).await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let rule = answer.json::<Value>().unwrap();
    let path = format!("/api/v1/tenants/{tenant}/rules/{}", rule["id"].as_str().unwrap());
    (tenant, path)
}

/// Whether the tenant's only rule matches somebody of 20 years.
async fn matches(client: &Client, tenant: &str) -> bool {
    let body = json!({ "tenantId": tenant, "facts": { "age": 20 } });
    let answer = client.post_json("/api/v1/evaluate", &body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json::<Value>().unwrap()["results"][0]["matched"].as_bool().unwrap()
}

#[tokio::test]
async fn serve_stops_in_order_on_a_signal() {
    let database = TestDatabase::fresh().await;
    let (mut process, client) = TestProcess::serve(database.url()).await;
    create_rule(&client, "facts.age >= 18").await;
    let asked = Instant::now();
    process.signal(Signal::TERM);
    assert_eq!(process.end().await, Some(0), "{}", process.printed());
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_node_that_stops_says_so_before_it_refuses_anything() {
    let database = TestDatabase::fresh().await;
    let (mut process, client) = TestProcess::serve_with(database.url(), &[("TENET_SHUTDOWN_DELAY", "2s")]).await;
    let (tenant, _) = create_rule(&client, "facts.age >= 18").await;
    assert!(matches(&client, &tenant).await);
    process.signal(Signal::TERM);
    let asked = Instant::now();
    let mut told = false;
    while asked.elapsed() < Duration::from_millis(1_500) {
        // On connections that are open and on new ones: every request is answered, and not on the same one again.
        let new = client.clone().with_own_connections();
        for client in [&client, &new] {
            let ready = client.get("/readyz").await.unwrap();
            told |= ready.status == 503;
            assert_eq!(ready.status, if told { 503 } else { 200 }, "{}", ready.text());
            assert!(matches(client, &tenant).await);
        }
        let last = new.get("/healthz").await.unwrap();
        assert_eq!(last.header("connection"), told.then_some("close"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(told);
    assert_eq!(process.end().await, Some(0), "{}", process.printed());
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_second_signal_ends_serve_at_once() {
    let database = TestDatabase::fresh().await;
    let (mut process, client) = TestProcess::serve(database.url()).await;
    // A request that never comes to its end keeps the graceful stop waiting.
    let (host, port) = client.address();
    let mut slow = TcpStream::connect((host, port)).await.unwrap();
    let head = format!("POST /api/v1/tenants HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {OPERATOR_KEY}\r\n");
    slow.write_all(format!("{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{").as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    process.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = Instant::now();
    process.signal(Signal::TERM);
    assert_ne!(process.end().await, Some(0), "{}", process.printed());
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?}", asked.elapsed());
}

#[tokio::test]
async fn two_processes_on_one_database_follow_each_others_changes() {
    let database = TestDatabase::fresh().await;
    let (_one, writer) = TestProcess::serve(database.url()).await;
    let (_other, reader) = TestProcess::serve(database.url()).await;
    let (tenant, rule) = create_rule(&writer, "facts.age >= 18").await;
    assert!(matches(&reader, &tenant).await);

    let answer = writer.patch_json(&rule, &json!({ "expression": "facts.age >= 21" })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let changed = Instant::now();
    while matches(&reader, &tenant).await {
        assert!(changed.elapsed() < Duration::from_secs(2), "the other process still serves the old rule");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn serve_goes_on_when_nobody_reads_its_log_any_more() {
    let database = TestDatabase::fresh().await;
    let (mut process, client) = TestProcess::serve(database.url()).await;
    process.stop_reading().await;
    let (tenant, rule) = create_rule(&client, "facts.age >= 18").await;
    assert!(matches(&client, &tenant).await);
    // Each is told in the log, in a turn of the supervisor or of an actor.
    for verb in ["stop", "load", "reload", "stop"] {
        let answer = client.post_json(&format!("/api/v1/tenants/{tenant}/runtime/{verb}"), &json!({})).await.unwrap();
        assert!(answer.is_success(), "{verb}: {} {}", answer.status, answer.text());
    }
    let answer = client.patch_json(&rule, &json!({ "expression": "facts.age >= 21" })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!matches(&client, &tenant).await);
    process.signal(Signal::TERM);
    assert_eq!(process.end().await, Some(0));
}

async fn develop(data_dir: &Path, more: &[&str]) -> (TestProcess, Client) {
    let listen = free_address();
    let mut arguments = vec!["dev", "--listen", &listen, "--data-dir", data_dir.to_str().unwrap()];
    arguments.extend(more);
    let mut process = TestProcess::run(&arguments, &[]);
    let client = process.ready(&listen).await;
    (process, client)
}

#[tokio::test]
async fn dev_that_was_killed_starts_again_with_its_data() {
    let directory = Directory::new();
    let (mut process, client) = develop(directory.path(), &[]).await;
    let (tenant, _) = create_rule(&client, "facts.age >= 18").await;
    process.signal(Signal::KILL);
    assert_eq!(process.end().await, None);

    // At once: the server of the killed process may still be stopping.
    let (mut process, client) = develop(directory.path(), &[]).await;
    assert!(matches(&client, &tenant).await);
    process.signal(Signal::INT);
    assert_eq!(process.end().await, Some(0), "{}", process.printed());
    assert!(!directory.path().join("cluster/data/postmaster.pid").exists(), "PostgreSQL still runs");
}

#[tokio::test]
async fn the_demo_prints_a_request_and_its_decision_and_keeps_serving() {
    let directory = Directory::new();
    let (mut process, client) = develop(directory.path(), &["--demo"]).await;
    let asked = Instant::now();
    while !process.printed().contains("serving on") {
        assert!(asked.elapsed() < Duration::from_secs(30), "{}", process.printed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let printed = process.printed();
    for part in ["acme-corp", "facts.age >= 18", "is_premium", "matched"] {
        assert!(printed.contains(part), "`{part}` is not in:\n{printed}");
    }
    // Copied as they are, the requests are answered: no key is set that they could name.
    assert!(!printed.contains("Authorization"), "{printed}");
    // All of it is ours: nobody has to be warned of anything.
    assert!(!printed.contains(" WARN "), "{printed}");
    let tenants = client.get("/api/v1/tenants").await.unwrap();
    assert!(tenants.text().contains("acme-corp"), "{}", tenants.text());
    process.signal(Signal::INT);
    assert_eq!(process.end().await, Some(0), "{}", process.printed());
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let database = TestDatabase::fresh().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let variables = [("DATABASE_URL", database.url()), ("TENET_OPERATOR_KEY", OPERATOR_KEY), ("TENET_LISTEN", &listen)];
    let mut process = TestProcess::run(&["serve"], &variables);
    assert_eq!(process.end().await, Some(1), "{}", process.printed());
    let printed = process.printed();
    assert!(printed.contains(&listen) && printed.contains("in use"), "{printed}");
}

#[tokio::test]
async fn dev_without_programs_says_where_it_looked_and_what_to_do() {
    let directory = Directory::new();
    let empty = Directory::new();
    let data_dir = directory.path().join("data");
    let arguments = ["dev", "--data-dir", data_dir.to_str().unwrap()];
    let mut process = TestProcess::run(&arguments, &[("TENET_PG_BIN", empty.path().to_str().unwrap())]);
    assert_eq!(process.end().await, Some(3), "{}", process.printed());
    let printed = process.printed();
    assert!(printed.contains("searched, in this order") && printed.contains("make postgres"), "{printed}");
    assert!(printed.contains(empty.path().to_str().unwrap()), "{printed}");
}

#[tokio::test]
async fn top_prints_once_what_the_service_holds_in_memory() {
    let database = TestDatabase::fresh().await;
    let (_serving, client) = TestProcess::serve(database.url()).await;
    let (tenant, _) = create_rule(&client, "facts.age >= 18").await;
    assert!(matches(&client, &tenant).await);
    let mut top = TestProcess::run(&["top", "--once", "--url", client.url(), "--key", OPERATOR_KEY], &[]);
    assert_eq!(top.end().await, Some(0), "{}", top.printed());
    let printed = top.printed();
    let line = printed.lines().find(|line| line.starts_with("acme ")).unwrap_or_else(|| panic!("{printed}"));
    assert_eq!(line.split_whitespace().nth(1), Some("ready"), "{line}");
    assert!(printed.contains("1 in memory: 1 ready") && printed.contains(env!("CARGO_PKG_VERSION")), "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed}");

    let mut top =
        TestProcess::run(&["top", "--once", "--url", client.url(), "--key", "another-key-that-is-wrong"], &[]);
    assert_eq!(top.end().await, Some(1), "{}", top.printed());
    assert!(top.printed().contains("401"), "{}", top.printed());
}
