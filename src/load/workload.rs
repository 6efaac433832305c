//! A workload file: JSON with tenants, schema, rules, generated facts and mixes. Other members are notes for people.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Error, generator::Generator, operation::Mix};
use crate::config::limits::EVENT_BATCH_MAX;

/// Events of a batch, if the file does not say.
const BATCH: usize = 500;
/// Items of a batch of evaluations, if the file does not say.
const ITEMS: usize = 100;
/// The mix that every workload has.
const DECISIONS: &str = "evaluate";

/// A workload.
#[derive(Debug, Clone)]
pub struct Workload {
    /// What it is called: the file's name.
    pub name: String,
    /// How many tenants it has.
    pub tenants: usize,
    pub(super) schema: Value,
    pub(super) rules: Vec<Rule>,
    pub(super) facts: Generator,
    /// Events of a batch.
    pub(super) batch: usize,
    /// Items of a batch of evaluations.
    pub(super) items: usize,
    mixes: BTreeMap<String, BTreeMap<String, f64>>,
}

/// A rule of every tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rule {
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct File {
    tenants: usize,
    schema: Value,
    rules: Vec<Rule>,
    facts: Map<String, Value>,
    batch: Option<usize>,
    items: Option<usize>,
    #[serde(default)]
    mix: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Workload {
    /// Reads a workload file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not a workload, or has an invalid description of facts.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let file = serde_json::from_str(&text).map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
        let name = path.file_stem().map_or_else(|| "workload".to_owned(), |stem| stem.to_string_lossy().into_owned());
        Self::of(name, file)
    }

    /// The workload that is written out in another file, under a name.
    pub(super) fn inline(name: &str, workload: Value, path: &Path) -> Result<Self, Error> {
        let file =
            serde_json::from_value(workload).map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
        Self::of(name.to_owned(), file)
    }

    fn of(name: String, file: File) -> Result<Self, Error> {
        if file.tenants == 0 {
            return Err(Error::Invalid("it has no tenants".to_owned()));
        }
        let batch = file.batch.unwrap_or(BATCH);
        if !(1..=EVENT_BATCH_MAX).contains(&batch) {
            return Err(Error::Invalid(format!("`batch` is {batch}; it must be from 1 to {EVENT_BATCH_MAX}")));
        }
        let items = file.items.unwrap_or(ITEMS);
        if items == 0 {
            return Err(Error::Invalid("`items` is 0; it must be at least 1".to_owned()));
        }
        let facts = Generator::parse(&file.facts)?;
        for (name, shares) in &file.mix {
            Mix::parse(name, shares)?;
        }
        let File { tenants, schema, rules, mix: mixes, .. } = file;
        Ok(Self { name, tenants, schema, rules, facts, batch, items, mixes })
    }

    /// The mix of this name. Every workload has one named `evaluate`.
    pub(super) fn mix(&self, name: &str) -> Result<Mix, Error> {
        match self.mixes.get(name) {
            Some(shares) => Mix::parse(name, shares),
            None if name == DECISIONS => Ok(Mix::decisions()),
            None => {
                let known: Vec<&str> = self.mixes.keys().map(String::as_str).collect();
                Err(Error::Invalid(format!("it has no mix `{name}`; it has {}", known.join(", "))))
            }
        }
    }

    /// Its rules, of which the first is written in another way for each `number`, and means the same.
    pub(super) fn rules_changed(&self, number: u64) -> Vec<Rule> {
        let mut rules = self.rules.clone();
        if let Some(rule) = rules.first_mut() {
            rule.expression = format!("({}) && {number} >= 0", rule.expression);
        }
        rules
    }

    /// What the names of its tenants in a group begin with. Another schema or other rules have other tenants.
    pub(super) fn tenant_prefix(&self, group: &str) -> String {
        let rules: Vec<String> = self.rules.iter().map(|rule| format!("{}\n{}", rule.name, rule.expression)).collect();
        let digest = Sha256::digest(format!("{}\n{}", self.schema, rules.join("\n")));
        let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("load-{group}-{hex}-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Workload {
        named("ten_rules")
    }

    fn named(name: &str) -> Workload {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/workloads/{name}.json"));
        Workload::read(&path).unwrap()
    }

    #[test]
    fn the_workload_of_events_sends_events_in_each_of_its_mixes() {
        let workload = named("events");
        assert_eq!((workload.tenants, workload.rules.len(), workload.batch), (5, 10, 500));
        for mix in ["single", "batch"] {
            assert!(workload.mix(mix).unwrap().sends_events(), "{mix}");
        }
        assert!(!shipped().mix("load").unwrap().sends_events());
    }

    #[test]
    fn the_shipped_workload_can_be_read() {
        let workload = shipped();
        assert_eq!((workload.tenants, workload.rules.len()), (5, 10));
        for mix in ["load", "stress", "evaluate", "byPath", "tenantKey"] {
            workload.mix(mix).unwrap();
        }
        let error = workload.mix("evaluat").unwrap_err().to_string();
        assert!(error.contains("byPath, evaluate, health, load, stress, tenantKey"), "{error}");
    }

    #[test]
    fn other_rules_have_other_tenants() {
        let (one, mut other) = (shipped(), shipped());
        assert_eq!(one.tenant_prefix("g"), other.tenant_prefix("g"));
        assert_ne!(one.tenant_prefix("g"), one.tenant_prefix("h"));
        other.rules[0].expression = "true".to_owned();
        assert_ne!(one.tenant_prefix("g"), other.tenant_prefix("g"));
    }
}
