//! Compiles the expressions of one set, and carries over what an older set or another of the same schema has compiled.

use std::{
    cell::{Cell, OnceCell},
    collections::HashMap,
    sync::Arc,
};

use super::{
    RuleEntry, RuleState,
    compiled::{Compiled, Role},
    environment::Environment,
    shared::SharedSchema,
};
use crate::error::Detail;

/// Expressions that are looked for among all of the previous set before it is worth while to hash those, which takes as
/// long as a dozen of them.
const SCANS_MAX: usize = 16;

/// Compiles expressions that neither the previous set nor another of the same schema has compiled.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    shared: Option<&'a SharedSchema>,
    previous: Option<Previous<'a>>,
    rules: OnceCell<Sources<'a>>,
    derived: OnceCell<Sources<'a>>,
    /// Expressions of rules that were looked for so far.
    scans: Cell<usize>,
    /// Expressions carried over so far.
    pub reused: usize,
}

/// What a set before has compiled with the same layout. Nothing of one with another layout can be used again.
#[derive(Debug)]
pub(super) struct Previous<'a> {
    pub rules: &'a [Arc<RuleEntry>],
    pub derived: Vec<&'a Arc<Compiled>>,
}

/// What was compiled, by its source.
type Sources<'a> = HashMap<&'a str, &'a Arc<Compiled>>;

impl<'a> Compiler<'a> {
    /// A compiler for a set of this schema, which comes after another.
    pub fn new(shared: Option<&'a SharedSchema>, previous: Option<Previous<'a>>) -> Self {
        let (rules, derived) = (OnceCell::new(), OnceCell::new());
        Self { shared, previous, rules, derived, scans: Cell::new(0), reused: 0 }
    }

    /// The rule of the previous set at this place.
    pub fn previous_rule(&self, place: usize) -> Option<&'a Arc<RuleEntry>> {
        self.previous.as_ref()?.rules.get(place)
    }

    /// The compiled expression, carried over if it still holds.
    pub fn compile(
        &mut self,
        environment: &Environment,
        expression: &str,
        role: Role,
    ) -> Result<Arc<Compiled>, Vec<Detail>> {
        if let Some(compiled) = self.known(expression, role).filter(|compiled| environment.holds(compiled)) {
            self.reused += 1;
            return Ok(Arc::clone(compiled));
        }
        if let Some(compiled) = self.shared.and_then(|shared| shared.compiled(environment, expression, role)) {
            return Ok(compiled);
        }
        let compiled = Arc::new(environment.compile(expression, role)?);
        if let Some(shared) = self.shared {
            shared.share(&compiled);
        }
        Ok(compiled)
    }

    /// The names of the derived fields that an expression reads; `None` if it reads them as a whole.
    pub fn reads(
        &self,
        environment: &Environment,
        expression: &str,
        role: Role,
    ) -> Result<Option<Vec<String>>, Vec<Detail>> {
        let names = |compiled: &Compiled| {
            (!compiled.reads_all).then(|| compiled.reads.iter().map(|read| read.name.clone()).collect())
        };
        match self.known(expression, role).filter(|compiled| environment.knows(compiled)) {
            Some(compiled) => Ok(names(compiled)),
            None => environment.compile(expression, role).map(|compiled| names(&compiled)),
        }
    }

    fn known(&self, expression: &str, role: Role) -> Option<&'a Arc<Compiled>> {
        let previous = self.previous.as_ref()?;
        let sources = match role {
            Role::Rule => {
                let mut ready = previous.rules.iter().filter_map(|rule| match &rule.state {
                    RuleState::Ready(compiled) => Some(compiled),
                    RuleState::Inactive | RuleState::Broken(_) => None,
                });
                let scans = self.scans.replace(self.scans.get().saturating_add(1));
                if scans < SCANS_MAX {
                    return ready.find(|compiled| compiled.program.source() == expression);
                }
                self.rules.get_or_init(|| ready.map(|compiled| (compiled.program.source(), compiled)).collect())
            }
            Role::DerivedField => self.derived.get_or_init(|| {
                previous.derived.iter().map(|compiled| (compiled.program.source(), *compiled)).collect()
            }),
        };
        sources.get(expression).copied()
    }
}
