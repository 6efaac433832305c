//! Lists, page by page.

use std::collections::BTreeSet;

use tenet::{
    ruleset::Operation,
    store::{Error, PageRequest, RuleFilter},
};

use super::{change, connect, rule, tenant};
use crate::support::{TestDatabase, scope};

fn page(cursor: Option<String>, limit: u32) -> PageRequest {
    PageRequest { cursor, limit }
}

#[tokio::test]
async fn pages_of_tenants_hold_each_once_by_name_even_while_others_come() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    for name in ["b", "a", "ab", "a_c", "a%", "Ä", "é", "c"] {
        tenant(&store, name).await;
    }
    let mut names = Vec::new();
    let mut cursor = None;
    loop {
        let found = store.tenants(None, &page(cursor, 3)).await.unwrap();
        assert!(found.items.len() <= 3);
        names.extend(found.items.into_iter().map(|tenant| tenant.name.to_string()));
        tenant(&store, &format!("0-{}", names.len())).await;
        cursor = found.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a", "a%", "a_c", "ab", "b", "c", "Ä", "é"]);
    for (prefix, expected) in
        [("a", vec!["a", "a%", "a_c", "ab"]), ("a%", vec!["a%"]), ("a_", vec!["a_c"]), ("x", vec![])]
    {
        let found = store.tenants(Some(prefix), &page(None, 50)).await.unwrap();
        let names: Vec<String> = found.items.into_iter().map(|tenant| tenant.name.to_string()).collect();
        assert_eq!(names, expected, "{prefix}");
    }
}

#[tokio::test]
async fn pages_of_rules_hold_each_once_in_creation_order_even_if_made_at_one_moment() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let moment = rule("x").created_at;
    let rules: Vec<_> = (0..25)
        .map(|number| {
            let mut rule = rule(&format!("rule {number}"));
            rule.created_at = moment;
            rule.active = number % 2 == 0;
            rule.tags = if number % 5 == 0 { vec!["five".to_owned(), "x".to_owned()] } else { vec![] };
            rule
        })
        .collect();
    let operations: Vec<Operation> = rules.iter().cloned().map(Operation::InsertRule).collect();
    change(&store, &acme, &operations).await;
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let (_, found) = store.rules(scope(acme.id), &RuleFilter::default(), &page(cursor, 4)).await.unwrap().unwrap();
        ids.extend(found.items.into_iter().map(|rule| rule.id));
        cursor = found.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected: BTreeSet<_> = rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, expected.into_iter().collect::<Vec<_>>());
    for (filter, count) in [
        (RuleFilter { active: Some(true), ..RuleFilter::default() }, 13),
        (RuleFilter { active: Some(false), ..RuleFilter::default() }, 12),
        (RuleFilter { tag: Some("five".to_owned()), ..RuleFilter::default() }, 5),
        (RuleFilter { tag: Some("fiv".to_owned()), ..RuleFilter::default() }, 0),
        (RuleFilter { name_prefix: Some("rule 2".to_owned()), ..RuleFilter::default() }, 6),
        (RuleFilter { name_prefix: Some("rule_".to_owned()), ..RuleFilter::default() }, 0),
    ] {
        let (_, found) = store.rules(scope(acme.id), &filter, &page(None, 50)).await.unwrap().unwrap();
        assert_eq!(found.items.len(), count, "{filter:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    tenant(&store, "globex").await;
    let cursor = store.tenants(None, &page(None, 1)).await.unwrap().next_cursor;
    assert!(cursor.is_some());
    for cursor in [cursor, Some("nonsense".to_owned()), Some(String::new())] {
        let page = page(cursor, 1);
        let filter = RuleFilter::default();
        assert!(matches!(store.rules(scope(acme.id), &filter, &page).await, Err(Error::CursorInvalid)));
        assert!(matches!(store.derived_fields(scope(acme.id), &page).await, Err(Error::CursorInvalid)));
        assert!(matches!(store.schema_versions(scope(acme.id), &page).await, Err(Error::CursorInvalid)));
        assert!(matches!(store.changelog(scope(acme.id), &page).await, Err(Error::CursorInvalid)));
    }
}
