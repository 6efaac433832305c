//! Derived fields: put in the order in which they depend on one another, and typed one after the other.
//!
//! The order is needed before the types are known. So each field is first compiled with all derived fields of type
//! `dyn`, which tells what it reads, and then once more under the types of those.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Broken,
    compiled::{Compiled, Role},
    compiler::Compiler,
    environment::Environment,
    order::{Dependencies, order},
};
use crate::{
    cel::{Frame, ObjectField, Size, Type},
    domain::DerivedField,
    error::{Detail, Subject},
    ruleset::facts::Layout,
};

/// The derived fields of a set by name, active or not.
#[derive(Debug, Default)]
pub(super) struct DerivedFields {
    fields: BTreeMap<String, DerivedState>,
}

#[derive(Debug)]
enum DerivedState {
    Inactive,
    Broken,
    Ready(Arc<Compiled>),
}

impl DerivedFields {
    /// The stored fields, of which none is compiled yet.
    pub fn uncompiled(stored: &[DerivedField]) -> Self {
        let state = |field: &DerivedField| if field.active { DerivedState::Broken } else { DerivedState::Inactive };
        Self { fields: stored.iter().map(|field| (field.name.clone(), state(field))).collect() }
    }

    /// What expressions see: the schema's objects, and all derived fields. Those that cannot be used are `dyn`, so that
    /// whoever reads one learns that, and not that it does not exist.
    pub fn environment(&self, layout: Option<&Layout>) -> Environment {
        let field = |(name, state): (&String, &DerivedState)| match state {
            DerivedState::Ready(compiled) => ObjectField {
                name: name.clone(),
                value_type: compiled.program.value_type().clone(),
                size: compiled.program.size(),
                allowed: compiled.program.allowed().clone(),
                is_sensitive: compiled.program.is_sensitive(),
            },
            DerivedState::Inactive | DerivedState::Broken => {
                ObjectField { size: Size::scalar(), ..ObjectField::new(name.clone(), Type::Dyn) }
            }
        };
        Environment::new(layout, self.fields.iter().map(field))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether one of them is what is stored, compiled.
    pub fn has(&self, field: &DerivedField) -> bool {
        match self.fields.get(&field.name) {
            Some(DerivedState::Inactive) => !field.active,
            Some(DerivedState::Ready(compiled)) => field.active && compiled.program.source() == field.expression,
            Some(DerivedState::Broken) | None => false,
        }
    }

    /// All that can be used, by their places in the order of their names.
    pub fn usable(&self) -> impl Iterator<Item = (usize, &str, &Arc<Compiled>)> {
        self.fields.iter().enumerate().filter_map(|(place, (name, state))| match state {
            DerivedState::Ready(compiled) => Some((place, name.as_str(), compiled)),
            DerivedState::Inactive | DerivedState::Broken => None,
        })
    }

    /// The slots that expressions read, and the programs that run when that is a derived field.
    pub fn frame(&self, environment: &Environment) -> Frame {
        let program = |(_, name, compiled): (usize, &str, &Arc<Compiled>)| {
            Some((environment.derived_slot(name)?, compiled.program.clone()))
        };
        environment.frame(self.usable().filter_map(program).collect())
    }

    /// What is wrong with an expression that compiles, and reads derived fields that cannot be used.
    pub fn unusable(&self, compiled: &Compiled) -> Vec<Detail> {
        let problem = |name: &str| match self.fields.get(name)? {
            DerivedState::Ready(_) => None,
            DerivedState::Inactive => {
                let detail = Detail::new("derived_field_inactive", format!("`derived.{name}` is not active"));
                Some(detail.hint("activate it, or do without it"))
            }
            DerivedState::Broken => {
                let detail = Detail::new("derived_field_broken", format!("`derived.{name}` does not compile"));
                Some(detail.hint("correct it first"))
            }
        };
        compiled.reads.iter().filter_map(|read| problem(&read.name)).collect()
    }

    /// The field of this name, if it can be used.
    pub fn named(&self, name: &str) -> Option<(&str, &Compiled)> {
        let (name, state) = self.fields.get_key_value(name)?;
        match state {
            DerivedState::Ready(compiled) => Some((name, compiled)),
            DerivedState::Inactive | DerivedState::Broken => None,
        }
    }

    fn settle(&mut self, name: &str, compiled: Arc<Compiled>) {
        if let Some(state) = self.fields.get_mut(name) {
            *state = DerivedState::Ready(compiled);
        }
    }
}

/// Compiles the active derived fields, and says which are broken.
pub(super) fn compile(
    layout: &Layout,
    stored: &[DerivedField],
    compiler: &mut Compiler,
) -> (DerivedFields, Vec<Broken>) {
    let mut derived = DerivedFields::uncompiled(stored);
    if stored.is_empty() {
        return (derived, Vec::new());
    }
    let active: BTreeMap<&str, &DerivedField> =
        stored.iter().filter(|field| field.active).map(|field| (field.name.as_str(), field)).collect();
    let mut broken: HashMap<&str, Vec<Detail>> = HashMap::new();
    // Nothing is compiled yet: here every derived field is `dyn`.
    let untyped = derived.environment(Some(layout));
    let mut dependencies = Dependencies::new();
    for (name, field) in &active {
        match compiler.reads(&untyped, &field.expression, Role::DerivedField) {
            Ok(None) => drop(dependencies.insert(name, active.keys().map(|name| (*name).to_owned()).collect())),
            Ok(Some(names)) => drop(dependencies.insert(name, names)),
            Err(details) => drop(broken.insert(name, details)),
        }
    }
    let order = order(&dependencies);
    for (name, circle) in &order.circles {
        broken.insert(name, vec![in_circle(circle)]);
    }
    for wave in &order.waves {
        let environment = derived.environment(Some(layout));
        for field in wave.iter().filter_map(|name| active.get(name)) {
            match usable(&derived, &environment, &field.expression, compiler) {
                Ok(compiled) => derived.settle(&field.name, compiled),
                Err(details) => drop(broken.insert(&field.name, details)),
            }
        }
    }
    let with_details = |field: &DerivedField| {
        let subject = Subject::DerivedField { field_id: field.id.0, field_name: field.name.clone() };
        Some(Broken { subject, details: broken.get(field.name.as_str())?.clone() })
    };
    let broken = stored.iter().filter(|field| field.active).filter_map(with_details).collect();
    (derived, broken)
}

fn usable(
    derived: &DerivedFields,
    environment: &Environment,
    expression: &str,
    compiler: &mut Compiler,
) -> Result<Arc<Compiled>, Vec<Detail>> {
    let compiled = compiler.compile(environment, expression, Role::DerivedField)?;
    let details = derived.unusable(&compiled);
    if details.is_empty() { Ok(compiled) } else { Err(details) }
}

fn in_circle(circle: &[&str]) -> Detail {
    let way = circle.iter().map(|name| format!("`derived.{name}`")).collect::<Vec<_>>().join(" → ");
    Detail::new("derived_field_circle", format!("derived fields read one another in a circle: {way}"))
}
