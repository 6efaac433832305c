//! What a revision held can be read afterwards, whoever made it and by whichever statements.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use tenet::{
    domain::{
        AtRevision, Author, DerivedField, DerivedFieldId, Revision, Rule, RuleId, SchemaDefinition, SchemaVersion,
        Snapshot, Tenant, TenantId, TenantPatch, Tier,
    },
    ruleset::Operation,
    store::{PastRevision, Store, migrate},
};
use uuid::Uuid;

use super::{as_role, change, connect, name, psql, rule, tenant};
use crate::support::{TestDatabase, proof_size, scope};

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    let sql = sql.into();
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// What of a snapshot is the same whenever it is read.
fn lasting(snapshot: Snapshot) -> Snapshot {
    Snapshot { taken_at: DateTime::UNIX_EPOCH, schema_version_max: None, ..snapshot }
}

async fn now(store: &Store, tenant: TenantId) -> Snapshot {
    lasting(store.snapshot(scope(tenant)).await.unwrap().unwrap())
}

async fn at(store: &Store, tenant: TenantId, revision: Revision) -> PastRevision {
    match store.snapshot_at(scope(tenant), revision).await.unwrap().unwrap() {
        PastRevision::Kept(snapshot) => PastRevision::Kept(Box::new(lasting(*snapshot))),
        other => other,
    }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len())) }
    }
}

fn field(text: &str) -> DerivedField {
    let Rule { created_at, updated_at, .. } = rule(text);
    DerivedField {
        id: DerivedFieldId::generate(),
        name: text.to_owned(),
        expression: "facts.age * 2".to_owned(),
        description: Some("twice".to_owned()),
        value_type: "int".to_owned(),
        dependencies: vec!["facts.age".to_owned()],
        active: true,
        created_at,
        updated_at,
    }
}

/// One change as the service makes it: several rows of several tables in one transaction.
fn operations(chance: &mut Chance, snapshot: &Snapshot, turn: usize) -> Vec<Operation> {
    let mut operations =
        vec![Operation::InsertRule(Rule { tags: vec!["b".into(), "a".into()], ..rule(&format!("r{turn}")) })];
    if let Some(old) = chance.pick(&snapshot.rules) {
        let changed = Rule { expression: format!("facts.age >= {turn}"), active: chance.below(2) == 0, ..old.clone() };
        operations.push(if chance.below(3) == 0 {
            Operation::DeleteRule(old.id)
        } else {
            Operation::UpdateRule(changed)
        });
    }
    match (chance.below(4), chance.pick(&snapshot.derived_fields)) {
        (0, _) => operations.push(Operation::InsertDerivedField(field(&format!("f{turn}")))),
        (1, Some(old)) => operations.push(Operation::DeleteDerivedField(old.id)),
        (2, Some(old)) => {
            let changed = DerivedField { expression: format!("facts.age * {turn}"), ..old.clone() };
            operations.push(Operation::UpdateDerivedField(changed));
        }
        _ => {
            let tier = [Tier::Free, Tier::Pro, Tier::Enterprise][chance.below(3)];
            let patch =
                TenantPatch { tier: Some(tier), strict_facts: Some(turn.is_multiple_of(2)), ..TenantPatch::default() };
            operations.push(Operation::UpdateTenant(patch));
        }
    }
    match (chance.below(3), snapshot.schema_version_max) {
        (0, newest) => {
            let definition = serde_json::json!({"facts": {"age": "int", format!("n{turn}"): "string"}});
            let version = SchemaVersion(newest.map_or(0, |newest| newest.0) + 1);
            operations.push(Operation::InsertSchema(version, SchemaDefinition::parse(&definition).unwrap().into()));
        }
        (1, Some(newest)) => {
            let version = i32::try_from(chance.below(usize::try_from(newest.0).unwrap())).unwrap() + 1;
            operations.push(Operation::ActivateSchema(SchemaVersion(version)));
        }
        _ => {}
    }
    operations
}

/// What somebody does by hand, in one transaction: statements that concern one tenant or all, and change the same rows
/// again and again.
fn by_hand(chance: &mut Chance, acme: TenantId, turn: usize) -> String {
    let id = Uuid::from_u128(u128::try_from(turn).unwrap());
    let statements = [
        "update rules set active = not active".to_owned(),
        format!("update rules set expression = 'facts.age > {turn}' where tenant_id = '{acme}'"),
        "update rules set name = name where id in (select id from rules order by random() limit 2)".to_owned(),
        "delete from rules where id in (select id from rules order by id limit 1)".to_owned(),
        "delete from rules where false".to_owned(),
        "update rules set id = gen_random_uuid() where id in (select id from rules order by id desc limit 1)"
            .to_owned(),
        format!(
            "insert into rules (tenant_id, id, name, expression) values ('{acme}', '{id}', 'h{turn}', 'true')
             on conflict (tenant_id, id) do nothing"
        ),
        format!("delete from rules where id = '{id}'"),
        "update derived_fields set description = null".to_owned(),
        "delete from derived_fields where id in (select id from derived_fields limit 1)".to_owned(),
        "savepoint s; delete from rules; delete from derived_fields; rollback to s".to_owned(),
        format!("update schemas set active = false where tenant_id = '{acme}'"),
        format!(
            "update schemas set active = false where tenant_id = '{acme}';
             update schemas set active = true where tenant_id = '{acme}' and version = 1"
        ),
        "update tenants set quotas = '{\"rules\": 700}'".to_owned(),
        "update tenants set tier = 'pro'".to_owned(),
    ];
    let chosen: Vec<&str> = (0..1 + chance.below(5)).map(|_| chance.pick(&statements).unwrap().as_str()).collect();
    format!("begin; {}; commit", chosen.join("; "))
}

#[tokio::test]
async fn every_revision_is_rebuilt_as_it_was_read_then() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let mut owner = psql(&database).await;
    for seed in 0..proof_size(2, 12) {
        let mut chance = Chance(u64::try_from(seed).unwrap() + 7);
        let tenants = [tenant(&store, &format!("acme {seed}")).await, tenant(&store, &format!("globex {seed}")).await];
        let mut read: BTreeMap<(Uuid, Revision), Snapshot> = BTreeMap::new();
        for turn in 0..proof_size(40, 120) {
            let concerned = chance.pick(&tenants).unwrap();
            if chance.below(2) == 0 {
                let snapshot = store.snapshot(scope(concerned.id)).await.unwrap().unwrap();
                change(&store, concerned, &operations(&mut chance, &snapshot, turn)).await;
            } else {
                run(&mut owner, by_hand(&mut chance, concerned.id, turn)).await;
            }
            for tenant in &tenants {
                let snapshot = now(&store, tenant.id).await;
                let before = read.entry((tenant.id.0, snapshot.revision())).or_insert_with(|| snapshot.clone());
                assert_eq!(*before, snapshot, "a revision is one state");
            }
        }
        for ((tenant, revision), snapshot) in read {
            let past = at(&store, TenantId(tenant), revision).await;
            assert_eq!(past, PastRevision::Kept(Box::new(snapshot)), "seed {seed}, revision {revision:?}");
        }
    }
    let split: i64 = sqlx::query_scalar(
        "select count(*) from rule_history h where exists (select from rule_history o
            where o.tenant_id = h.tenant_id and o.rule_id = h.rule_id and o.from_revision < coalesce(h.to_revision, 1e9)
                and coalesce(o.to_revision, 1e9) > h.from_revision and o.from_revision <> h.from_revision)",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(split, 0, "intervals of a rule do not overlap");
}

#[tokio::test]
async fn a_rule_changed_twice_in_a_transaction_has_one_interval_and_one_made_and_removed_has_none() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    let mut owner = psql(&database).await;
    let passing = Uuid::from_u128(1);
    run(
        &mut owner,
        format!(
            "begin; update rules set expression = 'false'; update rules set expression = 'true';
             insert into rules (tenant_id, id, name, expression) values ('{}', '{passing}', 'p', 'true');
             update rules set active = false where id = '{passing}'; delete from rules where id = '{passing}'; commit",
            acme.id
        ),
    )
    .await;
    change(&store, &acme, &[Operation::DeleteRule(adult.id)]).await;
    let kept: Vec<(Uuid, i64, Option<i64>, String)> = sqlx::query_as(
        "select rule_id, from_revision, to_revision, expression from rule_history order by from_revision",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let (first, second) = ("facts.age >= 18".to_owned(), "true".to_owned());
    assert_eq!(kept, [(adult.id.0, 2, Some(3), first), (adult.id.0, 3, Some(4), second)]);
}

#[tokio::test]
async fn each_revision_has_one_note_that_says_who_made_it() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let author = Author { actor: "key:abc".to_owned(), ..Author::default() };
    let draft = tenet::domain::TenantDraft { name: name("acme"), tier: Tier::Free };
    let acme = store.create_tenant(&draft, &author).await.unwrap();
    let other = Author { actor: "iss#sub".to_owned(), ..Author::default() };
    let transaction = store.begin_change(scope(acme.id)).await.unwrap().unwrap();
    transaction.commit(&[Operation::InsertRule(rule("adult"))], &other).await.unwrap();
    let mut owner = psql(&database).await;
    run(&mut owner, "update rules set active = false").await;
    let definition = SchemaDefinition::parse(&serde_json::json!({"facts": {"age": "int"}})).unwrap();
    change(&store, &acme, &[Operation::InsertSchema(SchemaVersion(1), definition.into())]).await;
    let user: String = sqlx::query_scalar("select session_user::text").fetch_one(&mut owner).await.unwrap();
    let notes: Vec<(i64, String, Option<i32>)> =
        sqlx::query_as("select revision, actor, schema_version from revision_notes order by revision")
            .fetch_all(&mut owner)
            .await
            .unwrap();
    let expected = [
        (1, "key:abc".to_owned(), None),
        (2, "iss#sub".to_owned(), None),
        (3, format!("database:{user}"), None),
        (4, Author::default().actor, Some(1)),
    ];
    assert_eq!(notes, expected);
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_forgotten_and_the_newest_never() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let (acme, globex) = (tenant(&store, "acme").await, tenant(&store, "globex").await);
    let adult = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(adult.clone())]).await;
    change(&store, &acme, &[Operation::UpdateRule(Rule { active: false, ..adult.clone() })]).await;
    change(&store, &acme, &[Operation::DeleteRule(adult.id)]).await;
    let mut owner = psql(&database).await;
    run(&mut owner, "update revision_notes set at = at - interval '20 days' where revision <= 2").await;
    run(&mut owner, "update revision_notes set at = at - interval '5 days' where revision = 3").await;
    store.forget_history(Utc::now() - TimeDelta::days(10)).await.unwrap();
    assert_eq!(at(&store, acme.id, Revision(1)).await, PastRevision::Expired);
    let PastRevision::Kept(kept) = at(&store, acme.id, Revision(2)).await else { panic!("in use until 5 days ago") };
    assert_eq!(kept.rules.len(), 1);
    store.forget_history(Utc::now() + TimeDelta::days(1)).await.unwrap();
    for old in 1..4 {
        assert_eq!(at(&store, acme.id, Revision(old)).await, PastRevision::Expired);
    }
    assert_eq!(at(&store, acme.id, Revision(4)).await, PastRevision::Kept(Box::new(now(&store, acme.id).await)));
    assert!(matches!(at(&store, globex.id, Revision(1)).await, PastRevision::Kept(_)));
    for unknown in [0, -1, 5, i64::MAX] {
        assert_eq!(at(&store, acme.id, Revision(unknown)).await, PastRevision::Unknown);
    }
    let left: i64 = sqlx::query_scalar("select count(*) from rule_history").fetch_one(&mut owner).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_deleted_tenant_takes_its_history_along() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    change(&store, &acme, &[Operation::InsertRule(rule("adult")), Operation::InsertDerivedField(field("f"))]).await;
    store.delete_tenant(scope(acme.id), &AtRevision::Any, &Author::default()).await.unwrap().unwrap().unwrap();
    assert_eq!(store.snapshot_at(scope(acme.id), Revision(1)).await.unwrap(), None);
    let mut owner = psql(&database).await;
    for table in ["rule_history", "derived_field_history", "revision_notes"] {
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

/// Twelve tenants, some with rules, before there was a history.
async fn tenants_of_before(database: &TestDatabase, store: &Store) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for turn in 0..12 {
        let tenant = tenant(store, &format!("tenant {turn}")).await;
        if turn % 3 != 0 {
            change(store, &tenant, &[Operation::InsertRule(rule("a")), Operation::InsertDerivedField(field("f"))])
                .await;
        }
        tenants.push(tenant);
    }
    let mut migrate = migrate::Migrate::open(migrate::MigrateOptions::new(database.url())).await.unwrap();
    migrate.down(18).await.unwrap();
    run(&mut psql(database).await, "update rules set description = 'before'").await;
    migrate.up(None).await.unwrap();
    migrate.close().await;
    tenants
}

#[tokio::test]
async fn what_is_stored_when_the_history_begins_is_in_it_at_its_present_revision() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    for tenant in tenants_of_before(&database, &store).await {
        let present = now(&store, tenant.id).await;
        let revision = present.revision();
        assert_eq!(at(&store, tenant.id, revision).await, PastRevision::Kept(Box::new(present)));
        if revision.0 > 1 {
            assert_eq!(at(&store, tenant.id, Revision(revision.0 - 1)).await, PastRevision::Expired);
        }
        change(&store, &tenant, &[Operation::InsertRule(rule("later"))]).await;
        let present = now(&store, tenant.id).await;
        assert_eq!(at(&store, tenant.id, present.revision()).await, PastRevision::Kept(Box::new(present)));
    }
}

#[tokio::test]
async fn a_login_that_is_held_by_row_level_security_can_change_rows_by_hand() {
    let database = TestDatabase::fresh().await;
    let store = connect(&database).await;
    let acme = tenant(&store, "acme").await;
    let made = rule("adult");
    change(&store, &acme, &[Operation::InsertRule(made.clone())]).await;
    let mut service = as_role(&database).await;
    // The row of the tenant is no tenant's own, and is changed without saying whose rows are meant.
    run(&mut service, "update tenants set tier = 'pro'").await;
    let seen: Option<String> =
        sqlx::query_scalar("select current_setting('tenet.tenant_id', true)").fetch_one(&mut service).await.unwrap();
    assert_eq!(seen.unwrap_or_default(), "", "and none is meant afterwards");
    run(&mut service, format!("set tenet.tenant_id = '{}'; update rules set expression = 'true'", acme.id)).await;
    let PastRevision::Kept(first) = at(&store, acme.id, Revision(2)).await else { panic!("kept") };
    assert_eq!((first.tenant.tier, &*first.rules[0].expression), (Tier::Free, "facts.age >= 18"));
    let PastRevision::Kept(second) = at(&store, acme.id, Revision(3)).await else { panic!("kept") };
    assert_eq!((second.tenant.tier, second.rules[0].id), (Tier::Pro, made.id));
    let PastRevision::Kept(third) = at(&store, acme.id, Revision(4)).await else { panic!("kept") };
    assert_eq!(third.rules[0].expression, "true");
    assert_eq!(third.rules.iter().map(|rule| rule.id).collect::<Vec<RuleId>>(), [made.id]);
}
