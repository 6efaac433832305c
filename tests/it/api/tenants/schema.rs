//! `/api/v1/tenants/{tenantId}/schema`.

use serde_json::{Value, json};

use crate::{
    api::{acme, body, mistakes, problem},
    support::TestApp,
};

fn definition(fields: &Value) -> Value {
    json!({ "definition": { "facts": fields } })
}

#[tokio::test]
async fn a_schema_is_made_once_and_then_versioned() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    assert_eq!(problem(&app.client.get(&path).await.unwrap(), 404)["code"], "schema_not_found");
    let first = definition(&json!({"age": "int"}));
    let made = app.client.post_json(&path, &first).await.unwrap();
    let schema = body(&made, 201);
    let location = format!("{path}/versions/1");
    assert_eq!((made.header("location"), made.header("etag")), (Some(location.as_str()), Some("\"2\"")));
    let members: Vec<_> = schema.as_object().unwrap().keys().collect();
    assert_eq!(members, ["active", "createdAt", "definition", "revision", "version"]);
    assert_eq!((&schema["version"], &schema["definition"]), (&json!(1), &first["definition"]));
    assert_eq!(problem(&app.client.post_json(&path, &first).await.unwrap(), 409)["code"], "schema_exists");

    let same = body(&app.client.put_json(&path, &first).await.unwrap(), 200);
    assert_eq!((&same["version"], &same["revision"]), (&json!(1), &json!(2)));
    let second = definition(&json!({"age": "int", "country": "string"}));
    let next = body(&app.client.put_json(&path, &second).await.unwrap(), 200);
    assert_eq!((&next["version"], &next["revision"], &next["active"]), (&json!(2), &json!(3), &json!(true)));

    let versions = body(&app.client.get(&format!("{path}/versions")).await.unwrap(), 200);
    let numbers: Vec<_> = versions["items"].as_array().unwrap().iter().map(|item| &item["version"]).collect();
    assert_eq!((numbers, &versions["revision"]), (vec![&json!(2), &json!(1)], &json!(3)));
    assert_eq!(body(&app.client.get(&location).await.unwrap(), 200)["active"], false);

    let activate = format!("{location}/activate");
    let active = body(&app.client.post_json(&activate, &json!({})).await.unwrap(), 200);
    assert_eq!((&active["version"], &active["active"], &active["revision"]), (&json!(1), &json!(true), &json!(4)));
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200)["version"], 1);
    for unknown in ["3", "0", "-1", "one", "99999999999"] {
        let answer = app.client.get(&format!("{path}/versions/{unknown}")).await.unwrap();
        assert_eq!(problem(&answer, 404)["code"], "schema_version_not_found", "{unknown}");
    }
    let missing = app.client.post_json(&format!("{path}/versions/3/activate"), &json!({})).await.unwrap();
    assert_eq!(problem(&missing, 404)["code"], "schema_version_not_found");
    app.stop().await;
}

#[tokio::test]
async fn put_makes_the_first_schema_too() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme-corp").await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let made = body(&app.client.put_json(&path, &definition(&json!({"age": "int"}))).await.unwrap(), 200);
    assert_eq!((&made["version"], &made["revision"]), (&json!(1), &json!(2)));
    app.stop().await;
}

#[tokio::test]
async fn what_a_schema_would_break_is_told_and_done_only_when_asked() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.create_rule(&tenant, "premium", "facts.is_premium").await;
    let without_age = definition(&json!({"country": "string", "is_premium": "bool"}));

    let refused = problem(&app.client.put_json(&path, &without_age).await.unwrap(), 409);
    assert_eq!(refused["code"], "would_break");
    let error = &refused["errors"][0];
    assert_eq!((&error["ruleId"], &error["ruleName"]), (&json!(rule), &json!("adult")));
    assert!(error["line"] == 1 && error["message"].is_string(), "{error}");

    let check = body(&app.client.post_json(&format!("{path}/check"), &without_age).await.unwrap(), 200);
    assert_eq!(
        (&check["valid"], &check["revision"], &check["breaksFlatCallers"]),
        (&json!(false), &json!(4), &json!(false))
    );
    assert_eq!((&check["breaks"][0]["ruleName"], &check["errors"]), (&json!("adult"), &json!([])));
    assert!(check["breaks"][0]["errors"][0]["line"] == 1, "{check}");
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200)["version"], 1);

    let forced = app.client.put_json(&format!("{path}?onBroken=deactivate"), &without_age).await.unwrap();
    let forced = body(&forced, 200);
    assert_eq!((&forced["version"], &forced["deactivated"][0]["ruleId"]), (&json!(2), &json!(rule)));
    let rule = app.client.get(&format!("/api/v1/tenants/{tenant}/rules/{rule}")).await.unwrap();
    assert_eq!(body(&rule, 200)["active"], false);

    let log = body(&app.client.get(&format!("{path}/changelog")).await.unwrap(), 200);
    let line = &log["items"][0];
    let members: Vec<_> = line.as_object().unwrap().keys().collect();
    let expected =
        ["action", "actor", "changedAt", "details", "fromVersion", "id", "rulesFailed", "rulesRecompiled", "toVersion"];
    assert_eq!(members, expected);
    assert_eq!((&line["fromVersion"], &line["toVersion"], &line["rulesFailed"]), (&json!(1), &json!(2), &json!(1)));
    assert_eq!((&line["action"], &line["actor"]), (&json!("update"), &json!("operator")));
    assert_eq!(log["items"][1]["fromVersion"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn what_a_schema_deactivated_is_listed_and_activated_again_when_asked() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let adult = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let by_hand = app.create_rule(&tenant, "by hand", "facts.age >= 21").await;
    let edited = app.create_rule(&tenant, "edited", "facts.age >= 65").await;
    let field = json!({"name": "next", "expression": "facts.age + 1"});
    let field =
        body(&app.client.post_json(&format!("/api/v1/tenants/{tenant}/derived-fields"), &field).await.unwrap(), 201);
    app.create_rule(&tenant, "soon", "derived.next >= 18").await;
    let off = app.client.patch_json(&format!("{rules}/{by_hand}"), &json!({"active": false})).await.unwrap();
    body(&off, 200);
    let first = body(&app.client.get(&path).await.unwrap(), 200)["definition"].clone();
    let without_age = definition(&json!({"country": "string", "is_premium": "bool"}));
    let forced = app.client.put_json(&format!("{path}?onBroken=deactivate"), &without_age).await.unwrap();
    let forced = body(&forced, 200);
    assert_eq!(forced["deactivated"].as_array().unwrap().len(), 4, "{forced}");
    assert!(forced["inactive"].is_null(), "what was deactivated just now is told as that: {forced}");
    let patched = app.client.patch_json(&format!("{rules}/{edited}"), &json!({"description": "old"})).await.unwrap();
    body(&patched, 200);

    let names = |answer: &Value, member: &str| -> Vec<String> {
        let items = answer[member].as_array().into_iter().flatten();
        let name = |item: &Value| item["ruleName"].as_str().or(item["fieldName"].as_str()).unwrap().to_owned();
        items.map(name).collect()
    };
    let expected = ["next", "adult", "soon"];
    let check = app.client.post_json(&format!("{path}/check"), &json!({"definition": first})).await.unwrap();
    assert_eq!(names(&body(&check, 200), "inactive"), expected);

    // As long as they do not compile, they break the change that would bring them back.
    let third = definition(&json!({"country": "string"}));
    let refused = app.client.put_json(&format!("{path}?reactivate=true"), &third).await.unwrap();
    assert_eq!(problem(&refused, 409)["code"], "would_break");
    let activate = format!("{path}/versions/1/activate");
    let activated = body(&app.client.post_json(&activate, &Value::Null).await.unwrap(), 200);
    assert_eq!(
        (names(&activated, "inactive"), names(&activated, "reactivated")),
        (expected.map(str::to_owned).to_vec(), vec![])
    );
    let activated =
        body(&app.client.post_json(&format!("{activate}?reactivate=true"), &Value::Null).await.unwrap(), 200);
    assert_eq!(
        (names(&activated, "reactivated"), names(&activated, "inactive")),
        (expected.map(str::to_owned).to_vec(), vec![])
    );
    let read = async |path: String| body(&app.client.get(&path).await.unwrap(), 200)["active"].clone();
    for (id, active) in [(&adult, true), (&by_hand, false), (&edited, false)] {
        assert_eq!(read(format!("{rules}/{id}")).await, active, "{id}");
    }
    let field = field["id"].as_str().unwrap();
    assert_eq!(read(format!("/api/v1/tenants/{tenant}/derived-fields/{field}")).await, true);
    let again = body(&app.client.post_json(&format!("{activate}?reactivate=true"), &Value::Null).await.unwrap(), 200);
    assert_eq!((&again["reactivated"], &again["inactive"]), (&Value::Null, &Value::Null));
    app.stop().await;
}

#[tokio::test]
async fn one_object_becomes_several_only_when_that_is_accepted() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let two = json!({"definition": {"facts": {"age": "int"}, "order": {"total": "double"}}});
    let check = body(&app.client.post_json(&format!("{path}/check"), &two).await.unwrap(), 200);
    assert_eq!((&check["breaksFlatCallers"], &check["valid"]), (&json!(true), &json!(false)));
    assert_eq!(problem(&app.client.put_json(&path, &two).await.unwrap(), 409)["code"], "breaks_flat_callers");
    let accepted = app.client.put_json(&format!("{path}?acceptBreaking=true"), &two).await.unwrap();
    assert_eq!(body(&accepted, 200)["version"], 2);
    app.stop().await;
}

#[tokio::test]
async fn a_schema_is_refused_with_everything_that_is_wrong_with_it() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let wrong = definition(&json!({"age": "integer", "9in": "string", "country": {"type": "string", "maxLength": -1}}));
    let refused = problem(&app.client.post_json(&path, &wrong).await.unwrap(), 422);
    let paths: Vec<_> = mistakes(&refused).into_iter().map(|(_, path)| path).collect();
    for path in ["definition.facts.age", "definition.facts[\"9in\"]", "definition.facts.country.maxLength"] {
        assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
    }
    let check = body(&app.client.post_json(&format!("{path}/check"), &wrong).await.unwrap(), 200);
    assert_eq!((&check["valid"], check["errors"].as_array().unwrap().len()), (&json!(false), paths.len()));
    for body in [json!({}), json!({"definition": []}), json!({"definition": null}), json!({"definition": {}})] {
        problem(&app.client.post_json(&path, &body).await.unwrap(), 422);
    }
    let twice = r#"{"definition":{"facts":{"age":"int","age":"string"}}}"#;
    let headers = [("content-type", "application/json")];
    let refused = app.client.request(tenet::client::Method::PUT, &path, &headers, twice).await.unwrap();
    let expected = ("duplicate_key".to_owned(), "definition.facts.age".to_owned());
    assert_eq!(mistakes(&problem(&refused, 422)), [expected]);
    app.stop().await;
}

#[tokio::test]
async fn a_field_gets_the_name_of_its_object_only_when_that_is_accepted() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"age": "int"})).await;
    let path = format!("/api/v1/tenants/{tenant}/schema");
    let bearing = json!({"definition": {"facts": {"age": "int", "facts": {"age": "int"}}}});
    let check = body(&app.client.post_json(&format!("{path}/check"), &bearing).await.unwrap(), 200);
    assert_eq!((&check["breaksNamedCallers"], &check["valid"]), (&json!(true), &json!(false)));
    assert_eq!(check["warnings"][0]["code"], "object_name_as_field");
    assert_eq!(problem(&app.client.put_json(&path, &bearing).await.unwrap(), 409)["code"], "breaks_named_callers");
    let accepted = app.client.put_json(&format!("{path}?acceptBreaking=true"), &bearing).await.unwrap();
    assert_eq!(body(&accepted, 200)["version"], 2);
    let check = body(&app.client.post_json(&format!("{path}/check"), &bearing).await.unwrap(), 200);
    assert_eq!((&check["breaksNamedCallers"], &check["valid"]), (&json!(false), &json!(true)));
    assert_eq!(check["warnings"][0]["code"], "object_name_as_field");
    app.stop().await;
}
