//! Trying an expression that is not stored.

use serde_json::{Value, json};

use super::super::{acme, body, mistakes, problem};
use crate::support::TestApp;

#[tokio::test]
async fn an_expression_is_tried_on_each_item_and_nothing_changes() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/rules/try");
    let items = json!([
        {"facts": {"age": 20}}, {"facts": {"age": 10}}, {"facts": {}}, {"facts": {"age": "x"}},
        {"facts": {"age": 20, "agee": 1}}, {"fact": {}}, 7,
    ]);
    let tried = body(
        &app.client.post_json(&path, &json!({"expression": "facts.age >= 18", "items": items})).await.unwrap(),
        200,
    );
    assert_eq!((&tried["type"], &tried["revision"]), (&json!("bool"), &json!(2)), "{tried}");
    let items = tried["items"].as_array().unwrap();
    let matched: Vec<_> = items.iter().map(|item| item["matched"].clone()).collect();
    assert_eq!(matched, [json!(true), json!(false), json!(false), Value::Null, json!(true), Value::Null, Value::Null]);
    let members: Vec<_> = items[0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["costUnits", "error", "matched", "trace", "value", "warnings"], "{tried}");
    assert_eq!(
        (&items[0]["value"], &items[0]["error"], &items[0]["costUnits"]),
        (&json!(true), &Value::Null, &json!(3))
    );
    assert_eq!(items[0]["trace"][0]["text"], "facts.age >= 18", "{tried}");
    assert_eq!((&items[2]["value"], &items[2]["error"]["code"]), (&Value::Null, &json!("no_such_field")), "{tried}");
    assert_eq!(items[3]["error"]["errors"][0]["path"], "facts.age", "{tried}");
    assert_eq!(items[3].as_object().unwrap().len(), 1, "an item that cannot be read has an error alone");
    assert_eq!(items[4]["warnings"][0]["path"], "facts.agee", "{tried}");
    assert_eq!(items[5]["error"]["code"], "invalid", "{tried}");
    assert_eq!(items[6]["error"]["code"], "invalid", "{tried}");

    let strict = json!({"expression": "facts.age", "items": [{"facts": {"age": 1}}, {"facts": {"agee": 1}}], "strictFacts": true});
    let strict = body(&app.client.post_json(&path, &strict).await.unwrap(), 200);
    assert_eq!((&strict["type"], &strict["items"][0]["value"]), (&json!("int"), &json!(1)));
    assert_eq!(strict["items"][0]["matched"], Value::Null, "an int is no condition");
    assert_eq!(strict["items"][1]["error"]["errors"][0]["code"], "unknown_fact", "{strict}");
    let rules = body(&app.client.get(&format!("/api/v1/tenants/{tenant}/rules")).await.unwrap(), 200);
    assert_eq!((&rules["items"], &rules["revision"]), (&json!([]), &json!(2)));
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_tried_is_told_with_its_place() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/rules/try");
    let wrong = json!({"expression": "facts.agee > 1", "items": [{"facts": {}}]});
    let refused = problem(&app.client.post_json(&path, &wrong).await.unwrap(), 422);
    assert_eq!((&refused["errors"][0]["path"], &refused["errors"][0]["column"]), (&json!("expression"), &json!(1)));
    for (count, code) in [(0, "too_few"), (21, "too_many")] {
        let body = json!({"expression": "true", "items": vec![json!({"facts": {}}); count]});
        let refused = problem(&app.client.post_json(&path, &body).await.unwrap(), 422);
        assert_eq!(mistakes(&refused), [(code.to_owned(), "items".to_owned())]);
    }
    let bare = app.create_tenant("bare").await;
    let body = json!({"expression": "true", "items": [{"facts": {}}]});
    let missing = app.client.post_json(&format!("/api/v1/tenants/{bare}/rules/try"), &body).await.unwrap();
    assert_eq!(problem(&missing, 409)["code"], "schema_missing");
    app.stop().await;
}

#[tokio::test]
async fn all_items_have_one_budget() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"items": {"type": "list<int>", "maxItems": 400}})).await;
    let path = format!("/api/v1/tenants/{tenant}/rules/try");
    let item = json!({"facts": {"items": (0..300).collect::<Vec<_>>()}});
    let costly = json!({
        "expression": "facts.items.all(a, facts.items.all(b, a + b >= 0))", "items": vec![item; 20],
    });
    let tried = body(&app.client.post_json(&path, &costly).await.unwrap(), 200);
    let items = tried["items"].as_array().unwrap();
    let units: u64 = items.iter().map(|item| item["costUnits"].as_u64().unwrap()).sum();
    assert_eq!(items[0]["matched"], true, "{}", items[0]["error"]);
    assert_eq!(items[19]["error"]["code"], "cost_exceeded", "{}", items[19]);
    assert!(units <= 5_000_000, "{units}");
    app.stop().await;
}
