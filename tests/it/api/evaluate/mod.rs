//! `/api/v1/evaluate` and `/api/v1/tenants/{tenantId}/evaluate`.

mod batch;
mod standing;

use serde_json::{Value, json};

use super::{NOBODY, acme, body, mistakes, problem};
use crate::support::TestApp;

#[tokio::test]
async fn a_changed_rule_answers_differently_at_once() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let facts = json!({"age": 25, "country": "US", "is_premium": true});
    let decision = app.evaluate(&tenant, &facts).await;
    let members: Vec<_> = decision.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["evaluatedAt", "evaluationTimeMs", "results", "revision", "schemaVersion", "stale", "tenantId"]
    );
    assert_eq!((&decision["tenantId"], &decision["revision"]), (&json!(tenant), &json!(3)));
    assert_eq!((&decision["schemaVersion"], &decision["stale"]), (&json!(1), &json!(false)));
    let expected = json!([{"ruleId": rule, "ruleName": "adult", "matched": true, "error": null}]);
    assert_eq!(decision["results"], expected);
    let path = format!("/api/v1/tenants/{tenant}/rules/{rule}");
    body(&app.client.patch_json(&path, &json!({"expression": "facts.age >= 30"})).await.unwrap(), 200);
    let decision = app.evaluate(&tenant, &facts).await;
    assert_eq!((&decision["revision"], &decision["results"][0]["matched"]), (&json!(4), &json!(false)));
    app.stop().await;
}

#[tokio::test]
async fn rules_are_chosen_by_id_and_by_tag() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let mut ids = Vec::new();
    for (name, tags, active) in [("a", json!(["x"]), true), ("b", json!(["y"]), true), ("c", json!(["x"]), false)] {
        let rule = json!({"name": name, "expression": "facts.age >= 18", "tags": tags, "active": active});
        let made = body(&app.client.post_json(&rules, &rule).await.unwrap(), 201);
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let evaluate = format!("/api/v1/tenants/{tenant}/evaluate");
    let outcome = async |options: Value| -> Vec<(Value, Value)> {
        let mut request = json!({"facts": {"age": 25}});
        request.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let decision = body(&app.client.post_json(&evaluate, &request).await.unwrap(), 200);
        let results = decision["results"].as_array().unwrap();
        results.iter().map(|result| (result["ruleName"].clone(), result["error"]["code"].clone())).collect()
    };
    let answered = |name: &str| (json!(name), Value::Null);
    assert_eq!(outcome(json!({})).await, [answered("a"), answered("b")]);
    assert_eq!(
        outcome(json!({"rules": [ids[1], ids[0], ids[1]]})).await,
        [answered("b"), answered("a"), answered("b")]
    );
    let strange = outcome(json!({"rules": [NOBODY, ids[2], "no-uuid"]})).await;
    let unknown = (Value::Null, json!("rule_not_found"));
    assert_eq!(strange, [unknown.clone(), (json!("c"), json!("rule_inactive")), unknown]);
    assert_eq!(outcome(json!({"tags": ["y", "z"]})).await, [answered("b")]);
    assert_eq!(outcome(json!({"tags": ["z"]})).await, []);
    assert_eq!(outcome(json!({"tags": ["x"], "rules": [ids[1], ids[0]]})).await, [answered("a")]);
    app.stop().await;
}

#[tokio::test]
async fn a_failing_rule_says_why_and_the_others_run() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"a": "int", "b": "int"})).await;
    app.create_rule(&tenant, "ratio", "true &&\n facts.a / facts.b > 1").await;
    app.create_rule(&tenant, "large", "facts.a > 5").await;
    app.create_rule(&tenant, "small", "facts.a < 5").await;
    let decision = app.evaluate(&tenant, &json!({"a": 10, "b": 0})).await;
    let failed = &decision["results"][0];
    assert_eq!((&failed["matched"], &failed["error"]["line"]), (&json!(false), &json!(2)), "{failed}");
    assert!(failed["error"]["code"].is_string() && failed["error"]["column"].is_u64(), "{failed}");
    assert_eq!(decision["results"][1]["matched"], true);
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let request = json!({"facts": {"a": 10, "b": 0}, "return": "matched"});
    let matched = body(&app.client.post_json(&path, &request).await.unwrap(), 200);
    let names: Vec<_> = matched["results"].as_array().unwrap().iter().map(|result| &result["ruleName"]).collect();
    assert_eq!(names, ["ratio", "large"]);
    assert_eq!((&matched["evaluated"], &matched["matchedCount"]), (&json!(3), &json!(1)));
    app.stop().await;
}

#[tokio::test]
async fn a_trace_shows_each_part_and_names_unknown_facts() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let request = json!({"facts": {"age": 25, "shoe": 43}, "trace": true});
    let decision = body(&app.client.post_json(&path, &request).await.unwrap(), 200);
    let trace = decision["results"][0]["trace"].as_array().unwrap();
    assert!(trace.iter().any(|part| part["text"] == "facts.age" && part["value"] == 25), "{decision}");
    assert_eq!(
        (&decision["warnings"][0]["code"], &decision["warnings"][0]["path"]),
        (&json!("unknown_fact"), &json!("facts.shoe"))
    );
    let request = json!({"facts": {"age": 25, "shoe": 43}, "strictFacts": true});
    let refused = problem(&app.client.post_json(&path, &request).await.unwrap(), 422);
    assert_eq!(mistakes(&refused)[0].1, "facts.shoe");
    app.stop().await;
}

#[tokio::test]
async fn facts_that_no_object_holds_are_told_always() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let schema = json!({"definition": {"user": {"age": "int"}, "order": {"total": "double"}}});
    body(&app.client.post_json(&format!("/api/v1/tenants/{tenant}/schema"), &schema).await.unwrap(), 201);
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let warnings =
        async |request: Value| body(&app.client.post_json(&path, &request).await.unwrap(), 200)["warnings"].clone();
    let flat = warnings(json!({"facts": {"age": 20, "order": {"x": 1}}})).await;
    let expected = json!([{
        "code": "unknown_fact", "path": "facts.age", "message": "the schema does not declare this object; it is ignored",
        "hint": "send each fact under its object: `order`, `user`",
    }]);
    assert_eq!(flat, expected);
    assert_eq!(warnings(json!({"facts": {"user": {"age": 20}, "order": {"x": 1}}})).await, Value::Null);
    let traced = warnings(json!({"facts": {"age": 20, "order": {"x": 1}}, "trace": true})).await;
    assert_eq!((&traced[0], &traced[1]["path"]), (&expected[0], &json!("facts.order.x")));
    let batch = json!({"items": [{"facts": {"age": 20}}, {"facts": {"user": {"age": 20}}}]});
    let items = body(&app.client.post_json(&format!("{path}/batch"), &batch).await.unwrap(), 200)["items"].clone();
    assert_eq!((&items[0]["warnings"], &items[1]["warnings"]), (&expected, &Value::Null));
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_may_refuse_unknown_facts_unless_a_request_says_otherwise() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let unknown = json!({"age": 25, "shoe": 43});
    let sent = async |more: Value| {
        let mut request = json!({ "facts": unknown });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.client.post_json(&format!("{path}/evaluate"), &request).await.unwrap().status
    };
    assert_eq!((sent(json!({})).await, sent(json!({"strictFacts": true})).await), (200, 422));
    let changed = body(&app.client.patch_json(&path, &json!({"strictFacts": true})).await.unwrap(), 200);
    assert_eq!((&changed["strictFacts"], &changed["revision"]), (&json!(true), &json!(4)));
    assert_eq!((sent(json!({})).await, sent(json!({"strictFacts": false})).await), (422, 200));

    let tried = json!({"expression": "facts.age", "items": [{ "facts": unknown }]});
    let tried = body(&app.client.post_json(&format!("{path}/rules/try"), &tried).await.unwrap(), 200);
    assert_eq!(tried["items"][0]["error"]["errors"][0]["code"], "unknown_fact", "{tried}");
    let items = json!({"items": [{ "facts": unknown }, {"facts": {"age": 25}}]});
    let batch = body(&app.client.post_json(&format!("{path}/evaluate/batch"), &items).await.unwrap(), 200);
    assert_eq!(batch["items"][0]["error"]["errors"][0]["path"], "facts.shoe", "{batch}");
    assert_eq!(batch["items"][1]["results"][0]["matched"], true);
    let event = app.client.post_json(&format!("{path}/events"), &json!({ "facts": unknown })).await.unwrap();
    assert_eq!(mistakes(&problem(&event, 422))[0].1, "facts.shoe");

    let log = body(&app.client.get(&format!("{path}/audit?action=tenant.change")).await.unwrap(), 200);
    let told = |strict: bool| json!({"name": "acme-corp", "strictFacts": strict});
    assert_eq!((&log["items"][0]["before"], &log["items"][0]["after"]), (&told(false), &told(true)), "{log}");
    app.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_derived_field_that_reads_it() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let field = json!({"name": "adult", "expression": "facts.age >= 18"});
    body(&app.client.post_json(&format!("/api/v1/tenants/{tenant}/derived-fields"), &field).await.unwrap(), 201);
    app.create_rule(&tenant, "adult", "derived.adult").await;
    app.create_rule(&tenant, "old", "facts.age > 65").await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let decision = body(&app.client.post_json(&path, &json!({"facts": {}, "trace": true})).await.unwrap(), 200);
    for (place, derived) in [(0, json!("derived.adult")), (1, Value::Null)] {
        let result = &decision["results"][place];
        let error = &result["error"];
        assert_eq!((&error["code"], &error["missing"]), (&json!("no_such_field"), &json!("facts.age")), "{decision}");
        assert_eq!(error["derivedField"], derived, "{decision}");
        let mut trace = result["trace"].as_array().unwrap().iter();
        assert!(trace.any(|part| part["missing"] == "facts.age" && part["decided"] == true), "{decision}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_revision_that_is_not_reached_in_time_is_told() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let ask = async |revision: Value| {
        app.client.post_json(&path, &json!({"facts": {}, "minRevision": revision})).await.unwrap()
    };
    body(&ask(json!(2)).await, 200);
    let late = problem(&ask(json!(3)).await, 503);
    assert_eq!((&late["code"], &late["currentRevision"]), (&json!("revision_not_reached"), &json!(2)));
    for revision in [json!(0), json!(-1), json!(1.5), json!("2")] {
        let refused = problem(&ask(revision).await, 422);
        assert_eq!(mistakes(&refused)[0].1, "minRevision");
    }
    app.stop().await;
}

#[tokio::test]
async fn facts_that_do_not_fit_are_refused_with_their_path() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let send = async |text: &str| {
        let headers = [("content-type", "application/json")];
        app.client.request(tenet::client::Method::POST, &path, &headers, text.to_owned()).await.unwrap()
    };
    for (text, at) in [
        (r#"{"facts":{"age":"25"}}"#, "facts.age"),
        (r#"{"facts":{"age":25.5}}"#, "facts.age"),
        (r#"{"facts":{"age":1,"age":2}}"#, "facts.age"),
        (r#"{"facts":{"country":"\u0000"}}"#, "facts.country"),
        (r#"{"facts":{"other":{"a":["\u0000"]}}}"#, "facts.other.a[0]"),
        (r#"{"facts":[]}"#, "facts"),
        (r#"{"facts":null}"#, "facts"),
        (r#"{}"#, "facts"),
        (r#"{"facts":{},"fact":{}}"#, "fact"),
        (r#"{"facts":{},"tenantId":"x"}"#, "tenantId"),
        (r#"{"facts":{},"rules":["a",1]}"#, "rules[1]"),
        (r#"{"facts":{},"return":"some"}"#, "return"),
        (r#"{"facts":{},"facts":{}}"#, "facts"),
    ] {
        assert_eq!(mistakes(&problem(&send(text).await, 422))[0].1, at, "{text}");
    }
    let deep = format!(r#"{{"facts":{{"other":{}{}}}}}"#, "[".repeat(1_000), "]".repeat(1_000));
    assert_eq!(problem(&send(&deep).await, 400)["code"], "json_too_deep");
    for broken in [r#"{"facts":{"country":"\ud800"}}"#, r#"{"facts":{"#, r#"{"facts":{}} x"#, ""] {
        assert_eq!(problem(&send(broken).await, 400)["code"], "malformed_json", "{broken}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_tenant_is_named_in_the_body_or_in_the_path() {
    let app = TestApp::start().await;
    let send = async |body: Value| app.client.post_json("/api/v1/evaluate", &body).await.unwrap();
    assert_eq!(mistakes(&problem(&send(json!({"facts": {}})).await, 422))[0].1, "tenantId");
    for id in [NOBODY, "no-uuid", ""] {
        assert_eq!(problem(&send(json!({"facts": {}, "tenantId": id})).await, 404)["code"], "tenant_not_found");
    }
    assert_eq!(mistakes(&problem(&send(json!({"facts": {}, "tenantId": 7})).await, 422))[0].1, "tenantId");
    app.stop().await;
}

#[tokio::test]
async fn a_decision_has_the_time_that_is_asked_for_or_the_current_one() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"n": "int"})).await;
    let rule = json!({"name": "this year", "expression": "now.getFullYear() == 2020"});
    body(&app.client.post_json(&format!("/api/v1/tenants/{tenant}/rules"), &rule).await.unwrap(), 201);
    let evaluate = format!("/api/v1/tenants/{tenant}/evaluate");
    let then = json!({"facts": {}, "at": "2020-02-29T12:00:00.5+01:00"});
    let then = body(&app.client.post_json(&evaluate, &then).await.unwrap(), 200);
    assert_eq!(
        (&then["evaluatedAt"], &then["results"][0]["matched"]),
        (&json!("2020-02-29T11:00:00.500Z"), &json!(true))
    );
    let now = body(&app.client.post_json(&evaluate, &json!({"facts": {}})).await.unwrap(), 200);
    let at: chrono::DateTime<chrono::Utc> = now["evaluatedAt"].as_str().unwrap().parse().unwrap();
    assert!((chrono::Utc::now() - at).num_seconds().abs() < 60 && now["results"][0]["matched"] == false, "{now}");
    let batch = json!({"items": [{"facts": {}}, {"facts": {}}], "at": "2020-01-01T00:00:00Z"});
    let batch = body(&app.client.post_json(&format!("{evaluate}/batch"), &batch).await.unwrap(), 200);
    assert_eq!(
        (&batch["evaluatedAt"], &batch["items"][1]["results"][0]["matched"]),
        (&json!("2020-01-01T00:00:00Z"), &json!(true))
    );
    let wrong = app.client.post_json(&evaluate, &json!({"facts": {}, "at": "yesterday"})).await.unwrap();
    let wrong = problem(&wrong, 422);
    assert_eq!((&wrong["errors"][0]["code"], &wrong["errors"][0]["path"]), (&json!("invalid_value"), &json!("at")));
    app.stop().await;
}
