//! Counts: however they are written, merged and read, each is counted once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use tenet::{
    analytics::{CountRow, Counts, Hour, Interval, Kept, Slot, Span, Stretch, Tally, WHOLE},
    domain::{DecisionSource, EventId, Revision, RuleId, TenantId, Tier},
    store::{CountBatch, CountFilter, Flushed, Merged, Metric, NewEvent, Store},
};
use uuid::Uuid;

use super::{
    connect,
    events::{WINDOW, dead, decided, event, id},
    psql, tenant,
};
use crate::support::{TestDatabase, proof_size, scope};

/// What the counts of one rule in one hour of one type are kept under.
type Key = (i64, Uuid, String);

fn row(hours_ago: i64, rule: u128, kind: &str, matched: i64) -> CountRow {
    let hour = Hour(Hour::of(Utc::now()).0 - hours_ago);
    let slot = Slot {
        hour,
        revision: Revision(1),
        source: DecisionSource::Evaluate,
        project: Box::default(),
        kind: kind.into(),
    };
    let counts = Counts {
        decisions: if rule == 0 { matched } else { 0 },
        matched,
        last_matched: hour.begins().timestamp() + matched,
        ..Counts::default()
    };
    CountRow { slot, rule: RuleId(Uuid::from_u128(rule)), counts }
}

/// Rows of three days, of a few rules and types.
fn some_rows(runner: &mut TestRunner) -> Vec<CountRow> {
    let one = (0..72_i64, 0..4_u128, "[ab]?", 1..9_i64);
    let rows = proptest::collection::vec(one, 1..30).new_tree(runner).unwrap().current();
    let mut tally = Tally::default();
    for (hours_ago, rule, kind, matched) in rows {
        let CountRow { slot, rule, counts } = row(hours_ago, rule, &kind, matched);
        tally.add(&slot, rule, &counts);
    }
    tally.rows()
}

fn whole_span() -> Stretch {
    let now = Utc::now();
    Span::touched(now - TimeDelta::days(5), now + TimeDelta::hours(1)).stretch(Kept::of(Tier::Free, now))
}

async fn decisions(store: &Store, tenant: TenantId) -> i64 {
    store.count_summary(scope(tenant), &whole_span()).await.unwrap().unwrap().decisions
}

async fn merge_all(store: &Store, tenant: TenantId) {
    while store.merge_counts(scope(tenant)).await.unwrap() != Merged::Deltas(0) {}
}

/// What the tables hold: by `hour`, from hours and deltas; or by day, from days and deltas.
async fn stored(database: &TestDatabase, unit: &str, table: &str) -> BTreeMap<Key, i64> {
    let sql = format!(
        "select (extract(epoch from date_trunc('{unit}', at, 'UTC')) / 3600)::bigint, rule_id, event_type,
            sum(matched)::bigint
         from (select at, rule_id, event_type, matched from {table}
            union all select hour, rule_id, event_type, matched from count_deltas) c group by 1, 2, 3"
    );
    let rows: Vec<(i64, Uuid, String, i64)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut psql(database).await).await.unwrap();
    rows.into_iter().map(|(hour, rule, kind, sum)| ((hour, rule, kind), sum)).collect()
}

fn by_day(hours: &BTreeMap<Key, i64>) -> BTreeMap<Key, i64> {
    let mut days = BTreeMap::new();
    for ((hour, rule, kind), matched) in hours {
        *days.entry((Hour(*hour).day().0, *rule, kind.clone())).or_default() += matched;
    }
    days
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_the_same_before_during_and_after_a_merge() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let mut runner = TestRunner::deterministic();
    let (mut expected, mut whole) = (BTreeMap::new(), 0);
    for _ in 0..proof_size(20, 200) {
        let rows = some_rows(&mut runner);
        for CountRow { slot, rule, counts } in &rows {
            *expected.entry((slot.hour.0, rule.0, slot.kind.to_string())).or_default() += counts.matched;
            whole += counts.decisions;
        }
        store.flush_counts(scope(acme), &mut CountBatch::new(rows)).await.unwrap();
        assert_eq!(decisions(&store, acme).await, whole, "written, and not merged");
        let is_done = Arc::new(AtomicBool::new(false));
        let reader = {
            let (store, is_done) = (store.clone(), is_done.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !is_done.load(Ordering::Relaxed) {
                    seen.push(decisions(&store, acme).await);
                }
                seen
            })
        };
        // Two at once: one of them steps aside.
        tokio::join!(merge_all(&store, acme), async { store.merge_counts(scope(acme)).await.unwrap() });
        is_done.store(true, Ordering::Relaxed);
        let seen = reader.await.unwrap();
        assert!(seen.iter().all(|sum| *sum == whole), "{whole} while merging: {seen:?}");
        assert_eq!(decisions(&store, acme).await, whole, "merged");
        assert_eq!(stored(&database, "hour", "count_hours").await, expected);
        assert_eq!(stored(&database, "day", "count_days").await, by_day(&expected));
    }
    let left: i64 =
        sqlx::query_scalar("select count(*) from count_deltas").fetch_one(&mut psql(&database).await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_series_has_what_was_counted_whether_it_is_merged_or_not() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let write = async |rows| store.flush_counts(scope(acme), &mut CountBatch::new(rows)).await.unwrap();
    write(vec![row(0, 0, "a", 2), row(30, 0, "a", 3), row(30, 7, "a", 1), row(30, 0, "b", 4)]).await;
    merge_all(&store, acme).await;
    write(vec![row(30, 0, "a", 10)]).await;
    let read = async |rule: Option<u128>, kind: Option<&str>, interval| {
        let rule = rule.map(|rule| RuleId(Uuid::from_u128(rule)));
        let filter = CountFilter { rule, kind: kind.map(str::to_owned), project: None };
        let (points, _) =
            store.count_series(scope(acme), Metric::Matched, interval, &filter, &whole_span()).await.unwrap();
        points.into_iter().map(|point| point.value).collect::<Vec<_>>()
    };
    for interval in [Interval::Hour, Interval::Day] {
        // A day that is whole has no hours here: a series of hours asks for hours.
        let sums: Vec<i64> = read(None, None, interval).await;
        assert_eq!(sums.iter().sum::<i64>(), 19, "{interval:?}");
        assert_eq!(read(None, Some("a"), interval).await.iter().sum::<i64>(), 15);
        assert_eq!(read(Some(7), None, interval).await, [1]);
    }
}

/// A flush that is given up at any moment, also while it is being committed, and then made again, after what it may have
/// written was merged.
#[tokio::test]
async fn a_flush_of_unknown_outcome_is_counted_once() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let began = Instant::now();
    store.flush_counts(scope(acme), &mut CountBatch::new(vec![row(0, 0, "", 1)])).await.unwrap();
    let usual = began.elapsed().as_micros();
    let rounds = proof_size(150, 2_000);
    for round in 0..rounds {
        let mut batch = CountBatch::new(vec![row(0, 0, "", 1)]);
        let patience = usual * 3 / 2 * (round as u128 + 1) / rounds as u128;
        let patience = Duration::from_micros(u64::try_from(patience).unwrap());
        let mut is_written =
            matches!(tokio::time::timeout(patience, store.flush_counts(scope(acme), &mut batch)).await, Ok(Ok(_)));
        if round % 2 == 0 {
            store.merge_counts(scope(acme)).await.unwrap();
        }
        while !is_written {
            is_written = store.flush_counts(scope(acme), &mut batch).await.unwrap() == Flushed::Written;
        }
        assert_eq!(decisions(&store, acme).await, i64::try_from(round).unwrap() + 2, "round {round}");
    }
}

#[tokio::test]
async fn a_tenant_without_counts_leaves_the_queue_and_one_that_counts_does_not() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let queued = async || store.counts_to_merge(Duration::ZERO, 10).await.unwrap().due;
    store.flush_counts(scope(acme), &mut CountBatch::new(vec![row(0, 0, "", 1)])).await.unwrap();
    assert_eq!(queued().await, [acme]);
    assert_eq!(store.counts_to_merge(Duration::from_secs(60), 10).await.unwrap().due, []);
    assert_eq!(store.merge_counts(scope(acme)).await.unwrap(), Merged::Deltas(1));
    assert_eq!(queued().await, [acme], "there may be more by now");
    // Somebody is counting, and has not committed.
    let mut owner = psql(&database).await;
    let mut counting = sqlx::Connection::begin(&mut owner).await.unwrap();
    sqlx::query("select tenet_share_settling($1)").bind(acme.0).execute(&mut *counting).await.unwrap();
    assert_eq!(store.merge_counts(scope(acme)).await.unwrap(), Merged::Deltas(0));
    assert_eq!(queued().await, [acme]);
    counting.rollback().await.unwrap();
    assert_eq!(store.merge_counts(scope(acme)).await.unwrap(), Merged::Deltas(0));
    assert_eq!(queued().await, []);
    assert_eq!(decisions(&store, acme).await, 1);
}

#[tokio::test]
async fn an_event_is_counted_with_its_effect_and_once() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let rule = RuleId::generate();
    let late = Utc::now() - TimeDelta::days(2);
    let of = |occurred_at: Option<DateTime<Utc>>| {
        let mut event = event(acme, &serde_json::json!({}), None);
        (event.draft.occurred_at, event.draft.project) = (occurred_at, Some("shop".to_owned()));
        event
    };
    let events: Vec<NewEvent> = vec![of(None), of(Some(late)), of(None)];
    let ids: Vec<EventId> = store.append_events(&events, WINDOW).await.unwrap().into_iter().map(id).collect();
    let settle = async |settlements| store.settle_events(scope(acme), settlements).await.unwrap();
    settle(vec![decided(ids[0], rule), decided(ids[1], rule), dead(ids[2])]).await;
    settle(vec![decided(ids[0], rule), dead(ids[2])]).await;
    let counted = store.count_summary(scope(acme), &whole_span()).await.unwrap().unwrap();
    assert_eq!((counted.decisions, counted.matched, counted.micros), (2, 2, 22));
    assert_eq!((counted.events, counted.dead_letters), (3, 1));
    let filter = |rule| CountFilter { rule, project: Some("shop".to_owned()), kind: Some("payment".to_owned()) };
    let series = async |rule| {
        let stretch = whole_span();
        store.count_series(scope(acme), Metric::Matched, Interval::Hour, &filter(rule), &stretch).await.unwrap().0
    };
    for counts in [series(None).await, series(Some(rule)).await] {
        let at: Vec<(Hour, i64)> = counts.iter().map(|point| (point.at, point.value)).collect();
        assert_eq!(at.len(), 2, "{at:?}");
        assert_eq!(at[0], (Hour::of(late), 1), "a late event is counted in the hour in which it occurred");
    }
    // Brought back and decided, it is a decision, and the event that it was.
    sqlx::query("update dead_letters set status = 'redriven'").execute(&mut psql(&database).await).await.unwrap();
    settle(vec![decided(ids[2], rule)]).await;
    let counted = store.count_summary(scope(acme), &whole_span()).await.unwrap().unwrap();
    assert_eq!((counted.decisions, counted.events, counted.dead_letters), (3, 3, 1));
}

#[tokio::test]
async fn what_is_kept_no_longer_is_deleted_and_so_is_what_a_deleted_tenant_has() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let [acme, globex] = [tenant(&store, "acme").await.id, tenant(&store, "globex").await.id];
    for tenant in [acme, globex] {
        let rows = vec![row(0, 0, "", 1), row(9 * 24, 0, "", 2), row(401 * 24, 0, "", 4)];
        store.flush_counts(scope(tenant), &mut CountBatch::new(rows)).await.unwrap();
        merge_all(&store, tenant).await;
    }
    assert!(store.delete_old_counts(scope(acme), Kept::of(Tier::Free, Utc::now())).await.unwrap() > 0);
    assert_eq!(store.delete_old_counts(scope(acme), Kept::of(Tier::Free, Utc::now())).await.unwrap(), 0);
    let count = async |table: &str, tenant: TenantId| {
        let sql = format!("select count(*) from {table} where tenant_id = $1");
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(tenant.0);
        let count: i64 = query.fetch_one(&mut psql(&database).await).await.unwrap();
        count
    };
    assert_eq!((count("count_hours", acme).await, count("count_days", acme).await), (1, 2));
    assert_eq!((count("count_hours", globex).await, count("count_days", globex).await), (3, 3));

    store.flush_counts(scope(globex), &mut CountBatch::new(vec![row(0, 0, "", 1)])).await.unwrap();
    sqlx::query("delete from tenants where id = $1").bind(globex.0).execute(&mut psql(&database).await).await.unwrap();
    // Counted before it was deleted, and written after.
    store.flush_counts(scope(globex), &mut CountBatch::new(vec![row(0, 0, "", 1)])).await.unwrap();
    store.merge_counts(scope(globex)).await.unwrap();
    for table in ["count_hours", "count_days", "count_deltas", "count_queues"] {
        assert_eq!(count(table, globex).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_day_of_deltas_is_dropped_when_it_is_over_and_nothing_in_it_is_left_to_merge() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let mut owner = psql(&database).await;
    let days_ago = |days: i64| (Utc::now() - TimeDelta::days(days)).format("count_deltas_%Y%m%d").to_string();
    for days in [3, 4] {
        let sql = format!(
            "create table {name} (like count_deltas including all);
             alter table count_deltas attach partition {name} for values
                from (tenet_event_floor(date_trunc('day', now() - interval '{days} days', 'UTC')))
                to (tenet_event_floor(date_trunc('day', now() - interval '{days} days', 'UTC') + interval '1 day'))",
            name = days_ago(days),
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut owner).await.unwrap();
    }
    sqlx::query(
        "insert into count_deltas (tenant_id, id, hour, rule_id, revision, source, project, event_type, decisions)
         values ($1, tenet_event_floor(now() - interval '4 days'), date_trunc('hour', now()), $2, 1, 'event', '', '', 5)",
    )
    .bind(acme.0)
    .bind(WHOLE.0)
    .execute(&mut owner)
    .await
    .unwrap();
    let now = Utc::now();
    store.drop_event_partitions(now - TimeDelta::days(91), now - TimeDelta::days(7)).await.unwrap();
    let is_there = async |name: String| {
        let query = sqlx::query_scalar("select to_regclass($1) is not null").bind(name);
        let found: bool = query.fetch_one(&mut psql(&database).await).await.unwrap();
        found
    };
    assert!(!is_there(days_ago(3)).await, "empty");
    assert!(is_there(days_ago(4)).await, "not merged");
    assert_eq!(decisions(&store, acme).await, 5);
}
