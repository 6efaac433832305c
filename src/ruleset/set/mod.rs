//! The rule set itself: everything of one tenant, compiled at one revision.
//!
//! Immutable and cheap to clone. `compile` makes it, `derived` orders and types the derived fields, `decide` evaluates.

mod compile;
mod compiled;
mod cost;
mod decide;
mod derived;
mod evaluate;
mod indexed;
mod language;
mod memory;
mod order;
mod shared;

use std::sync::Arc;

use compiled::{Compiled, Role};
use derived::DerivedFields;
use language::Environment;
use shared::SharedSchema;

pub use cost::Cost;
pub use evaluate::Evaluated;

use super::{Facts, UnknownFacts, index::Index};
use crate::{
    cel::{Frame, Repeated, Sheet},
    domain::{DerivedFieldId, Epoch, Revision, RuleId, SchemaVersion, Tenant},
    error::{Detail, Subject},
};

/// Everything of one tenant, compiled at one revision.
#[derive(Debug, Clone)]
pub struct RuleSet {
    tenant: Tenant,
    epoch: Epoch,
    schema: Option<CompiledSchema>,
    environment: Environment,
    derived: Arc<DerivedFields>,
    /// The slots that rules read, and what runs when that is a derived field.
    frame: Arc<Frame>,
    /// All rules, active or not, in creation order.
    rules: Arc<[Arc<RuleEntry>]>,
    /// Where in `rules` each one stands, in the order of their ids.
    places: Arc<[u32]>,
    /// Which of the active rules facts can match.
    index: Arc<Index>,
    /// What its rules and derived fields have in common.
    repeated: Arc<Repeated>,
    /// How many rules are active.
    active: usize,
    /// If the rules are so few and cost so little that running them all is sooner done than asking the index.
    small: Option<Small>,
    broken: Arc<[Broken]>,
    /// What is usable, and can cost more than it may.
    costly: Arc<[Broken]>,
    report: CompileReport,
}

/// What all rules of a small set cost together, and how they are decided at once.
#[derive(Debug, Clone)]
struct Small {
    cost: u64,
    /// The conditions of the rules that are active, with their places. `None` if one of them must be run.
    sheet: Option<Arc<(Sheet, Box<[u32]>)>>,
}

/// The schema in use, and what facts are read by.
#[derive(Debug, Clone)]
struct CompiledSchema {
    version: SchemaVersion,
    shared: Arc<SharedSchema>,
}

/// A rule of the set.
#[derive(Debug)]
pub(super) struct RuleEntry {
    pub(super) id: RuleId,
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
        self.schema.as_ref().map(|schema| schema.version)
    }

    /// What does not compile.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// What compiling this set took.
    pub fn report(&self) -> CompileReport {
        self.report
    }

    /// The same set at the revision that the database counted for it.
    #[must_use]
    pub fn at_revision(&self, revision: Revision) -> Self {
        let mut set = self.clone();
        set.tenant.revision = revision;
        set
    }

    /// The same set, with what is known of the tenant itself.
    #[must_use]
    pub(super) fn for_tenant(self, tenant: Tenant) -> Self {
        Self { tenant, ..self }
    }

    /// Reads `json`, an object of facts, flat or nested as the schema allows. Every declared field that is present is
    /// checked, whether a rule reads it or not. The details carry paths below `facts`.
    pub fn read_facts(&self, json: &str, unknown: UnknownFacts) -> Result<Facts, Vec<Detail>> {
        match &self.schema {
            Some(schema) => schema.shared.layout.read(json, unknown, &self.frame),
            None => Err(vec![schema_missing()]),
        }
    }

    /// How many steps of a path below `facts` may be shown, keys or `None` for elements: not those inside of what is
    /// sensitive.
    pub fn shown_steps(&self, steps: &[Option<&str>]) -> usize {
        self.schema.as_ref().map_or(steps.len(), |schema| schema.shared.layout.shown_steps(steps))
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
        let checked = match &self.schema {
            Some(_) => self.environment.compile(expression, role),
            None => Err(vec![schema_missing()]),
        };
        match checked {
            Ok(compiled) => CheckReport {
                value_type: Some(compiled.program.value_type().to_string()),
                dependencies: compiled.dependencies(),
                cost: Some(cost::cost(&compiled, &self.derived)),
                details: {
                    let mut details = self.derived.unusable(&compiled);
                    details.extend(cost::too_high(&compiled, &self.derived));
                    details
                },
            },
            Err(details) => CheckReport { value_type: None, dependencies: Vec::new(), cost: None, details },
        }
    }

    /// The type of a derived field that can be used, and what it reads.
    pub(super) fn derived_type(&self, id: DerivedFieldId) -> Option<(String, Vec<String>)> {
        let compiled = self.derived.compiled(id)?;
        Some((compiled.program.value_type().to_string(), compiled.dependencies()))
    }
}

/// What is said where nothing can be compiled or read for want of a schema.
fn schema_missing() -> Detail {
    Detail::new("schema_missing", "the tenant has no schema yet").hint("write the schema first")
}

#[cfg(test)]
mod in_a_row;
#[cfg(test)]
mod tests;
