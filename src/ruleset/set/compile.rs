//! Compiling a stored snapshot, with as much as possible carried over from the set before.

use std::sync::{Arc, OnceLock};

use super::{
    Broken, CompileReport, RuleEntry, RuleSet, RuleState,
    compiled::{Compiled, Role},
    compiled_rules::{self, CompiledRules, Small},
    compiler::{Compiler, Previous},
    cost::costly,
    derived::{self, DerivedFields},
    environment::Environment,
    indexed::index,
    schema_missing,
    shared::SharedSchema,
};
use crate::{
    cel::{Repeated, Sheet},
    config::limits::DECISION_COST_MAX,
    domain::{DerivedField, DerivedFieldId, Rule, RuleId, Snapshot},
    error::{Detail, Subject},
};

/// Rules of a set that is decided without its index.
pub(super) const SMALL_MAX: usize = 16;
/// Rules up to which a set that was changed is looked for among those of other tenants: of more, finding out takes longer
/// than compiling the one that changed.
const CHANGED_AND_SHARED_MAX: usize = 256;

impl RuleSet {
    /// Compiles what is stored; what `previous` has compiled already under the same types is carried over, and what
    /// other tenants have is used as well. A rule that does not compile is set aside as [`Broken`], alone.
    pub fn compile(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let schema = snapshot.schema.as_ref().map(|schema| {
            let carried = previous
                .and_then(|set| set.contents.schema.as_ref())
                .filter(|old| old.definition == schema.definition)
                .cloned();
            carried.unwrap_or_else(|| SharedSchema::of(&schema.definition))
        });
        let is_shared = previous.is_none() || snapshot.rules.len() <= CHANGED_AND_SHARED_MAX;
        let shared =
            schema.as_ref().filter(|_| is_shared).map(|schema| (schema, compiled_rules::fingerprint(schema, snapshot)));
        let known = || shared.and_then(|(schema, fingerprint)| compiled_rules::known(schema, snapshot, fingerprint));
        if previous.is_none()
            && let Some(contents) = known()
        {
            return Self::new(snapshot, previous, contents, Vec::new(), 0);
        }
        let before = previous.map(|set| &*set.contents).filter(|before| has_schema(before, schema.as_deref()));
        let mut compiler = Compiler::new(schema.as_deref(), before.map(compiled_before));
        let (contents, broken) = contents(snapshot, schema.clone(), &mut compiler, before);
        let reused = compiler.reused;
        let contents = match known().filter(|_| broken.is_empty()) {
            Some(known) => known,
            None => {
                let contents = Arc::new(contents);
                if let Some((_, fingerprint)) = shared.filter(|_| broken.is_empty()) {
                    compiled_rules::share(&contents, fingerprint);
                }
                contents
            }
        };
        Self::new(snapshot, previous, contents, broken, reused)
    }

    /// The set of a tenant that has these contents, of which so much was carried over.
    fn new(
        snapshot: &Snapshot,
        previous: Option<&Self>,
        contents: Arc<CompiledRules>,
        broken: Vec<Broken>,
        reused: usize,
    ) -> Self {
        let active = contents.active + snapshot.derived_fields.iter().filter(|field| field.active).count();
        let ids: Arc<[RuleId]> = snapshot.rules.iter().map(|rule| rule.id).collect();
        let mut fields: Vec<&DerivedField> = snapshot.derived_fields.iter().collect();
        fields.sort_unstable_by_key(|field| &field.name);
        let field_ids: Box<[DerivedFieldId]> = fields.into_iter().map(|field| field.id).collect();
        Self {
            tenant: snapshot.tenant.clone(),
            epoch: snapshot.epoch,
            schema_version: snapshot.schema.as_ref().map(|schema| schema.version),
            places: places(&ids, previous),
            costly: costly(&contents, &ids, &field_ids),
            broken: broken.into(),
            report: CompileReport { compiled: active.saturating_sub(reused), reused },
            contents,
            ids,
            field_ids,
            hash: Arc::default(),
        }
    }
}

/// Nothing of a set with another layout can be used again.
fn has_schema(before: &CompiledRules, schema: Option<&SharedSchema>) -> bool {
    before.schema.as_deref().zip(schema).is_some_and(|(before, schema)| std::ptr::eq(before, schema))
}

fn compiled_before(before: &CompiledRules) -> Previous<'_> {
    Previous { rules: &before.rules, derived: before.derived.usable().map(|(.., compiled)| compiled).collect() }
}

/// Compiles what is stored, and says what is broken.
fn contents(
    snapshot: &Snapshot,
    schema: Option<Arc<SharedSchema>>,
    compiler: &mut Compiler,
    before: Option<&CompiledRules>,
) -> (CompiledRules, Vec<Broken>) {
    let layout = schema.as_ref().map(|schema| &*schema.layout);
    let (derived, mut broken) = match layout {
        Some(layout) => derived::compile(layout, &snapshot.derived_fields, compiler),
        None => (DerivedFields::uncompiled(&snapshot.derived_fields), without_schema(snapshot)),
    };
    let (environment, frame) = match &schema {
        Some(schema) if derived.is_empty() => (schema.environment.clone(), Arc::clone(&schema.frame)),
        _ => {
            let environment = derived.environment(layout);
            let frame = Arc::new(derived.frame(&environment));
            (environment, frame)
        }
    };
    let mut rules = Vec::with_capacity(snapshot.rules.len());
    for (place, rule) in snapshot.rules.iter().enumerate() {
        if let Some(entry) = unchanged(compiler, place, rule, (&environment, &derived)) {
            rules.push(entry);
            continue;
        }
        let compiled = match layout {
            _ if !rule.active => None,
            Some(_) => Some(compile_rule(rule, &environment, &derived, compiler)),
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
    let rules: Box<[_]> = rules.into();
    let small = small(&rules);
    let index = match &small {
        None => OnceLock::from(index(&rules, layout, before.and_then(CompiledRules::indexed))),
        Some(_) => OnceLock::new(),
    };
    let contents = CompiledRules {
        environment,
        frame,
        index,
        by_name: OnceLock::new(),
        repeated: repeated(&rules, &derived),
        active: snapshot.rules.iter().filter(|rule| rule.active).count(),
        small,
        schema,
        derived,
        rules,
    };
    (contents, broken)
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
    RuleEntry { name: rule.name.as_str().into(), tags: rule.tags.as_slice().into(), state }
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
    (cost <= DECISION_COST_MAX).then(|| Small { cost, sheet: sheet(rules) })
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

/// The position of each rule, in the order of their ids; nothing for rules that are sooner gone through. Those of the set
/// before if they are the same.
fn places(ids: &[RuleId], previous: Option<&RuleSet>) -> Arc<[u32]> {
    if ids.len() <= SMALL_MAX {
        return Arc::default();
    }
    match previous.filter(|set| *set.ids == *ids) {
        Some(previous) => Arc::clone(&previous.places),
        None => {
            let mut places: Vec<u32> = (0..).take(ids.len()).collect();
            places.sort_by_key(|place| ids.get(*place as usize));
            places.into()
        }
    }
}

/// The rule of the previous set at this place, if nothing about it changed.
fn unchanged(
    compiler: &mut Compiler,
    place: usize,
    rule: &Rule,
    (environment, derived): (&Environment, &DerivedFields),
) -> Option<Arc<RuleEntry>> {
    let entry = compiler.previous_rule(place).filter(|entry| entry.is_of(rule))?;
    if let RuleState::Ready(compiled) = &entry.state {
        if !environment.holds(compiled) || !derived.unusable(compiled).is_empty() {
            return None;
        }
        compiler.reused += 1;
    }
    Some(Arc::clone(entry))
}
