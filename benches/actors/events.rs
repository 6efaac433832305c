//! Events from sent to decided, beside inserts of the same rows and nothing else; on a server that writes to disk what it
//! commits.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection, types::Uuid};
use tenet::{
    client::Client,
    load::{self, Group, Report as LoadReport, Service, Workload},
};

use super::{
    bed::{Bed, FACTS, Rules},
    changes::serve,
    process::Running,
    report::{Report, median},
};

/// Rounds in which each way is measured once.
const ROUNDS: usize = 3;
const SECONDS: u64 = 8;
/// Rows of a statement, events of a batch.
const BATCH: usize = 500;
/// Connections that insert: as many as the service has statements under way.
const WRITERS: usize = 2;
/// Single events due each second, and connections that send them.
const SINGLES: f64 = 2_000.0;
const SINGLE_CONNECTIONS: usize = 64;

/// The rows that an event leaves, in tables without partitions, policies, keys or locks.
const PLAIN: &str = "
    create table plain_events (tenant_id uuid, id uuid, type text, project text, occurred_at timestamptz,
        ordering_key text, key uuid, facts json not null, primary key (tenant_id, id));
    create table plain_decisions (tenant_id uuid, id uuid, event_type text, revision bigint, schema_version integer,
        matched uuid[], errors jsonb, cost bigint, decided_at timestamptz default now(), primary key (tenant_id, id))";

/// Which rows are inserted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inserted {
    Events,
    EventsAndDecisions,
}

pub fn events(bed: &Bed, report: &mut Report) {
    let durable = bed.durable();
    let database = durable.database(0, Rules::Alike);
    let (tenet, client) = serve(&durable, &database.url);
    let plain = durable.database(0, Rules::Alike);
    durable.runtime.block_on(async {
        PgConnection::connect(&plain.url).await.unwrap().execute(PLAIN).await.unwrap();
    });
    let one = |mix: &str, rate, connections| load(&durable, &client, &tenet, mix, rate, connections);
    let inserts = |rows| durable.runtime.block_on(insert_all(&plain.url, rows));
    let (mut ours, mut accepted, mut ages) = (Vec::new(), Vec::new(), Vec::new());
    let (mut alone, mut both) = (Vec::new(), Vec::new());
    one("batch", None, 4);
    for _ in 0..ROUNDS {
        alone.push(1e6 / inserts(Inserted::Events));
        both.push(1e6 / inserts(Inserted::EventsAndDecisions));
        let events = one("batch", None, 4).events.unwrap();
        ours.push(1e6 / events.decided_per_second);
        accepted.push(events.accepted_per_second);
        ages.extend(events.age_ms.map(|age| age.p99));
    }
    let (ours, alone, both) = (median(&mut ours), median(&mut alone), median(&mut both));
    report.figure("batches, from sent to decided", 1e6 / ours, "events/s", "aimed at 10,000 or more");
    report.figure("  accepted meanwhile", median(&mut accepted), "events/s", "");
    if !ages.is_empty() {
        report.figure("  p99 from accepted to decided", median(&mut ages), "ms", "");
    }
    report.figure("inserts of the events' rows and nothing else", 1e6 / alone, "events/s", "a baseline");
    report.figure("inserts of the events' and the decisions' rows", 1e6 / both, "events/s", "a baseline");
    report.ratio("an event, from sent to decided, to an insert of its row", ours, alone, "µs", 2.5);
    report.ratio("the same, to inserts of its row and its decision's", ours, both, "µs", 2.5);
    let single = one("single", Some(SINGLES), SINGLE_CONNECTIONS);
    report.figure("single events at 2,000/s due, p50 until 202", single.latency_ms.p50, "ms", "");
    report.figure("  p95", single.latency_ms.p95, "ms", "");
    report.figure("  p99", single.latency_ms.p99, "ms", "aimed at 100 or less");
    let age = single.events.unwrap().age_ms;
    if let Some(age) = age {
        report.figure("  p99 from accepted to decided", age.p99, "ms", "");
    }
}

/// Puts a service under load; nothing may be refused, given up or lost.
fn load(bed: &Bed, client: &Client, tenet: &Running, mix: &str, rate: Option<f64>, connections: usize) -> LoadReport {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workloads/events.json");
    let service = Service { client: client.clone(), server_pid: Some(tenet.id()) };
    let (mix, duration) = (mix.to_owned(), Duration::from_secs(SECONDS));
    let group = Group { connections, duration, rate, mix, ..Group::new(Workload::read(&file).unwrap()) };
    let mut reports = bed.runtime.block_on(load::run(&service, &[group], |_, _| {})).unwrap();
    let found = reports.groups.remove(0);
    assert!(found.is_clean(), "{found}");
    found
}

/// Inserts as fast as it can; answers events a second.
async fn insert_all(url: &str, rows: Inserted) -> f64 {
    let began = Instant::now();
    let writers = (0..WRITERS).map(|_| async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let mut inserted = 0;
        while began.elapsed() < Duration::from_secs(SECONDS) {
            insert(&mut connection, rows).await;
            inserted += BATCH;
        }
        inserted
    });
    let inserted: usize = join_all(writers).await.into_iter().sum();
    inserted as f64 / began.elapsed().as_secs_f64()
}

async fn insert(connection: &mut PgConnection, rows: Inserted) {
    let tenant = Uuid::from_u128(1);
    let ids: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
    let keys: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "insert into plain_events (tenant_id, id, key, facts)
         select $1, e.id, e.key, e.facts::json from unnest($2, $3, $4) as e (id, key, facts)",
    )
    .bind(tenant)
    .bind(&ids)
    .bind(keys)
    .bind(vec![FACTS; BATCH])
    .execute(&mut *connection)
    .await
    .unwrap();
    if rows == Inserted::Events {
        return;
    }
    sqlx::query(
        "insert into plain_decisions (tenant_id, id, revision, schema_version, matched, errors, cost)
         select $1, id, 1, 1, $3, '[]', 30 from unnest($2) as id",
    )
    .bind(tenant)
    .bind(ids)
    .bind((0..4_u128).map(Uuid::from_u128).collect::<Vec<_>>())
    .execute(connection)
    .await
    .unwrap();
}
