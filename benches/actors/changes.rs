//! How changes travel: to another process, in bursts, and what it costs to ask whether there are any.

use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenet::{
    client::{Client, Method},
    config::Secret,
    domain::{Change, ChangeOptions, Revision, RulePatch, TenantId},
    store::Observer,
};

use super::{
    bed::{Bed, Database, FACTS, Node, Rules, scope},
    process::{self, Running, cpu},
    report::{Report, median, quantile},
};

/// The operator's key of the services that are started here.
pub const KEY: &str = "a-key-for-the-bench-only-0123456789";
/// Tenants of the figures about propagation.
const TENANTS: usize = 1_000;

/// A `tenet serve` on a database, once it is ready.
pub fn serve(bed: &Bed, url: &str) -> (Running, Client) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
    command
        .arg("serve")
        .env("DATABASE_URL", url)
        .env("TENET_OPERATOR_KEY", KEY)
        .env("TENET_LISTEN", &address)
        .env("TENET_RATE_LIMITS", "off");
    let running = Running::start(command.env("TENET_LOG", "error").stdout(std::process::Stdio::null()));
    let client = Client::new(&format!("http://{address}")).unwrap().with_key(Some(Secret::new(KEY)));
    bed.runtime.block_on(until_ready(&client, "/readyz"));
    (running, client)
}

/// Waits until `path` answers well.
pub async fn until_ready(client: &Client, path: &str) {
    let began = Instant::now();
    while !client.get(path).await.is_ok_and(|answer| answer.is_success()) {
        assert!(began.elapsed() < Duration::from_secs(60), "the service does not get ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// From commit to served, in another process that has 1,000 tenants in memory: while it has nothing else to do, and
/// while it answers as many evaluations as it can.
pub fn propagation(bed: &Bed, report: &mut Report) {
    let database = bed.database(TENANTS, Rules::Alike);
    let (running, client) = serve(bed, &database.url);
    bed.runtime.block_on(async {
        stream::iter(&database.tenants).for_each_concurrent(16, |tenant| evaluate(&client, *tenant, None)).await;
        let mut idle = lags(&database, &client, 2_000).await;
        report.figure("commit to served elsewhere, idle, p50", quantile(&mut idle, 0.5), "ms", "aimed at 5 or less");
        report.figure("commit to served elsewhere, idle, p99", quantile(&mut idle, 0.99), "ms", "aimed at 25 or less");
        let busy = tokio::spawn(keep_busy(client.clone(), database.tenants.clone()));
        let mut loaded = lags(&database, &client, 1_000).await;
        busy.abort();
        report.figure("commit to served elsewhere, under load, p50", quantile(&mut loaded, 0.5), "ms", "");
        report.figure(
            "commit to served elsewhere, under load, p99",
            quantile(&mut loaded, 0.99),
            "ms",
            "aimed at 250 or less",
        );
    });
    drop(running);
}

/// Evaluates; with a revision, the answer waits until it is served.
async fn evaluate(client: &Client, tenant: TenantId, revision: Option<Revision>) {
    let mut body = json!({"facts": {"age": 42}});
    if let Some(Revision(revision)) = revision {
        body["minRevision"] = revision.into();
    }
    let path = format!("/api/v1/tenants/{tenant}/evaluate");
    let answer = client.post_json(&path, &body).await.unwrap();
    assert!(answer.is_success(), "{}", answer.text());
}

/// Milliseconds from each commit until the other process serves it. The answer's way is part of them.
async fn lags(database: &Database, client: &Client, count: usize) -> Vec<f64> {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let mut lags = Vec::with_capacity(count);
    for number in 0..count {
        let tenant = database.tenants[number % database.tenants.len()];
        let change = format!("facts.age >= {number}");
        let mut transaction = connection.begin().await.unwrap();
        let changed = "update rules set expression = $2 where tenant_id = $1 and name = 'rule 0'";
        sqlx::query(changed).bind(tenant.0).bind(change).execute(&mut *transaction).await.unwrap();
        let revision: i64 = sqlx::query_scalar("select revision from tenants where id = $1")
            .bind(tenant.0)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let committed = Instant::now();
        evaluate(client, tenant, Some(Revision(revision))).await;
        lags.push(committed.elapsed().as_secs_f64() * 1e3);
    }
    lags
}

/// Eight connections that evaluate without a pause.
async fn keep_busy(client: Client, tenants: Vec<TenantId>) {
    let connection = |number: usize| {
        let (client, tenants) = (client.clone().with_own_connections(), tenants.clone());
        async move {
            let body = format!(r#"{{"facts":{FACTS}}}"#);
            let mut turn = number;
            loop {
                let path = format!("/api/v1/tenants/{}/evaluate", tenants[turn % tenants.len()]);
                let json = [("content-type", "application/json")];
                client.request(Method::POST, &path, &json, body.clone()).await.unwrap();
                turn += 7;
            }
        }
    };
    futures_util::future::join_all((0..8).map(connection)).await;
}

/// A burst of writes to one tenant makes few loads.
pub fn burst(bed: &Bed, report: &mut Report) {
    const WRITES: i64 = 1_000;
    let database = bed.database(1, Rules::Many(1_000));
    bed.runtime.block_on(async {
        let node = Node::start(&database.url).await;
        let engine = &node.engine;
        let tenant = database.tenants[0];
        engine.rule_set(scope(tenant), None).await.unwrap();
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        let (before, busy) = (node.loads(), node.load_seconds());
        let began = Instant::now();
        for number in 0..WRITES {
            let change = "update rules set expression = $2 where tenant_id = $1 and name = 'rule 7'";
            let expression = format!("facts.age >= {number}");
            sqlx::query(change).bind(tenant.0).bind(expression).execute(&mut connection).await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        while engine.rule_set(scope(tenant), None).await.unwrap().set.revision() < Revision(WRITES + 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let loads = node.loads() - before;
        // As long as these loads took: were there one beside another, or one that nobody needed, there would be more
        // than fit.
        let load = (node.load_seconds() - busy) / loads;
        report.figure("1,000 writes to one tenant in a burst", seconds * 1e3, "ms", "");
        report.figure("  a load", load * 1e3, "ms", "");
        let bound = 1.0 + (seconds / load).ceil();
        report.ratio("  loads that they made, of one and burst ÷ load time", loads, bound, "loads", 1.0);
        node.stop().await;
    });
}

/// Changes of one rule through the engine, to a tenant of 1,000 rules in memory. The baseline is what a change cost before
/// the set that it compiled was handed over: the tenant was read and compiled again before the change was answered.
pub fn handed_over(bed: &Bed, report: &mut Report) {
    const CHANGES: usize = 200;
    let database = bed.database(1, Rules::Many(1_000));
    bed.runtime.block_on(async {
        let committed = Arc::new(Mutex::new(Instant::now()));
        let noted = committed.clone();
        let note = move |statement, _| {
            if statement == "commit" {
                *noted.lock().unwrap() = Instant::now();
            }
        };
        let node = Node::start_observed(&database.url, Observer::new(note, |_, _| ())).await;
        let (engine, scope) = (&node.engine, scope(database.tenants[0]));
        engine.rule_set(scope, None).await.unwrap();
        let rule = node.store.snapshot(scope).await.unwrap().unwrap().rules[7].id;
        let (mut served, mut reloaded) = (Vec::new(), Vec::new());
        let (mut changing, mut reloading) = (Duration::ZERO, Duration::ZERO);
        for number in 0..CHANGES {
            let patch = RulePatch { expression: Some(format!("facts.age >= {number}")), ..RulePatch::default() };
            let began = Instant::now();
            engine.change(scope, Change::PatchRule(rule, patch), ChangeOptions::default()).await.unwrap();
            let committed = *committed.lock().unwrap();
            served.push(committed.elapsed().as_secs_f64() * 1e3);
            changing += began.elapsed();
            let between = Instant::now();
            engine.reload_tenant(scope).await.unwrap();
            reloading += between.elapsed();
            reloaded.push(committed.elapsed().as_secs_f64() * 1e3);
        }
        let per_second = |time: Duration| CHANGES as f64 / time.as_secs_f64();
        let loads = "and a load of what it wrote, the baseline";
        report.figure("writes a second, 1,000 rules, each loaded again", per_second(changing + reloading), "", loads);
        report.figure("writes a second, 1,000 rules", per_second(changing), "", "");
        let change_ms = changing.as_secs_f64() * 1e3 / CHANGES as f64;
        let loaded_ms = (changing + reloading).as_secs_f64() * 1e3 / CHANGES as f64;
        report.ratio("a write to a tenant of 1,000 rules", change_ms, loaded_ms, "ms, mean", 1.0);
        let baseline = median(&mut reloaded);
        report.figure("commit to served on the writing node, loaded again", baseline, "ms, median", "the baseline");
        report.ratio("commit to served on the writing node", median(&mut served), baseline, "ms, median", 1.0);
        node.stop().await;
    });
}

/// What it costs to ask again and again, with many tenants in memory and no change.
pub fn reconcile(bed: &Bed, report: &mut Report) {
    const SECONDS: u64 = 70;
    let database = bed.database(bed.sizes.residents, Rules::Alike);
    let (running, client) = serve(bed, &database.url);
    bed.runtime.block_on(async {
        stream::iter(&database.tenants).for_each_concurrent(32, |tenant| evaluate(&client, *tenant, None)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = cpu(running.id());
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        let share = (cpu(running.id()) - before).as_secs_f64() / SECONDS as f64 * 100.0;
        // Long enough for one full comparison, which comes every minute.
        let what = format!("a node with {} tenants and nothing to do", bed.sizes.residents);
        report.figure(&what, share, "% of a core", "aimed at 1 or less");
        let bytes = process::memory_bytes(running.id());
        report.figure("  memory of the node", bytes / 1e9, "GB", "");
    });
}
