//! What sets of the same schema have in common, also those of different tenants: the layout and compiled expressions.
//!
//! Held only as long as a set uses it. Nothing here is of a tenant: what is shared is made from a schema's definition,
//! and the texts of rules and derived fields alone, and all of these are compared in full before it is shared.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use foldhash::quality::RandomState;

use super::{
    compiled::{Compiled, Role},
    environment::Environment,
};
use crate::{cel::Frame, domain::SchemaDefinition, ruleset::facts::Layout};

/// A schema's definition, with what is made from it.
#[derive(Debug)]
pub(super) struct SharedSchema {
    pub definition: Arc<SchemaDefinition>,
    pub layout: Arc<Layout>,
    /// The environment and the frame of sets without derived fields.
    pub environment: Environment,
    pub frame: Arc<Frame>,
    programs: Mutex<WeakCache<Compiled>>,
}

/// A process-wide cache of things by the hash of what they were made from, which holds none of them alive. Of two with one
/// hash it finds the later.
#[derive(Debug)]
pub(super) struct WeakCache<T> {
    pub hashes: RandomState,
    things: HashMap<u64, Weak<T>>,
    /// How many there may be before those that are gone are looked for.
    sweep_at: usize,
}

static SCHEMAS: LazyLock<Mutex<WeakCache<SharedSchema>>> = LazyLock::new(Mutex::default);

impl<T> Default for WeakCache<T> {
    fn default() -> Self {
        Self { hashes: RandomState::default(), things: HashMap::new(), sweep_at: 64 }
    }
}

impl<T> WeakCache<T> {
    pub fn get(&self, hash: u64) -> Option<Arc<T>> {
        self.things.get(&hash).and_then(Weak::upgrade)
    }

    pub fn insert(&mut self, hash: u64, thing: &Arc<T>) {
        if self.things.len() >= self.sweep_at {
            self.things.retain(|_, thing| thing.strong_count() > 0);
            self.sweep_at = (self.things.len() * 2).max(64);
        }
        self.things.insert(hash, Arc::downgrade(thing));
    }
}

/// Whatever panicked elsewhere, what is behind these locks is consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedSchema {
    /// What is made from this definition.
    pub fn of(definition: &Arc<SchemaDefinition>) -> Arc<Self> {
        let hash = lock(&SCHEMAS).hashes.hash_one(format!("{definition:?}"));
        let known = lock(&SCHEMAS).get(hash);
        if let Some(known) = known.filter(|known| known.definition == *definition) {
            return known;
        }
        let layout = Arc::new(Layout::of(definition));
        let environment = Environment::new(Some(&layout), std::iter::empty());
        let shared = Arc::new(Self {
            definition: Arc::clone(definition),
            layout,
            frame: Arc::new(environment.frame(Vec::new())),
            environment,
            programs: Mutex::default(),
        });
        lock(&SCHEMAS).insert(hash, &shared);
        shared
    }

    /// An expression that a set of this schema has compiled, if it means the same in `environment`.
    pub fn compiled(&self, environment: &Environment, expression: &str, role: Role) -> Option<Arc<Compiled>> {
        let programs = lock(&self.programs);
        let known = programs.get(programs.hashes.hash_one((expression, role)));
        drop(programs);
        known.filter(|known| known.program.source() == expression && known.role() == role && environment.holds(known))
    }

    /// Keeps a compiled expression for other sets.
    pub fn share(&self, compiled: &Arc<Compiled>) {
        let mut programs = lock(&self.programs);
        let hash = programs.hashes.hash_one((compiled.program.source(), compiled.role()));
        programs.insert(hash, compiled);
    }
}
