//! Events as rows: appended in the order of their ids, read without a gap, settled once.

use std::{collections::HashSet, time::Duration};

use chrono::{TimeDelta, Utc};
use serde_json::{json, value::RawValue};
use tenet::{
    domain::{
        Accepted, Author, EventDraft, EventFailure, EventId, EventOutcome, EventState, NodeId, Revision, RuleId,
        SchemaVersion, TenantId,
    },
    store::{
        Behind, EventFilter, HeldQueue, LetterFilter, NewEvent, PageRequest, RedriveOrder, SeenQueue, Settled,
        Settlement, Store, redrivable,
    },
};
use uuid::Uuid;

use super::{connect, psql, tenant};
use crate::support::{TestDatabase, scope};

pub const WINDOW: TimeDelta = TimeDelta::days(7);
pub const START: EventId = EventId(Uuid::nil());

pub fn event(tenant: TenantId, facts: &serde_json::Value, key: Option<&str>) -> NewEvent {
    NewEvent {
        scope: scope(tenant),
        draft: EventDraft {
            facts: RawValue::from_string(facts.to_string()).unwrap(),
            kind: Some("payment".to_owned()),
            project: None,
            idempotency_key: key.map(str::to_owned),
            occurred_at: None,
            at_occurrence: false,
            ordering_key: None,
        },
    }
}

pub async fn append(store: &Store, tenant: TenantId, facts: &serde_json::Value, key: Option<&str>) -> Accepted {
    store.append_events(&[event(tenant, facts, key)], WINDOW).await.unwrap()[0]
}

pub fn id(accepted: Accepted) -> EventId {
    match accepted {
        Accepted::New(id) | Accepted::Duplicate(id) | Accepted::Conflict(id) => id,
        Accepted::NoTenant => panic!("no tenant"),
    }
}

async fn read(store: &Store, tenant: TenantId, position: EventId, behind: Behind) -> Vec<EventId> {
    let found = store.events_after(scope(tenant), position, behind, 1_000, Utc::now()).await.unwrap();
    found.events.iter().map(|event| event.id).collect()
}

pub fn decided(id: EventId, rule: RuleId) -> Settlement {
    let outcome = EventOutcome::Decided {
        evaluated_at: Utc::now(),
        revision: Revision(3),
        schema_version: SchemaVersion(1),
        matched: vec![rule],
        errors: json!([]),
        cost: 7,
        micros: 11,
        rule_set_hash: [7; 32],
    };
    Settlement { id, kind: Some("payment".to_owned()), ordering_key: None, attempts: 1, outcome }
}

pub fn dead(id: EventId) -> Settlement {
    let outcome = EventOutcome::Dead {
        failure: EventFailure::FactsInvalid,
        detail: json!({"message": "no"}),
        revision: Some(Revision(3)),
    };
    Settlement { id, kind: Some("payment".to_owned()), ordering_key: None, attempts: 1, outcome }
}

pub fn retry(id: EventId, attempts: u16, after: TimeDelta, key: Option<&str>) -> Settlement {
    let outcome = EventOutcome::Retry { failure: EventFailure::Panic, detail: "boom".to_owned(), after };
    Settlement { id, kind: None, ordering_key: key.map(str::to_owned), attempts, outcome }
}

#[tokio::test]
async fn a_key_is_stored_once_and_another_body_under_it_is_a_conflict() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let [acme, globex] = [tenant(&store, "acme").await.id, tenant(&store, "globex").await.id];
    let facts = json!({"amount": 1});
    let first = append(&store, acme, &facts, Some("k")).await;
    let Accepted::New(first_id) = first else { panic!("{first:?}") };
    assert_eq!(append(&store, acme, &facts, Some("k")).await, Accepted::Duplicate(first_id));
    assert_eq!(append(&store, acme, &json!({"amount": 2}), Some("k")).await, Accepted::Conflict(first_id));
    assert!(matches!(append(&store, globex, &facts, Some("k")).await, Accepted::New(_)), "keys belong to a tenant");
    assert!(matches!(append(&store, acme, &facts, None).await, Accepted::New(_)), "without a key nothing is the same");

    // In one statement, too; tenants in any order.
    let events = [
        event(globex, &facts, Some("a")),
        event(acme, &facts, Some("b")),
        event(globex, &facts, Some("a")),
        event(acme, &json!({"amount": 2}), Some("b")),
        event(acme, &facts, Some("k")),
        event(TenantId::generate(), &facts, None),
    ];
    let answers = store.append_events(&events, WINDOW).await.unwrap();
    assert_eq!(answers[2], Accepted::Duplicate(id(answers[0])));
    assert_eq!(answers[3], Accepted::Conflict(id(answers[1])));
    assert_eq!(answers[4], Accepted::Duplicate(first_id));
    assert_eq!(answers[5], Accepted::NoTenant);
    assert_eq!(read(&store, acme, START, Behind::Nobody).await.len(), 3);
}

#[tokio::test]
async fn a_key_counts_for_its_window_and_not_longer() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let first = append(&store, acme, &json!({}), Some("k")).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = store.append_events(&[event(acme, &json!({}), Some("k"))], TimeDelta::milliseconds(10)).await.unwrap();
    assert!(matches!(again[0], Accepted::New(second) if second > id(first)), "{again:?}");
}

#[tokio::test]
async fn a_reader_by_position_skips_nothing_while_many_write() {
    const WRITERS: usize = 8;
    const EACH: usize = 40;
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..EACH {
                    let events: Vec<NewEvent> =
                        (0..=number % 3).map(|n| event(acme, &json!({"w": writer, "n": n}), None)).collect();
                    ids.extend(store.append_events(&events, WINDOW).await.unwrap().into_iter().map(id));
                }
                assert!(ids.is_sorted(), "one writer's ids are in the order of its calls");
                ids
            })
        })
        .collect();
    let (mut seen, mut position) = (Vec::new(), START);
    let finished = |writers: &[tokio::task::JoinHandle<Vec<EventId>>]| writers.iter().all(|w| w.is_finished());
    loop {
        let last_look = finished(&writers);
        let found = read(&store, acme, position, Behind::Nobody).await;
        position = found.last().copied().unwrap_or(position);
        let is_empty = found.is_empty();
        seen.extend(found);
        if last_look && is_empty {
            break;
        }
    }
    let mut written = HashSet::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    assert!(seen.is_sorted());
    assert_eq!(seen.len(), written.len(), "none twice");
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), written, "none skipped");
}

#[tokio::test]
async fn ids_go_on_after_a_clock_that_was_ahead() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let mut owner = psql(&database).await;
    // As if written by a server whose clock was an hour ahead.
    sqlx::query(
        "insert into events (tenant_id, id, facts) values ($1,
            (left(tenet_event_floor(now() + interval '1 hour')::text, 14) || '7fff-bfff-aaaaaaaaaaaa')::uuid, '{}')",
    )
    .bind(acme.0)
    .execute(&mut owner)
    .await
    .unwrap();
    let ahead = read(&store, acme, START, Behind::Nobody).await[0];
    let answers = store.append_events(&vec![event(acme, &json!({}), None); 3], WINDOW).await.unwrap();
    let ids: Vec<EventId> = answers.into_iter().map(id).collect();
    assert!(ahead < ids[0] && ids.is_sorted(), "{ahead} {ids:?}");
    assert_eq!(ids[0].0.get_version_num(), 7);
    assert_eq!(ids[0].0.get_variant(), uuid::Variant::RFC4122);
}

#[tokio::test]
async fn an_event_has_its_effect_once_whoever_settles_it() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let events: Vec<_> = (0..4).map(|n| event(acme, &json!({"n": n}), None)).collect();
    let ids: Vec<EventId> = store.append_events(&events, WINDOW).await.unwrap().into_iter().map(id).collect();
    let rule = RuleId::generate();
    let batch =
        || vec![decided(ids[0], rule), decided(ids[1], rule), dead(ids[2]), retry(ids[3], 1, TimeDelta::zero(), None)];
    let first = store.settle_events(scope(acme), batch()).await.unwrap();
    assert_eq!(first, Settled { decided: 2, retried: 1, dead: 1 });
    let again = store.settle_events(scope(acme), batch()).await.unwrap();
    assert_eq!(again.decided, 0, "a decision is made once");
    assert_eq!(read(&store, acme, START, Behind::AnotherOwner).await, [""; 0].map(|_: &str| START));
    assert_eq!(read(&store, acme, START, Behind::Nobody).await, ids);

    let due = store.due_events(scope(acme), 10).await.unwrap();
    assert_eq!((due.len(), due[0].id, due[0].attempts), (1, ids[3], 1));
    store.settle_events(scope(acme), vec![decided(ids[3], rule)]).await.unwrap();
    assert!(store.due_events(scope(acme), 10).await.unwrap().is_empty());

    let states = |state| {
        let filter = EventFilter { state: Some(state), ..EventFilter::default() };
        let store = store.clone();
        async move {
            let page = PageRequest { limit: 10, cursor: None };
            let found = store.events(scope(acme), &filter, TimeDelta::days(7), &page, Utc::now()).await.unwrap();
            found.items.into_iter().map(|line| line.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(states(EventState::Decided).await, [ids[3], ids[1], ids[0]]);
    assert_eq!(states(EventState::Dead).await, [ids[2]]);
    let shown = store.event(scope(acme), ids[0]).await.unwrap().unwrap();
    assert_eq!((shown.line.matched, shown.line.revision), (vec![rule], Some(Revision(3))));
}

#[tokio::test]
async fn an_event_that_was_deleted_is_never_decided() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let first = id(append(&store, acme, &json!({}), None).await);
    assert!(store.delete_event(scope(acme), first).await.unwrap());
    assert!(!store.delete_event(scope(acme), first).await.unwrap());
    let settled =
        store.settle_events(scope(acme), vec![decided(first, RuleId::generate()), dead(first)]).await.unwrap();
    assert_eq!(settled, Settled::default());
    let stats = store.event_stats(scope(acme), None, None, TimeDelta::days(7), None, Utc::now()).await.unwrap();
    assert_eq!((stats.total, stats.pending), (1, 0), "what was received stays counted");
}

#[tokio::test]
async fn of_one_ordering_key_none_is_due_before_its_predecessor() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let events = vec![event(acme, &json!({}), None); 3];
    let ids: Vec<EventId> = store.append_events(&events, WINDOW).await.unwrap().into_iter().map(id).collect();
    let waiting = vec![
        retry(ids[0], 1, TimeDelta::hours(1), Some("a")),
        retry(ids[1], 0, TimeDelta::zero(), Some("a")),
        retry(ids[2], 0, TimeDelta::zero(), Some("b")),
    ];
    store.settle_events(scope(acme), waiting).await.unwrap();
    let due: Vec<EventId> =
        store.due_events(scope(acme), 10).await.unwrap().into_iter().map(|event| event.id).collect();
    assert_eq!(due, [ids[2]]);
    let waiting = store.waiting(scope(acme)).await.unwrap();
    assert_eq!(waiting.keys, ["a", "b"]);
    assert!(waiting.next_at.unwrap() <= Utc::now() + TimeDelta::seconds(1));
}

#[tokio::test]
async fn a_queue_has_one_owner_and_an_old_one_writes_nothing() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let [one, two] = [NodeId::generate(), NodeId::generate()];
    let lease_time = Duration::from_millis(200);
    assert_eq!(store.take_queue(scope(acme), one, lease_time).await.unwrap(), None, "there is nothing to take");
    let first = id(append(&store, acme, &json!({}), None).await);
    assert_eq!(store.look_at_queues(one, 10).await.unwrap(), [SeenQueue::WithoutOwner(acme)]);
    let lease = store.take_queue(scope(acme), one, lease_time).await.unwrap().unwrap();
    assert!(lease.position < first && lease.crashes == 0);
    assert_eq!(store.take_queue(scope(acme), two, lease_time).await.unwrap(), None);
    assert!(store.look_at_queues(one, 10).await.unwrap().is_empty());
    let held = HeldQueue { tenant: acme, token: lease.token, position: first, pending: 0 };
    assert_eq!(store.renew_queues(one, &[held], lease_time).await.unwrap(), [acme]);
    assert!(store.renew_queues(two, &[held], lease_time).await.unwrap().is_empty());

    // The owner falls silent.
    tokio::time::sleep(lease_time * 2).await;
    assert_eq!(store.look_at_queues(one, 10).await.unwrap(), [SeenQueue::WithoutOwner(acme)]);
    let next = store.take_queue(scope(acme), two, lease_time).await.unwrap().unwrap();
    assert_eq!((next.position, next.crashes), (first, 1));
    assert!(store.renew_queues(one, &[held], lease_time).await.unwrap().is_empty(), "it is another's by now");
    assert!(!store.finish_queue(scope(acme), one, held, Utc::now()).await.unwrap());
    store.give_back_queue(one, held).await.unwrap();
    assert!(store.queue_status(scope(acme)).await.unwrap().unwrap().owner.is_some());

    let held = HeldQueue { token: next.token, ..held };
    let second = id(append(&store, acme, &json!({}), None).await);
    assert!(!store.finish_queue(scope(acme), two, held, Utc::now()).await.unwrap(), "an event came meanwhile");
    let held = HeldQueue { position: second, ..held };
    assert!(store.finish_queue(scope(acme), two, held, Utc::now()).await.unwrap());
    assert!(store.look_at_queues(one, 10).await.unwrap().is_empty());
    append(&store, acme, &json!({}), None).await;
    assert_eq!(
        store.look_at_queues(one, 10).await.unwrap(),
        [SeenQueue::WithoutOwner(acme)],
        "the next event marks it again"
    );
    store.take_queue(scope(acme), one, lease_time).await.unwrap().unwrap();
    store.pause_queue(scope(acme), true).await.unwrap();
    assert_eq!(store.look_at_queues(one, 10).await.unwrap(), [SeenQueue::Paused(acme)], "its owner is told");
    assert!(store.look_at_queues(two, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn ids_go_on_after_the_position_even_if_the_clock_steps_back_and_the_last_event_is_deleted() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    append(&store, acme, &json!({}), None).await;
    let ahead = EventId(tenet::store::event_id_floor(Utc::now() + TimeDelta::seconds(30)));
    let mut owner = psql(&database).await;
    sqlx::query("update event_queues set position = $1").bind(ahead.0).execute(&mut owner).await.unwrap();
    let next = id(append(&store, acme, &json!({}), None).await);
    assert!(next > ahead, "{next:?} is not beyond {ahead:?}");
    assert_eq!(read(&store, acme, ahead, Behind::Nobody).await, [next]);
}

#[tokio::test]
async fn dead_letters_are_brought_back_or_put_aside() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let events = vec![event(acme, &json!({}), None); 3];
    let ids: Vec<EventId> = store.append_events(&events, WINDOW).await.unwrap().into_iter().map(id).collect();
    store.settle_events(scope(acme), ids.iter().map(|id| dead(*id)).collect()).await.unwrap();
    let all = LetterFilter { status: Some(tenet::store::LetterStatus::Open), ..LetterFilter::default() };
    let counts = store.count_dead_letters(scope(acme), &all).await.unwrap();
    assert_eq!((counts.matched, counts.by_reason), (3, vec![("facts_invalid".to_owned(), 3)]));
    let first = LetterFilter { events: Some(vec![ids[0]]), ..all.clone() };
    assert_eq!(store.discard_dead_letters(scope(acme), &first, Some(2)).await.unwrap(), Err(1));
    assert_eq!(store.discard_dead_letters(scope(acme), &first, Some(1)).await.unwrap(), Ok(1));
    let order = RedriveOrder { filter: redrivable(), max: 10, rate_per_second: 1 };
    let redrive = async |order: &RedriveOrder| {
        store.create_redrive(scope(acme), order, &Author::default()).await.unwrap().unwrap()
    };
    let first = redrive(&order).await;
    assert_eq!((first.matched, first.redriven, first.state.as_str()), (2, 1, "running"));
    assert_eq!(store.due_events(scope(acme), 10).await.unwrap().len(), 1);
    assert_eq!(store.continue_redrive(scope(acme)).await.unwrap(), 0, "it has a rate");
    let second = redrive(&RedriveOrder { rate_per_second: 1_000, ..order.clone() }).await;
    assert_eq!((second.matched, second.redriven, second.state.as_str()), (1, 1, "done"), "what the first left");
    tokio::time::sleep(Duration::from_millis(1_010)).await;
    assert!(store.waiting(scope(acme)).await.unwrap().has_redrive_due);
    assert_eq!(store.continue_redrive(scope(acme)).await.unwrap(), 0, "once is enough");
    let first = store.redrive(scope(acme), first.id).await.unwrap().unwrap();
    assert_eq!((first.redriven, first.state.as_str()), (1, "done"));
    assert_eq!(store.due_events(scope(acme), 10).await.unwrap().len(), 2);
    let nobody = scope(TenantId::generate());
    assert!(store.create_redrive(nobody, &order, &Author::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn partitions_are_made_ahead_and_dropped_when_all_of_them_is_old() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    assert_eq!(store.make_event_partitions().await.unwrap(), 0, "the migration made them");
    assert_eq!(store.event_partition_days_ahead().await.unwrap(), 7);
    let mut owner = psql(&database).await;
    sqlx::raw_sql(
        "do $$ begin execute format('drop table events_%s', to_char((now() at time zone 'UTC')::date + 3, 'YYYYMMDD'));
         end $$",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    assert_eq!(store.event_partition_days_ahead().await.unwrap(), 2);
    assert_eq!(store.make_event_partitions().await.unwrap(), 1);
    let acme = tenant(&store, "acme").await.id;
    append(&store, acme, &json!({}), None).await;
    // Yesterday's of events and of decisions; no week of keys is over.
    let today = Utc::now();
    let dropped = store.drop_event_partitions(today, today - TimeDelta::days(30)).await.unwrap();
    assert_eq!(dropped, 2);
    assert_eq!(read(&store, acme, START, Behind::Nobody).await.len(), 1);
    let granted: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_class c where c.relispartition
            and has_table_privilege('tenet_app', c.oid, 'select')",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(granted, [""; 0], "nobody passes by the policy of the parent");
}

/// A new day has no statistics yet, and most of what a list asks for may be elsewhere.
#[tokio::test]
async fn every_list_of_a_busy_new_day_is_answered() {
    const EVENTS: i32 = 50_000;
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    append(&store, acme, &json!({}), None).await;
    let mut owner = psql(&database).await;
    for sql in [
        "alter table events disable row level security",
        "insert into events (tenant_id, id, type, facts)
         select $1, overlay(uuid_generate::text placing '7' from 15)::uuid, 'payment', '{}' from (
            select overlay(gen_random_uuid()::text placing left(tenet_event_floor(now())::text, 14) from 1 for 14)
                as uuid_generate from generate_series(1, $2)) i",
        // All but the first thousand are decided.
        "insert into decisions (tenant_id, id, revision, schema_version, matched, errors, cost, evaluated_at)
         select $1, id, 1, 1, '{}', '[]', 1, now() from events where tenant_id = $1 order by id offset 1000 limit $2",
    ] {
        let query = sqlx::query(sql);
        let query = if sql.contains("$1") { query.bind(acme.0).bind(EVENTS) } else { query };
        query.execute(&mut owner).await.unwrap();
    }
    let list = async |state: Option<EventState>, kind: Option<&str>, matched: Option<RuleId>| {
        let filter = EventFilter { state, matched, kind: kind.map(str::to_owned), ..EventFilter::default() };
        let (mut found, mut cursor) = (0, None);
        loop {
            let page = PageRequest { limit: 100, cursor };
            let page = store.events(scope(acme), &filter, TimeDelta::days(7), &page, Utc::now()).await.unwrap();
            found += page.items.len();
            cursor = page.next_cursor;
            if cursor.is_none() || found > 10_000 {
                return found;
            }
        }
    };
    assert_eq!(list(Some(EventState::Pending), None, None).await, 1_000);
    for state in [EventState::Retrying, EventState::Dead, EventState::Discarded] {
        assert_eq!(list(Some(state), None, None).await, 0, "{state:?}");
    }
    assert!(list(Some(EventState::Decided), None, None).await > 10_000);
    assert_eq!(list(None, Some("refund"), None).await, 0);
    assert_eq!(list(None, None, Some(RuleId::generate())).await, 0);
}
