//! `/api/v1/tenants/{tenantId}/rules`.

use serde_json::{Value, json};

use crate::{
    api::{NOBODY, acme, body, mistakes, problem},
    support::TestApp,
};

#[tokio::test]
async fn a_rule_is_made_shown_replaced_changed_and_deleted() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let made = app.client.post_json(&rules, &json!({"name": "adult", "expression": "facts.age >= 18"})).await.unwrap();
    let rule = body(&made, 201);
    let path = format!("{rules}/{}", rule["id"].as_str().unwrap());
    assert_eq!((made.header("location"), made.header("etag")), (Some(path.as_str()), Some("\"3\"")));
    let members: Vec<_> = rule.as_object().unwrap().keys().collect();
    let expected = ["active", "createdAt", "description", "expression", "id", "name", "revision", "tags", "updatedAt"];
    assert_eq!(members, expected);
    assert_eq!((&rule["active"], &rule["tags"], &rule["revision"]), (&json!(true), &json!([]), &json!(3)));
    assert_eq!(body(&app.client.get(&path).await.unwrap(), 200), rule);

    let patch = json!({"description": "of age", "tags": ["kyc"]});
    let patched = body(&app.client.patch_json(&path, &patch).await.unwrap(), 200);
    assert_eq!((&patched["description"], &patched["expression"]), (&json!("of age"), &json!("facts.age >= 18")));
    let patched = body(&app.client.patch_json(&path, &json!({"description": null})).await.unwrap(), 200);
    assert_eq!((&patched["description"], &patched["tags"]), (&Value::Null, &json!(["kyc"])));

    let replacement = json!({"name": "grown", "expression": "facts.age >= 21", "active": false});
    let replaced = body(&app.client.put_json(&path, &replacement).await.unwrap(), 200);
    assert_eq!((&replaced["id"], &replaced["name"]), (&rule["id"], &json!("grown")));
    assert_eq!((&replaced["active"], &replaced["tags"], &replaced["revision"]), (&json!(false), &json!([]), &json!(6)));

    let deleted = app.client.delete(&path).await.unwrap();
    assert_eq!((deleted.status, deleted.header("etag")), (204, Some("\"7\"")));
    assert_eq!(problem(&app.client.get(&path).await.unwrap(), 404)["code"], "rule_not_found");
    assert_eq!(problem(&app.client.put_json(&path, &replacement).await.unwrap(), 404)["code"], "rule_not_found");
    assert_eq!(problem(&app.client.delete(&path).await.unwrap(), 404)["code"], "rule_not_found");
    app.stop().await;
}

#[tokio::test]
async fn what_is_worth_knowing_of_a_rule_is_told_when_it_is_written() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &json!({"any": "dyn", "code": "string"})).await;
    let path = format!("/api/v1/tenants/{tenant}");
    let told = |answer: &Value| -> Vec<(String, String)> {
        let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
        let word = |warning: &Value, key: &str| warning[key].as_str().unwrap_or_default().to_owned();
        warnings.iter().map(|warning| (word(warning, "code"), word(warning, "path"))).collect()
    };
    let of = |code: &str, path: &str| (code.to_owned(), path.to_owned());
    let (other, ascii) = ("1.5.isNaN()", r"facts.code.matches(r'^\d+$')");
    let made = json!({"name": "a", "expression": other, "active": false});
    let made = body(&app.client.post_json(&format!("{path}/rules"), &made).await.unwrap(), 201);
    assert_eq!(told(&made), [of("other_name", "expression")]);
    let checked = app.client.post_json(&format!("{path}/rules/check"), &json!({ "expression": other })).await.unwrap();
    let mut same = made["warnings"][0].clone();
    same.as_object_mut().unwrap().remove("path");
    assert_eq!(body(&checked, 200)["warnings"], json!([same]));
    let rule = format!("{path}/rules/{}", made["id"].as_str().unwrap());
    let patched = body(&app.client.patch_json(&rule, &json!({"expression": ascii})).await.unwrap(), 200);
    assert_eq!(told(&patched), [of("pattern_ascii", "expression")]);
    let put = json!({"name": "a", "expression": "facts.any.exists(a, facts.any.exists(b, a == b))"});
    let put = body(&app.client.put_json(&rule, &put).await.unwrap(), 200);
    assert_eq!(told(&put), [of("cost_uncertain", "expression")]);
    assert_eq!(told(&body(&app.client.get(&rule).await.unwrap(), 200)), []);

    let list = json!({"rules": [{"name": "b", "expression": "true"}, {"name": "a", "expression": ascii}]});
    let replaced = body(&app.client.put_json(&format!("{path}/rules"), &list).await.unwrap(), 200);
    assert_eq!(told(&replaced), [of("pattern_ascii", "rules[1].expression")]);
    assert_eq!(told(&body(&app.client.put_json(&format!("{path}/rules"), &list).await.unwrap(), 200)), []);
    let field = json!({"name": "digits", "expression": ascii});
    let field = body(&app.client.post_json(&format!("{path}/derived-fields"), &field).await.unwrap(), 201);
    assert_eq!(told(&field), [of("pattern_ascii", "expression")]);
    let schema = json!({"definition": {"facts": {"facts": "int", "any": "dyn", "code": "string"}}});
    let put = app.client.put_json(&format!("{path}/schema?acceptBreaking=true"), &schema).await.unwrap();
    assert_eq!(told(&body(&put, 200)), [of("object_name_as_field", "definition.facts.facts")]);
    app.stop().await;
}

#[tokio::test]
async fn an_expression_that_does_not_compile_is_refused_with_its_position() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let rule = json!({"name": "adult", "expression": "facts.age >=\n  facts.agee"});
    let refused = problem(&app.client.post_json(&rules, &rule).await.unwrap(), 422);
    assert_eq!(mistakes(&refused)[0].1, "expression");
    assert_eq!(refused["errors"][0]["line"], 2, "{refused}");
    assert!(refused["errors"][0]["column"].as_u64().is_some(), "{refused}");
    for expression in ["", "facts.age +", "1 + 1", "nothing", "facts.age >= ((18)", "\"\u{2028}\" =="] {
        let rule = json!({"name": "adult", "expression": expression});
        problem(&app.client.post_json(&rules, &rule).await.unwrap(), 422);
    }
    let list = json!({"rules": [{"name": "a", "expression": "true"}, {"name": "b", "expression": "facts.agee > 1"}]});
    let refused = problem(&app.client.put_json(&rules, &list).await.unwrap(), 422);
    assert_eq!(mistakes(&refused)[0].1, "rules[1].expression");
    assert_eq!(body(&app.client.get(&rules).await.unwrap(), 200)["items"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_name_is_unique_among_the_rules_of_a_tenant() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let again = app.client.post_json(&rules, &json!({"name": "adult", "expression": "true"})).await.unwrap();
    assert_eq!(problem(&again, 409)["code"], "name_taken");
    let other = app.create_tenant_with_schema("other", &json!({"age": "int"})).await;
    app.create_rule(&other, "adult", "facts.age >= 18").await;
    app.stop().await;
}

#[tokio::test]
async fn the_whole_list_is_replaced_at_once_and_names_keep_their_ids() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let adult = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    app.create_rule(&tenant, "old", "facts.age >= 80").await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let list = json!({"rules": [
        {"name": "premium", "expression": "facts.is_premium", "tags": ["paid"]},
        {"name": "adult", "expression": "facts.age >= 21"},
    ]});
    let replaced = body(&app.client.put_json(&rules, &list).await.unwrap(), 200);
    assert_eq!(replaced["revision"], 5);
    let items = body(&app.client.get(&rules).await.unwrap(), 200)["items"].clone();
    assert_eq!(items, replaced["items"]);
    let find = |name: &str| items.as_array().unwrap().iter().find(|rule| rule["name"] == name).cloned();
    assert_eq!(find("adult").unwrap()["id"], adult.as_str());
    assert_eq!(find("adult").unwrap()["expression"], "facts.age >= 21");
    assert!(find("premium").is_some() && find("old").is_none());
    let twice = json!({"rules": [{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]});
    let refused = app.client.put_json(&rules, &twice).await.unwrap();
    assert!(matches!(refused.status, 409 | 422), "{}", refused.text());
    app.stop().await;
}

#[tokio::test]
async fn rules_are_listed_in_creation_order_and_by_what_they_are() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    for (name, tags, active) in
        [("z-1", json!(["kyc"]), true), ("a-1", json!(["kyc", "eu"]), false), ("z-2", json!([]), true)]
    {
        let rule = json!({"name": name, "expression": "true", "tags": tags, "active": active});
        body(&app.client.post_json(&rules, &rule).await.unwrap(), 201);
    }
    let names = async |query: &str| -> Vec<String> {
        let page = body(&app.client.get(&format!("{rules}{query}")).await.unwrap(), 200);
        assert_eq!(page["revision"], 5);
        page["items"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["z-1", "a-1", "z-2"]);
    assert_eq!(names("?active=true").await, ["z-1", "z-2"]);
    assert_eq!(names("?active=false").await, ["a-1"]);
    assert_eq!(names("?tag=kyc").await, ["z-1", "a-1"]);
    assert_eq!(names("?namePrefix=z-&tag=kyc").await, ["z-1"]);
    let page = body(&app.client.get(&format!("{rules}?limit=2")).await.unwrap(), 200);
    let cursor = page["nextCursor"].as_str().unwrap();
    assert_eq!(names(&format!("?limit=2&cursor={cursor}")).await, ["z-2"]);
    app.stop().await;
}

#[tokio::test]
async fn an_expression_is_checked_and_nothing_changes() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let check = format!("/api/v1/tenants/{tenant}/rules/check");
    let good = app.client.post_json(&check, &json!({"expression": "facts.age >= 18"})).await.unwrap();
    let cost = json!({
        "units": 3, "limit": 1_000_000, "line": 1, "column": 1, "endLine": 1, "endColumn": 16, "text": "facts.age >= 18",
    });
    let expected = json!({
        "valid": true, "type": "bool", "dependencies": ["facts.age"], "errors": [], "warnings": [],
        "revision": 2, "cost": cost,
    });
    assert_eq!(body(&good, 200), expected);
    let bad = body(&app.client.post_json(&check, &json!({"expression": "facts.agee >= 18"})).await.unwrap(), 200);
    assert_eq!(bad["valid"], false);
    let other = json!({"expression": "facts.age > 1 && !1.5.isNaN()"});
    let other = body(&app.client.post_json(&check, &other).await.unwrap(), 200);
    assert_eq!((&other["valid"], &other["warnings"][0]["code"]), (&json!(true), &json!("other_name")), "{other}");
    assert_eq!(bad["errors"][0]["line"], 1, "{bad}");
    app.stop().await;
}

#[tokio::test]
async fn a_rule_that_could_cost_too_much_is_refused_with_the_part_that_does() {
    let app = TestApp::start().await;
    let schema = json!({"items": {"type": "list<int>", "maxItems": 1000}, "vip": "bool"});
    let tenant = app.create_tenant_with_schema("acme", &schema).await;
    let rules = format!("/api/v1/tenants/{tenant}/rules");
    let square = "facts.items.all(a, facts.items.all(b, a <= b))";
    let rule = json!({"name": "square", "expression": format!("facts.vip &&\n  {square}")});
    let refused = problem(&app.client.post_json(&rules, &rule).await.unwrap(), 422);
    let error = &refused["errors"][0];
    assert_eq!((&error["code"], &error["path"]), (&json!("cost_too_high"), &json!("expression")), "{refused}");
    assert_eq!((&error["line"], &error["column"], &error["text"]), (&json!(2), &json!(3), &json!(square)), "{refused}");
    assert!(error["hint"].as_str().unwrap().contains("`maxItems` of `facts.items` (now 1000)"), "{refused}");
    let check = json!({"expression": rule["expression"]});
    let checked = body(&app.client.post_json(&format!("{rules}/check"), &check).await.unwrap(), 200);
    assert_eq!((&checked["valid"], &checked["errors"][0]["code"]), (&json!(false), &json!("cost_too_high")));
    assert!(checked["cost"]["units"].as_u64() > checked["cost"]["limit"].as_u64(), "{checked}");
    app.stop().await;
}

#[tokio::test]
async fn without_a_schema_there_are_no_rules() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant("acme").await;
    let path = format!("/api/v1/tenants/{tenant}");
    let rule = json!({"name": "adult", "expression": "true"});
    for (below, request) in [
        ("/rules", rule),
        ("/rules/check", json!({"expression": "true"})),
        ("/derived-fields", json!({"name": "adult", "expression": "true"})),
        ("/evaluate", json!({"facts": {}})),
        ("/evaluate/batch", json!({"items": []})),
    ] {
        let answer = app.client.post_json(&format!("{path}{below}"), &request).await.unwrap();
        assert_eq!(problem(&answer, 409)["code"], "schema_missing", "{below}");
    }
    app.stop().await;
}

#[tokio::test]
async fn another_tenants_rule_is_as_unknown_as_none() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let rule = app.create_rule(&tenant, "adult", "facts.age >= 18").await;
    let other = app.create_tenant_with_schema("other", &json!({"age": "int"})).await;
    let mut answers = Vec::new();
    for id in [rule.as_str(), NOBODY, "no-uuid"] {
        let path = format!("/api/v1/tenants/{other}/rules/{id}");
        for answer in [
            app.client.get(&path).await.unwrap(),
            app.client.delete(&path).await.unwrap(),
            app.client.patch_json(&path, &json!({"active": false})).await.unwrap(),
            app.client.put_json(&path, &json!({"name": "a", "expression": "true"})).await.unwrap(),
        ] {
            let mut body = problem(&answer, 404);
            body.as_object_mut().unwrap().remove("requestId");
            answers.push(body);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_list_of_rules_that_names_one_twice_is_in_conflict_with_itself() {
    let app = TestApp::start().await;
    let tenant = acme(&app).await;
    let path = format!("/api/v1/tenants/{tenant}/rules");
    let rule = |name: &str| json!({"name": name, "expression": "true"});
    let list = json!({"rules": [rule("a"), rule("b"), rule("a")]});
    let refused = problem(&app.client.put_json(&path, &list).await.unwrap(), 409);
    assert_eq!(refused["code"], "name_taken");
    let paths: Vec<_> = refused["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert_eq!(paths, ["rules[0].name", "rules[2].name"]);
    app.stop().await;
}
