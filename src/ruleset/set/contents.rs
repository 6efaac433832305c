//! What a set decides by, and nothing of whose it is: tenants with the same schema, derived fields and rules have it in
//! common.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use super::{
    RuleEntry, RuleState, derived::DerivedFields, indexed::index, language::Environment, shared::SharedSchema,
};
use crate::{
    cel::{Frame, Repeated, Sheet},
    domain::{DerivedField, Rule, Snapshot},
    ruleset::index::Index,
};

/// Everything that is compiled from a schema, derived fields and rules, without their ids.
#[derive(Debug)]
pub(super) struct Contents {
    /// The schema in use.
    pub schema: Option<Arc<SharedSchema>>,
    pub environment: Environment,
    pub derived: DerivedFields,
    /// The slots that rules read, and what runs when that is a derived field.
    pub frame: Arc<Frame>,
    /// All rules, active or not, in creation order.
    pub rules: Box<[Arc<RuleEntry>]>,
    /// Which of the active rules facts can match. That of a small set is made when it is first asked.
    pub index: OnceLock<Index>,
    /// What its rules and derived fields have in common.
    pub repeated: Repeated,
    /// How many rules are active.
    pub active: usize,
    /// If the rules are so few and cost so little that running them all is sooner done than asking the index.
    pub small: Option<Small>,
}

/// What all rules of a small set cost together, and how they are decided at once.
#[derive(Debug)]
pub(super) struct Small {
    pub cost: u64,
    /// The conditions of the rules that are active, with their places. `None` if one of them must be run.
    pub sheet: Option<(Sheet, Box<[u32]>)>,
}

impl Contents {
    /// Which of the active rules facts can match.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| index(&self.rules, self.schema.as_deref(), None))
    }

    /// Whether compiling what is stored gives this, as long as the schema is the same and nothing is broken.
    pub fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.rules.len() == snapshot.rules.len()
            && self.derived.len() == snapshot.derived_fields.len()
            && self.rules.iter().zip(&snapshot.rules).all(|(entry, rule)| entry.is_of(rule))
            && snapshot.derived_fields.iter().all(|field| self.derived.has(field))
    }
}

impl RuleEntry {
    /// Whether this is what is stored, compiled.
    pub fn is_of(&self, rule: &Rule) -> bool {
        let is_same = match &self.state {
            RuleState::Inactive => !rule.active,
            RuleState::Ready(compiled) => rule.active && compiled.program.source() == rule.expression,
            RuleState::Broken(_) => false,
        };
        is_same && *self.name == *rule.name.as_str() && *self.tags == *rule.tags
    }
}

/// What [`Contents`] are made from, but the schema: what is not active is its name alone.
pub(super) struct Origin<'a>(pub &'a Snapshot);

impl Hash for Origin<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for Rule { name, tags, active, expression, .. } in &self.0.rules {
            (name, tags, active.then_some(expression)).hash(state);
        }
        for DerivedField { name, active, expression, .. } in &self.0.derived_fields {
            (name, active.then_some(expression)).hash(state);
        }
    }
}
