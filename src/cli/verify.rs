//! Checks a rule file with the code that checks changes in the service, and runs its test cases.
//!
//! Needs no database: the tenant is a snapshot in memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::rule_file::{self, RuleFile, TestCase};
use crate::{
    config::{limits, nearest},
    domain::{
        Change, ChangeOptions, DecisionLog, DerivedField, DerivedFieldId, Epoch, Name, QuotaOverrides, Revision,
        RuleDraft, Schema, SchemaDefinition, SchemaVersion, Snapshot, Tenant, TenantId, TenantStatus, Tier,
        quote::quoted,
    },
    error::{Detail, Subject},
    ruleset::{Cost, Query, Refusal, RuleSet, UnknownFacts, apply},
};

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Everything that is wrong, with its path in the file.
    pub details: Vec<Detail>,
    /// How much was checked.
    pub counts: Counts,
    /// What is worth knowing of the rules and derived fields, and wrong with none, each with its path in the file.
    pub warnings: Vec<Detail>,
    /// What the rules and derived fields cost at worst, if nothing is wrong with any.
    pub costs: Vec<Costing>,
}

/// What a rule or a derived field costs at worst.
#[derive(Debug)]
pub(super) struct Costing {
    /// `rule`, or `derived field`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The path of its expression in the file.
    pub path: String,
    /// What it costs.
    pub cost: Cost,
}

/// How much was checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Rules, active or not.
    pub rules: usize,
    /// Derived fields.
    pub derived_fields: usize,
    /// Tests that passed.
    pub tests_passed: usize,
    /// Tests that failed.
    pub tests_failed: usize,
    /// Tests that did not run, because the file has other errors.
    pub tests_not_run: usize,
}

/// Checks everything that a file says.
pub(super) fn verify(document: &Value) -> Verdict {
    let (file, details) = rule_file::read(document);
    let mut verdict = Verdict { details, ..Verdict::default() };
    verdict.counts.rules = file.rules.len();
    verdict.counts.derived_fields = file.derived_fields.len();
    verdict.counts.tests_not_run = file.tests.len();
    let Some(schema) = &file.schema else { return verdict };
    match SchemaDefinition::parse(schema) {
        Ok(definition) => {
            let of_schema = definition.warnings().into_iter().map(|detail| moved(detail, "definition", "schema"));
            let of_schema: Vec<Detail> = of_schema.collect();
            verify_rules(&mut verdict, &file, definition);
            verdict.warnings.splice(0..0, of_schema);
        }
        Err(details) => verdict.details.extend(details.into_iter().map(|detail| moved(detail, "definition", "schema"))),
    }
    verdict
}

/// A tenant in memory only, with this schema.
pub(super) fn snapshot(definition: SchemaDefinition) -> Snapshot {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let version = SchemaVersion(1);
    Snapshot {
        tenant: Tenant {
            id: TenantId(Uuid::nil()),
            name: Name::stored("checked".to_owned()),
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
    }
}

fn verify_rules(verdict: &mut Verdict, file: &RuleFile, definition: SchemaDefinition) {
    let mut snapshot = snapshot(definition);
    let set = derived_fields(verdict, file, &mut snapshot);
    let drafts: Vec<RuleDraft> = file.rules.iter().map(|(_, rule)| rule.clone()).collect();
    let set = match apply(&snapshot, Some(&set), &Change::ReplaceRules(drafts), &ChangeOptions::default()) {
        Ok(applied) => applied.set.map_or(set, Arc::unwrap_or_clone),
        Err(refusal) => {
            let in_file = refused(refusal).into_iter().map(|detail| at_rule(detail, &file.rules));
            // An error of a derived field is reported at the field, and only once.
            verdict.details.extend(in_file.filter(|detail| detail.code != "derived_field_broken"));
            set
        }
    };
    verdict.costs = costs(file, &set);
    verdict.warnings = warnings(file, &set);
    let tests: Vec<_> = file.tests.iter().map(|(path, test)| Tested::new(file, path, test)).collect();
    let runs = verdict.details.is_empty();
    for test in &tests {
        let details = test.run(&set, runs);
        if runs {
            verdict.counts.tests_not_run -= 1;
            verdict.counts.tests_passed += usize::from(details.is_empty());
            verdict.counts.tests_failed += usize::from(!details.is_empty());
        }
        verdict.details.extend(details);
    }
}

/// The paths of expressions in a file.
struct Paths<'a> {
    rules: HashMap<&'a str, &'a str>,
    fields: HashMap<&'a str, &'a str>,
}

impl<'a> Paths<'a> {
    fn of(file: &'a RuleFile) -> Self {
        Self {
            rules: file.rules.iter().map(|(path, rule)| (rule.name.as_str(), path.as_str())).collect(),
            fields: file.derived_fields.iter().map(|(path, field)| (field.name.as_str(), path.as_str())).collect(),
        }
    }

    /// What something is, its name, and the path of its expression.
    fn find(&self, subject: Subject) -> Option<(&'static str, String, String)> {
        let (kind, path, name) = match subject {
            Subject::Rule { rule_name, .. } => ("rule", self.rules.get(rule_name.as_str()), rule_name),
            Subject::DerivedField { field_name, .. } => {
                ("derived field", self.fields.get(field_name.as_str()), field_name)
            }
        };
        Some((kind, name, format!("{}.expression", path?)))
    }
}

fn costs(file: &RuleFile, set: &RuleSet) -> Vec<Costing> {
    let paths = Paths::of(file);
    let costing = |(subject, cost)| {
        let (kind, name, path) = paths.find(subject)?;
        Some(Costing { kind, name, path, cost })
    };
    set.costs().filter_map(costing).collect()
}

fn warnings(file: &RuleFile, set: &RuleSet) -> Vec<Detail> {
    let paths = Paths::of(file);
    let placed = |(subject, warnings): (Subject, Vec<Detail>)| {
        let (_, _, path) = paths.find(subject)?;
        Some(warnings.into_iter().map(move |warning| warning.at(path.clone())))
    };
    let mut warnings: Vec<Detail> = set.warnings(|_| true).filter_map(placed).flatten().collect();
    // Told once for a file: most patterns that it is true of are meant for ASCII.
    let first = warnings.iter().position(|warning| warning.code == "pattern_ascii");
    let mut index = 0;
    warnings.retain(|warning| {
        index += 1;
        warning.code != "pattern_ascii" || first == Some(index - 1)
    });
    warnings
}

/// Puts the derived fields into the snapshot, and compiles them.
fn derived_fields(verdict: &mut Verdict, file: &RuleFile, snapshot: &mut Snapshot) -> RuleSet {
    if file.derived_fields.len() > limits::DERIVED_FIELDS_MAX {
        let refusal = Refusal::TooMany("derived fields", limits::DERIVED_FIELDS_MAX);
        verdict.details.extend(refused(refusal).into_iter().map(|detail| detail.at("derivedFields")));
    }
    let mut paths = HashMap::new();
    for (number, (path, draft)) in (1u128..).zip(&file.derived_fields).take(limits::DERIVED_FIELDS_MAX) {
        let id = DerivedFieldId(Uuid::from_u128(number));
        paths.insert(id.0, path);
        snapshot.derived_fields.push(DerivedField {
            id,
            name: draft.name.clone(),
            expression: draft.expression.clone(),
            description: draft.description.clone(),
            value_type: String::new(),
            dependencies: Vec::new(),
            active: true,
            created_at: snapshot.taken_at,
            updated_at: snapshot.taken_at,
        });
    }
    let set = RuleSet::compile(snapshot, None);
    let doubtful: Vec<_> = set.doubtful(|_| true).collect();
    for broken in set.broken().iter().chain(&doubtful).chain(set.costly()) {
        let Some(path) = paths.get(&broken.subject.id()) else { continue };
        let own = broken.details.iter().filter(|detail| detail.code != "derived_field_broken");
        verdict.details.extend(own.map(|detail| detail.clone().at(format!("{path}.expression"))));
    }
    set
}

fn refused(refusal: Refusal) -> Vec<Detail> {
    match refusal {
        Refusal::Invalid(details) => details,
        Refusal::Breaks(broken) => broken.into_iter().flat_map(|broken| broken.details).collect(),
        Refusal::TooMany(what, most) => {
            vec![Detail::new("too_many", format!("a tenant may have at most {most} {what}"))]
        }
        // The others are about what is stored already, and nothing is.
        other => vec![Detail::new("refused", format!("the rules are refused: {other:?}"))],
    }
}

/// The same mistake, with the path of the rule in the file: some rules of the file may have been left out.
fn at_rule(detail: Detail, rules: &[(String, RuleDraft)]) -> Detail {
    let place = detail.path.as_deref().and_then(|path| path.strip_prefix("rules[")?.split_once(']'));
    let found = place.and_then(|(index, rest)| Some((rules.get(index.parse::<usize>().ok()?)?, rest.to_owned())));
    match found {
        Some(((path, _), rest)) => detail.at(format!("{path}{rest}")),
        None => detail.at("rules"),
    }
}

/// The same error, with its path below `to` in place of `from`.
pub(super) fn moved(mut detail: Detail, from: &str, to: &str) -> Detail {
    let rest = detail.path.as_deref().and_then(|path| path.strip_prefix(from));
    detail.path = rest.map(|rest| format!("{to}{rest}")).or(detail.path);
    detail
}

/// A test case of a file.
struct Tested<'a> {
    path: &'a str,
    test: &'a TestCase,
    /// Whether each rule of the file is active.
    rules: HashMap<&'a str, bool>,
}

impl<'a> Tested<'a> {
    fn new(file: &'a RuleFile, path: &'a str, test: &'a TestCase) -> Self {
        let rules = file.rules.iter().map(|(_, rule)| (rule.name.as_str(), rule.active)).collect();
        Self { path, test, rules }
    }

    /// What is wrong with the case itself; and, if it `runs`, what it shows to be wrong.
    fn run(&self, set: &RuleSet, runs: bool) -> Vec<Detail> {
        let mut details: Vec<Detail> = self.names("matches", &self.test.matches);
        details.extend(self.names("errors", self.test.errors.as_deref().unwrap_or_default()));
        let unknown = if self.test.strict { UnknownFacts::Refuse } else { UnknownFacts::Ignore };
        match set.read_facts(&self.test.facts.to_string(), unknown) {
            Ok(facts) if runs && details.is_empty() => {
                self.compare(set, &facts.at(self.test.at.unwrap_or_else(Utc::now)))
            }
            Ok(_) => details,
            Err(wrong) => {
                let below = format!("{}.facts", self.path);
                details.extend(wrong.into_iter().map(|detail| moved(detail, "facts", &below)));
                details
            }
        }
    }

    /// What is wrong with the names under `key`.
    fn names(&self, key: &str, names: &[String]) -> Vec<Detail> {
        let mistake = |(index, name): (usize, &String)| {
            let path = format!("{}.{key}[{index}]", self.path);
            match self.rules.get(name.as_str()) {
                Some(true) => None,
                Some(false) => {
                    Some(Detail::new("rule_inactive", format!("the rule `{}` is not active", quoted(name))).at(path))
                }
                None => {
                    let detail = Detail::new("rule_not_found", format!("no rule is named `{}`", quoted(name))).at(path);
                    Some(match nearest(name, self.rules.keys().copied()) {
                        Some(meant) => detail.hint(format!("did you mean `{meant}`?")),
                        None => detail,
                    })
                }
            }
        };
        names.iter().enumerate().filter_map(mistake).collect()
    }

    fn compare(&self, set: &RuleSet, facts: &crate::ruleset::Facts) -> Vec<Detail> {
        let query = Query::default();
        let decision = set.decide(facts, &query);
        let expected: BTreeSet<&str> = self.test.matches.iter().map(String::as_str).collect();
        let wrong: Option<BTreeSet<&str>> =
            self.test.errors.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let mut details = Vec::new();
        for result in decision.results.iter() {
            let Some(name) = result.rule_name else { continue };
            let error = result.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            let is_expected = expected.contains(name);
            if result.matched && !is_expected {
                details.push(self.failure(
                    "matches",
                    name,
                    format!("`{name}` matches, but is not listed in `matches`"),
                ));
            } else if !result.matched && is_expected {
                details.push(self.failure("matches", name, format!("`{name}` does not match{error}")));
            }
            let expects_error = wrong.as_ref().map(|wrong| wrong.contains(name));
            match (expects_error, result.error.is_some()) {
                (Some(false), true) => {
                    details.push(self.failure("errors", name, format!("`{name}` ends with an error{error}")));
                }
                (Some(true), false) => {
                    details.push(self.failure("errors", name, format!("`{name}` ends without an error")));
                }
                _ => {}
            }
        }
        details
    }

    /// A failure about the rule `name`, at the place where the list under `key` names it.
    fn failure(&self, key: &str, name: &str, message: String) -> Detail {
        let names = if key == "matches" { Some(&self.test.matches) } else { self.test.errors.as_ref() };
        let index = names.and_then(|names| names.iter().position(|listed| listed == name));
        let element = index.map(|index| format!("[{index}]")).unwrap_or_default();
        let message = format!("test `{}`: {message}", quoted(&self.test.name));
        Detail::new("test_failed", message).at(format!("{}.{key}{element}", self.path))
    }
}
