//! The rule set itself: everything of one tenant, compiled at one revision.
//!
//! Immutable and cheap to clone. `compile` makes it, `derived` orders and types the derived fields, `decide` evaluates.

mod compiled;
mod order;
mod memory;
mod indexed;
mod environment;
mod shared;
mod compiler;
mod derived;
mod compiled_rules;
mod cost;
mod doubtful;
mod compile;
mod budget;
mod decide;
mod evaluate;
mod hash;

use std::sync::{Arc, OnceLock};

use compiled::{Compiled, Role};
use compiled_rules::CompiledRules;

pub use cost::Cost;
pub use evaluate::{Evaluated, Expression};

use super::{Facts, UnknownFacts};
use crate::{
    domain::{DerivedFieldId, Epoch, Revision, RuleId, SchemaVersion, Tenant},
    error::{Detail, Subject},
};

/// Everything of one tenant, compiled at one revision.
#[derive(Debug, Clone)]
pub struct RuleSet {
    tenant: Tenant,
    epoch: Epoch,
    schema_version: Option<SchemaVersion>,
    /// What it decides by, which other tenants may have too.
    contents: Arc<CompiledRules>,
    /// The ids of all rules, active or not, in creation order.
    ids: Arc<[RuleId]>,
    /// The position of each rule, in the order of their ids; nothing while they are few.
    places: Arc<[u32]>,
    /// The ids of the derived fields, in the order of their names.
    field_ids: Box<[DerivedFieldId]>,
    broken: Box<[Broken]>,
    /// What is usable, and can cost more than it may.
    costly: Box<[Broken]>,
    report: CompileReport,
    /// What tells it apart, once that was asked for.
    hash: Arc<OnceLock<[u8; 32]>>,
}

/// A rule of the set.
#[derive(Debug)]
pub(super) struct RuleEntry {
    pub(super) name: Box<str>,
    tags: Box<[String]>,
    state: RuleState,
}

/// Whether a rule can be evaluated.
#[derive(Debug)]
enum RuleState {
    Inactive,
    /// It does not compile; the first of its mistakes, for the answer.
    Broken(Box<str>),
    Ready(Arc<Compiled>),
}

/// A stored rule or derived field that does not compile; the others of the set run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub subject: Subject,
    /// Everything that is wrong with it.
    pub details: Vec<Detail>,
}

/// What compiling took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompileReport {
    /// Active rules and derived fields compiled, with success or without.
    pub compiled: usize,
    /// Those carried over from the previous set.
    pub reused: usize,
}

/// What the checker says of an expression that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Its type, if it has one.
    pub value_type: Option<String>,
    /// What it reads: `facts.age`, `derived.adult`.
    pub dependencies: Vec<String>,
    /// What it costs at worst, if it compiles.
    pub cost: Option<Cost>,
    /// Everything that is wrong with it.
    pub details: Vec<Detail>,
    /// What is worth knowing of it, and wrong with nothing.
    pub warnings: Vec<Detail>,
}

impl RuleSet {
    /// The tenant as it stood at this revision.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The revision compiled.
    pub fn revision(&self) -> Revision {
        self.tenant.revision
    }

    /// The history of the database that the revision counts in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The schema version compiled against.
    pub fn schema_version(&self) -> Option<SchemaVersion> {
        self.schema_version
    }

    /// A rule, by its place in creation order.
    pub(super) fn rule(&self, place: u32) -> Option<(RuleId, &RuleEntry)> {
        Some((*self.ids.get(place as usize)?, self.contents.rules.get(place as usize)?))
    }

    /// What does not compile.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// What compiling this set took.
    pub fn report(&self) -> CompileReport {
        self.report
    }

    /// The same set, with `tenant` as it is stored now: its revision is the one that the database counted.
    #[must_use]
    pub fn for_tenant(self, tenant: Tenant) -> Self {
        Self { tenant, hash: Arc::default(), ..self }
    }

    /// Reads `json`, an object of facts, flat or nested as the schema allows. Every declared field that is present is
    /// checked, whether a rule reads it or not. The details carry paths below `facts`.
    pub fn read_facts(&self, json: &str, unknown: UnknownFacts) -> Result<Facts, Vec<Detail>> {
        match &self.contents.schema {
            Some(schema) => schema.layout.read(json, unknown, &self.contents.frame),
            None => Err(vec![schema_missing()]),
        }
    }

    /// How many steps of a path below `facts` may be shown, keys or `None` for elements: not those inside of what is
    /// sensitive.
    pub fn shown_steps(&self, steps: &[Option<&str>]) -> usize {
        self.contents.schema.as_ref().map_or(steps.len(), |schema| schema.layout.shown_steps(steps))
    }

    /// Puts a mask in the place of every sensitive value of facts.
    pub fn mask_facts(&self, facts: &mut serde_json::Value) {
        if let Some(schema) = &self.contents.schema {
            schema.layout.mask(facts);
        }
    }

    /// Facts as they are kept with a decision: those that the schema declares, without what is sensitive; and whether
    /// anything was left out that rules may have read.
    pub fn kept_facts(&self, json: &str) -> Option<(String, bool)> {
        let schema = self.contents.schema.as_ref()?;
        let mut facts = serde_json::from_str(json).ok()?;
        let is_less = schema.layout.keep(&mut facts);
        Some((facts.to_string(), is_less))
    }

    /// Checks an expression that is not stored, as a rule would be.
    pub fn check_rule(&self, expression: &str) -> CheckReport {
        self.check(expression, Role::Rule)
    }

    /// Checks an expression that is not stored, as a derived field would be.
    pub(super) fn check_derived_field(&self, expression: &str) -> CheckReport {
        self.check(expression, Role::DerivedField)
    }

    fn check(&self, expression: &str, role: Role) -> CheckReport {
        let CompiledRules { schema, environment, derived, .. } = &*self.contents;
        let checked = match schema {
            Some(_) => environment.compile(expression, role),
            None => Err(vec![schema_missing()]),
        };
        match checked {
            Ok(compiled) => CheckReport {
                value_type: Some(compiled.program.value_type().to_string()),
                dependencies: compiled.dependencies(),
                cost: Some(cost::cost(&compiled, derived)),
                details: self.judged(&compiled),
                warnings: cost::warnings(&compiled, derived),
            },
            Err(details) => {
                CheckReport { value_type: None, dependencies: Vec::new(), cost: None, details, warnings: Vec::new() }
            }
        }
    }

    /// What keeps a compiled expression from being written: it reads what cannot be used, cannot mean what it says, or can
    /// cost more than it may.
    fn judged(&self, compiled: &Compiled) -> Vec<Detail> {
        let derived = &self.contents.derived;
        let mut details = derived.unusable(compiled);
        details.extend(compiled.program.doubts());
        details.extend(cost::too_high(compiled, derived));
        details
    }

    /// The type of a derived field that can be used, and what it reads.
    pub(super) fn derived_type(&self, id: DerivedFieldId) -> Option<(String, Vec<String>)> {
        let place = self.field_ids.iter().position(|field| *field == id)?;
        let (.., compiled) = self.contents.derived.usable().find(|(of, ..)| *of == place)?;
        Some((compiled.program.value_type().to_string(), compiled.dependencies()))
    }
}

/// What is said where nothing can be compiled or read for want of a schema.
fn schema_missing() -> Detail {
    Detail::new("schema_missing", "the tenant has no schema yet").hint("write the schema first")
}

#[cfg(test)]
mod consecutive_tests;
#[cfg(test)]
mod tests;
