//! A queue whose database has a snapshot held open, so that no dead row is ever cleaned up: events read by position, and
//! beside them a queue of the usual kind, whose rows are claimed with `SKIP LOCKED` and updated.
//!
//! Both are kept filled with a backlog while the snapshot is open; the last sixth of that time is compared with the first.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tenet::client::{Client, Method};
use tokio::time::sleep;

use super::{
    bed::{Bed, FACTS, Rules, SCHEMA},
    changes::serve,
    report::Report,
};

/// Events that wait, and seconds that the snapshot is held open, unless others are asked for.
pub const BACKLOG: u64 = 50_000;
pub const SECONDS: u64 = 30;

/// Events of a batch.
const BATCH: u64 = 1_000;
/// Parts of the time, of which the first and the last are compared.
const PARTS: u32 = 6;
/// Between two looks at how many are left.
const LOOK: Duration = Duration::from_millis(50);
/// Rows that a worker claims at once, and workers: as a tenant of Tenet has.
const CLAIMED: i64 = 200;
const WORKERS: usize = 3;

/// What a queue did while the snapshot was open.
struct Found {
    first: f64,
    last: f64,
    dead_rows: i64,
}

pub fn held(bed: &Bed, report: &mut Report) {
    let durable = bed.durable();
    let what = format!("with {} waiting, a snapshot open for {} s", bed.sizes.backlog, bed.sizes.held_seconds);
    println!("  {what}");
    let ours = by_position(&durable);
    tell(report, "events by position", &ours, "aimed at 0.9 or more", "aimed at 10,000 or less");
    let theirs = by_skip_locked(&durable);
    tell(report, "rows claimed with SKIP LOCKED", &theirs, "for comparison", "");
}

fn tell(report: &Report, what: &str, found: &Found, ratio_note: &str, rows_note: &str) {
    report.figure(&format!("{what}, first sixth"), found.first, "events/s", "");
    report.figure("  last sixth", found.last, "events/s", "");
    report.figure("  last to first", found.last / found.first, "", ratio_note);
    report.figure("  dead rows", found.dead_rows as f64, "", rows_note);
}

/// A session that keeps everything from being cleaned up that was there when it began, or came later.
async fn open_snapshot(url: &str) -> PgConnection {
    let mut session = PgConnection::connect(url).await.unwrap();
    session.execute("begin isolation level repeatable read").await.unwrap();
    session.execute("select count(*) from pg_class").await.unwrap();
    session
}

/// Looks at `done` while the snapshot is open, and counts dead rows in the end.
async fn watch(bed: &Bed, url: &str, done: impl AsyncFn() -> u64) -> Found {
    let part = Duration::from_secs(bed.sizes.held_seconds) / PARTS;
    let mut rates = Vec::new();
    for _ in 0..PARTS {
        let (began, before) = (Instant::now(), done().await);
        sleep(part).await;
        rates.push((done().await - before) as f64 / began.elapsed().as_secs_f64());
    }
    // Sessions tell what they did once a second.
    sleep(Duration::from_secs(2)).await;
    let mut owner = PgConnection::connect(url).await.unwrap();
    let dead_rows = sqlx::query_scalar("select sum(n_dead_tup)::bigint from pg_stat_user_tables");
    let dead_rows = dead_rows.fetch_one(&mut owner).await.unwrap();
    Found { first: rates[0], last: *rates.last().unwrap(), dead_rows }
}

fn by_position(bed: &Bed) -> Found {
    let database = bed.database(0, Rules::Alike);
    let (tenet, client) = serve(bed, &database.url);
    let found = bed.runtime.block_on(async {
        let events = tenant(&client).await;
        let body = batch();
        consumer(&client, &events, "pause").await;
        for _ in 0..bed.sizes.backlog / BATCH {
            send(&client, &events, &body).await;
        }
        let session = open_snapshot(&database.url).await;
        let decided = async || decided(&client).await;
        let before = decided().await;
        let sent = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        consumer(&client, &events, "resume").await;
        let feed = async {
            while !is_over.load(Ordering::Relaxed) {
                if decided().await - before < sent.load(Ordering::Relaxed) + BATCH {
                    sleep(LOOK).await;
                    continue;
                }
                send(&client, &events, &body).await;
                sent.fetch_add(BATCH, Ordering::Relaxed);
            }
        };
        let watched = async {
            let found = watch(bed, &database.url, decided).await;
            is_over.store(true, Ordering::Relaxed);
            found
        };
        let ((), found) = tokio::join!(feed, watched);
        session.close().await.unwrap();
        found
    });
    drop(tenet);
    found
}

/// Creates a tenant with a rule; answers the path of its events.
async fn tenant(client: &Client) -> String {
    let made = client.post_json("/api/v1/tenants", &json!({"name": "held", "tier": "enterprise"})).await.unwrap();
    let path = format!("/api/v1/tenants/{}", made.json::<Value>().unwrap()["id"].as_str().unwrap());
    let quotas = json!({"quotas": {"eventBacklog": 10_000_000}});
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let rule = json!({"name": "adult", "expression": "facts.age >= 18"});
    for answer in [
        client.patch_json(&path, &quotas).await.unwrap(),
        client.post_json(&format!("{path}/schema"), &json!({ "definition": schema })).await.unwrap(),
        client.post_json(&format!("{path}/rules"), &rule).await.unwrap(),
    ] {
        assert!(answer.is_success(), "{}", answer.text());
    }
    // A queue is there, and can be paused, once it has had an event.
    let events = format!("{path}/events");
    send(client, &events, &format!("{{\"events\":[{{\"facts\":{FACTS}}}]}}")).await;
    events
}

fn batch() -> String {
    let events = vec![format!("{{\"facts\":{FACTS}}}"); usize::try_from(BATCH).unwrap()];
    format!("{{\"events\":[{}]}}", events.join(","))
}

async fn send(client: &Client, events: &str, body: &str) {
    let headers = [("content-type", "application/json")];
    let answer = client.request(Method::POST, &format!("{events}/batch"), &headers, body.to_owned()).await.unwrap();
    let answer: Value = answer.json().unwrap();
    assert_eq!(answer["refused"], 0, "{}", answer["items"][0]);
}

async fn consumer(client: &Client, events: &str, what: &str) {
    let path = format!("{}/consumer/{what}", events.strip_suffix("/events").unwrap());
    let answer = client.request(Method::POST, &path, &[], Vec::new()).await.unwrap();
    assert!(answer.is_success(), "{}", answer.text());
}

/// Events that the service has decided.
async fn decided(client: &Client) -> u64 {
    let text = client.get("/metrics").await.unwrap().text();
    let name = "tenet_events_decided_total{outcome=\"decided\"} ";
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, |count| count.trim().parse().unwrap())
}

fn by_skip_locked(bed: &Bed) -> Found {
    let database = bed.database(0, Rules::Alike);
    bed.runtime.block_on(async {
        let mut owner = PgConnection::connect(&database.url).await.unwrap();
        owner
            .execute(
                "create table jobs (id bigint generated always as identity primary key, is_done boolean not null
                    default false, facts json not null);
                 create index jobs_waiting on jobs (id) where not is_done",
            )
            .await
            .unwrap();
        fill(&mut owner, bed.sizes.backlog).await;
        let session = open_snapshot(&database.url).await;
        let (done, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let workers = join_all((0..WORKERS).map(|_| claim_all(&database.url, &done, &is_over)));
        let feed = async {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                if done.load(Ordering::Relaxed) < sent + BATCH {
                    sleep(LOOK).await;
                    continue;
                }
                fill(&mut owner, BATCH).await;
                sent += BATCH;
            }
        };
        let watched = async {
            let found = watch(bed, &database.url, async || done.load(Ordering::Relaxed)).await;
            is_over.store(true, Ordering::Relaxed);
            found
        };
        let (_, (), found) = tokio::join!(workers, feed, watched);
        session.close().await.unwrap();
        found
    })
}

async fn fill(owner: &mut PgConnection, rows: u64) {
    let sql = format!("insert into jobs (facts) select '{FACTS}' from generate_series(1, {rows})");
    owner.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// Claims rows and marks them as done, until it is over.
async fn claim_all(url: &str, done: &AtomicU64, is_over: &AtomicBool) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    while !is_over.load(Ordering::Relaxed) {
        let query = sqlx::query_scalar::<_, String>(
            "update jobs set is_done = true where id in (
                select id from jobs where not is_done order by id limit $1 for update skip locked)
             returning facts::text",
        );
        let claimed = query.bind(CLAIMED).fetch_all(&mut connection).await.unwrap();
        if claimed.is_empty() {
            sleep(LOOK).await;
        }
        done.fetch_add(claimed.len() as u64, Ordering::Relaxed);
    }
}
