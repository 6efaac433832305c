//! Compiling a stored snapshot, with as much as possible carried over from the set before.

use std::{collections::HashMap, sync::Arc};

use super::{
    Broken, CompileReport, CompiledSchema, RuleEntry, RuleSet, RuleState,
    compiled::{Compiled, Role},
    derived::{self, DerivedFields},
    indexed::index,
    language::Environment,
    schema_missing,
};
use crate::{
    domain::{Rule, Snapshot},
    error::{Detail, Subject},
    ruleset::facts::Layout,
};

impl RuleSet {
    /// Compiles what is stored; what `previous` has compiled already under the same types is carried over. A rule
    /// that does not compile is set aside as [`Broken`], alone.
    pub fn compile(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let schema = snapshot.schema.as_ref().map(|schema| {
            let carried =
                previous.and_then(|set| set.schema.as_ref()).filter(|old| old.definition == schema.definition);
            CompiledSchema {
                version: schema.version,
                definition: Arc::clone(&schema.definition),
                layout: carried.map_or_else(|| Arc::new(Layout::of(&schema.definition)), |old| Arc::clone(&old.layout)),
            }
        });
        let layout = schema.as_ref().map(|schema| schema.layout.as_ref());
        let mut compiler = Compiler::after(previous, layout);
        let (derived, mut broken) = match layout {
            Some(layout) => derived::compile(layout, &snapshot.derived_fields, &mut compiler),
            None => (DerivedFields::uncompiled(&snapshot.derived_fields), without_schema(snapshot)),
        };
        let environment = derived.environment(layout);
        let deferred = Arc::new(derived.deferred(&environment));
        let mut rules = Vec::with_capacity(snapshot.rules.len());
        for rule in &snapshot.rules {
            let compiled = match layout {
                _ if !rule.active => None,
                Some(_) => Some(compile_rule(rule, &environment, &derived, &mut compiler)),
                None => Some(Err(vec![schema_missing()])),
            };
            let state = match compiled {
                None => RuleState::Inactive,
                Some(Ok(compiled)) => RuleState::Ready(compiled),
                Some(Err(details)) => {
                    let message = details.first().map(|detail| detail.message.clone()).unwrap_or_default();
                    let subject = Subject::Rule { rule_id: rule.id.0, rule_name: rule.name.as_str().to_owned() };
                    broken.push(Broken { subject, details });
                    RuleState::Broken(message)
                }
            };
            rules.push(entry(rule, state));
        }
        let active = snapshot.rules.iter().filter(|rule| rule.active).count()
            + snapshot.derived_fields.iter().filter(|field| field.active).count();
        let report = CompileReport { compiled: active.saturating_sub(compiler.reused), reused: compiler.reused };
        let index = index(&rules, schema.as_ref(), previous);
        Self {
            tenant: snapshot.tenant.clone(),
            epoch: snapshot.epoch,
            schema,
            environment,
            deferred,
            derived: Arc::new(derived),
            places: Arc::new(rules.iter().enumerate().map(|(place, rule)| (rule.id, place)).collect()),
            index: Arc::new(index),
            active: snapshot.rules.iter().filter(|rule| rule.active).count(),
            rules: rules.into(),
            broken: broken.into(),
            report,
        }
    }
}

fn without_schema(snapshot: &Snapshot) -> Vec<Broken> {
    let broken = |field: &crate::domain::DerivedField| Broken {
        subject: Subject::DerivedField { field_id: field.id.0, field_name: field.name.clone() },
        details: vec![schema_missing()],
    };
    snapshot.derived_fields.iter().filter(|field| field.active).map(broken).collect()
}

fn compile_rule(
    rule: &Rule,
    environment: &Environment,
    derived: &DerivedFields,
    compiler: &mut Compiler,
) -> Result<Arc<Compiled>, Vec<Detail>> {
    let compiled = compiler.compile(environment, &rule.expression, Role::Rule)?;
    let details = derived.unusable(&compiled);
    if details.is_empty() { Ok(compiled) } else { Err(details) }
}

fn entry(rule: &Rule, state: RuleState) -> RuleEntry {
    RuleEntry { id: rule.id, name: rule.name.as_str().to_owned(), tags: rule.tags.clone(), state }
}

/// Compiles expressions that the previous set has not compiled under the same types.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    rules: HashMap<&'a str, &'a Arc<Compiled>>,
    derived: HashMap<&'a str, &'a Arc<Compiled>>,
    reused: usize,
}

impl<'a> Compiler<'a> {
    /// A compiler for a set with this layout. Nothing of a set with another one can be used again.
    fn after(previous: Option<&'a RuleSet>, layout: Option<&Layout>) -> Self {
        let mut compiler = Self { rules: HashMap::new(), derived: HashMap::new(), reused: 0 };
        let same_layout = |set: &&RuleSet| match (&set.schema, layout) {
            (Some(schema), Some(layout)) => std::ptr::eq(schema.layout.as_ref(), layout),
            _ => false,
        };
        let Some(previous) = previous.filter(same_layout) else { return compiler };
        for rule in previous.rules.iter() {
            if let RuleState::Ready(compiled) = &rule.state {
                compiler.rules.insert(compiled.program.source(), compiled);
            }
        }
        for (_, _, compiled) in previous.derived.usable() {
            compiler.derived.insert(compiled.program.source(), compiled);
        }
        compiler
    }

    /// The compiled expression, carried over if it still holds.
    pub fn compile(
        &mut self,
        environment: &Environment,
        expression: &str,
        role: Role,
    ) -> Result<Arc<Compiled>, Vec<Detail>> {
        match self.known(expression, role).filter(|compiled| environment.holds(compiled)) {
            Some(compiled) => {
                self.reused += 1;
                Ok(Arc::clone(compiled))
            }
            None => environment.compile(expression, role).map(Arc::new),
        }
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
        match role {
            Role::Rule => self.rules.get(expression).copied(),
            Role::DerivedField => self.derived.get(expression).copied(),
        }
    }
}
