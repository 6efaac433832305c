//! The keys of one object that no field bears: a list while they are few, a set when they are many.

use std::{borrow::Cow, collections::HashSet};

/// Keys up to which comparing with each one costs less than hashing.
const KEYS_FEW: usize = 16;

/// Keys that were seen.
#[derive(Debug, Default)]
pub(super) struct SeenKeys<'j> {
    few: Vec<Cow<'j, str>>,
    /// Made when it is needed: few objects have so many, and its hashes are seeded.
    many: Option<HashSet<Cow<'j, str>>>,
}

impl<'j> SeenKeys<'j> {
    pub fn len(&self) -> usize {
        self.few.len() + self.many.as_ref().map_or(0, HashSet::len)
    }

    pub fn contains(&self, key: &str) -> bool {
        self.few.iter().any(|known| known == key) || self.many.as_ref().is_some_and(|many| many.contains(key))
    }

    /// Adds a key; whether it was new.
    pub fn insert(&mut self, key: Cow<'j, str>) -> bool {
        if self.contains(&key) {
            return false;
        }
        if self.few.len() < KEYS_FEW {
            self.few.push(key);
            return true;
        }
        self.many.get_or_insert_default().insert(key)
    }
}
