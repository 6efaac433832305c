//! Real faults, and a history that is checked while they happen.
//!
//! Every change of a tenant writes its revision into the schema and into both rules, in one transaction. So each
//! decision shows whether it was made by a whole set, and of which revision; and what was committed when is known.

mod listener;
mod network;
mod process;
mod server;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenet::{
    domain::{Revision, TenantId},
    engine::Engine,
    ruleset::{Query, UnknownFacts},
};
use tokio::task::JoinHandle;

use crate::support::{Node, scope};

/// What we promise: no decision is older and not marked so.
const BOUND: Duration = Duration::from_secs(2);
/// What a test adds to the bound for its own threads, on a machine busy with other tests.
const SCHEDULING: Duration = Duration::from_millis(500);

/// Everything that was committed: of each tenant which revision, and when the commit was acknowledged.
#[derive(Default)]
struct Ledger {
    committed: Mutex<HashMap<TenantId, Vec<(Instant, i64)>>>,
}

impl Ledger {
    fn note(&self, tenant: TenantId, revision: i64) {
        self.committed.lock().unwrap().entry(tenant).or_default().push((Instant::now(), revision));
    }

    /// The newest revision that was acknowledged before `moment`.
    fn newest(&self, tenant: TenantId, moment: Instant) -> i64 {
        let committed = self.committed.lock().unwrap();
        let of_tenant = committed.get(&tenant).map_or(&[][..], Vec::as_slice);
        of_tenant.iter().rev().find(|(at, _)| *at <= moment).map_or(0, |(_, revision)| *revision)
    }

    fn count(&self) -> usize {
        self.committed.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// Somebody with psql.
struct Writer {
    connection: PgConnection,
    ledger: Arc<Ledger>,
}

impl Writer {
    async fn connect(url: &str, ledger: &Arc<Ledger>) -> Self {
        Self { connection: PgConnection::connect(url).await.unwrap(), ledger: ledger.clone() }
    }

    /// The next revision of a tenant, in all its parts.
    async fn commit(&mut self, tenant: TenantId) -> i64 {
        let mut transaction = self.connection.begin().await.unwrap();
        let locked = "select revision + 1 from tenants where id = $1 for no key update";
        let revision: i64 = sqlx::query_scalar(locked).bind(tenant.0).fetch_one(&mut *transaction).await.unwrap();
        let definition = json!({ "facts": { "n": "int", (format!("v{revision}")): "int" } });
        sqlx::query("update schemas set definition = $2 where tenant_id = $1 and active")
            .bind(tenant.0)
            .bind(definition)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(
            "update rules set expression = case name when 'one' then 'facts.n == ' || $2::text
                else '!has(facts.v' || $2::text || ')' end where tenant_id = $1",
        )
        .bind(tenant.0)
        .bind(revision.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        self.ledger.note(tenant, revision);
        revision
    }

    /// I6: every commit is in the log, and the log has no gaps.
    async fn check_log(&mut self) {
        let wrong: Vec<(uuid::Uuid, i64, i64)> = sqlx::query_as(
            "select tenant_id, max(revision), count(*) from tenant_changes group by tenant_id
             having max(revision) <> count(*) or min(revision) <> 1",
        )
        .fetch_all(&mut self.connection)
        .await
        .unwrap();
        assert_eq!(wrong, [], "revisions with gaps");
        let stored: Vec<(uuid::Uuid, i64)> =
            sqlx::query_as("select id, revision from tenants").fetch_all(&mut self.connection).await.unwrap();
        for (tenant, revision) in stored {
            let newest = self.ledger.newest(TenantId(tenant), Instant::now());
            assert_eq!(revision, newest, "the newest of {tenant} that was acknowledged, and what is stored");
        }
    }
}

/// Makes a tenant whose rules tell its revision.
async fn tenant(node: &Node, writer: &mut Writer, name: &str) -> TenantId {
    let tenant = node.tenant(name).await;
    node.create_rule(tenant, "one", "facts.n == 0").await;
    node.create_rule(tenant, "two", "facts.n == 0").await;
    writer.commit(tenant).await;
    tenant
}

/// What a watcher saw.
#[derive(Default)]
struct Seen {
    decisions: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
    /// What must not have happened.
    wrong: Mutex<Vec<String>>,
}

/// Decides again and again on one node, and checks each decision.
struct Watcher {
    seen: Arc<Seen>,
    done: Arc<AtomicBool>,
    watching: JoinHandle<()>,
}

impl Watcher {
    fn start(node: &Node, tenants: &[TenantId], ledger: &Arc<Ledger>) -> Self {
        let (seen, done) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let (engine, tenants) = (node.engine.clone(), tenants.to_vec());
        let watching = tokio::spawn({
            let (seen, done, ledger) = (seen.clone(), done.clone(), ledger.clone());
            async move {
                let mut served = HashMap::new();
                while !done.load(Ordering::Relaxed) {
                    for tenant in &tenants {
                        look(&engine, *tenant, &ledger, &seen, &mut served).await;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Self { seen, done, watching }
    }

    /// Ends it; fails if anything was wrong. Answers how many decisions there were, and how many were marked stale.
    async fn end(self) -> (u64, u64) {
        self.done.store(true, Ordering::Relaxed);
        self.watching.await.unwrap();
        let wrong = self.seen.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong, such as {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        assert_eq!(self.seen.failed.load(Ordering::Relaxed), 0, "failed decisions");
        let decisions = self.seen.decisions.load(Ordering::Relaxed);
        assert!(decisions > 0, "nothing was decided");
        (decisions, self.seen.stale.load(Ordering::Relaxed))
    }
}

async fn look(
    engine: &Engine,
    tenant: TenantId,
    ledger: &Ledger,
    seen: &Seen,
    served: &mut HashMap<TenantId, Revision>,
) {
    let asked = Instant::now();
    let Ok(answer) = engine.rule_set(scope(tenant), None).await else {
        seen.failed.fetch_add(1, Ordering::Relaxed);
        return;
    };
    seen.decisions.fetch_add(1, Ordering::Relaxed);
    let revision = answer.set.revision();
    let wrong = |what: String| seen.wrong.lock().unwrap().push(what);
    // I1
    let before = served.insert(tenant, revision).unwrap_or(revision);
    if before > revision {
        wrong(format!("{tenant} went back from {before} to {revision}"));
    }
    // I2
    let facts = json!({ "n": revision.0 }).to_string();
    let matched = answer.set.read_facts(&facts, UnknownFacts::Ignore).map(|facts| {
        let query = Query::default();
        let decision = answer.set.decide(&facts, &query);
        decision.results.iter().all(|result| result.matched && result.error.is_none()) && decision.results.len() == 2
    });
    if !matched.is_ok_and(|matched| matched) {
        wrong(format!("{tenant} at {revision} is torn"));
    }
    // I3
    if answer.stale {
        seen.stale.fetch_add(1, Ordering::Relaxed);
    } else if let Some(since) = asked.checked_sub(BOUND + SCHEDULING) {
        let newest = ledger.newest(tenant, since);
        if revision.0 < newest {
            wrong(format!("{tenant} served {revision}, not marked, {:?} after {newest}", BOUND + SCHEDULING));
        }
    }
}

/// I4: within `bound` a node serves everything that was committed, unmarked.
async fn caught_up(node: &Node, tenants: &[TenantId], ledger: &Ledger, bound: Duration) {
    let began = Instant::now();
    loop {
        let mut behind = Vec::new();
        for tenant in tenants {
            let newest = ledger.newest(*tenant, Instant::now());
            let served = node.engine.rule_set(scope(*tenant), None).await;
            if !served.as_ref().is_ok_and(|served| served.set.revision().0 == newest && !served.stale) {
                behind.push((*tenant, newest, served.map(|served| (served.set.revision(), served.stale))));
            }
        }
        if behind.is_empty() {
            return;
        }
        assert!(began.elapsed() < bound, "after {bound:?} {} are behind, such as {:?}", behind.len(), behind[0]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
