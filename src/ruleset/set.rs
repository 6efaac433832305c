//! The rule set itself.

use super::{Decision, Facts, Query, UnknownFacts};
use crate::{
    domain::{Epoch, Revision, SchemaVersion, Snapshot, Tenant},
    error::{Detail, Subject},
};

/// Everything of one tenant, compiled at one revision.
#[derive(Debug)]
pub struct RuleSet {
    tenant: Tenant,
    epoch: Epoch,
    schema_version: Option<SchemaVersion>,
    broken: Vec<Broken>,
    report: CompileReport,
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
    /// Programs compiled.
    pub compiled: usize,
    /// Programs carried over from the previous set.
    pub reused: usize,
}

/// What the checker says of an expression that is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Its type, if it has one.
    pub value_type: Option<String>,
    /// What it reads: `facts.age`, `derived.adult`.
    pub dependencies: Vec<String>,
    /// Everything that is wrong with it.
    pub details: Vec<Detail>,
}

impl RuleSet {
    /// Compiles what is stored; what `previous` has compiled already under the same types is carried over. A rule
    /// that does not compile is set aside as [`Broken`], alone.
    pub fn compile(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let _ = (snapshot, previous);
        todo!("ruleset helper")
    }

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

    /// What does not compile.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// What compiling this set took.
    pub fn report(&self) -> CompileReport {
        self.report
    }

    /// Reads `json`, an object of facts, flat or nested as the schema allows. Every declared field that is present is
    /// checked, whether a rule reads it or not. The details carry paths below `facts`.
    pub fn read_facts(&self, json: &str, unknown: UnknownFacts) -> Result<Facts, Vec<Detail>> {
        let _ = (json, unknown);
        todo!("ruleset helper")
    }

    /// Evaluates the rules that `query` asks for.
    pub fn decide<'a>(&'a self, facts: &Facts, query: &'a Query) -> Decision<'a> {
        let _ = (facts, query);
        todo!("ruleset helper")
    }

    /// Checks an expression that is not stored, as a rule would be.
    pub fn check_rule(&self, expression: &str) -> CheckReport {
        let _ = expression;
        todo!("ruleset helper")
    }
}
