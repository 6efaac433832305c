//! What keeps tenants apart, and what it costs: whether the time of a refusal tells anything, what a key costs a
//! decision, what row level security costs a transaction, and what the audit log costs a change.

use std::{
    collections::HashMap,
    hint::black_box,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tenet::{
    app::App,
    client::Client,
    config::{Secret, Settings},
    domain::{ApiKeyId, Author, Holder, TenantId, Token},
    ruleset::Operation,
    store::{Observer, PageRequest, RuleFilter, Store, StoreOptions},
};

use super::{
    bed::{Bed, FACTS, Rules, scope},
    changes::{KEY, until_ready},
    process::{Running, cpu},
    report::{Report, median, quantile},
};

/// Rounds of refusals; each asks in four ways.
const REFUSAL_ROUNDS: usize = 25_000;
/// What Welch's t stays below where two kinds of answers are not told apart by their times (as in `dudect`).
const T_MAX: f64 = 4.5;
/// Rounds of evaluations, and how many each of them has.
const EVALUATION_ROUNDS: usize = 7;
const EVALUATIONS: usize = 40_000;
const CONNECTIONS: usize = 8;
/// Transactions of each kind.
const TRANSACTIONS: usize = 10_000;
/// Changes that are written down.
const CHANGES: usize = 5_000;

/// The service, where keys are looked at and none is asked for.
pub fn child_open(address: &str, url: &str) {
    let mut settings = Settings::default();
    settings.engine.rate_limits = Some(false);
    settings.database.url = Some(Secret::new(url));
    settings.http.listen = address.parse::<SocketAddr>().unwrap();
    settings.http.operator_key = Some(Secret::new(KEY));
    settings.http.keys_optional = true;
    settings.http.auth_failures_per_address = 1_000_000_000;
    settings.http.auth_failures_per_key = 1_000_000_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { App::start(settings).await.unwrap().run_until_signal().await.unwrap() });
}

/// Starts it; answers who shows no key.
fn open(bed: &Bed, url: &str) -> (Running, Client) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let running = Running::again(&["open", &address, url]);
    let nobody = Client::new(&format!("http://{address}")).unwrap();
    bed.runtime.block_on(until_ready(&nobody, "/readyz"));
    (running, nobody)
}

/// A key of a tenant, and its id.
async fn key(nobody: &Client, tenant: TenantId, scope: &str) -> (String, ApiKeyId) {
    let body = json!({"name": "bench", "scopes": [scope]});
    let made = nobody.post_json(&format!("/api/v1/tenants/{tenant}/api-keys"), &body).await.unwrap();
    let made: serde_json::Value = made.json().unwrap();
    (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().parse().unwrap())
}

/// Numbers by chance, the same in each run (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Whether the time of a refusal tells a wrong secret from an unknown key, and another tenant's id from one that is not.
pub fn refusals(bed: &Bed, report: &mut Report) {
    let database = bed.database(2, Rules::Alike);
    let (_running, nobody) = open(bed, &database.url);
    let [own, other] = [database.tenants[0], database.tenants[1]];
    let mut times: [Vec<f64>; 4] = Default::default();
    bed.runtime.block_on(async {
        let (read, known) = key(&nobody, own, "read").await;
        let with = |key: String| nobody.clone().with_key(Some(Secret::new(key)));
        let forged = |id: ApiKeyId| with(Token::generate(Holder::Tenant(own, id)).unwrap().text());
        let reader = with(read);
        let (others, nobodys) =
            (format!("/api/v1/tenants/{other}"), format!("/api/v1/tenants/{}", TenantId::generate()));
        let own_path = format!("/api/v1/tenants/{own}");
        assert_eq!(reader.get(&own_path).await.unwrap().status, 200);
        let (mut order, mut chance) = ([0, 1, 2, 3], Chance(0x9e37_79b9_7f4a_7c15));
        for _ in 0..REFUSAL_ROUNDS {
            // A new key each time: nobody may have seen it before.
            let asked = [
                (forged(ApiKeyId::generate()), &own_path, 401),
                (forged(known), &own_path, 401),
                (reader.clone(), &others, 404),
                (reader.clone(), &nobodys, 404),
            ];
            // By chance, so that each kind comes after each other as often: what was asked before slows what comes next.
            for last in (1..order.len()).rev() {
                order.swap(last, chance.below(last + 1));
            }
            for which in order {
                let (client, path, status) = &asked[which];
                let began = Instant::now();
                let answer = client.get(path).await.unwrap();
                times[which].push(began.elapsed().as_secs_f64() * 1e6);
                assert_eq!(answer.status, *status);
            }
        }
    });
    let [unknown, wrong, others, nobodys] = &mut times;
    for (what, [a, b]) in [
        ("a wrong secret against an unknown key", [wrong, unknown]),
        ("another tenant's id against an absent one", [others, nobodys]),
    ] {
        report.figure(&format!("{what}: the former"), median(a), "µs, median", "");
        report.figure(&format!("{what}: the latter"), median(b), "µs, median", "the baseline");
        let aimed = format!("aimed at {T_MAX} or less; {} requests", a.len() + b.len());
        report.figure("  Welch's t", welch_t(a, b).abs(), "", &aimed);
        // What is slow is slow for other reasons, and hides what there may be to see.
        let both = [a.as_slice(), b.as_slice()].concat();
        let slow = quantile(&mut both.clone(), 0.9);
        let fast = |times: &[f64]| times.iter().copied().filter(|time| *time <= slow).collect::<Vec<_>>();
        report.figure("  Welch's t of the faster nine tenths", welch_t(&fast(a), &fast(b)).abs(), "", &aimed);
    }
}

/// How many standard errors the means of two samples are apart, if their variances differ (B. L. Welch, 1947).
fn welch_t(a: &[f64], b: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// What it costs a decision that a tenant's key is verified.
pub fn keys(bed: &Bed, report: &mut Report) {
    let database = bed.database(1, Rules::Alike);
    let (running, nobody) = open(bed, &database.url);
    let tenant = database.tenants[0];
    let (key, _) = bed.runtime.block_on(key(&nobody, tenant, "evaluate"));
    let holder = nobody.clone().with_key(Some(Secret::new(key)));
    let body = format!("{{\"tenantId\":\"{tenant}\",\"facts\":{FACTS}}}");
    let one = |client: &Client| {
        let before = cpu(running.id());
        bed.runtime.block_on(async {
            let workers: Vec<_> = (0..CONNECTIONS)
                .map(|_| {
                    let (client, body) = (client.clone().with_own_connections(), body.clone());
                    tokio::spawn(async move {
                        let headers = [("content-type", "application/json")];
                        for _ in 0..EVALUATIONS / CONNECTIONS {
                            let post = tenet::client::Method::POST;
                            let answer =
                                client.request(post, "/api/v1/evaluate", &headers, body.clone()).await.unwrap();
                            assert_eq!(answer.status, 200);
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.unwrap();
            }
        });
        (cpu(running.id()) - before).as_secs_f64() * 1e6 / EVALUATIONS as f64
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..=EVALUATION_ROUNDS {
        let figures = [one(&nobody), one(&holder)];
        // The first round finds everything cold.
        if round > 0 {
            without.push(figures[0]);
            with.push(figures[1]);
        }
    }
    let baseline = median(&mut without);
    report.figure("the ten rules, where no key is shown", baseline, "µs CPU/request", "the baseline");
    report.ratio("the ten rules, with a tenant's key", median(&mut with), baseline, "µs CPU/request", 1.1);
}

/// A tenant's transaction on tables under row level security, beside the same on tables without.
pub fn isolation(bed: &Bed, report: &mut Report) {
    let [guarded, open] = [bed.database(1_000, Rules::Alike), bed.database(1_000, Rules::Alike)];
    let (mut head, mut page, mut bare): ([Vec<f64>; 2], [Vec<f64>; 2], Vec<f64>) = Default::default();
    bed.runtime.block_on(async {
        let mut owner = PgConnection::connect(&open.url).await.unwrap();
        let disable = "do $$ declare t regclass; begin
            for t in select oid from pg_class where relrowsecurity loop
                execute format('alter table %s disable row level security', t);
            end loop; end $$";
        owner.execute(disable).await.unwrap();
        let stores = [
            (Store::connect(StoreOptions::new(&guarded.url)).await.unwrap(), &guarded.tenants),
            (Store::connect(StoreOptions::new(&open.url)).await.unwrap(), &open.tenants),
        ];
        let (filter, request) = (RuleFilter::default(), PageRequest { cursor: None, limit: 10 });
        let select = "select id, name, tier, status, pinned, idle_stop_seconds, revision from tenants where id = $1";
        for round in 0..TRANSACTIONS + TRANSACTIONS / 10 {
            for step in 0..2 {
                let which = (round + step) % 2;
                let (store, tenants) = &stores[which];
                let tenant = tenants[round % tenants.len()];
                let began = Instant::now();
                black_box(store.tenant(scope(tenant)).await.unwrap().unwrap());
                let between = Instant::now();
                let rules = store.rules(scope(tenant), &filter, &request).await.unwrap().unwrap();
                let took = [between - began, between.elapsed()].map(|time| time.as_secs_f64() * 1e6);
                assert_eq!(rules.1.items.len(), 10);
                if round >= TRANSACTIONS / 10 {
                    head[which].push(took[0]);
                    page[which].push(took[1]);
                }
            }
            let began = Instant::now();
            let query = sqlx::query(select).bind(open.tenants[round % open.tenants.len()].0);
            black_box(query.fetch_one(&mut owner).await.unwrap());
            bare.push(began.elapsed().as_secs_f64() * 1e6);
        }
        for (store, _) in stores {
            store.close().await;
        }
    });
    report.figure("a bare select of a tenant's row", median(&mut bare), "µs, median", "no transaction, for the record");
    for (what, [guarded, open]) in [("a tenant's row", &mut head), ("ten rules and that row", &mut page)] {
        let baseline = median(open);
        report.figure(&format!("{what} in a transaction, without RLS"), baseline, "µs, median", "the baseline");
        report.ratio(&format!("{what} in a transaction, under RLS"), median(guarded), baseline, "µs, median", 1.1);
    }
}

/// Of a change of one rule, as the store makes it: the round trips and the time that go into its audit log.
pub fn audit(bed: &Bed, report: &mut Report) {
    let database = bed.database(100, Rules::Alike);
    let statements: Arc<Mutex<HashMap<&'static str, Vec<Duration>>>> = Arc::default();
    let noted = Arc::clone(&statements);
    let note = move |name, took| noted.lock().unwrap().entry(name).or_default().push(took);
    let options = StoreOptions { observer: Observer::new(note, |_, _| ()), ..StoreOptions::new(&database.url) };
    let mut changes = bed.runtime.block_on(async {
        let store = Store::connect(options).await.unwrap();
        let (author, mut changes) = (Author::command("bench"), Vec::with_capacity(CHANGES));
        for number in 0..CHANGES + CHANGES / 10 {
            if number == CHANGES / 10 {
                // From here on everything is warm.
                statements.lock().unwrap().clear();
                changes.clear();
            }
            let began = Instant::now();
            let tenant = database.tenants[number % database.tenants.len()];
            let change = store.begin_change(scope(tenant)).await.unwrap().unwrap();
            let mut rule = change.snapshot().rules[0].clone();
            rule.expression = format!("facts.age >= {number}");
            change.commit(&[Operation::UpdateRule(rule)], &author).await.unwrap();
            changes.push(began.elapsed().as_secs_f64() * 1e6);
        }
        store.close().await;
        changes
    });
    let mut statements = statements.lock().unwrap();
    let trips = |times: &HashMap<_, Vec<_>>| times.values().map(Vec::len).sum::<usize>() as f64 / CHANGES as f64;
    let all = trips(&statements);
    let log = ["get end of audit", "append to audit"].map(|name| {
        let times = statements.remove(name).unwrap();
        assert_eq!(times.len(), CHANGES, "each change is written down once");
        median(&mut times.iter().map(|took| took.as_secs_f64() * 1e6).collect::<Vec<_>>())
    });
    let (change, log) = (median(&mut changes), log.iter().sum::<f64>());
    report.figure(
        "a change of a rule, without its audit log",
        change - log,
        "µs, median",
        "the baseline: the rest of it",
    );
    report.figure("a change of a rule, with it", change, "µs, median", &format!("{:.2}x", change / (change - log)));
    report.figure("round trips, without", trips(&statements), "", "");
    report.figure("round trips, with", all, "", "");
}
