//! What becomes of a tenant whose actor or load fails, and that nobody else is touched.

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tenet::{
    config::Secret,
    domain::{Change, RulePatch, TenantId},
    engine::{EngineOptions, Error},
    ruleset::ChangeOutcome,
};
use tokio::task::JoinHandle;

use crate::support::{
    Node, OPERATOR_KEY, TRAP, TestDatabase, TestProcess, cannot_load_traps, free_address, panic_on_log_line, scope,
    stop_panicking_on_log_lines, within,
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
    let ChangeOutcome::Rule(rule) = changed.applied.outcome else { panic!("{:?}", changed.applied.outcome) };
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

    // A node that makes a change serves what it compiled; one that hears of it has to load it.
    let elsewhere = Node::start(database.url()).await;
    let changed = elsewhere.create_rule(tenant, TRAP, "facts.n > 1").await;
    let ChangeOutcome::Rule(trap) = changed.applied.outcome else { panic!("{:?}", changed.applied.outcome) };
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
    elsewhere.create_rule(tenant, "second", "facts.n > 2").await;
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
    // One that is compiled where it was read, and one that is compiled on another thread.
    let long = vec!["facts.n > 0"; 100].join(" || ");
    let mut tenants = Vec::new();
    for (name, expression) in [("little", "facts.n > 0"), ("much", &long)] {
        let tenant = writer.tenant(name).await;
        writer.create_rule(tenant, TRAP, expression).await;
        tenants.push(tenant);
    }
    let node = Arc::new(Node::start_with(database.url(), cannot_load_traps(EngineOptions::default())).await);
    let bystander = Bystander::beside(&node).await;
    for (before, tenant) in tenants.into_iter().enumerate() {
        within(Duration::from_secs(5), "in quarantine", async || {
            let refused = node.revision(tenant).await;
            assert!(matches!(refused, Err(Error::LoadFailed)), "{refused:?}");
            node.metric("tenet_quarantines_total") == before as u64 + 1
        })
        .await;
        let error = node.engine.runtime(scope(tenant)).await.unwrap().resident.unwrap().last_error.unwrap();
        assert!(error.message.contains("stepped into the trap"), "{}", error.message);
    }
    bystander.was_served().await;
}

/// Names to a process of the test below the tenant of which its supervisor cannot tell that the actor failed.
const UNTOLD: &str = "TENET_TEST_UNTOLD";

/// The program as it is run, but for the log, which is what fails.
fn serve_and_die(tenant: &str) -> ! {
    // The actor's turn, then the supervisor's, when it hears of it.
    panic_on_log_line("published", tenant);
    panic_on_log_line("a tenant's actor failed", tenant);
    let code = tenet::cli::run_as(&["tenet", "serve"]);
    // What `main` answers: a code that is no number to others, but can be compared.
    std::process::exit(if code == ExitCode::FAILURE { 1 } else { 100 });
}

#[test]
fn a_supervisor_that_dies_ends_the_process_with_exit_code_1() {
    if let Ok(tenant) = env::var(UNTOLD) {
        serve_and_die(&tenant);
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let database = TestDatabase::fresh().await;
        let node = Node::start(database.url()).await;
        let tenant = node.tenant("acme").await.to_string();
        let listen = free_address();
        let mut process = TestProcess::of(
            &env::current_exe().unwrap(),
            &[
                "--exact",
                "engine::supervision::a_supervisor_that_dies_ends_the_process_with_exit_code_1",
                "--nocapture",
            ],
            &[
                ("DATABASE_URL", database.url()),
                ("TENET_OPERATOR_KEY", OPERATOR_KEY),
                ("TENET_LISTEN", &listen),
                (UNTOLD, &tenant),
            ],
        );
        let client = process.ready(&listen).await.with_key(Some(Secret::new(OPERATOR_KEY)));
        let facts = json!({ "tenantId": tenant, "facts": { "n": 1 } });
        let _ = client.post_json("/api/v1/evaluate", &facts).await;
        assert_eq!(process.end().await, Some(1), "{}", process.printed());
        assert!(process.printed().contains("error: a part of the engine ended"), "{}", process.printed());
    });
}
