//! `/api/v1/tenants/{tenantId}/derived-fields`.

use serde_json::{Value, json};

use crate::{
    api::{acme, body, problem},
    support::TestApp,
};

async fn create(app: &TestApp, tenant: &str, name: &str, expression: &str) -> Value {
    let path = format!("/api/v1/tenants/{tenant}/derived-fields");
    let field = json!({"name": name, "expression": expression});
    body(&app.client.post_json(&path, &field).await.unwrap(), 201)
}

#[tokio::test]
async fn a_derived_field_is_typed_and_read_in_rules() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/derived-fields");
    let adult = create(&app, &tenant, "is_adult", "facts.age >= 18").await;
    assert_eq!((&adult["type"], &adult["dependencies"]), (&json!("bool"), &json!(["facts.age"])));
    assert_eq!((&adult["active"], &adult["revision"]), (&json!(true), &json!(3)));
    create(&app, &tenant, "buys", "derived.is_adult && facts.is_premium").await;
    app.create_rule(&tenant, "may buy", "derived.buys").await;
    let decision = app.evaluate(&tenant, &json!({"age": 25, "country": "US", "is_premium": true})).await;
    assert_eq!(decision["results"][0]["matched"], true);

    let list = body(&app.client.get(&path).await.unwrap(), 200);
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|field| &field["name"]).collect();
    assert_eq!((names, &list["nextCursor"]), (vec![&json!("is_adult"), &json!("buys")], &Value::Null));
    let one = format!("{path}/{}", adult["id"].as_str().unwrap());
    assert_eq!(body(&app.client.get(&one).await.unwrap(), 200)["name"], "is_adult");
    let patched = body(&app.client.patch_json(&one, &json!({"expression": "facts.age >= 30"})).await.unwrap(), 200);
    assert_eq!(patched["expression"], "facts.age >= 30");
    let decision = app.evaluate(&tenant, &json!({"age": 25, "country": "US", "is_premium": true})).await;
    assert_eq!(decision["results"][0]["matched"], false);
    app.stop().await;
}

#[tokio::test]
async fn one_that_is_in_use_goes_only_with_what_uses_it() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let adult = create(&app, &tenant, "is_adult", "facts.age >= 18").await;
    let rule = app.create_rule(&tenant, "adult", "derived.is_adult").await;
    let path = format!("/api/v1/tenants/{tenant}/derived-fields/{}", adult["id"].as_str().unwrap());
    let refused = problem(&app.client.delete(&path).await.unwrap(), 409);
    assert_eq!((&refused["code"], &refused["errors"][0]["ruleId"]), (&json!("would_break"), &json!(rule)));
    for patch in [json!({"active": false}), json!({"name": "grown"}), json!({"expression": "facts.age"})] {
        problem(&app.client.patch_json(&path, &patch).await.unwrap(), 409);
    }
    let forced = app.client.patch_json(&format!("{path}?onBroken=deactivate"), &json!({"active": false})).await;
    assert_eq!(body(&forced.unwrap(), 200)["deactivated"][0]["ruleName"], "adult");
    assert_eq!(app.client.delete(&path).await.unwrap().status, 204);
    assert_eq!(problem(&app.client.get(&path).await.unwrap(), 404)["code"], "derived_field_not_found");
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_derived_field_is_refused() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    create(&app, &tenant, "is_adult", "facts.age >= 18").await;
    let path = format!("/api/v1/tenants/{tenant}/derived-fields");
    for (field, status) in [
        (json!({"name": "is_adult", "expression": "true"}), 409),
        (json!({"name": "not an identifier", "expression": "true"}), 422),
        (json!({"name": "9in", "expression": "true"}), 422),
        (json!({"name": "a", "expression": "derived.a"}), 422),
        (json!({"name": "a", "expression": "facts.nothing"}), 422),
        (json!({"name": "a"}), 422),
        (json!({"name": "a", "expression": "true", "type": "bool"}), 422),
        (json!({"name": "a", "expression": "true", "description": "x".repeat(4_001)}), 422),
    ] {
        problem(&app.client.post_json(&path, &field).await.unwrap(), status);
    }
    app.stop().await;
}
