//! What sets of the same schema have in common, also those of different tenants: the layout, compiled expressions, and
//! the whole contents where they are the same.
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
    contents::{Contents, Origin},
    language::Environment,
};
use crate::{
    cel::Frame,
    domain::{SchemaDefinition, Snapshot},
    ruleset::facts::Layout,
};

/// A schema's definition, with what is made from it.
#[derive(Debug)]
pub(super) struct SharedSchema {
    pub definition: Arc<SchemaDefinition>,
    pub layout: Arc<Layout>,
    /// The environment and the frame of sets without derived fields.
    pub environment: Environment,
    pub frame: Arc<Frame>,
    programs: Mutex<Known<Compiled>>,
    contents: Mutex<Known<Contents>>,
}

/// Things by the hash of what they were made from. Of two with one hash the later is known.
#[derive(Debug)]
struct Known<T> {
    hashes: RandomState,
    things: HashMap<u64, Weak<T>>,
    /// How many there may be before those that are gone are looked for.
    sweep_at: usize,
}

static SCHEMAS: LazyLock<Mutex<Known<SharedSchema>>> = LazyLock::new(Mutex::default);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { hashes: RandomState::default(), things: HashMap::new(), sweep_at: 64 }
    }
}

impl<T> Known<T> {
    fn get(&self, hash: u64) -> Option<Arc<T>> {
        self.things.get(&hash).and_then(Weak::upgrade)
    }

    fn insert(&mut self, hash: u64, thing: &Arc<T>) {
        if self.things.len() >= self.sweep_at {
            self.things.retain(|_, thing| thing.strong_count() > 0);
            self.sweep_at = (self.things.len() * 2).max(64);
        }
        self.things.insert(hash, Arc::downgrade(thing));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
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
            contents: Mutex::default(),
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

    /// By what the contents of a set are found that is made from `snapshot`.
    pub fn contents_hash(&self, snapshot: &Snapshot) -> u64 {
        let hashes = lock(&self.contents).hashes.clone();
        hashes.hash_one(Origin(snapshot))
    }

    /// What another set of this schema has compiled from the same, which has this hash.
    pub fn contents(&self, snapshot: &Snapshot, hash: u64) -> Option<Arc<Contents>> {
        let known = lock(&self.contents).get(hash);
        known.filter(|known| known.is_of(snapshot))
    }

    /// Keeps what was compiled for other sets.
    pub fn share_contents(&self, contents: &Arc<Contents>, hash: u64) {
        lock(&self.contents).insert(hash, contents);
    }
}
