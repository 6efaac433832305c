//! Compiling a stored snapshot, with as much as possible carried over from the set before.

use std::{
    cell::{Cell, OnceCell},
    collections::HashMap,
    sync::Arc,
};

use super::{
    Broken, CompileReport, CompiledSchema, RuleEntry, RuleSet, RuleState, Small,
    compiled::{Compiled, Role},
    cost::costly,
    derived::{self, DerivedFields},
    indexed::index,
    language::Environment,
    schema_missing,
    shared::SharedSchema,
};
use crate::{
    cel::{Repeated, Sheet},
    config::limits::DECISION_COST_MAX,
    domain::{Rule, Snapshot},
    error::{Detail, Subject},
};

/// Rules of a set that is decided without its index.
const SMALL_MAX: usize = 16;
/// Expressions that are looked for among all of the previous set before it is worth while to hash those, which takes as
/// long as a dozen of them.
const SCANS_MAX: usize = 16;

impl RuleSet {
    /// Compiles what is stored; what `previous` has compiled already under the same types is carried over. A rule
    /// that does not compile is set aside as [`Broken`], alone.
    pub fn compile(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let schema = snapshot.schema.as_ref().map(|schema| {
            let carried = previous
                .and_then(|set| set.schema.as_ref())
                .filter(|old| old.shared.definition == schema.definition)
                .map(|old| Arc::clone(&old.shared));
            let shared = carried.unwrap_or_else(|| SharedSchema::of(&schema.definition));
            CompiledSchema { version: schema.version, shared }
        });
        let layout = schema.as_ref().map(|schema| schema.shared.layout.as_ref());
        let mut compiler = Compiler::after(previous, schema.as_ref().map(|schema| &*schema.shared));
        let (derived, mut broken) = match layout {
            Some(layout) => derived::compile(layout, &snapshot.derived_fields, &mut compiler),
            None => (DerivedFields::uncompiled(&snapshot.derived_fields), without_schema(snapshot)),
        };
        let environment = derived.environment(layout);
        let frame = Arc::new(derived.frame(&environment));
        let mut rules = Vec::with_capacity(snapshot.rules.len());
        for (place, rule) in snapshot.rules.iter().enumerate() {
            if let Some(entry) = compiler.unchanged(place, rule, &environment, &derived) {
                rules.push(entry);
                continue;
            }
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
                    RuleState::Broken(message.into())
                }
            };
            rules.push(Arc::new(entry(rule, state)));
        }
        let active = snapshot.rules.iter().filter(|rule| rule.active).count()
            + snapshot.derived_fields.iter().filter(|field| field.active).count();
        let report = CompileReport { compiled: active.saturating_sub(compiler.reused), reused: compiler.reused };
        let costly = costly(rules.iter().map(Arc::as_ref), &derived);
        let index = index(&rules, schema.as_ref(), previous);
        Self {
            tenant: snapshot.tenant.clone(),
            epoch: snapshot.epoch,
            schema,
            environment,
            frame,
            places: places(&rules, previous),
            index: Arc::new(index),
            repeated: Arc::new(repeated(&rules, &derived)),
            derived: Arc::new(derived),
            active: snapshot.rules.iter().filter(|rule| rule.active).count(),
            small: small(&rules),
            rules: rules.into(),
            broken: broken.into(),
            costly: costly.into(),
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
    RuleEntry { id: rule.id, name: rule.name.as_str().into(), tags: rule.tags.as_slice().into(), state }
}

/// What all rules cost together, if they are sooner run than found by the index, and certainly within the budget of a
/// decision.
fn small(rules: &[Arc<RuleEntry>]) -> Option<Small> {
    let cost = |rule: &Arc<RuleEntry>| match &rule.state {
        RuleState::Ready(compiled) if compiled.reads.is_empty() && !compiled.reads_all => {
            compiled.program.straight_cost()
        }
        RuleState::Ready(_) => None,
        RuleState::Inactive | RuleState::Broken(_) => Some(0),
    };
    let is_small = rules.len() <= SMALL_MAX;
    let cost = if is_small { rules.iter().map(cost).sum::<Option<u64>>()? } else { return None };
    (cost <= DECISION_COST_MAX).then(|| Small { cost, sheet: sheet(rules).map(Arc::new) })
}

/// The conditions of the rules that are active, and their places, if none is broken and none must be run.
fn sheet(rules: &[Arc<RuleEntry>]) -> Option<(Sheet, Box<[u32]>)> {
    let (mut programs, mut places) = (Vec::new(), Vec::new());
    for (place, rule) in (0..).zip(rules) {
        match &rule.state {
            RuleState::Ready(compiled) => {
                programs.push(&compiled.program);
                places.push(place);
            }
            RuleState::Broken(_) => return None,
            RuleState::Inactive => {}
        }
    }
    Some((Sheet::of(programs.into_iter())?, places.into()))
}

/// What rules and derived fields have in common.
fn repeated(rules: &[Arc<RuleEntry>], derived: &DerivedFields) -> Repeated {
    let rules = rules.iter().filter_map(|rule| match &rule.state {
        RuleState::Ready(compiled) => Some(&compiled.program),
        RuleState::Inactive | RuleState::Broken(_) => None,
    });
    Repeated::of(rules.chain(derived.usable().map(|(.., compiled)| &compiled.program)))
}

/// Where each rule stands, in the order of their ids; those of the set before if they are the same.
fn places(rules: &[Arc<RuleEntry>], previous: Option<&RuleSet>) -> Arc<[u32]> {
    let same_places = |set: &&RuleSet| {
        set.rules.len() == rules.len() && set.rules.iter().zip(rules).all(|(before, now)| before.id == now.id)
    };
    match previous.filter(same_places) {
        Some(previous) => Arc::clone(&previous.places),
        None => {
            let mut places: Vec<u32> = (0..).take(rules.len()).collect();
            places.sort_by_key(|place| rules.get(*place as usize).map(|rule| rule.id));
            places.into()
        }
    }
}

/// Compiles expressions that neither the previous set nor another of the same schema has compiled.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    shared: Option<&'a SharedSchema>,
    /// The previous set, if it has the same layout. Nothing of a set with another one can be used again.
    previous: Option<&'a RuleSet>,
    rules: OnceCell<Sources<'a>>,
    derived: OnceCell<Sources<'a>>,
    /// Expressions of rules that were looked for so far.
    scans: Cell<usize>,
    reused: usize,
}

/// What was compiled, by its source.
type Sources<'a> = HashMap<&'a str, &'a Arc<Compiled>>;

impl<'a> Compiler<'a> {
    /// A compiler for a set of this schema.
    fn after(previous: Option<&'a RuleSet>, shared: Option<&'a SharedSchema>) -> Self {
        let same_schema = |set: &&RuleSet| match (&set.schema, shared) {
            (Some(schema), Some(shared)) => std::ptr::eq(schema.shared.as_ref(), shared),
            _ => false,
        };
        let previous = previous.filter(same_schema);
        let (rules, derived) = (OnceCell::new(), OnceCell::new());
        Self { shared, previous, rules, derived, scans: Cell::new(0), reused: 0 }
    }

    /// The rule of the previous set at this place, if nothing about it changed.
    fn unchanged(
        &mut self,
        place: usize,
        rule: &Rule,
        environment: &Environment,
        derived: &DerivedFields,
    ) -> Option<Arc<RuleEntry>> {
        let entry = self.previous?.rules.get(place)?;
        if entry.id != rule.id || *entry.name != *rule.name.as_str() || *entry.tags != *rule.tags {
            return None;
        }
        match &entry.state {
            RuleState::Inactive if !rule.active => {}
            RuleState::Ready(compiled)
                if rule.active
                    && compiled.program.source() == rule.expression
                    && environment.holds(compiled)
                    && derived.unusable(compiled).is_empty() =>
            {
                self.reused += 1;
            }
            _ => return None,
        }
        Some(Arc::clone(entry))
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
        let previous = self.previous?;
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
                previous.derived.usable().map(|(.., compiled)| (compiled.program.source(), compiled)).collect()
            }),
        };
        sources.get(expression).copied()
    }
}
