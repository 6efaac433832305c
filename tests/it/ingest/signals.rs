//! Events that are accepted on another node than the one that decides them.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::{send, state, tenant};
use crate::support::{TestDatabase, TestProcess, proof_size, within};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_another_node_accepts_is_decided_before_its_owner_looks() {
    let count = proof_size(20, 100);
    let database = TestDatabase::fresh().await;
    let (_owner, owner) = TestProcess::serve(database.url()).await;
    let tenant = tenant(&owner, "acme").await;
    let first = send(&owner, &tenant, 1).await.unwrap();
    within(SOON, "decided", async || state(&owner, &tenant, &first).await == "decided").await;
    let (_other, other) = TestProcess::serve(database.url()).await;
    for n in 0..count {
        // Long enough for the owner to look twice a second only.
        tokio::time::sleep(Duration::from_millis(900 + 37 * (u64::try_from(n).unwrap() % 14))).await;
        let id = send(&other, &tenant, 2).await.unwrap();
        within(SOON, "decided", async || state(&other, &tenant, &id).await == "decided").await;
    }
    let mut database = PgConnection::connect(database.url()).await.unwrap();
    let (median, most): (f64, f64) = sqlx::query_as(
        "select percentile_cont(0.5) within group (order by ms), max(ms)
         from (select extract(epoch from decided_at - tenet_event_time(id))::float * 1000 as ms
            from decisions where id <> $1::uuid) d",
    )
    .bind(&first)
    .fetch_one(&mut database)
    .await
    .unwrap();
    println!("accepted on another node → decided, {count} events: median {median:.0} ms, at most {most:.0} ms");
    assert!(median < 120.0, "median {median} ms");
}
