//! What an owner settles that is late: others have settled the event meanwhile, or nobody heard that it was settled.

use chrono::{TimeDelta, Utc};
use serde_json::json;
use tenet::{
    domain::{EventDraft, EventId, EventOutcome, NodeId, RuleId, TenantId},
    store::{Behind, HeldQueue, NewEvent, ReceivedEvent, SeenQueue, Settled, Store},
};

use super::{
    connect,
    events::{START, WINDOW, append, dead, decided, event, id, retry},
    tenant,
};
use crate::support::{TestDatabase, scope};

fn with_key(tenant: TenantId, key: &str) -> NewEvent {
    let event = event(tenant, &json!({}), None);
    NewEvent { draft: EventDraft { ordering_key: Some(key.to_owned()), ..event.draft }, ..event }
}

async fn append_with_key(store: &Store, tenant: TenantId, key: &str) -> EventId {
    id(store.append_events(&[with_key(tenant, key)], WINDOW).await.unwrap()[0])
}

async fn due(store: &Store, tenant: TenantId) -> Vec<EventId> {
    store.due_events(scope(tenant), 10).await.unwrap().iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn what_others_have_decided_or_given_up_stays_so() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let mut events = Vec::new();
    for n in 0..3 {
        events.push(id(append(&store, acme, &json!({ "n": n }), None).await));
    }
    let rule = RuleId::generate();
    let settle = async |settlements| store.settle_events(scope(acme), settlements).await.unwrap();
    assert_eq!(
        settle(vec![decided(events[0], rule), dead(events[1])]).await,
        Settled { decided: 1, retried: 0, dead: 1 }
    );
    let late = vec![
        retry(events[0], 1, TimeDelta::zero(), None),
        decided(events[1], rule),
        retry(events[2], 1, TimeDelta::zero(), None),
    ];
    assert_eq!(settle(late).await, Settled { decided: 0, retried: 1, dead: 0 });
    assert_eq!(settle(vec![retry(events[1], 1, TimeDelta::zero(), None)]).await, Settled::default());
    assert_eq!(due(&store, acme).await, [events[2]]);
}

#[tokio::test]
async fn an_event_that_waits_is_left_out_and_its_ordering_key_is_told() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let (first, second) = (append_with_key(&store, acme, "k").await, append_with_key(&store, acme, "k").await);
    store.settle_events(scope(acme), vec![retry(first, 1, TimeDelta::hours(1), Some("k"))]).await.unwrap();
    let found = store.events_after(scope(acme), START, Behind::AnotherOwner, 10, Utc::now()).await.unwrap();
    assert_eq!(found.events.iter().map(|event| event.id).collect::<Vec<_>>(), [second]);
    assert_eq!(found.waiting, ["k"]);
    let found = store.events_after(scope(acme), START, Behind::Nobody, 10, Utc::now()).await.unwrap();
    assert_eq!(
        (found.events.len(), found.waiting.len()),
        (2, 0),
        "whoever settled all of them by itself asks for less"
    );
}

#[tokio::test]
async fn events_are_tried_again_in_the_order_in_which_they_began_to_wait() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await.id;
    let (low, high) = (append_with_key(&store, acme, "k").await, append_with_key(&store, acme, "k").await);
    // As ids are that came through the broker: the later one was made first.
    store.settle_events(scope(acme), vec![retry(high, 1, TimeDelta::hours(1), Some("k"))]).await.unwrap();
    store.settle_events(scope(acme), vec![retry(low, 0, TimeDelta::zero(), Some("k"))]).await.unwrap();
    assert_eq!(due(&store, acme).await, [] as [EventId; 0], "it waits behind the one that waits for longer");
    let both = vec![retry(low, 0, TimeDelta::zero(), Some("k")), retry(high, 1, TimeDelta::zero(), Some("k"))];
    store.settle_events(scope(acme), both).await.unwrap();
    assert_eq!(due(&store, acme).await, [high, low]);
}

#[tokio::test]
async fn an_event_from_the_broker_waits_behind_one_that_waits_and_somebody_is_told() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let (acme, node) = (tenant(&store, "acme").await.id, NodeId::generate());
    assert!(!store.mark_queues(&[acme]).await.unwrap());
    assert!(store.mark_queues(&[acme, TenantId::generate()]).await.unwrap(), "one of them is deleted");
    let lease = store.take_queue(scope(acme), node, std::time::Duration::from_secs(15)).await.unwrap().unwrap();
    let held = HeldQueue { tenant: acme, token: lease.token, position: lease.position, pending: 0 };
    assert!(store.finish_queue(scope(acme), node, held, Utc::now()).await.unwrap());
    let receive = async |outcome: EventOutcome| {
        let NewEvent { draft, .. } = with_key(acme, "k");
        let event = ReceivedEvent { id: EventId::generate(), draft, attempts: 1, outcome };
        (event.id, store.receive_events(scope(acme), std::slice::from_ref(&event), WINDOW).await.unwrap().settled)
    };
    let (first, settled) = receive(retry(START, 1, TimeDelta::zero(), None).outcome).await;
    assert_eq!(settled, Settled { decided: 0, retried: 1, dead: 0 });
    assert_eq!(store.look_at_queues(node, 10).await.unwrap(), [SeenQueue::WithoutOwner(acme)]);
    let (second, settled) = receive(decided(START, RuleId::generate()).outcome).await;
    assert_eq!(settled, Settled { decided: 0, retried: 1, dead: 0 }, "nobody heard that the first one waits");
    let due = store.due_events(scope(acme), 10).await.unwrap();
    assert_eq!(due.iter().map(|event| (event.id, event.attempts)).collect::<Vec<_>>(), [(first, 1)]);
    store.settle_events(scope(acme), vec![decided(first, RuleId::generate())]).await.unwrap();
    assert_eq!(store.waiting(scope(acme)).await.unwrap().keys, ["k"], "the second waits for its turn");
    assert_ne!(first, second);
}
