//! How long questions about counts take, beside the same answers by `GROUP BY` over the decisions themselves.
//!
//! `cargo bench --bench analytics -- [TENANTS] [DECISIONS]`: 10 tenants and 100,000 decisions of 30 days if it is not said.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

mod private_server;

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenet::{
    analytics::{Interval, Kept, Span, Stretch, Windows},
    cluster::{self, Purpose},
    domain::{Author, Name, Principal, TenantDraft, TenantId, TenantScope, Tier},
    store::{
        CountFilter, Metric, Store, StoreOptions,
        migrate::{Migrate, MigrateOptions},
    },
};

use private_server::PrivateServer;

const RULES: i64 = 100;
const DAYS: i64 = 30;
/// How often each question is asked.
const ROUNDS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|argument| argument.parse::<i64>().ok());
    let (tenants, decisions) = (sizes.next().unwrap_or(10), sizes.next().unwrap_or(100_000));
    let server = PrivateServer::start("tenet-analytics", Purpose::Throwaway);
    let url = server.url(cluster::NAME);
    let mut migrate = Migrate::open(MigrateOptions::new(&url)).await.unwrap();
    migrate.up(None).await.unwrap();
    migrate.close().await;
    let store = Store::connect(StoreOptions::new(&url)).await.unwrap();
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let mut scopes = Vec::new();
    for number in 0..tenants {
        scopes.push(tenant(&store, number).await);
    }
    println!("{tenants} tenants with {RULES} rules, {decisions} decisions in {DAYS} days");
    fill(&mut owner, decisions).await;
    let (now, kept) = (Utc::now(), Kept::of(Tier::Pro, Utc::now()));
    let month = Span::touched(now - TimeDelta::days(DAYS), now);
    let (whole, hourly) = (month.stretch(kept), month.stretch_of_hours(kept));
    println!("{:>9} {:>10} {:>10} {:>10} {:>12} {:>6}", "", "p50 ms", "p99 ms", "rows", "GROUP BY ms", "ratio");
    for question in ["summary", "series", "rules", "health"] {
        let (mut times, mut rows) = (Vec::new(), 0);
        for round in 0..ROUNDS {
            let scope = scopes[round % scopes.len()];
            let began = Instant::now();
            rows = ask(&store, scope, question, &whole, &hourly).await;
            times.push(began.elapsed());
        }
        times.sort();
        let by_hand = group_by(&mut owner, scopes[0].id(), question).await;
        let (median, last) = (times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "{question:>9} {:>10.2} {:>10.2} {rows:>10} {:>12.2} {:>6.1}",
            ms(median),
            ms(last),
            ms(by_hand),
            ms(by_hand) / ms(median)
        );
    }
    store.close().await;
}

async fn tenant(store: &Store, number: i64) -> TenantScope {
    let draft = TenantDraft { name: Name::parse(&format!("tenant {number}"), "name").unwrap(), tier: Tier::Pro };
    let tenant = store.create_tenant(&draft, &Author::default()).await.unwrap();
    TenantScope::of_principal(&Principal::Operator { key: None }, tenant.id).unwrap()
}

/// Decisions, of which each matches one rule in ten, and their counts.
async fn fill(owner: &mut PgConnection, decisions: i64) {
    for days in 2..=DAYS + 1 {
        let day = Utc::now() - TimeDelta::days(days);
        let name = day.format("decisions_%Y%m%d");
        let floor = |days: i64| {
            format!("tenet_event_floor(date_trunc('day', now() - interval '{days} days', 'UTC'))", days = days)
        };
        let sql = format!(
            "create table {name} (like decisions including all);
             alter table decisions attach partition {name} for values from ({}) to ({})",
            floor(days),
            floor(days - 1)
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *owner).await.unwrap();
    }
    let sql = format!(
        "insert into rules (tenant_id, name, expression, created_at)
            select id, 'rule ' || n, 'facts.age > ' || n, now() - interval '{DAYS} days'
            from tenants, generate_series(1, {RULES}) n;
         create temp table ruled as
            select t.id as tenant_id, t.revision, row_number() over () - 1 as place, (select array_agg(r.id) from rules r
                where r.tenant_id = t.id) as rules from tenants t;
         insert into decisions (tenant_id, id, event_type, revision, schema_version, matched, evaluated_at)
            select r.tenant_id, (left(tenet_event_floor(at)::text, 14) || right(gen_random_uuid()::text, 22))::uuid,
                'visit', r.revision, 1, r.rules[1 + n % 10 : 10 + n % 10], at
            from generate_series(1, {decisions}) n
            join ruled r on r.place = n % (select count(*) from ruled),
            lateral (select now() - n * interval '{DAYS} days' / {decisions} as at) a;"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *owner).await.unwrap();
    for (table, unit) in [("count_hours", "hour"), ("count_days", "day")] {
        let sql = format!(
            "insert into {table} (tenant_id, at, rule_id, revision, source, project, event_type, decisions, matched)
                select tenant_id, date_trunc('{unit}', tenet_event_time(id), 'UTC'), '{nil}', revision, 'event', '',
                    event_type, count(*), count(*) from decisions group by 1, 2, 4, 7
                union all
                select tenant_id, date_trunc('{unit}', tenet_event_time(id), 'UTC'), rule, revision, 'event', '',
                    event_type, 0, count(*) from decisions, unnest(matched) rule group by 1, 2, 3, 4, 7;
             analyze",
            nil = uuid::Uuid::nil()
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *owner).await.unwrap();
    }
}

/// Asks; answers how many rows came back.
async fn ask(store: &Store, scope: TenantScope, question: &str, whole: &Stretch, hourly: &Stretch) -> usize {
    match question {
        "summary" => usize::from(store.count_summary(scope, whole).await.unwrap().is_some()),
        "series" => {
            let filter = CountFilter::default();
            let series = store.count_series(scope, Metric::Decisions, Interval::Hour, &filter, hourly);
            series.await.unwrap().0.len()
        }
        "rules" => store.rule_counts(scope, whole, &[whole.span]).await.unwrap().rules.len(),
        _ => {
            let windows = Windows::until(Utc::now(), DAYS);
            let (days, hours) = (windows.stretch(Kept::of(Tier::Pro, Utc::now())), windows.stretch_of_hours());
            let both = store.rule_counts_of_both(scope, (&days, &windows.days), (&hours, &windows.hours));
            both.await.unwrap()[0].rules.len()
        }
    }
}

/// How long the same takes from the decisions themselves.
async fn group_by(owner: &mut PgConnection, tenant: TenantId, question: &str) -> Duration {
    let sql = match question {
        "summary" => "select count(*), count(*) filter (where matched <> '{}') from decisions where tenant_id = $1",
        "series" => {
            "select date_trunc('hour', tenet_event_time(id), 'UTC'), count(*) from decisions
             where tenant_id = $1 group by 1"
        }
        _ => "select rule, count(*) from decisions, unnest(matched) rule where tenant_id = $1 group by 1",
    };
    let began = Instant::now();
    sqlx::query(sql).bind(tenant.0).fetch_all(&mut *owner).await.unwrap();
    began.elapsed()
}
