//! Changing where events wait: refused while some wait where they waited before, unless these are decided first.

use sqlx::{Connection, PgConnection};
use tenet::{client::Client, config::Secret};

use super::{
    broker::{SOON, is_soon, sent, set_paused},
    tenant,
};
use crate::support::{OPERATOR_KEY, TestDatabase, TestProcess, broker, free_address, within};

/// A database, and a broker beside it.
struct Places {
    database: TestDatabase,
    broker: String,
}

impl Places {
    /// Starts a node whose events wait at `queue`.
    fn start(&self, queue: &str, flags: &[&str], with_broker: bool) -> (TestProcess, String) {
        let listen = free_address();
        let mut variables = vec![
            ("DATABASE_URL", self.database.url()),
            ("TENET_OPERATOR_KEY", OPERATOR_KEY),
            ("TENET_LISTEN", &listen),
            ("TENET_SHUTDOWN_DELAY", "0ms"),
            ("TENET_QUEUE", queue),
        ];
        if with_broker {
            variables.push(("TENET_RABBITMQ_URL", &self.broker));
        }
        let arguments = [&["serve"], flags].concat();
        (TestProcess::run(&arguments, &variables), listen)
    }

    async fn serve(&self, queue: &str, flags: &[&str]) -> (TestProcess, Client) {
        let (mut process, listen) = self.start(queue, flags, true);
        let client = process.ready(&listen).await.with_key(Some(Secret::new(OPERATOR_KEY)));
        (process, client)
    }

    /// What a node says that does not start.
    async fn refusal(&self, queue: &str, flags: &[&str], with_broker: bool) -> String {
        let (mut process, _) = self.start(queue, flags, with_broker);
        within(SOON, "ended", async || process.has_ended()).await;
        assert_eq!(process.end().await, Some(1), "{}", process.printed());
        process.printed()
    }

    /// Stops a node while three events of a tenant wait; answers their ids.
    async fn stop_with_three(&self, mut process: TestProcess, client: &Client, tenant: &str) -> Vec<String> {
        let first = sent(client, tenant, 0).await;
        is_soon(client, tenant, &first, "decided").await;
        set_paused(client, tenant, "pause").await;
        let mut ids = Vec::new();
        for n in 1..4 {
            ids.push(sent(client, tenant, n).await);
        }
        process.signal(rustix::process::Signal::TERM);
        assert_eq!(process.end().await, Some(0), "{}", process.printed());
        ids
    }

    /// As an operator does before a node stops.
    async fn resume(&self) {
        let mut owner = PgConnection::connect(self.database.url()).await.unwrap();
        sqlx::query("update event_queues set paused = false").execute(&mut owner).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_place_of_events_changes_once_none_wait_where_they_did() {
    let (broker, _broker) = broker().await;
    let places = Places { database: TestDatabase::fresh().await, broker };
    let (process, client) = places.serve("postgres", &[]).await;
    let tenant = tenant(&client, "acme").await;
    let in_log = places.stop_with_three(process, &client, &tenant).await;

    let said = places.refusal("rabbitmq", &[], true).await;
    assert!(said.contains("3 events wait in `postgres`") && said.contains("tenet serve --drain"), "{said}");
    let said = places.refusal("rabbitmq", &["--drain"], true).await;
    assert!(said.contains("3 of them cannot be decided") && said.contains("paused"), "{said}");
    places.resume().await;
    let (process, client) = places.serve("rabbitmq", &["--drain"]).await;
    for id in &in_log {
        is_soon(&client, &tenant, id, "decided").await;
    }
    let in_broker = places.stop_with_three(process, &client, &tenant).await;

    let said = places.refusal("postgres", &[], false).await;
    assert!(said.contains("`TENET_RABBITMQ_URL` is not set"), "{said}");
    let said = places.refusal("postgres", &[], true).await;
    assert!(said.contains("3 events wait in `rabbitmq`") && said.contains("tenet serve --drain"), "{said}");
    places.resume().await;
    let (process, client) = places.serve("postgres", &["--drain"]).await;
    for id in &in_broker {
        is_soon(&client, &tenant, id, "decided").await;
    }
    drop(process);
    // Neither is asked for again.
    let (process, listen) = places.start("postgres", &[], false);
    let mut process = process;
    process.ready(&listen).await;
}
