//! Five faults while events arrive at a steady rate: after each the service decides as many as before, soon, and none of
//! them is lost or given up.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenet::client::Client;
use tokio::{task::JoinSet, time::interval};

use super::{post, tenant};
use crate::support::{PrivateServer, TestProcess, proof_size};

/// Events of a batch, and how often one is due: 200 events a second.
const BATCH: usize = 10;
const DUE: Duration = Duration::from_millis(50);
const RATE: f64 = 200.0;
/// What counts as recovered: so many of the events due were decided within the window.
const SHARE: f64 = 0.95;
const WINDOW: Duration = Duration::from_secs(2);
/// How long that may take once the fault is over.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// How long a node's queues stay with it after it was killed.
const SETTINGS: [(&str, &str); 2] = [("TENET_EVENT_LEASE", "3s"), ("TENET_LOG", "warn")];
/// How long a sender waits for an answer before it asks another node.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Two nodes, their database, and what is sent to them.
struct Bed {
    server: PrivateServer,
    running: Vec<TestProcess>,
    nodes: Arc<Mutex<Vec<Client>>>,
    /// Events that were answered 202.
    accepted: Arc<AtomicUsize>,
}

impl Bed {
    async fn start() -> Self {
        let server = PrivateServer::start_durable().await;
        let (mut running, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (process, client) = TestProcess::serve_with(server.url(), &SETTINGS).await;
            running.push(process);
            clients.push(client.with_timeout(ANSWER_MAX));
        }
        Self { server, running, nodes: Arc::new(Mutex::new(clients)), accepted: Arc::default() }
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(self.server.url()).await.unwrap()
    }

    /// Stops the server and starts it again.
    async fn restart_database(&mut self) {
        self.server.stop().await;
        self.server.start_again().await;
    }

    /// Ends all sessions of the nodes, three times.
    async fn end_sessions(&self) {
        for _ in 0..3 {
            sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where backend_type = 'client backend' and pid <> pg_backend_pid()",
            )
            .execute(&mut self.owner().await)
            .await
            .unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Has every statement about events wait for a lock, so that whoever needs a connection for one waits, too.
    async fn exhaust_pools(&self) {
        let mut owner = self.owner().await;
        let mut locked = owner.begin().await.unwrap();
        for table in ["events", "event_queues", "decisions"] {
            let sql = format!("lock table {table} in access exclusive mode");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *locked).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        locked.rollback().await.unwrap();
    }

    /// Kills the node that consumes the queue, and starts another in its place.
    async fn kill_consumer(&mut self) {
        let nodes = self.nodes.lock().unwrap().clone();
        for (place, client) in nodes.iter().enumerate() {
            let metrics = client.get("/metrics").await.unwrap().text();
            if metrics.contains("\ntenet_consumers 1\n") {
                return self.kill(place).await;
            }
        }
        panic!("no node consumes");
    }

    async fn kill(&mut self, place: usize) {
        self.running[place].signal(Signal::KILL);
        assert_eq!(self.running[place].end().await, None);
        let (process, client) = TestProcess::serve_with(self.server.url(), &SETTINGS).await;
        self.running[place] = process;
        self.nodes.lock().unwrap()[place] = client.with_timeout(ANSWER_MAX);
    }

    async fn kill_repeatedly(&mut self) {
        for kill in 0..4 {
            self.kill(kill % 2).await;
        }
    }

    /// Waits until events are decided as they come, as many as before, through a window; answers when that began.
    async fn recovered(&self) -> Duration {
        let began = Instant::now();
        // What was decided before, or during, the fault does not count.
        tokio::time::sleep(WINDOW).await;
        let due = RATE * SHARE * WINDOW.as_secs_f64();
        let waiting_max = RATE * WINDOW.as_secs_f64();
        loop {
            let accepted = self.accepted.load(Ordering::SeqCst);
            let (decided, recently) = self.decided().await;
            let waiting = accepted.saturating_sub(decided);
            if recently as f64 >= due && waiting as f64 <= waiting_max {
                return began.elapsed() - WINDOW;
            }
            assert!(
                began.elapsed() < RECOVERY_MAX + WINDOW,
                "{recently} events decided within {WINDOW:?}, {due} are due; {waiting} wait"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many events are decided, and how many of these within the window.
    async fn decided(&self) -> (usize, usize) {
        let (all, recently): (i64, i64) = sqlx::query_as(
            "select count(*), count(*) filter (where decided_at > now() - make_interval(secs => $1)) from decisions",
        )
        .bind(WINDOW.as_secs_f64())
        .fetch_one(&mut self.owner().await)
        .await
        .unwrap();
        (usize::try_from(all).unwrap(), usize::try_from(recently).unwrap())
    }

    /// Looks for so long whether it stays so.
    async fn stays(&self, time: Duration) {
        let (before, _) = self.decided().await;
        let began = Instant::now();
        tokio::time::sleep(time).await;
        let (after, _) = self.decided().await;
        // Half a second's may be under way at each look.
        let due = RATE * SHARE * (began.elapsed().as_secs_f64() - 0.5);
        assert!((after - before) as f64 >= due, "{} events are decided, {due} are due", after - before);
    }
}

/// Sends a batch whenever one is due, whatever became of those before, each until it is answered.
async fn send_steadily(
    nodes: Arc<Mutex<Vec<Client>>>,
    tenant: String,
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
) -> usize {
    let path = format!("/api/v1/tenants/{tenant}/events/batch");
    let (mut due, mut batches, mut sent) = (interval(DUE), JoinSet::new(), 0);
    while !is_over.load(Ordering::SeqCst) {
        due.tick().await;
        let event = |n: usize| json!({"facts": {"n": n}, "idempotencyKey": n.to_string()});
        let batch = json!({"events": (sent..sent + BATCH).map(event).collect::<Vec<_>>()});
        sent += BATCH;
        let (nodes, path, accepted) = (nodes.clone(), path.clone(), accepted.clone());
        batches.spawn(async move {
            for attempt in sent.. {
                let client = {
                    let nodes = nodes.lock().unwrap();
                    nodes[attempt % nodes.len()].clone()
                };
                if let Some(items) = post(&client, &path, &batch).await {
                    accepted.fetch_add(items.len(), Ordering::SeqCst);
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while let Some(sent) = batches.join_next().await {
        sent.unwrap();
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_decided_as_before_soon_after_each_of_five_faults() {
    let steady = Duration::from_secs(u64::try_from(proof_size(2, 20)).unwrap());
    let mut bed = Bed::start().await;
    let first = bed.nodes.lock().unwrap()[0].clone();
    let tenant = tenant(&first, "acme").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let sending = tokio::spawn(send_steadily(bed.nodes.clone(), tenant, bed.accepted.clone(), is_over.clone()));
    println!("at the beginning after {:?}", bed.recovered().await);
    for fault in 0..5 {
        let what = match fault {
            0 => {
                bed.restart_database().await;
                "the database was restarted"
            }
            1 => {
                bed.end_sessions().await;
                "all sessions were ended, three times"
            }
            2 => {
                bed.exhaust_pools().await;
                "no connection was free for 4 s"
            }
            3 => {
                bed.kill_consumer().await;
                "the node that decides was killed"
            }
            _ => {
                bed.kill_repeatedly().await;
                "nodes were killed four times"
            }
        };
        let took = bed.recovered().await;
        println!("{what}: {RATE} events a second after {took:?}");
        bed.stays(steady).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let sent = sending.await.unwrap();
    let asked = Instant::now();
    while bed.decided().await.0 < sent {
        assert!(asked.elapsed() < Duration::from_secs(30), "{:?} of {sent} are decided", bed.decided().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from events), (select count(*) from decisions), (select count(*) from dead_letters),
            (select count(*) from event_retries)",
    )
    .fetch_one(&mut bed.owner().await)
    .await
    .unwrap();
    let sent = i64::try_from(sent).unwrap();
    assert_eq!(counts, (sent, sent, 0, 0), "no fault uses up an event's attempts");
}
