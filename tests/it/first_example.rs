//! The README's first example, over HTTP, on the whole application.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::TestApp;

#[tokio::test]
async fn a_rule_decides_facts_and_its_change_is_seen_at_once() {
    let app = TestApp::start().await;
    let fields = json!({ "age": "int", "country": "string", "is_premium": "bool" });
    let tenant = app.create_tenant_with_schema("acme-corp", &fields).await;
    let rule = app.create_rule(&tenant, "adults", "facts.age >= 18").await;
    let facts = json!({ "age": 25, "country": "US", "is_premium": true });

    let decision = app.evaluate(&tenant, &facts).await;
    assert_eq!(decision["results"][0]["ruleName"], "adults", "{decision}");
    assert_eq!(decision["results"][0]["matched"], true, "{decision}");

    let path = format!("/api/v1/tenants/{tenant}/rules/{rule}");
    let answer = app.client.patch_json(&path, &json!({ "expression": "facts.age >= 30" })).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let decision = app.evaluate(&tenant, &facts).await;
    assert_eq!(decision["results"][0]["matched"], false, "{decision}");
    app.stop().await;
}

#[tokio::test]
async fn a_rule_changed_by_hand_in_the_database_is_followed() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme-corp", &json!({ "age": "int" })).await;
    app.create_rule(&tenant, "adults", "facts.age >= 18").await;
    let facts = json!({ "age": 25 });
    assert_eq!(app.evaluate(&tenant, &facts).await["results"][0]["matched"], true);

    let mut connection = PgConnection::connect(app.database_url()).await.unwrap();
    sqlx::raw_sql("update rules set expression = 'facts.age >= 30'").execute(&mut connection).await.unwrap();
    let changed = Instant::now();
    while app.evaluate(&tenant, &facts).await["results"][0]["matched"] == true {
        assert!(changed.elapsed() < Duration::from_secs(2), "the old rule is still served");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
