//! What happens to an event that no process survives, and to a day that has no partition.

use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenet::client::Method;

use super::{send, state, tenant};
use crate::support::{TestApp, TestDatabase, TestProcess, within};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_event_that_no_process_survived_is_given_up_and_its_neighbours_are_decided() {
    let app = TestApp::start().await;
    let tenant = tenant(&app.client, "acme").await;
    let post = async |what: &str| {
        let path = format!("/api/v1/tenants/{tenant}/consumer/{what}");
        app.client.request(Method::POST, &path, &[], Vec::new()).await.unwrap()
    };
    assert_eq!(post("pause").await.json::<Value>().unwrap()["state"], "paused");
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(send(&app.client, &tenant, n).await.unwrap());
    }
    // What processes leave that ended again and again while they tried the second and the third.
    let mut owner = PgConnection::connect(app.database_url()).await.unwrap();
    // The last one was brought back after all its attempts.
    for (id, attempt, reason) in [(&ids[1], 5_i16, "crashed"), (&ids[2], 1, "crashed"), (&ids[4], 5, "redriven")] {
        sqlx::query(
            "insert into event_retries (tenant_id, event_id, attempt, not_before, reason)
             values ($1::uuid, $2::uuid, $3, now(), $4)",
        )
        .bind(&tenant)
        .bind(id)
        .bind(attempt)
        .bind(reason)
        .execute(&mut owner)
        .await
        .unwrap();
    }
    sqlx::query("update event_queues set crashes = 3").execute(&mut owner).await.unwrap();
    assert_eq!(post("resume").await.status, 200);
    for (id, expected) in ids.iter().zip(["decided", "dead", "decided", "decided", "decided"]) {
        within(SOON, expected, async || state(&app.client, &tenant, id).await == expected).await;
    }
    let letter = app.client.get(&format!("/api/v1/tenants/{tenant}/dead-letters/{}", ids[1])).await.unwrap();
    assert_eq!(letter.json::<Value>().unwrap()["reason"], "crashed");
    within(SOON, "nothing waits", async || {
        let left: i64 = sqlx::query_scalar("select count(*) from event_retries")
            .fetch_one(&mut PgConnection::connect(app.database_url()).await.unwrap())
            .await
            .unwrap();
        left == 0
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_day_without_a_partition_is_unavailable_and_no_fault_of_the_sender() {
    let app = TestApp::start().await;
    let tenant = tenant(&app.client, "acme").await;
    let mut owner = PgConnection::connect(app.database_url()).await.unwrap();
    let (name, bounds): (String, String) = sqlx::query_as(
        "select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_class c
         where c.relname = 'events_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    let mut run = async |sql: String| sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut owner).await.unwrap();
    run(format!("alter table events detach partition {name}")).await;
    let path = format!("/api/v1/tenants/{tenant}/events");
    let answer = app.client.post_json(&path, &serde_json::json!({"facts": {"n": 1}})).await.unwrap();
    assert_eq!((answer.status, &answer.json::<Value>().unwrap()["code"]), (503, &"queue_unavailable".into()));
    let batch = serde_json::json!({"events": [{"facts": {"n": 1}}]});
    let answer = app.client.post_json(&format!("{path}/batch"), &batch).await.unwrap();
    assert_eq!(answer.json::<Value>().unwrap()["items"][0]["error"]["code"], "queue_unavailable", "{}", answer.text());
    let headers = [("content-type", "application/x-ndjson")];
    let line = br#"{"facts":{"n":1}}"#.to_vec();
    let answer = app.client.request(Method::POST, &format!("{path}/batch"), &headers, line).await.unwrap();
    assert!(answer.text().starts_with(r#"{"index":0,"error":{"code":"queue_unavailable""#), "{}", answer.text());
    run(format!("alter table events attach partition {name} {bounds}")).await;
    let id = send(&app.client, &tenant, 2).await.unwrap();
    within(SOON, "decided", async || state(&app.client, &tenant, &id).await == "decided").await;
    app.stop().await;
}

#[tokio::test]
async fn days_that_run_out_are_an_alarm() {
    let database = TestDatabase::fresh().await;
    let mut owner = PgConnection::connect(database.url()).await.unwrap();
    // The day after tomorrow is missing, and cannot be made.
    sqlx::raw_sql(
        "do $$ begin execute format('drop table events_%s', to_char((now() at time zone 'UTC')::date + 2, 'YYYYMMDD'));
         end $$;
         create or replace function tenet_make_event_partition(days_ahead integer) returns text
         language plpgsql security definer as $$ begin raise exception 'no room'; end $$",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let (process, client) = TestProcess::serve(database.url()).await;
    within(SOON, "the metric tells", async || {
        client.get("/metrics").await.unwrap().text().contains("\ntenet_partition_days_ahead 1\n")
    })
    .await;
    let alarm = "partitions for coming events are missing";
    within(SOON, "the log tells", async || process.printed().contains(alarm)).await;
}
