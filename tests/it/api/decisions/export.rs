//! Decisions as lines.

use serde_json::{Value, json};

use super::Decisions;

impl Decisions {
    async fn export(&self, query: &str) -> Vec<Value> {
        let answer = self.app.client.get(&self.path(&format!("decisions/export{query}"))).await.unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn ids(lines: &[Value]) -> Vec<String> {
    let id = |line: &Value| line["decision"]["id"].as_str().map(str::to_owned);
    lines.iter().filter_map(id).collect()
}

#[tokio::test]
async fn an_export_has_each_decision_once_the_oldest_first_and_goes_on_from_any_line() {
    let of = Decisions::start().await;
    let empty = of.export("").await;
    assert_eq!(empty, [json!({"cursor": null, "complete": true})]);
    let mut made = Vec::new();
    for age in 0..7 {
        made.push(of.durable(&json!({"age": age * 5})).await);
    }
    let lines = of.export("").await;
    assert_eq!(ids(&lines), made);
    assert_eq!(lines.last().unwrap()["complete"], true);
    for (at, line) in lines.iter().enumerate() {
        let rest = of.export(&format!("?cursor={}", line["cursor"].as_str().unwrap())).await;
        assert_eq!(ids(&rest), made[(at + 1).min(made.len())..], "after line {at}");
        assert_eq!(rest.last().unwrap()["complete"], true);
    }
    let last = lines.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    made.push(of.durable(&json!({"age": 50})).await);
    assert_eq!(ids(&of.export(&format!("?cursor={last}")).await), made[7..]);
    assert_eq!(ids(&of.export("?where=facts.age%20%3E%2020").await), made[5..]);
    assert_eq!(ids(&of.export("?outcome=matched").await), made[4..]);
}
