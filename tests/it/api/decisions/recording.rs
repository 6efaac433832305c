//! What of evaluations is recorded.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::Method;

use super::{Decisions, SOON, body, mistakes, problem, send};
use crate::support::{Node, TestApp, within};

/// A connection as the owner of the database.
pub async fn owner(of: &Decisions) -> PgConnection {
    PgConnection::connect(of.app.database_url()).await.unwrap()
}

impl Decisions {
    async fn is_recorded(&self, count: usize) {
        within(SOON, "recorded", async || self.items("?limit=200").await.len() == count).await;
    }

    /// The sum of all series of a metric.
    async fn metric(&self, name: &str) -> u64 {
        let text = self.app.client.get("/metrics").await.unwrap().text().to_string();
        let of = |line: &str| line.split(['{', ' ']).next() == Some(name);
        text.lines().filter(|line| of(line)).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

#[tokio::test]
async fn nothing_is_recorded_until_it_is_asked_for() {
    let of = Decisions::start().await;
    let log = of.get("config/decision-log").await;
    assert_eq!(log, json!({"mode": "off", "sampleRate": 0.01, "facts": true, "errorsAlways": true}));
    assert_eq!(of.evaluate(&json!({"age": 7})).await["decisionId"], Value::Null);
    of.configure(&json!({"mode": "all"})).await;
    let id = of.evaluate(&json!({"age": 7})).await["decisionId"].clone();
    of.is_recorded(1).await;
    assert_eq!(of.items("").await[0]["id"], id);
    of.configure(&json!({"mode": "off"})).await;
    assert_eq!(of.evaluate(&json!({"age": 7})).await["decisionId"], Value::Null);
}

#[tokio::test]
async fn what_is_recorded_is_a_setting_a_revision_and_in_the_audit_log() {
    let of = Decisions::start().await;
    let answer = of.put("config/decision-log", &json!({"mode": "sample", "sampleRate": 0.25, "facts": false})).await;
    let set = json!({"mode": "sample", "sampleRate": 0.25, "facts": false, "errorsAlways": true});
    assert_eq!((body(&answer, 200), answer.header("etag")), (set.clone(), Some("\"4\"")));
    assert_eq!(of.get("config/decision-log").await, set);
    let audit = of.get("audit?limit=1").await;
    let line = &audit["items"][0];
    assert_eq!((&line["action"], &line["after"]["decisionLog"]), (&json!("tenant.change"), &set), "{line}");
    for (wrong, path) in [
        (json!({}), "mode"),
        (json!({"mode": "some"}), "mode"),
        (json!({"mode": "all", "sampleRate": 0}), "sampleRate"),
        (json!({"mode": "all", "sampleRate": 1.5}), "sampleRate"),
        (json!({"mode": "all", "more": 1}), "more"),
    ] {
        let refused = problem(&of.put("config/decision-log", &wrong).await, 422);
        assert_eq!(mistakes(&refused)[0].1, path, "{refused}");
    }
    let stale = send(
        &of.app.client,
        Method::PUT,
        &of.path("config/decision-log"),
        &[("if-match", "\"3\"")],
        &json!({"mode": "all"}),
    )
    .await;
    assert_eq!(stale.status, 412);
}

#[tokio::test]
async fn a_batch_and_a_stream_are_recorded_item_by_item() {
    let of = Decisions::start().await;
    of.configure(&json!({"mode": "all"})).await;
    let items = json!({"items": [{"facts": {"age": 1}}, {"facts": {"age": "x"}}, {"facts": {"age": 20}}]});
    let answer = body(&of.post("evaluate/batch", &items).await, 200);
    let id = |at: usize| answer["items"][at]["decisionId"].as_str().map(str::to_owned);
    assert!(id(0).is_some() && id(1).is_none() && id(2).is_some(), "{answer}");
    let lines = b"{\"facts\":{\"age\":3}}\n{\"facts\":{\"age\":4}}\n".to_vec();
    let headers = [("content-type", "application/x-ndjson")];
    let stream = of.app.client.request(Method::POST, &of.path("evaluate/batch"), &headers, lines).await.unwrap();
    assert_eq!(stream.text().matches("decisionId").count(), 2, "{}", stream.text());
    of.is_recorded(4).await;
    let first = of.get(&format!("decisions/{}", id(0).unwrap())).await;
    assert_eq!(first["facts"], json!({"age": 1}));
}

#[tokio::test]
async fn selected_rules_and_large_facts_and_facts_not_kept_are_told() {
    let of = Decisions::start().await;
    let asked = json!({"facts": {"age": 20}, "rules": ["adult"], "record": "durable"});
    let id = body(&of.post("evaluate", &asked).await, 200)["decisionId"].as_str().unwrap().to_owned();
    assert_eq!(of.get(&format!("decisions/{id}")).await["selection"], json!({"rules": ["adult"], "tags": null}));
    let large = of.durable(&json!({"age": 20, "notes": vec!["x".repeat(4_000); 10]})).await;
    let shown = of.get(&format!("decisions/{large}")).await;
    assert_eq!((&shown["facts"], &shown["factsLeftOut"]), (&json!(null), &json!("too_large")));
    of.configure(&json!({"mode": "off", "facts": false})).await;
    let without = of.durable(&json!({"age": 20})).await;
    let shown = of.get(&format!("decisions/{without}")).await;
    assert_eq!((&shown["facts"], &shown["factsLeftOut"]), (&json!(null), &json!("not_kept")));
}

#[tokio::test]
async fn sensitive_facts_of_evaluations_are_in_no_table_and_no_answer() {
    let of = Decisions::start().await;
    of.app.create_rule(&of.tenant, "failing", "int(facts.tax) > 1").await;
    of.configure(&json!({"mode": "all"})).await;
    let facts = json!({"age": 20, "tax": "canary-tax", "undeclared": "canary-undeclared"});
    let id = of.durable(&facts).await;
    of.evaluate(&json!({ "facts": facts })).await;
    of.is_recorded(2).await;
    let shown = of.get(&format!("decisions/{id}")).await;
    assert_eq!((&shown["facts"], &shown["factsLeftOut"]), (&json!({"age": 20}), &json!("sensitive")));
    let replay = of.post(&format!("decisions/{id}/replay"), &json!({})).await;
    let export = of.app.client.get(&of.path("decisions/export")).await.unwrap();
    for text in [shown.to_string(), replay.text().to_string(), export.text().to_string()] {
        assert!(!text.contains("canary"), "{text}");
    }
    let mut owner = owner(&of).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c where c.relkind in ('r', 'p') and not c.relispartition
            and c.relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let sql = format!("select count(*) from {table} t where t::text like '%canary%'");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut owner).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test]
async fn a_sample_and_all_errors_are_recorded() {
    let of = Decisions::start().await;
    of.app.create_rule(&of.tenant, "failing", "1 / facts.age > 0").await;
    of.configure(&json!({"mode": "sample", "sampleRate": 0.000001})).await;
    for _ in 0..30 {
        of.evaluate(&json!({"age": 5})).await;
    }
    let failed = of.evaluate(&json!({"age": 0})).await["decisionId"].clone();
    of.is_recorded(1).await;
    assert_eq!(of.items("").await[0]["id"], failed);
    of.configure(&json!({"mode": "sample", "sampleRate": 0.000001, "errorsAlways": false})).await;
    assert_eq!(of.evaluate(&json!({"age": 0})).await["decisionId"], Value::Null);
}

#[tokio::test]
async fn beyond_its_quota_a_tenants_evaluations_are_counted_as_dropped_and_durable_ones_refused() {
    let of = Decisions::start().await;
    of.configure(&json!({"mode": "all"})).await;
    let quotas = json!({"quotas": {"decisionLogRows": 3}});
    body(&send(&of.app.client, Method::PATCH, &format!("/api/v1/tenants/{}", of.tenant), &[], &quotas).await, 200);
    let mut recorded = 0;
    for _ in 0..5 {
        recorded += usize::from(of.evaluate(&json!({"age": 5})).await["decisionId"].is_string());
    }
    assert_eq!(recorded, 3);
    of.is_recorded(3).await;
    assert_eq!(
        (of.metric("tenet_decisions_recorded_total").await, of.metric("tenet_decisions_dropped_total").await),
        (3, 2)
    );
    let refused = of.post("evaluate", &json!({"facts": {"age": 5}, "record": "durable"})).await;
    assert_eq!(problem(&refused, 503)["code"], "decision_not_recorded");
}

#[tokio::test]
async fn while_the_database_does_not_take_them_evaluations_go_on_and_none_is_lost() {
    let of = Decisions::start().await;
    of.configure(&json!({"mode": "all"})).await;
    of.evaluate(&json!({"age": 5})).await;
    of.is_recorded(1).await;
    let mut owner = owner(&of).await;
    sqlx::raw_sql("begin; lock table decisions in exclusive mode").execute(&mut owner).await.unwrap();
    for age in 0..20 {
        assert!(of.evaluate(&json!({"age": age})).await["decisionId"].is_string());
    }
    let refused = of.post("evaluate", &json!({"facts": {"age": 5}, "record": "durable"})).await;
    assert_eq!(problem(&refused, 503)["code"], "decision_not_recorded");
    sqlx::raw_sql("rollback").execute(&mut owner).await.unwrap();
    // The durable one, of which nothing was certain, among them.
    of.is_recorded(22).await;
    assert_eq!(of.metric("tenet_decisions_dropped_total").await, 0);
}

#[tokio::test]
async fn a_node_that_stops_stores_what_it_took() {
    let of = Decisions::on(TestApp::start().await).await;
    of.configure(&json!({"mode": "all"})).await;
    for age in 0..50 {
        of.evaluate(&json!({"age": age})).await;
    }
    let mut owner = owner(&of).await;
    let Decisions { app, .. } = of;
    let database = app.stop_and_keep_database().await;
    let stored: i64 = sqlx::query_scalar("select count(*) from decisions").fetch_one(&mut owner).await.unwrap();
    assert_eq!(stored, 50);
    drop(database);
}

#[tokio::test]
async fn evaluations_are_deleted_when_they_are_kept_no_longer_and_with_their_tenant() {
    let of = Decisions::start().await;
    let kept = of.durable(&json!({"age": 5})).await;
    let gone = of.app.create_tenant_with_schema("globex", &json!({"age": "int"})).await;
    let asked = json!({"facts": {"age": 5}, "record": "durable"});
    let path = format!("/api/v1/tenants/{gone}");
    body(&send(&of.app.client, Method::POST, &format!("{path}/evaluate"), &[], &asked).await, 200);
    assert_eq!(send(&of.app.client, Method::DELETE, &path, &[], &Value::Null).await.status, 204);
    let mut owner = owner(&of).await;
    // As if one was made eight days ago, when there were partitions for that.
    sqlx::raw_sql(
        "create table decisions_before partition of decisions
            for values from (tenet_event_floor(date_trunc('day', now(), 'UTC') - interval '10 days'))
            to (tenet_event_floor(date_trunc('day', now(), 'UTC') - interval '1 day'));
         insert into decisions (tenant_id, id, source, revision, schema_version, evaluated_at)
         select tenant_id, tenet_event_floor(now() - interval '8 days'), source, revision, schema_version, evaluated_at
         from decisions where tenant_id in (select id from tenants)",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    assert_eq!(of.items("").await.len(), 1, "what is too old is not shown");
    // A node looks for it when it starts.
    let node = Node::start(of.app.database_url()).await;
    within(SOON, "deleted", async || {
        let left: Vec<uuid::Uuid> = sqlx::query_scalar("select id from decisions").fetch_all(&mut owner).await.unwrap();
        let logs: i64 = sqlx::query_scalar("select count(*) from decision_logs").fetch_one(&mut owner).await.unwrap();
        left == [kept.parse::<uuid::Uuid>().unwrap()] && logs == 1
    })
    .await;
    node.engine.stop().await;
}

#[tokio::test]
async fn of_more_than_can_be_stored_every_evaluation_is_stored_or_counted_as_dropped() {
    let of = Decisions::start().await;
    of.configure(&json!({"mode": "all"})).await;
    let mut locker = owner(&of).await;
    sqlx::raw_sql("begin; lock table decisions in exclusive mode").execute(&mut locker).await.unwrap();
    let items: Vec<Value> = (0..1_000).map(|age| json!({"facts": {"age": age % 100}})).collect();
    let batch = json!({ "items": items });
    let mut taken = 0;
    for _ in 0..60 {
        let answer = of.post("evaluate/batch", &batch).await;
        assert_eq!(answer.status, 200);
        taken += answer.text().matches("decisionId").count();
    }
    assert!((49_000..55_000).contains(&taken), "{taken}");
    sqlx::raw_sql("rollback").execute(&mut locker).await.unwrap();
    within(SOON * 3, "stored", async || of.metric("tenet_recorder_entries").await == 0).await;
    let stored: i64 = sqlx::query_scalar("select count(*) from decisions").fetch_one(&mut locker).await.unwrap();
    let recorded = of.metric("tenet_decisions_recorded_total").await;
    let dropped = of.metric("tenet_decisions_dropped_total").await;
    assert_eq!((recorded, recorded + dropped), (u64::try_from(stored).unwrap(), 60_000), "{taken} were taken");
    assert_eq!(u64::try_from(taken).unwrap(), recorded);
}
