//! Events that make deciding them fail: one in a hundred panics, is invalid, or ends the process. Each is given up with
//! its reason; the others of its tenant and those of other tenants go on.

use std::{
    process,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::{json, value::RawValue};
use sqlx::{Connection, PgConnection};
use tenet::{
    domain::{Accepted, EventDraft, EventId, TenantId},
    ingest::{AppendOptions, BeforeDeciding, Ingest, IngestOptions, Metrics, Place},
    store::NewEvent,
    telemetry::MetricRegistry,
};
use tokio::time::{interval, sleep};

use crate::support::{Node, TestDatabase, TestProcess, proof_size, scope, within};

/// Facts that hold these panic when they are decided, and end the process.
const PANICS: &str = "it panics";
const ABORTS: &str = "it aborts";
/// How a node with traps learns its database.
const URL: &str = "TENET_TEST_TRAPS_URL";
/// So that a process that ended is missed soon.
const LEASE: Duration = Duration::from_millis(1_500);
const WINDOW: TimeDelta = TimeDelta::days(7);
const SOON: Duration = Duration::from_secs(30);
/// What an event may wait because of its neighbours.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A node in a process of its own, whose decisions step into traps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests of this module run it as a process of its own"]
async fn a_node_with_traps() {
    let node = Node::start(&std::env::var(URL).expect("the database")).await;
    let options = IngestOptions {
        append: AppendOptions { flush_interval: Duration::from_millis(2), key_window: WINDOW },
        lease: LEASE,
        idle_stop: Duration::from_secs(30),
        clock_margin: TimeDelta::seconds(60),
        before_deciding: BeforeDeciding::new(|facts| {
            if facts.contains(ABORTS) {
                process::abort();
            }
            assert!(!facts.contains(PANICS), "stepped into a trap");
        }),
    };
    let metrics = Metrics::register(&mut MetricRegistry::new());
    let id = node.engine.node();
    let _ingest = Ingest::start(node.store.clone(), node.engine.clone(), metrics, id, options, Place::Postgres);
    std::future::pending::<()>().await;
}

fn seconds(count: usize) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap())
}

/// Tenants whose events a node with traps decides.
struct Bed {
    database: TestDatabase,
    node: Node,
    owner: PgConnection,
    tenants: Vec<TenantId>,
}

impl Bed {
    async fn start() -> Self {
        let database = TestDatabase::fresh().await;
        let node = Node::start(database.url()).await;
        let owner = PgConnection::connect(database.url()).await.unwrap();
        let tenants = vec![node.tenant("poisoned").await, node.tenant("other").await];
        Self { database, node, owner, tenants }
    }

    fn node_with_traps(&self) -> TestProcess {
        let program = std::env::current_exe().unwrap();
        let arguments = ["ingest::poison::a_node_with_traps", "--exact", "--ignored", "--nocapture"];
        TestProcess::of(&program, &arguments, &[(URL, self.database.url())])
    }

    /// Stores an event past the checks of facts, as if the schema had been another one then.
    async fn send(&self, tenant: TenantId, facts: &str) -> EventId {
        let draft = EventDraft {
            facts: RawValue::from_string(facts.to_owned()).unwrap(),
            kind: None,
            project: None,
            idempotency_key: None,
            occurred_at: None,
            at_occurrence: false,
            ordering_key: None,
        };
        let event = NewEvent { scope: scope(tenant), draft };
        match self.node.store.append_events(&[event], WINDOW).await.unwrap()[..] {
            [Accepted::New(id)] => id,
            ref other => panic!("{other:?}"),
        }
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.owner).await.unwrap()
    }

    /// Why each dead letter is one, after how many attempts, and how many there are.
    async fn reasons(&mut self) -> Vec<(String, i16, i64)> {
        let sql = "select reason, attempts::smallint, count(*) from dead_letters group by 1, 2 order by 1, 2";
        sqlx::query_as(sql).fetch_all(&mut self.owner).await.unwrap()
    }

    /// Has what is to be tried again be tried at once, unless there is time to wait.
    async fn hurry(&mut self) {
        if proof_size(0, 1) == 1 {
            return;
        }
        sqlx::query("update event_retries set not_before = now() where not_before > now()")
            .execute(&mut self.owner)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_panic_or_are_invalid_keep_no_other_waiting() {
    let each = proof_size(400, 6_000);
    let mut bed = Bed::start().await;
    let _node = bed.node_with_traps();
    let (poisoned, other) = (bed.tenants[0], bed.tenants[1]);
    for tenant in [poisoned, other] {
        bed.send(tenant, r#"{"n": 0}"#).await;
    }
    // One that was being tried when a process ended waits for its next attempt, up to 96 seconds.
    let deadline = Instant::now() + 3 * SOON;
    while bed.count("select count(*) from decisions").await < 2 {
        assert!(Instant::now() < deadline, "the node does not decide");
        sleep(Duration::from_millis(20)).await;
    }
    let first = bed.send(other, r#"{"n": 0}"#).await;
    let mut due = interval(Duration::from_millis(5));
    let mut poison = 0_i64;
    for n in 0..each {
        due.tick().await;
        let facts = match n % 100 {
            20 => json!({"n": n, "why": PANICS}),
            70 => json!({"n": "not a number"}),
            _ => json!({"n": n}),
        };
        poison += i64::from(matches!(n % 100, 20 | 70));
        bed.send(poisoned, &facts.to_string()).await;
        bed.send(other, &json!({"n": n}).to_string()).await;
        if n % 20 == 0 {
            bed.hurry().await;
        }
    }
    let deadline = Instant::now() + SOON + seconds(proof_size(0, 150));
    while bed.count("select count(*) from dead_letters").await < poison {
        assert!(Instant::now() < deadline, "{:?} of {poison}", bed.reasons().await);
        bed.hurry().await;
        sleep(Duration::from_millis(100)).await;
    }
    let half = poison / 2;
    assert_eq!(bed.reasons().await, [("facts_invalid".to_owned(), 1, half), ("panic".to_owned(), 5, half)]);
    let sent = i64::try_from(2 * each + 3).unwrap();
    assert_eq!(bed.count("select count(*) from decisions").await, sent - poison);
    assert_eq!(bed.count("select count(*) from event_retries").await, 0);
    for (tenant, name) in [(poisoned, "neighbours"), (other, "another tenant's")] {
        let (p99, most): (f64, f64) = sqlx::query_as(
            "select percentile_cont(0.99) within group (order by s), max(s)
             from (select extract(epoch from decided_at - tenet_event_time(id))::float8 as s
                from decisions where tenant_id = $1 and id >= $2) d",
        )
        .bind(tenant.0)
        .bind(first.0)
        .fetch_one(&mut bed.owner)
        .await
        .unwrap();
        println!("{name}: decided after {:.0} ms, p99; {:.0} ms at most", p99 * 1e3, most * 1e3);
        assert!(most <= WAIT_MAX.as_secs_f64(), "{name} waited {most} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_ends_each_process_is_given_up_and_costs_no_other_an_attempt() {
    let neighbours = proof_size(100, 1_000);
    let mut bed = Bed::start().await;
    let (poisoned, other) = (bed.tenants[0], bed.tenants[1]);
    let mut trap = None;
    for n in 0..neighbours {
        if n == neighbours / 2 {
            trap = Some(bed.send(poisoned, &json!({"n": n, "why": ABORTS}).to_string()).await);
        }
        bed.send(poisoned, &json!({"n": n}).to_string()).await;
        bed.send(other, &json!({"n": n}).to_string()).await;
    }
    let (began, mut deaths) = (Instant::now(), 0);
    let bound = seconds(proof_size(90, 400));
    while bed.count("select count(*) from dead_letters").await == 0 {
        let mut node = bed.node_with_traps();
        let ended = async {
            loop {
                if bed.count("select count(*) from dead_letters").await > 0 {
                    return false;
                }
                bed.hurry().await;
                assert!(began.elapsed() < bound, "{deaths} deaths");
                if node.has_ended() {
                    return true;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        deaths += usize::from(ended.await);
    }
    let _node = bed.node_with_traps();
    let decided = i64::try_from(2 * neighbours).unwrap();
    // One that was being tried when a process ended waits for its next attempt, up to 96 seconds.
    let deadline = Instant::now() + 3 * SOON;
    while bed.count("select count(*) from decisions").await < decided {
        assert!(Instant::now() < deadline, "not all neighbours are decided");
        bed.hurry().await;
        sleep(Duration::from_millis(50)).await;
    }
    println!("{deaths} deaths in {:?}", began.elapsed());
    assert_eq!(bed.reasons().await, [("crashed".to_owned(), 5, 1)]);
    let dead: sqlx::types::Uuid =
        sqlx::query_scalar("select event_id from dead_letters").fetch_one(&mut bed.owner).await.unwrap();
    assert_eq!(dead, trap.unwrap().0);
    // Two until it is noticed, five attempts, and one more whose node had not marked it yet.
    assert!((5..=8).contains(&deaths), "{deaths}");
    let url = bed.database.url().to_owned();
    within(SOON, "no attempt is left", async || {
        let mut owner = PgConnection::connect(&url).await.unwrap();
        sqlx::query_scalar::<_, i64>("select count(*) from event_retries").fetch_one(&mut owner).await.unwrap() == 0
    })
    .await;
}
