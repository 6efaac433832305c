//! What a set decides by, and nothing of whose it is: tenants with the same schema, derived fields and rules have it in
//! common.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, OnceLock},
};

use super::{
    RuleEntry, RuleState,
    derived::DerivedFields,
    environment::Environment,
    indexed::{Indexed, index},
    shared::{SharedSchema, WeakCache, lock},
};
use crate::{
    cel::{Frame, Repeated, Sheet},
    domain::{DerivedField, Rule, Snapshot},
    ruleset::index::Index,
};

/// Everything that is compiled from a schema, derived fields and rules, without their ids.
#[derive(Debug)]
pub(super) struct CompiledRules {
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
    /// The places of the rules in the order of their names, made when a decision first names one.
    pub by_name: OnceLock<Box<[u32]>>,
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

impl CompiledRules {
    /// Which of the active rules facts can match.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| index(&self.rules, self.schema.as_ref().map(|schema| &*schema.layout), None))
    }

    /// The place of the rule of this name.
    pub fn place_of_name(&self, name: &str) -> Option<u32> {
        let name_at = |place: &u32| self.rules.get(*place as usize).map(|rule| &*rule.name);
        let by_name = self.by_name.get_or_init(|| {
            let mut places: Box<[u32]> = (0..).take(self.rules.len()).collect();
            places.sort_unstable_by_key(name_at);
            places
        });
        let found = by_name.binary_search_by_key(&Some(name), name_at).ok()?;
        by_name.get(found).copied()
    }

    /// The index with the rules, if it was made.
    pub fn indexed(&self) -> Option<Indexed<'_>> {
        self.index.get().map(|index| Indexed { rules: &self.rules, index })
    }

    /// Whether compiling what is stored gives this, as long as the schema is the same and nothing is broken.
    fn is_of(&self, snapshot: &Snapshot) -> bool {
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

/// The compiled rules of all sets in memory, held weakly.
static COMPILED: LazyLock<Mutex<WeakCache<CompiledRules>>> = LazyLock::new(Mutex::default);

/// By what the rules of a set are found that is compiled from `snapshot` with `schema`.
pub(super) fn fingerprint(schema: &Arc<SharedSchema>, snapshot: &Snapshot) -> u64 {
    let hashes = lock(&COMPILED).hashes.clone();
    hashes.hash_one((Arc::as_ptr(schema) as usize, Texts(snapshot)))
}

/// What another set of this schema has compiled from the same, which has this fingerprint.
pub(super) fn known(schema: &Arc<SharedSchema>, snapshot: &Snapshot, fingerprint: u64) -> Option<Arc<CompiledRules>> {
    let known = lock(&COMPILED).get(fingerprint)?;
    let is_same_schema = known.schema.as_ref().is_some_and(|of| Arc::ptr_eq(of, schema));
    (is_same_schema && known.is_of(snapshot)).then_some(known)
}

/// Keeps what was compiled for other sets.
pub(super) fn share(compiled: &Arc<CompiledRules>, fingerprint: u64) {
    lock(&COMPILED).insert(fingerprint, compiled);
}

/// What the rules of a set are compiled from, beside the schema: of what is not active, the name alone.
struct Texts<'a>(&'a Snapshot);

impl Hash for Texts<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for Rule { name, tags, active, expression, .. } in &self.0.rules {
            (name, tags, active.then_some(expression)).hash(state);
        }
        for DerivedField { name, active, expression, .. } in &self.0.derived_fields {
            (name, active.then_some(expression)).hash(state);
        }
    }
}
