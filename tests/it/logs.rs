//! What the service writes in its log, and what it does not.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::{Client, Method};

use crate::support::{TestDatabase, TestProcess, within};

/// In every name that a tenant chooses.
const CANARY: &str = "canary";
const BOUND: Duration = Duration::from_secs(60);
const JSON: (&str, &str) = ("TENET_LOG_FORMAT", "json");

async fn created(client: &Client, path: &str, body: &Value) -> String {
    let answer = client.post_json(path, body).await.unwrap();
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json::<Value>().unwrap()["id"].as_str().unwrap_or_default().to_owned()
}

/// The lines that are of a target, or have such a message.
fn lines(process: &TestProcess, wanted: &str) -> Vec<Value> {
    let lines = process.printed();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == wanted || line["message"] == wanted).collect()
}

#[tokio::test]
async fn what_is_broken_is_logged_by_its_id_and_no_name_with_it() {
    let database = TestDatabase::fresh().await;
    let variables = [("TENET_LOG", "info,tenet=trace"), JSON];
    let (process, client) = TestProcess::serve_with(database.url(), &variables).await;
    let tenant = created(&client, "/api/v1/tenants", &json!({ "name": CANARY })).await;
    let at = |part: &str| format!("/api/v1/tenants/{tenant}/{part}");
    let schema = json!({ "definition": { "facts": { "canary_field": "int" } } });
    created(&client, &at("schema"), &schema).await;
    let draft = json!({
        "name": "canary rule", "expression": "facts.canary_field > 1", "description": CANARY, "tags": [CANARY]
    });
    let rule = created(&client, &at("rules"), &draft).await;
    let draft = json!({ "name": "canary_derived", "expression": "facts.canary_field + 1" });
    let field = created(&client, &at("derived-fields"), &draft).await;
    created(&client, &at("api-keys"), &json!({ "name": CANARY, "scopes": ["read"] })).await;

    let mut by_hand = PgConnection::connect(database.url()).await.unwrap();
    for table in ["rules", "derived_fields"] {
        let broken = format!("update {table} set expression = 'facts.canary_field >'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(broken)).execute(&mut by_hand).await.unwrap();
    }
    let decided = async || {
        let answer = client.post_json(&at("evaluate"), &json!({ "facts": { "canary_field": 3 } })).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json::<Value>().unwrap()["results"][0]["error"] != Value::Null
    };
    within(BOUND, "set aside", decided).await;
    for (message, kind, id) in [
        ("a stored rule does not compile; it is set aside", "rule", &rule),
        ("a stored derived field does not compile; it is set aside", "derived_field", &field),
    ] {
        within(BOUND, message, async || !lines(&process, message).is_empty()).await;
        let line = &lines(&process, message)[0];
        assert_eq!((&line[kind], &line["tenant"]), (&json!(id), &json!(tenant)), "{line}");
        assert!(line["revision"].is_u64(), "a number is a number: {line}");
    }
    let logged = process.printed();
    let line = logged.lines().find(|line| line.contains(CANARY));
    assert!(line.is_none(), "a name is in the log: {line:?}");
    assert!(lines(&process, "tenet::access").is_empty(), "the access log was not asked for");
}

#[tokio::test]
async fn stored_patterns_that_only_re2_reads_like_this_are_told_when_a_tenant_is_loaded() {
    let database = TestDatabase::fresh().await;
    let message = "stored patterns have parts that only RE2 reads like this; a check of their rules says which";
    let (process, client) = TestProcess::serve_with(database.url(), &[JSON]).await;
    let tenant = created(&client, "/api/v1/tenants", &json!({ "name": CANARY })).await;
    let at = |part: &str| format!("/api/v1/tenants/{tenant}/{part}");
    created(&client, &at("schema"), &json!({ "definition": { "facts": { "code": "string" } } })).await;
    for (name, expression) in [("a", "facts.code.matches('^[a-z]+$')"), ("b", r"facts.code.matches(r'^\d{6}$')")] {
        created(&client, &at("rules"), &json!({ "name": name, "expression": expression })).await;
    }
    let evaluated = async || {
        let answer = client.post_json(&at("evaluate"), &json!({ "facts": { "code": "123456" } })).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json::<Value>().unwrap()["results"].clone()
    };
    let results = evaluated().await;
    within(BOUND, message, async || !lines(&process, message).is_empty()).await;
    let told = lines(&process, message);
    let [line] = told.as_slice() else { panic!("told once: {told:?}") };
    let expected = (&json!(tenant), &json!(1), &results[1]["ruleId"]);
    assert_eq!((&line["tenant"], &line["expressions"], &line["first"]), expected, "{line}");
    // A set that takes its place is not told of again.
    created(&client, &at("rules"), &json!({ "name": "c", "expression": r"facts.code.matches(r'\w')" })).await;
    evaluated().await;
    assert_eq!(lines(&process, message).len(), 1);
}

#[tokio::test]
async fn each_request_is_logged_where_the_access_log_is_on() {
    let database = TestDatabase::fresh().await;
    let variables = [("TENET_ACCESS_LOG", "on"), ("TENET_LOG", "error"), JSON];
    let (process, client) = TestProcess::serve_with(database.url(), &variables).await;
    let tenant = created(&client, "/api/v1/tenants", &json!({ "name": CANARY })).await;
    let path = format!("/api/v1/tenants/{tenant}/rules");
    let answer = client.request(Method::GET, &path, &[("x-request-id", "of the test")], Vec::new()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(client.get("/no/such/path").await.unwrap().status, 404);
    assert_eq!(Client::new(client.url()).unwrap().get(&path).await.unwrap().status, 401);

    let of = |route: &str, status: u16| {
        lines(&process, "tenet::access").into_iter().find(|line| line["route"] == route && line["status"] == status)
    };
    let pattern = "/api/v1/tenants/{tenantId}/rules";
    within(BOUND, "three lines", async || of(pattern, 401).is_some()).await;
    let line = of(pattern, 200).unwrap();
    assert_eq!(
        (&line["method"], &line["tenant"], &line["id"]),
        (&json!("GET"), &json!(tenant), &json!("of the test")),
        "{line}"
    );
    assert!(line["took_us"].is_u64() && line["status"].is_u64(), "numbers are numbers: {line}");
    let line = of("unknown", 404).unwrap();
    assert!(line["tenant"].is_null() && line["id"].is_string(), "{line}");
    assert!(!process.printed().contains("/no/such/path"), "a path is in the access log");
}

#[tokio::test]
async fn an_outage_is_told_in_our_own_lines_alone() {
    let database = TestDatabase::fresh().await;
    let (process, client) = TestProcess::serve_with(database.url(), &[JSON]).await;
    created(&client, "/api/v1/tenants", &json!({ "name": "acme" })).await;
    // Older than a connection that is taken without a look at it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut by_hand = PgConnection::connect(database.url()).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::raw_sql(end).execute(&mut by_hand).await.unwrap();
    assert_eq!(client.get("/api/v1/tenants").await.unwrap().status, 200);
    let ours = "lost the connection that listens for changes";
    within(BOUND, ours, async || !lines(&process, ours).is_empty()).await;
    let of_driver = process.printed().lines().find(|line| line.contains("sqlx")).map(str::to_owned);
    assert_eq!(of_driver, None);
}
