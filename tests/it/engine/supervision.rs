//! What becomes of a tenant whose actor or load fails, and that nobody else is touched.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenet::{
    domain::{Change, RulePatch, TenantId},
    engine::{EngineOptions, Error},
    ruleset::Outcome,
};
use tokio::task::JoinHandle;

use crate::support::{
    Node, TRAP, TestApp, TestDatabase, cannot_load_traps, panic_on_log_line, stop_panicking_on_log_lines, within,
};

/// What we promise of changes, and so of coming back.
const BOUND: Duration = Duration::from_secs(2);

/// Decides for another tenant, all the time, and answers how often when it is told to end; each decision must be right.
struct Bystander {
    done: Arc<AtomicBool>,
    deciding: JoinHandle<u64>,
}

impl Bystander {
    async fn beside(node: &Arc<Node>) -> Self {
        let tenant = node.tenant("bystander").await;
        node.create_rule(tenant, "grown", "facts.n >= 18").await;
        let done = Arc::new(AtomicBool::new(false));
        let deciding = tokio::spawn({
            let (node, done) = (node.clone(), done.clone());
            async move {
                let mut decisions = 0;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(node.decide(tenant, 17).await, [Some(false)]);
                    assert_eq!(node.decide(tenant, 18).await, [Some(true)]);
                    decisions += 2;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                decisions
            }
        });
        Self { done, deciding }
    }

    async fn was_served(self) {
        self.done.store(true, Ordering::Relaxed);
        assert!(self.deciding.await.unwrap() > 50);
    }
}

async fn tenant_with_rule(node: &Node) -> (TenantId, Change) {
    let tenant = node.tenant("acme").await;
    let changed = node.create_rule(tenant, "positive", "facts.n > 0").await;
    let Outcome::Rule(rule) = changed.amendment.outcome else { panic!("{:?}", changed.amendment.outcome) };
    assert_eq!(node.decide(tenant, 1).await, [Some(true)]);
    let patch = RulePatch { expression: Some("facts.n > 1".to_owned()), ..RulePatch::default() };
    (tenant, Change::PatchRule(rule, patch))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_panics_is_started_again_and_decisions_go_on_meanwhile() {
    let database = TestDatabase::fresh().await;
    let node = Arc::new(Node::start(database.url()).await);
    let (tenant, change) = tenant_with_rule(&node).await;
    let bystander = Bystander::beside(&node).await;

    panic_on_log_line("published", tenant);
    let changing = tokio::spawn({
        let node = node.clone();
        async move { node.change(tenant, change).await.unwrap() }
    });
    within(BOUND, "started again", async || {
        assert_eq!(node.decide(tenant, 1).await, [Some(true)], "the last good set");
        node.metric("tenet_actor_restarts_total") >= 2
    })
    .await;
    assert!(!changing.is_finished(), "a writer that was answered now would read what it has overwritten");
    stop_panicking_on_log_lines();

    changing.await.unwrap();
    assert_eq!(node.decide(tenant, 1).await, [Some(false)], "a writer reads what it wrote");
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_fails_over_and_over_is_quarantined_until_it_is_changed() {
    let database = TestDatabase::fresh().await;
    let node = Arc::new(Node::start_with(database.url(), cannot_load_traps(EngineOptions::default())).await);
    let (tenant, _) = tenant_with_rule(&node).await;
    let bystander = Bystander::beside(&node).await;

    let changed = node.create_rule(tenant, TRAP, "facts.n > 1").await;
    let Outcome::Rule(trap) = changed.amendment.outcome else { panic!("{:?}", changed.amendment.outcome) };
    within(Duration::from_secs(5), "in quarantine", async || {
        assert_eq!(node.decide(tenant, 1).await, [Some(true)], "the last good set");
        node.metric("tenet_quarantines_total") == 1
    })
    .await;
    let restarts = node.metric("tenet_actor_restarts_total");
    assert_eq!(restarts, 4, "a fifth failure is not followed by a start");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.metric("tenet_actor_restarts_total"), restarts, "nothing is tried while nothing changes");

    // A change is worth a trial; this one does not mend it.
    node.create_rule(tenant, "second", "facts.n > 2").await;
    within(BOUND, "tried again", async || node.metric("tenet_actor_restarts_total") > restarts).await;
    assert_eq!(node.decide(tenant, 1).await, [Some(true)], "the last good set");

    node.change(tenant, Change::DeleteRule(trap)).await.unwrap();
    within(BOUND, "released", async || node.decide(tenant, 3).await == [Some(true), Some(true)]).await;
    assert_eq!(node.metric("tenet_quarantines_total"), 1);
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_tenant_that_cannot_be_loaded_is_refused_and_nobody_else() {
    let database = TestDatabase::fresh().await;
    let writer = Node::start(database.url()).await;
    let tenant = writer.tenant("acme").await;
    writer.create_rule(tenant, TRAP, "facts.n > 0").await;
    let node = Arc::new(Node::start_with(database.url(), cannot_load_traps(EngineOptions::default())).await);
    let bystander = Bystander::beside(&node).await;
    within(Duration::from_secs(5), "in quarantine", async || {
        let refused = node.revision(tenant).await;
        assert!(matches!(refused, Err(Error::LoadFailed)), "{refused:?}");
        node.metric("tenet_quarantines_total") == 1
    })
    .await;
    bystander.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_dies_ends_the_process_with_a_failure() {
    let app = TestApp::start().await;
    let tenant = app.create_tenant_with_schema("acme", &serde_json::json!({"n": "int"})).await;
    app.evaluate(&tenant, &serde_json::json!({"n": 1})).await;
    // Its turn, when it hears of the actor that failed.
    panic_on_log_line("a tenant's actor failed", &tenant);
    panic_on_log_line("published", &tenant);
    let client = app.client.clone();
    let running = tokio::spawn(app.run());
    let rule = serde_json::json!({ "name": "positive", "expression": "facts.n > 0" });
    let _ = client.post_json(&format!("/api/v1/tenants/{tenant}/rules"), &rule).await;
    let ended = tokio::time::timeout(Duration::from_secs(15), running).await.expect("the service goes on").unwrap();
    let message = ended.expect_err("a failure").to_string();
    assert!(message.contains("a part of the engine ended"), "{message}");
}
