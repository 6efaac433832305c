//! What the service writes in its log, and what it does not.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::Client;

use crate::support::{TestDatabase, TestProcess, within};

/// In every name that a tenant chooses.
const CANARY: &str = "canary";
const BOUND: Duration = Duration::from_secs(20);
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
}
