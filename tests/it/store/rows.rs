//! Rows written and read: nothing lost, nothing twice, and what cannot be is a client's mistake.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::AssertSqlSafe;
use tenet::{
    domain::{
        AtRevision, Author, DerivedField, DerivedFieldId, Rule, SchemaDefinition, SchemaVersion, TenantDraft,
        TenantPatch, TenantStatus, Tier,
    },
    error::ErrorKind,
    ruleset::{ChangelogEntry, Operation},
    store::{Error, Observer, PageRequest, RuleFilter, Store, StoreOptions},
};

use super::{change, connect, name, psql, rule, tenant};
use crate::support::{TestDatabase, scope};

fn definition(json: serde_json::Value) -> Arc<SchemaDefinition> {
    Arc::new(SchemaDefinition::parse(&json).unwrap())
}

fn field(text: &str, rule: &Rule) -> DerivedField {
    DerivedField {
        id: DerivedFieldId::generate(),
        name: text.to_owned(),
        expression: "facts.age * 2".to_owned(),
        description: Some("twice".to_owned()),
        value_type: "int".to_owned(),
        dependencies: vec!["derived.a".to_owned(), "facts.age".to_owned()],
        active: true,
        created_at: rule.created_at,
        updated_at: rule.updated_at,
    }
}

#[tokio::test]
async fn a_snapshot_holds_everything_as_it_was_written() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let (mut first, second) = (rule("first"), rule("second"));
    first.tags = vec!["b".to_owned(), "a".to_owned(), "a".to_owned(), "quo\"te, {}".to_owned()];
    first.description = Some("die erste".to_owned());
    let twice = field("twice", &first);
    let one = definition(serde_json::json!({"facts": {"age": "int"}}));
    let two = definition(serde_json::json!({"facts": {"age": {"type": "double", "minimum": 1e-7, "maximum": 1e300}}}));
    let operations = [
        Operation::InsertSchema(SchemaVersion(1), one),
        Operation::InsertSchema(SchemaVersion(2), two.clone()),
        Operation::InsertDerivedField(twice.clone()),
        Operation::InsertRule(first.clone()),
        Operation::InsertRule(Rule { active: false, ..second.clone() }),
    ];
    let revision = change(&store, &acme, &operations).await;
    let snapshot = store.snapshot(scope(acme.id)).await.unwrap().unwrap();
    assert_eq!(snapshot.revision(), revision);
    assert_eq!(snapshot.epoch, store.epoch().await.unwrap());
    let schema = snapshot.schema.unwrap();
    assert_eq!((schema.version, schema.active, &schema.definition), (SchemaVersion(2), true, &two));
    assert_eq!(snapshot.schema_version_max, Some(SchemaVersion(2)));
    assert_eq!(snapshot.derived_fields, std::slice::from_ref(&twice));
    assert_eq!(snapshot.rules, [first.clone(), Rule { active: false, ..second.clone() }]);
    let active = store.active_rules(scope(acme.id)).await.unwrap();
    assert_eq!(active, [first]);
    let (_, read) = store.derived_field(scope(acme.id), twice.id).await.unwrap().unwrap();
    assert_eq!(read, Some(twice));
}

#[tokio::test]
async fn schema_versions_can_be_activated_again_and_are_logged() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let log = |action, from, to| {
        Operation::Log(ChangelogEntry {
            action,
            from_version: from,
            to_version: to,
            actor: "operator".to_owned(),
            rules_recompiled: 3,
            rules_failed: 1,
            details: serde_json::json!([{"ruleName": "x"}]),
        })
    };
    let (one, two) = (SchemaVersion(1), SchemaVersion(2));
    let definitions = [serde_json::json!({"facts": {"a": "int"}}), serde_json::json!({"facts": {"b": "int"}})];
    let [first, second] = definitions.map(definition);
    change(&store, &acme, &[Operation::InsertSchema(one, first.clone()), log("create", None, one)]).await;
    change(&store, &acme, &[Operation::InsertSchema(two, second), log("update", Some(one), two)]).await;
    change(&store, &acme, &[Operation::ActivateSchema(one), log("activate", Some(two), one)]).await;
    let (read, schema) = store.schema(scope(acme.id)).await.unwrap().unwrap();
    assert_eq!((read.revision.0, schema.unwrap().definition), (4, first));
    let (_, other) = store.schema_version(scope(acme.id), two).await.unwrap().unwrap();
    assert!(!other.unwrap().active);
    assert_eq!(store.schema_version(scope(acme.id), SchemaVersion(3)).await.unwrap().unwrap().1, None);
    let page = PageRequest { cursor: None, limit: 1 };
    let (_, newest) = store.schema_versions(scope(acme.id), &page).await.unwrap().unwrap();
    assert_eq!(newest.items[0].version, two);
    let page = PageRequest { cursor: newest.next_cursor, limit: 1 };
    let (_, oldest) = store.schema_versions(scope(acme.id), &page).await.unwrap().unwrap();
    assert_eq!((oldest.items[0].version, oldest.next_cursor), (one, None));
    let (_, lines) = store.changelog(scope(acme.id), &PageRequest { cursor: None, limit: 10 }).await.unwrap().unwrap();
    let lines: Vec<_> =
        lines.items.iter().map(|line| (line.action.as_str(), line.from_version, line.to_version)).collect();
    assert_eq!(lines, [("activate", Some(two), one), ("update", Some(one), two), ("create", None, one)]);
}

#[tokio::test]
async fn settings_of_a_tenant_change_one_by_one() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    tenant(&store, "globex").await;
    let patch = TenantPatch { status: Some(TenantStatus::Suspended), ..TenantPatch::default() };
    change(&store, &acme, &[Operation::UpdateTenant(patch)]).await;
    let patch = TenantPatch { tier: Some(Tier::Enterprise), name: Some(name("acme 2")), ..TenantPatch::default() };
    change(&store, &acme, &[Operation::UpdateTenant(patch)]).await;
    let read = store.tenant(scope(acme.id)).await.unwrap().unwrap();
    assert_eq!((read.name.as_str(), read.tier, read.status), ("acme 2", Tier::Enterprise, TenantStatus::Suspended));
    let patch = TenantPatch { name: Some(name("globex")), ..TenantPatch::default() };
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    let taken = transaction.commit(&[Operation::UpdateTenant(patch)], &Author::default()).await.unwrap_err();
    assert!(matches!(&taken, Error::TenantNameTaken(name) if name == "globex"), "{taken}");
    let draft = TenantDraft { name: name("globex"), tier: Tier::Free };
    assert_eq!(store.create_tenant(&draft, &Author::default()).await.unwrap_err().code(), "tenant_name_taken");
}

#[tokio::test]
async fn what_exists_twice_is_refused_by_the_database_as_a_conflict() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    for (twin, code) in [
        (Rule { name: name("other"), ..adult.clone() }, "id_taken"),
        (Rule { id: rule("x").id, ..adult.clone() }, "name_taken"),
    ] {
        let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
        let refused = transaction.commit(&[Operation::InsertRule(twin)], &Author::default()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, code));
    }
    // The same id belongs to nobody else.
    let globex = tenant(&store, "globex").await;
    change(&store, &globex, &[Operation::InsertRule(adult)]).await;
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_the_callers_mistake() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let nul = Rule { expression: "a\0b".to_owned(), ..rule("nul") };
    let tag = Rule { tags: vec!["a\0b".to_owned()], ..rule("nul") };
    for rule in [nul, tag] {
        let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
        let refused = transaction.commit(&[Operation::InsertRule(rule)], &Author::default()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unacceptable, "{refused}");
        assert!(refused.to_string().starts_with("insert rules:"), "{refused}");
    }
    assert_eq!(store.tenant(scope(acme.id)).await.unwrap().unwrap().revision.0, 1, "and nothing of it is stored");
    let none = store.tenants(Some("a\0"), &PageRequest { cursor: None, limit: 5 }).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Unacceptable, "{none}");
}

#[tokio::test]
async fn names_can_be_swapped_and_given_on_in_one_change() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let (a, b, c) = (rule("a"), rule("b"), rule("c"));
    let operations = [&a, &b, &c].map(|rule| Operation::InsertRule(rule.clone()));
    change(&store, &acme, &operations).await;
    let operations = [
        Operation::InsertRule(Rule { name: name("c"), ..rule("new") }),
        Operation::UpdateRule(Rule { name: name("b"), ..a.clone() }),
        Operation::UpdateRule(Rule { name: name("a"), ..b.clone() }),
        Operation::DeleteRule(c.id),
    ];
    change(&store, &acme, &operations).await;
    let rules = store.snapshot(scope(acme.id)).await.unwrap().unwrap().rules;
    let names: Vec<_> = rules.iter().map(|rule| (rule.name.as_str(), rule.id == a.id)).collect();
    assert_eq!(names, [("b", true), ("a", false), ("c", false)]);
}

/// A store, and the names of the statements it ran.
async fn observed(database: &TestDatabase) -> (Store, Arc<Mutex<Vec<&'static str>>>) {
    let statements = Arc::new(Mutex::new(Vec::new()));
    let seen = statements.clone();
    let mut options = StoreOptions::new(database.url());
    options.observer = Observer::new(move |name, _| seen.lock().unwrap().push(name), |_, _| ());
    (Store::connect(options).await.unwrap(), statements)
}

#[tokio::test]
async fn ten_thousand_rules_are_replaced_by_a_few_statements() {
    let database = TestDatabase::fresh().await;
    let (store, statements) = observed(&database).await;
    let acme = tenant(&store, "acme").await;
    let rules: Vec<Rule> = (0..10_000).map(|number| rule(&format!("rule {number}"))).collect();
    let operations: Vec<_> = rules.iter().cloned().map(Operation::InsertRule).collect();
    change(&store, &acme, &operations).await;
    let mut operations: Vec<_> = rules[..3_000].iter().map(|rule| Operation::DeleteRule(rule.id)).collect();
    let changed = |rule: &Rule| Operation::UpdateRule(Rule { expression: "true".to_owned(), ..rule.clone() });
    operations.extend(rules[3_000..].iter().map(changed));
    operations.extend((0..3_000).map(|number| Operation::InsertRule(rule(&format!("new {number}")))));
    statements.lock().unwrap().clear();
    assert_eq!(change(&store, &acme, &operations).await.0, 3);
    let count = statements.lock().unwrap().len();
    assert!(count <= 20, "{count} statements: {:?}", statements.lock().unwrap());
    let stored = store.snapshot(scope(acme.id)).await.unwrap().unwrap().rules;
    assert_eq!(stored.len(), 10_000);
    assert_eq!(stored.iter().filter(|rule| rule.expression == "true").count(), 7_000);
}

#[tokio::test]
async fn one_query_lists_the_active_rules() {
    let database = TestDatabase::fresh().await;
    let (store, statements) = observed(&database).await;
    let acme = tenant(&store, "acme").await;
    let operations: Vec<_> = (0..300).map(|number| Operation::InsertRule(rule(&format!("rule {number}")))).collect();
    change(&store, &acme, &operations).await;
    statements.lock().unwrap().clear();
    assert_eq!(store.active_rules(scope(acme.id)).await.unwrap().len(), 300);
    assert_eq!(*statements.lock().unwrap(), ["begin", "list active rules", "commit"]);
}

#[tokio::test]
async fn a_tenant_that_is_not_there_has_nothing_to_read_or_change() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap();
    let page = PageRequest { cursor: None, limit: 5 };
    assert!(store.tenant(scope(acme.id)).await.unwrap().is_none());
    assert!(store.snapshot(scope(acme.id)).await.unwrap().is_none());
    assert!(store.begin_change(scope(acme.id)).await.unwrap().is_none());
    assert!(store.schema(scope(acme.id)).await.unwrap().is_none());
    assert!(store.rules(scope(acme.id), &RuleFilter::default(), &page).await.unwrap().is_none());
    assert!(store.rule(scope(acme.id), rule("x").id).await.unwrap().is_none());
    assert!(store.derived_fields(scope(acme.id), &page).await.unwrap().is_none());
    assert!(store.schema_versions(scope(acme.id), &page).await.unwrap().is_none());
    assert!(store.changelog(scope(acme.id), &page).await.unwrap().is_none());
}

#[tokio::test]
async fn a_writer_waits_for_a_lock_only_for_a_while() {
    let database = TestDatabase::fresh().await;
    let mut options = StoreOptions::new(database.url());
    options.lock_timeout = Duration::from_millis(100);
    let store = Store::connect(options).await.unwrap();
    let acme = tenant(&store, "acme").await;
    let held = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    let refused = store.begin_change(scope(acme.id)).await.unwrap_err();
    assert!(matches!(refused, Error::Locked { operation: "lock tenant" }), "{refused}");
    // Readers do not wait at all.
    assert!(store.snapshot(scope(acme.id)).await.unwrap().is_some());
    drop(held);
    assert!(store.begin_change(scope(acme.id)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_deadlock_with_a_hand_on_the_database_is_no_defect_of_ours() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    let mut owner = psql(&database).await;
    let by_hand = tokio::spawn(async move {
        // Takes the rule's row, then waits for the tenant's, which the change holds.
        sqlx::raw_sql("update rules set active = false").execute(&mut owner).await
    });
    let mut witness = psql(&database).await;
    let waiting = "select exists (select from pg_locks where not granted)";
    while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut witness).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let ours = transaction.commit(&[Operation::UpdateRule(Rule { active: false, ..adult })], &Author::default()).await;
    let theirs = by_hand.await.unwrap();
    match (ours, theirs) {
        (Err(refused), Ok(_)) => assert_eq!(refused.code(), "locked"),
        (Ok(_), Err(_)) => {}
        both => panic!("one of the two must give way: {both:?}"),
    }
}

#[tokio::test]
async fn loads_have_connections_that_writers_cannot_take() {
    let database = TestDatabase::fresh().await;
    let mut options = StoreOptions::new(database.url());
    options.connections_max = 1;
    options.acquire_timeout = Duration::from_millis(200);
    let store = Store::connect(options).await.unwrap();
    let acme = tenant(&store, "acme").await;
    let held = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    let refused = store.tenant(scope(acme.id)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "database_unavailable"));
    assert!(store.snapshot(scope(acme.id)).await.unwrap().is_some());
    store.ping().await.unwrap();
    // A connection is given back by a task of its own.
    while store.pool_status()[1].in_use > 0 {
        tokio::task::yield_now().await;
    }
    let [requests, loads, ..] = store.pool_status();
    assert_eq!((requests.pool, requests.in_use, requests.idle), ("requests", 1, 0));
    assert_eq!((loads.pool, loads.in_use), ("loads", 0));
    drop(held);
}

#[tokio::test]
async fn what_looks_like_sql_is_stored_as_it_is() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let text = "x'); drop table rules; --\\'\" $1 %s {}";
    let acme = tenant(&store, text).await;
    let mut odd = rule(text);
    odd.expression = text.to_owned();
    odd.description = Some(text.to_owned());
    odd.tags = vec![text.to_owned(), "{a,b}".to_owned(), "NULL".to_owned(), String::new()];
    change(&store, &acme, &[Operation::InsertRule(odd.clone())]).await;
    let filter = RuleFilter { active: None, tag: Some(text.to_owned()), name_prefix: Some(text.to_owned()) };
    let (_, found) =
        store.rules(scope(acme.id), &filter, &PageRequest { cursor: None, limit: 5 }).await.unwrap().unwrap();
    assert_eq!(found.items, [odd]);
    let found = store.tenants(Some(text), &PageRequest { cursor: None, limit: 5 }).await.unwrap();
    assert_eq!(found.items.len(), 1);
}

#[tokio::test]
async fn an_error_names_the_operation_that_failed() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut owner = psql(&database).await;
    sqlx::raw_sql("alter table rules rename to mislaid").execute(&mut owner).await.unwrap();
    let failed = store.snapshot(scope(acme.id)).await.unwrap_err();
    assert_eq!((failed.kind(), failed.to_string().as_str()), (ErrorKind::Internal, "load rules failed"));
    let cause = std::error::Error::source(&failed).unwrap().to_string();
    assert!(cause.contains("relation \"rules\" does not exist"), "{cause}");
    store.close().await;
    let failed = store.tenant(scope(acme.id)).await.unwrap_err();
    let expected = (ErrorKind::Unavailable, "get tenant: the database cannot be reached");
    assert_eq!((failed.kind(), failed.to_string().as_str()), expected);
}

#[tokio::test]
async fn names_and_versions_are_unique_for_each_tenant_alone() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let tenants = [tenant(&store, "acme").await, tenant(&store, "globex").await];
    let mut owner = psql(&database).await;
    for (columns, values, constraint) in [
        ("schemas (tenant_id, version, definition)", "1, '{}'", "schemas_version_key"),
        ("rules (tenant_id, name, expression)", "'adult', 'true'", "rules_name_key"),
        ("derived_fields (tenant_id, name, expression)", "'grown', 'true'", "derived_fields_name_key"),
    ] {
        for tenant in &tenants {
            let sql = format!("insert into {columns} values ('{}', {values})", tenant.id);
            sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut owner).await.unwrap();
            let refused = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut owner).await.unwrap_err();
            assert!(refused.to_string().contains(constraint), "{refused}");
        }
    }
}

#[tokio::test]
async fn triggers_keep_the_time_of_the_last_change() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let mut owner = psql(&database).await;
    let rows = format!(
        "insert into schemas (tenant_id, version, definition, updated_at) values ('{0}', 1, '{{}}', 'epoch');
         insert into rules (tenant_id, name, expression, updated_at) values ('{0}', 'a', 'true', 'epoch');
         insert into derived_fields (tenant_id, name, expression, updated_at) values ('{0}', 'a', '1', 'epoch')",
        acme.id
    );
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&mut owner).await.unwrap();
    for (table, column) in
        [("tenants", "tier"), ("schemas", "active"), ("rules", "tags"), ("derived_fields", "value_type")]
    {
        let sql = format!("update {table} set {column} = {column}, updated_at = 'epoch' returning updated_at = now()");
        let touched: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut owner).await.unwrap();
        assert!(touched, "{table}");
    }
}
