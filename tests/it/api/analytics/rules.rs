//! `…/analytics/rules` and `…/rules/health`.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tenet::{
    analytics::{CountRow, Counts, Hour, Slot, WHOLE},
    client::Method,
    domain::{DecisionSource, Revision, RuleId, TenantId},
    store::{CountBatch, Store, StoreOptions},
};

use super::{Analytics, SOON, body, problem, send};
use crate::support::{scope, within};

impl Analytics {
    async fn evaluate(&self, age: i64, rules: Option<&str>) {
        let mut ask = json!({"facts": {"age": age}});
        if let Some(rule) = rules {
            ask["rules"] = json!([rule]);
        }
        body(&send(&self.app.client, Method::POST, &self.path("evaluate"), &[], &ask).await, 200);
    }

    /// The counts of a rule.
    async fn counts(&self, rule: &str) -> Value {
        let listed = self.get("analytics/rules").await;
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["ruleId"] == rule).unwrap_or_else(|| panic!("{rule}: {listed}")).clone()
    }

    async fn set_active(&self, rule: &str, active: bool) {
        let path = self.path(&format!("rules/{rule}"));
        body(&send(&self.app.client, Method::PATCH, &path, &[], &json!({"active": active})).await, 200);
    }

    async fn is_counted(&self, decisions: i64) {
        within(SOON, "counted", async || self.summary().await["decisions"] == decisions).await;
    }
}

#[tokio::test]
async fn a_rule_counts_the_decisions_of_the_revisions_in_which_it_was_active() {
    let analytics = Analytics::start().await;
    let any = analytics.app.create_rule(&analytics.tenant, "any", "facts.age >= 0").await;
    let adult = analytics.rule.clone();
    for age in [20, 3] {
        analytics.evaluate(age, None).await;
    }
    analytics.set_active(&adult, false).await;
    for _ in 0..3 {
        analytics.evaluate(30, None).await;
    }
    analytics.set_active(&adult, true).await;
    analytics.evaluate(40, Some(&adult)).await;
    analytics.is_counted(6).await;
    let counted = analytics.counts(&adult).await;
    assert_eq!((&counted["evaluated"], &counted["matched"]), (&json!(3), &json!(2)), "{counted}");
    assert_eq!((&counted["active"], &counted["ruleName"]), (&json!(true), &json!("adult")));
    assert!(counted["matchRate"].as_f64().is_some_and(|rate| (rate - 2.0 / 3.0).abs() < 1e-9), "{counted}");
    assert!(counted["lastMatchedAt"].is_string(), "{counted}");
    let counted = analytics.counts(&any).await;
    assert_eq!((&counted["evaluated"], &counted["matched"], &counted["errors"]), (&json!(5), &json!(5), &json!(0)));

    // A deleted rule keeps its numbers.
    let path = analytics.path(&format!("rules/{any}"));
    let deleted = send(&analytics.app.client, Method::DELETE, &path, &[], &Value::Null).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    let counted = analytics.counts(&any).await;
    assert_eq!((&counted["evaluated"], &counted["matched"]), (&json!(5), &json!(5)), "{counted}");
    assert_eq!((&counted["ruleName"], &counted["active"]), (&Value::Null, &json!(false)));
    let series = analytics.get(&format!("analytics/series?metric=matched&rule={any}")).await;
    assert_eq!(super::sum(&series), 5);

    // Page by page, in the order asked for.
    let first = analytics.get("analytics/rules?sort=matchRate&limit=1").await;
    assert_eq!((&first["items"][0]["ruleId"], first["items"].as_array().unwrap().len()), (&json!(any), 1), "{first}");
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = analytics.get(&format!("analytics/rules?sort=matchRate&limit=1&cursor={cursor}")).await;
    assert_eq!((&second["items"][0]["ruleId"], &second["nextCursor"]), (&json!(adult), &Value::Null), "{second}");
    for query in ["analytics/rules?sort=name", "rules/health?days=0", "rules/health?finding=odd"] {
        problem(&analytics.app.client.get(&analytics.path(query)).await.unwrap(), 422);
    }
    analytics.app.stop().await;
}

#[tokio::test]
async fn findings_come_with_the_numbers_that_they_follow_from() {
    let analytics = Analytics::start().await;
    let stopped = analytics.app.create_rule(&analytics.tenant, "stopped", "facts.age >= 0").await;
    let store = Store::connect(StoreOptions::new(analytics.app.database_url())).await.unwrap();
    let tenant = TenantId(analytics.tenant.parse().unwrap());
    let revision = analytics.get("rules").await["revision"].as_i64().unwrap();
    let count = async |days_ago: i64, rule: RuleId, counts: Counts| {
        let hour = Hour::of(Utc::now() - TimeDelta::days(days_ago));
        let (project, kind) = (Box::default(), Box::default());
        let slot = Slot { hour, revision: Revision(revision), source: DecisionSource::Event, project, kind };
        let mut batch = CountBatch::new(vec![CountRow { slot, rule, counts }]);
        store.flush_counts(scope(tenant), &mut batch).await.unwrap();
    };
    let decided = |decisions| Counts { decisions, ..Counts::default() };
    let matched = |matched: i64, days_ago: i64| {
        let last_matched = (Utc::now() - TimeDelta::days(days_ago)).timestamp();
        Counts { matched, last_matched, ..Counts::default() }
    };
    let (rule, adult) = (RuleId(stopped.parse().unwrap()), RuleId(analytics.rule.parse().unwrap()));
    count(12, WHOLE, decided(2_000)).await;
    count(12, rule, matched(40, 12)).await;
    count(2, WHOLE, decided(1_500)).await;
    count(2, adult, Counts { errors: 100, ..matched(3, 2) }).await;
    let health = analytics.get("rules/health").await;
    let items = health["items"].as_array().unwrap();
    let found: Vec<(&str, &str)> =
        items.iter().map(|item| (item["finding"].as_str().unwrap(), item["ruleId"].as_str().unwrap())).collect();
    assert_eq!(found, [("failing", analytics.rule.as_str()), ("stopped_matching", stopped.as_str())], "{health}");
    let evidence = &items[1]["evidence"];
    assert_eq!((&evidence["evaluated"], &evidence["matched"]), (&json!(1_500), &json!(0)), "{health}");
    assert_eq!((&evidence["before"]["evaluated"], &evidence["before"]["matched"]), (&json!(2_000), &json!(40)));
    assert!(items.iter().all(|item| item["hint"].is_string() && item["since"].is_string()), "{health}");
    // The same once it is merged.
    store.merge_counts(scope(tenant)).await.unwrap();
    assert_eq!(analytics.get("rules/health?finding=stopped_matching").await["items"], json!([items[1]]));
    // Too little to tell is told.
    let young = analytics.app.create_rule(&analytics.tenant, "young", "facts.age > 200").await;
    let few = analytics.get("rules/health?finding=insufficient_data").await;
    assert_eq!(few["items"][0]["ruleId"], young, "{few}");
    assert_eq!(few["items"].as_array().unwrap().len(), 1);
    analytics.app.stop().await;
}
