//! Deciding again what was decided.

use serde_json::{Value, json};
use tenet::client::Method;

use super::{Decisions, body, mistakes, problem, send};
use crate::support::{Node, proof_size, scope};

impl Decisions {
    async fn replay(&self, id: &str, with: &Value) -> Value {
        body(&self.post(&format!("decisions/{id}/replay"), with).await, 200)
    }

    async fn change_rule(&self, rule: &str, patch: &Value) {
        body(&send(&self.app.client, Method::PATCH, &self.path(&format!("rules/{rule}")), &[], patch).await, 200);
    }
}

#[tokio::test]
async fn a_decision_is_made_again_by_the_rules_of_then_of_now_and_of_any_revision_between() {
    let of = Decisions::start().await;
    let id = of.durable(&json!({"age": 20, "country": "US"})).await;
    of.change_rule(&of.rule, &json!({"expression": "facts.age >= 21"})).await;
    let second = of.app.create_rule(&of.tenant, "us", "facts.country == 'US'").await;
    let same = json!({"revision": 3, "exact": true, "because": null, "same": true, "differences": []});
    assert_eq!(of.replay(&id, &json!({})).await, same);
    assert_eq!(of.replay(&id, &json!({"revision": 3})).await, same);
    let adult = json!({"ruleId": of.rule, "then": true, "now": false, "errorThen": null, "errorNow": null});
    let us = json!({"ruleId": second, "then": false, "now": true, "errorThen": null, "errorNow": null});
    let at_four = of.replay(&id, &json!({"revision": 4})).await;
    assert_eq!(
        (&at_four["exact"], &at_four["same"], &at_four["differences"]),
        (&json!(true), &json!(false), &json!([adult]))
    );
    let now = of.replay(&id, &json!({"revision": "current"})).await;
    assert_eq!((&now["revision"], &now["differences"]), (&json!(5), &json!([adult, us])));
    for wrong in [json!({"revision": 6}), json!({"revision": 0}), json!({"revision": "x"}), json!({"revision": 1.5})] {
        let refused = problem(&of.post(&format!("decisions/{id}/replay"), &wrong).await, 422);
        assert_eq!(mistakes(&refused)[0].1, "revision", "{refused}");
    }
}

#[tokio::test]
async fn what_a_replay_cannot_show_for_certain_it_says() {
    let of = Decisions::start().await;
    let event = of.event(&json!({"facts": {"age": 20, "tax": "canary"}})).await;
    let exact = of.replay(&event, &json!({})).await;
    assert_eq!((&exact["exact"], &exact["same"]), (&json!(true), &json!(true)), "an event has all its facts");
    let sensitive = of.durable(&json!({"age": 20, "tax": "x"})).await;
    let told = of.replay(&sensitive, &json!({})).await;
    assert_eq!(
        (&told["exact"], &told["because"], &told["same"]),
        (&json!(false), &json!("sensitive_facts_left_out"), &json!(true))
    );
    of.configure(&json!({"mode": "off", "facts": false})).await;
    let without = of.durable(&json!({"age": 20})).await;
    let told = of.replay(&without, &json!({})).await;
    assert_eq!(
        (&told["exact"], &told["because"], &told["same"]),
        (&json!(false), &json!("facts_not_stored"), &json!(null))
    );
    of.configure(&json!({"mode": "off"})).await;
    let kept = of.durable(&json!({"age": 20, "country": "US"})).await;
    let schema = json!({"definition": {"facts": {"age": "int", "country": "int"}}});
    body(&of.put("schema", &schema).await, 200);
    let told = of.replay(&kept, &json!({"revision": "current"})).await;
    assert_eq!(
        (&told["exact"], &told["because"], &told["same"]),
        (&json!(false), &json!("facts_refused"), &json!(null))
    );
    assert_eq!(of.replay(&kept, &json!({})).await["exact"], true);
    let mut owner = super::recording::owner(&of).await;
    let change = "update rule_history set expression = 'false'; update decisions set rule_set_hash = null where id = '";
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{change}{event}'"))).execute(&mut owner).await.unwrap();
    of.app.create_rule(&of.tenant, "more", "true").await;
    let node = Node::start(of.app.database_url()).await;
    let tenant = of.tenant.parse().unwrap();
    let mut told = Vec::new();
    for id in [&kept, &event] {
        let decision = node.store.decision(scope(tenant), id.parse().unwrap()).await.unwrap().unwrap();
        let replayed = node.engine.replay(scope(tenant), decision, tenet::engine::ReplayWith::TheSame).await.unwrap();
        told.push(replayed.because.map(tenet::engine::Inexact::name));
    }
    assert_eq!(told, [Some("rules_differ"), Some("rules_not_known")]);
    sqlx::raw_sql("delete from revision_notes where revision < 5").execute(&mut owner).await.unwrap();
    node.engine.stop().await;
    let node = Node::start(of.app.database_url()).await;
    let decision = node.store.decision(scope(tenant), kept.parse().unwrap()).await.unwrap().unwrap();
    assert!(node.engine.replay(scope(tenant), decision, tenet::engine::ReplayWith::TheSame).await.is_ok());
    let decision = node.store.decision(scope(tenant), event.parse().unwrap()).await.unwrap().unwrap();
    let expired = node.engine.replay(scope(tenant), decision, tenet::engine::ReplayWith::TheSame).await;
    assert!(matches!(expired, Err(tenet::engine::Error::RevisionExpired)));
    node.engine.stop().await;
}

#[tokio::test]
async fn what_a_revision_held_that_was_forgotten_is_gone() {
    let of = Decisions::start().await;
    let id = of.durable(&json!({"age": 20})).await;
    of.app.create_rule(&of.tenant, "more", "true").await;
    let mut owner = super::recording::owner(&of).await;
    sqlx::raw_sql("delete from revision_notes where revision = 3").execute(&mut owner).await.unwrap();
    let gone = of.post(&format!("decisions/{id}/replay"), &json!({})).await;
    assert_eq!(problem(&gone, 410)["code"], "revision_expired");
    assert_eq!(of.replay(&id, &json!({"revision": "current"})).await["exact"], true);
}

/// Changes of all kinds: a rule more, one changed, one gone, derived fields, and versions of the schema.
async fn change(of: &Decisions, turn: usize) {
    let name = format!("r{turn}");
    match turn % 5 {
        0 => drop(of.app.create_rule(&of.tenant, &name, &format!("facts.age % 7 == {}", turn % 7)).await),
        1 => of.change_rule(&of.rule, &json!({"expression": format!("100 / (facts.age - {turn}) > 2")})).await,
        2 => {
            let field = json!({"name": format!("f{turn}"), "expression": format!("facts.age * {turn}")});
            body(&of.post("derived-fields", &field).await, 201);
            of.app.create_rule(&of.tenant, &name, &format!("derived.f{turn} % 3 == 0")).await;
        }
        3 => {
            let mut fields = json!({"age": "int", "country": "string", "tax": {"type": "string", "sensitive": true}});
            fields[format!("n{turn}")] = json!("string");
            body(&of.put("schema", &json!({"definition": {"facts": fields}})).await, 200);
        }
        _ => {
            let rules = of.get("rules?limit=200").await["items"].as_array().unwrap().clone();
            let rule = rules.iter().map(|rule| rule["id"].as_str().unwrap()).find(|rule| *rule != of.rule).unwrap();
            let path = of.path(&format!("rules/{rule}"));
            assert_eq!(send(&of.app.client, Method::DELETE, &path, &[], &Value::Null).await.status, 204);
        }
    }
}

#[tokio::test]
async fn every_exact_replay_is_equal_over_many_revisions_on_another_node_and_when_all_rules_are_gone() {
    let of = Decisions::start().await;
    of.configure(&json!({"mode": "all"})).await;
    let (revisions, each) = (proof_size(15, 50), proof_size(20, 400));
    for turn in 0..revisions {
        let items: Vec<Value> = (0..each)
            .map(|item| {
                let mut facts = json!({"age": (turn * 31 + item * 17) % 120, "country": "US"});
                if item % 10 == 0 {
                    facts["tax"] = json!("x");
                }
                json!({ "facts": facts })
            })
            .collect();
        body(&of.post("evaluate/batch", &json!({ "items": items })).await, 200);
        change(&of, turn).await;
    }
    body(&of.put("rules", &json!({"rules": []})).await, 200);
    let mut owner = super::recording::owner(&of).await;
    let total = i64::try_from(revisions * each).unwrap();
    crate::support::within(super::SOON, "stored", async || {
        let stored: i64 = sqlx::query_scalar("select count(*) from decisions").fetch_one(&mut owner).await.unwrap();
        stored == total
    })
    .await;
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("select id from decisions order by revision, id").fetch_all(&mut owner).await.unwrap();
    // It knows nothing but the database, as after a restart.
    let node = Node::start(of.app.database_url()).await;
    let tenant = of.tenant.parse().unwrap();
    let (mut exact, mut told) = (0, 0);
    for id in ids {
        let decision = node.store.decision(scope(tenant), id).await.unwrap().unwrap();
        told += decision.matched.len() + decision.error_count();
        let replayed = node.engine.replay(scope(tenant), decision, tenet::engine::ReplayWith::TheSame).await.unwrap();
        match replayed.because {
            None => {
                exact += 1;
                assert_eq!(replayed.differences, Some(Vec::new()), "{id}");
            }
            Some(because) => assert_eq!(because.name(), "sensitive_facts_left_out"),
        }
    }
    assert_eq!(exact, total * 9 / 10);
    assert!(told > revisions * each / 4, "{told}");
    node.engine.stop().await;
}
