//! A ledger of all events that were answered 202, against what was decided: nothing is lost and nothing has its effect
//! twice while nodes, the database, the broker and Redis are killed.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenet::client::Client;

use super::{post, size, tenant};
use crate::support::{PrivateBroker, PrivateRedis, PrivateServer, TestProcess, proof_size, within};

/// Who send, each with an ordering key of its own.
const SENDERS: usize = 4;
/// Events of a batch.
const BATCH: usize = 20;
/// A node whose lease runs out soon, so that a killed one is missed soon.
const SETTINGS: [(&str, &str); 2] = [("TENET_EVENT_LEASE", "3s"), ("TENET_LOG", "warn,lapin=off")];
/// Older than any queue that was seen to be lost with a killed broker of one node (RabbitMQ 3.10; `docs/events.md`).
const QUEUE_OLD: Duration = Duration::from_secs(8);
/// How long it may take until enough events are accepted for the next kill.
const PART_MAX: Duration = Duration::from_secs(300);
/// How long the rest may take once nobody is killed any more.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// What was answered 202: ids by key.
type Ledger = Arc<Mutex<BTreeMap<String, String>>>;

fn key(sender: usize, number: usize) -> String {
    format!("{sender}-{number:08}")
}

fn batch(sender: usize, from: usize, to: usize) -> Value {
    let event = |number: usize| json!({"facts": {"n": number}, "idempotencyKey": key(sender, number), "orderingKey": format!("sender {sender}")});
    json!({"events": (from..to).map(event).collect::<Vec<_>>()})
}

/// Sends `count` events in order, batch after batch, each until it is answered.
async fn send_all(nodes: Arc<Mutex<Vec<Client>>>, path: String, sender: usize, count: usize, ledger: Ledger) {
    for from in (0..count).step_by(BATCH) {
        let to = (from + BATCH).min(count);
        let batch = batch(sender, from, to);
        let mut attempt = sender;
        let items = loop {
            let client = {
                let nodes = nodes.lock().unwrap();
                nodes[attempt % nodes.len()].clone()
            };
            if let Some(items) = post(&client, &path, &batch).await {
                break items;
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut ledger = ledger.lock().unwrap();
        for (number, (id, _)) in (from..to).zip(items) {
            ledger.insert(key(sender, number), id);
        }
    }
}

/// Kills a process of the server: then the server ends all others, and recovers from its log.
async fn crash_database(url: &str) {
    let Ok(mut connection) = PgConnection::connect(url).await else { return };
    let victim: Result<i32, _> = sqlx::query_scalar(
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
         order by state = 'active' desc, random() limit 1",
    )
    .fetch_one(&mut connection)
    .await;
    if let Ok(victim) = victim {
        let _ = Command::new("kill").args(["-9", &victim.to_string()]).status();
    }
}

#[derive(Default)]
struct Kills {
    nodes: usize,
    databases: usize,
    brokers: usize,
    redis: usize,
}

impl Kills {
    fn all(&self) -> usize {
        self.nodes + self.databases + self.brokers + self.redis
    }
}

/// Who is killed next.
#[derive(Clone, Copy)]
enum Victim {
    Node,
    Database,
    Broker,
    Redis,
}

/// In turns; without a broker, nodes are killed in its place.
const TURNS: [Victim; 4] = [Victim::Node, Victim::Database, Victim::Redis, Victim::Broker];

/// What is killed: two nodes, their database, and their broker with its Redis if they have one.
struct World {
    server: PrivateServer,
    broker: Option<(PrivateBroker, PrivateRedis)>,
    running: Vec<TestProcess>,
    nodes: Arc<Mutex<Vec<Client>>>,
    kills: Kills,
}

impl World {
    async fn start(broker: Option<(PrivateBroker, PrivateRedis)>) -> Self {
        let server = PrivateServer::start_durable().await;
        let nodes = Arc::default();
        let mut world = Self { server, broker, running: Vec::new(), nodes, kills: Kills::default() };
        for _ in 0..2 {
            let (process, client) = world.node().await;
            world.running.push(process);
            world.nodes.lock().unwrap().push(client);
        }
        world
    }

    async fn node(&self) -> (TestProcess, Client) {
        let urls = self.broker.as_ref().map(|(broker, redis)| (broker.url(), redis.url()));
        let mut settings = SETTINGS.to_vec();
        if let Some((broker, redis)) = &urls {
            settings.extend([("TENET_QUEUE", "rabbitmq"), ("TENET_RABBITMQ_URL", broker), ("TENET_REDIS_URL", redis)]);
        }
        TestProcess::serve_with(self.server.url(), &settings).await
    }

    async fn kill_node(&mut self) {
        // A node does not start while the database recovers.
        while PgConnection::connect(self.server.url()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let place = self.kills.nodes % self.running.len();
        self.running[place].signal(Signal::KILL);
        let code = self.running[place].end().await;
        assert_eq!(code, None, "it ended by itself:\n{}", self.running[place].printed());
        self.kills.nodes += 1;
        let (process, client) = self.node().await;
        self.running[place] = process;
        self.nodes.lock().unwrap()[place] = client;
    }

    /// Kills one after the other in turns, `count` times while `events` are sent: each once its part of them was accepted.
    async fn kill_all(&mut self, count: usize, events: usize, ledger: &Ledger) {
        let began = Instant::now();
        for number in 0..count {
            let part = events * number / count;
            within(PART_MAX, "the next events are accepted", async || ledger.lock().unwrap().len() >= part).await;
            // A database whose process was killed takes a moment to notice.
            tokio::time::sleep(Duration::from_millis(300)).await;
            match TURNS[self.kills.all() % TURNS.len()] {
                Victim::Node => self.kill_node().await,
                Victim::Database => {
                    crash_database(self.server.url()).await;
                    self.kills.databases += 1;
                }
                Victim::Broker => match &mut self.broker {
                    Some((broker, _)) => {
                        tokio::time::sleep(QUEUE_OLD.saturating_sub(began.elapsed())).await;
                        broker.kill();
                        broker.start_again().await;
                        self.kills.brokers += 1;
                    }
                    None => self.kill_node().await,
                },
                Victim::Redis => match &mut self.broker {
                    Some((_, redis)) => {
                        redis.kill();
                        redis.start_again().await;
                        self.kills.redis += 1;
                    }
                    None => self.kill_node().await,
                },
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_or_has_its_effect_twice_while_everything_is_killed() {
    let sizes = (size("TENET_PROOF_EVENTS", proof_size(1_200, 6_000)), size("TENET_PROOF_KILLS", proof_size(4, 24)));
    prove(None, sizes).await;
}

/// Starting a broker again takes it ten seconds: there are fewer kills.
#[cfg(feature = "rabbitmq")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_the_broker_held_is_lost_or_has_its_effect_twice_while_everything_is_killed() {
    let sizes = (size("TENET_PROOF_EVENTS", proof_size(1_200, 6_000)), size("TENET_PROOF_KILLS", proof_size(4, 12)));
    prove(Some((PrivateBroker::start().await, PrivateRedis::start().await)), sizes).await;
}

async fn prove(broker: Option<(PrivateBroker, PrivateRedis)>, (events, kills): (usize, usize)) {
    let events = events / SENDERS;
    let mut world = World::start(broker).await;
    let (nodes, ledger) = (world.nodes.clone(), Ledger::default());
    let client = nodes.lock().unwrap()[0].clone();
    let tenant = tenant(&client, "acme").await;
    let path = format!("/api/v1/tenants/{tenant}/events/batch");
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| tokio::spawn(send_all(nodes.clone(), path.clone(), sender, events, ledger.clone())))
        .collect();
    let began = Instant::now();
    world.kill_all(kills, events * SENDERS, &ledger).await;
    for sender in senders {
        sender.await.unwrap();
    }
    let ledger = ledger.lock().unwrap().clone();
    assert_eq!(ledger.len(), events * SENDERS);
    let mut owner = drained(world.server.url(), ledger.len()).await;
    let stored = check(&mut owner, &ledger, world.broker.is_some()).await;
    send_again(&world, &path, events, &stored).await;
    check(&mut owner, &ledger, world.broker.is_some()).await;
    // By now Redis knows again what it had lost; on a busy machine it may not say so in its 20 ms.
    let mut known = 0;
    for _ in 0..10 {
        known = send_again(&world, &path, events, &stored).await;
        if known > 0 {
            break;
        }
    }
    assert!(known > 0, "nothing is known when it is sent again");
    check(&mut owner, &ledger, world.broker.is_some()).await;
    println!(
        "{} events, {} nodes, {} databases, {} brokers and {} Redis killed, 0 lost, 0 twice, {known} known when sent again, in {:?}",
        ledger.len(),
        world.kills.nodes,
        world.kills.databases,
        world.kills.brokers,
        world.kills.redis,
        began.elapsed()
    );
}

/// Whatever is sent again is known: at once to the database, and to the broker's consumer when it is decided, unless Redis
/// knows it. Answers how many were known at once.
async fn send_again(world: &World, path: &str, events: usize, stored: &BTreeMap<String, String>) -> usize {
    let mut known = 0;
    let client = world.nodes.lock().unwrap()[0].clone();
    for sender in 0..SENDERS {
        for from in (0..events).step_by(1_000) {
            let to = (from + 1_000).min(events);
            let items = loop {
                if let Some(items) = post(&client, path, &batch(sender, from, to)).await {
                    break items;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            for (number, (id, status)) in (from..to).zip(items) {
                if status == "duplicate" {
                    assert_eq!(id, stored[&key(sender, number)], "{number}");
                    known += 1;
                } else {
                    assert!(world.broker.is_some(), "{number} is {status}");
                }
            }
        }
    }
    if world.broker.is_some() {
        // Decided after all of these.
        let last = json!({"facts": {"n": 0}, "orderingKey": "sender 9"});
        let path = path.trim_end_matches("/batch");
        let mut id = String::new();
        within(PART_MAX, "the last event is accepted", async || {
            let answer = client.post_json(path, &last).await.unwrap();
            id = answer.json::<Value>().unwrap()["id"].as_str().unwrap_or_default().to_owned();
            answer.status == 202
        })
        .await;
        let asked = Instant::now();
        while client.get(&format!("{path}/{id}")).await.unwrap().json::<Value>().unwrap()["state"] != "decided" {
            assert!(asked.elapsed() < DRAIN_MAX, "what was sent again is not decided");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let gone = client.delete(&format!("{path}/{id}")).await.unwrap();
        assert_eq!(gone.status, 204);
    }
    known
}

/// Waits until all is decided; answers a connection of the owner's.
async fn drained(url: &str, events: usize) -> PgConnection {
    let asked = Instant::now();
    loop {
        if let Ok(mut owner) = PgConnection::connect(url).await {
            let decided = sqlx::query_scalar("select count(*) from decisions").fetch_one(&mut owner).await;
            let decided: i64 = decided.unwrap_or_default();
            if decided == i64::try_from(events).unwrap() {
                return owner;
            }
            assert!(asked.elapsed() < DRAIN_MAX, "{decided} of {events} are decided");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The ids that are stored, by key. The broker does not know keys: of two events with one key the first is stored, whichever
/// was answered.
async fn check(owner: &mut PgConnection, ledger: &BTreeMap<String, String>, by_key: bool) -> BTreeMap<String, String> {
    let stored: Vec<(String, String, i64, bool)> = sqlx::query_as(
        "select e.id::text, e.ordering_key, (e.facts->>'n')::bigint, cardinality(d.matched) = 1
         from events e join decisions d using (tenant_id, id) order by e.id",
    )
    .fetch_all(&mut *owner)
    .await
    .unwrap();
    let stored_ids: BTreeMap<String, String> = stored
        .iter()
        .map(|(id, ordering, n, _)| {
            (key(ordering.split(' ').nth(1).unwrap().parse().unwrap(), usize::try_from(*n).unwrap()), id.clone())
        })
        .collect();
    assert_eq!(stored.len(), ledger.len(), "an event is stored once");
    if by_key {
        assert!(stored_ids.keys().eq(ledger.keys()), "each key that was answered is stored");
    } else {
        assert_eq!(&stored_ids, ledger, "what was answered is what is stored");
    }
    for (id, _, n, matched) in &stored {
        assert_eq!(*matched, n % 2 == 0, "{id}");
    }
    let counts: (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from events), (select count(*) from dead_letters), (select count(*) from event_retries)",
    )
    .fetch_one(&mut *owner)
    .await
    .unwrap();
    assert_eq!(counts, (i64::try_from(ledger.len()).unwrap(), 0, 0), "no failure uses up an event's attempts");
    let disordered: Vec<String> = sqlx::query_scalar(
        "select d::text from (
            select id, decided_at, lag(decided_at) over (partition by ordering_key order by id) as before,
                (events.facts->>'n')::bigint as n, lag((events.facts->>'n')::bigint) over (partition by ordering_key order by id) as n_before
            from events join decisions using (tenant_id, id)) d where decided_at < before or n < n_before",
    )
    .fetch_all(&mut *owner)
    .await
    .unwrap();
    assert_eq!(disordered, [""; 0], "events of one ordering key take effect in their order");
    stored_ids
}
