//! Rules of the kinds that public collections hold: each is accepted as a rule's author would write it, with its estimate,
//! and gives what it should. `tests/cases/collections/README.md` says what the files hold.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::{fs, path::PathBuf, sync::Arc};

use chrono::DateTime;
use serde_json::{Map, Value, json};
use tenet::{
    domain::{
        DecisionLog, Epoch, Name, QuotaOverrides, Revision, Schema, SchemaDefinition, SchemaVersion, Snapshot, Tenant,
        TenantId, TenantStatus, Tier,
    },
    ruleset::{RuleSet, UnknownFacts},
};
use uuid::Uuid;

/// Bounds of a schema, which a silent one has not.
const BOUNDS: [&str; 3] = ["maxItems", "maxLength", "maxDepth"];

#[test]
fn every_rule_is_accepted_and_gives_what_it_should() {
    let (mut total, mut accepted, mut warned, mut right) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for group in groups() {
        let set = set(&group.schema);
        for case in &group.cases {
            total += 1;
            let expression = case["expr"].as_str().unwrap();
            let report = set.check_rule_or_value(expression);
            if report.is_empty() {
                accepted += 1;
            }
            warned +=
                usize::from(set.check_rule(expression).warnings.iter().any(|found| found.code == "cost_uncertain"));
            match (report.is_empty(), mistake(&set, &group.facts, case)) {
                (true, None) => right += 1,
                (_, mistake) => wrong.push(format!("{}: `{expression}`: {report:?} {mistake:?}", group.name)),
            }
        }
    }
    println!("{total} rules: {accepted} accepted ({warned} with a warning of cost), {right} right");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total >= 300 && accepted == total && right == total, "{total} {accepted} {right}");
}

/// The same without a word in the schema of how large anything may be.
#[test]
fn nearly_no_rule_is_refused_for_its_cost_where_a_schema_is_silent() {
    let (mut total, mut refused, mut warned) = (0, Vec::new(), 0);
    for group in groups() {
        let set = set(&silent(&group.schema));
        for case in &group.cases {
            total += 1;
            let report = set.check_rule(case["expr"].as_str().unwrap());
            if report.details.iter().any(|detail| detail.code == "cost_too_high") {
                refused.push(case["expr"].to_string());
            }
            warned += usize::from(report.warnings.iter().any(|warning| warning.code == "cost_uncertain"));
        }
    }
    println!("{total} rules over silent schemas: {} refused for cost, {warned} with a warning", refused.len());
    assert!(refused.len() * 50 < total, "{} of {total}: {}", refused.len(), refused.join("\n"));
}

struct Group {
    name: String,
    schema: Value,
    facts: Value,
    cases: Vec<Value>,
}

fn groups() -> Vec<Group> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/collections");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let mut groups: Vec<Group> = Vec::new();
    for path in files {
        for line in fs::read_to_string(&path).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            match line["group"].as_str() {
                Some(name) => groups.push(Group {
                    name: name.to_owned(),
                    schema: line["schema"].clone(),
                    facts: line["facts"].clone(),
                    cases: Vec::new(),
                }),
                None => groups.last_mut().unwrap().cases.push(line),
            }
        }
    }
    groups
}

/// The schema without its bounds.
fn silent(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !(BOUNDS.contains(&key.as_str()) && value.is_number()));
            Value::Object(kept.map(|(key, value)| (key.clone(), silent(value))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn set(schema: &Value) -> RuleSet {
    let definition = SchemaDefinition::parse(schema).unwrap_or_else(|details| panic!("{details:?}"));
    let (at, version) = (DateTime::UNIX_EPOCH, SchemaVersion(1));
    let snapshot = Snapshot {
        tenant: Tenant {
            id: TenantId(Uuid::nil()),
            name: Name::stored("collections".to_owned()),
            tier: Tier::Enterprise,
            status: TenantStatus::Active,
            pinned: false,
            idle_stop_seconds: None,
            strict_facts: false,
            quotas: QuotaOverrides::default(),
            workers: None,
            decision_log: DecisionLog::default(),
            revision: Revision(1),
            created_at: at,
            updated_at: at,
        },
        epoch: Epoch(Uuid::nil()),
        schema: Some(Schema { version, definition: Arc::new(definition), active: true, created_at: at }),
        schema_version_max: Some(version),
        derived_fields: Vec::new(),
        rules: Vec::new(),
        taken_at: at,
    };
    RuleSet::compile(&snapshot, None)
}

/// What an author is told of an expression that need be no condition.
trait Told {
    fn check_rule_or_value(&self, expression: &str) -> Vec<tenet::error::Detail>;
}

impl Told for RuleSet {
    fn check_rule_or_value(&self, expression: &str) -> Vec<tenet::error::Detail> {
        let told = self.check_rule(expression).details;
        // A few of them give a text or a list: they are what a condition would compare.
        if told.iter().any(|detail| detail.code == "not_bool") {
            return self.check_rule(&format!("type({expression}) != null_type")).details;
        }
        told
    }
}

/// What is wrong with what a case gives, if anything is.
fn mistake(set: &RuleSet, facts: &Value, case: &Value) -> Option<String> {
    let mut facts = facts.clone();
    change(&mut facts, &case["change"]);
    let facts = match set.read_facts(&facts.to_string(), UnknownFacts::Refuse) {
        Ok(facts) => facts,
        Err(details) => return Some(format!("its facts are refused: {details:?}")),
    };
    let found = match set.evaluate_expression(case["expr"].as_str().unwrap(), &facts) {
        Ok(evaluated) => evaluated.value,
        Err(details) => return Some(format!("refused: {details:?}")),
    };
    let (found, expected) = match found {
        Ok(value) => (json!({ "value": value }), json!({ "value": case["value"] })),
        Err(error) => (json!({ "error": error.code }), json!({ "error": case["error"] })),
    };
    (found != expected || case.get("value").is_some() == case.get("error").is_some())
        .then(|| format!("gives {found}, expected was {expected}"))
}

fn change(facts: &mut Value, changed: &Value) {
    let Value::Object(changed) = changed else { return };
    for (key, value) in changed {
        match (&mut facts[key.as_str()], value) {
            (inner @ Value::Object(_), Value::Object(_)) => change(inner, value),
            (place, value) => *place = value.clone(),
        }
    }
}
