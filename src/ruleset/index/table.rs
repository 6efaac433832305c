//! Buckets by key, in the order of the keys.
//!
//! A key is found by halving, which no choice of keys makes slow: tenants choose them, and share the processor. Texts
//! are ordered by a mark first, so that hardly ever two of them are compared; the mark is quickly made and easily
//! predicted, and whoever makes many texts of one mark gains no more than the comparing of some texts.

use std::{cmp::Ordering, sync::Arc};

use super::node::{Bucket, Entry};

/// Buckets by key.
#[derive(Debug, Clone)]
pub(super) struct Table<K>(Vec<(K, Bucket)>);

/// A text as a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextKey {
    mark: u64,
    text: Arc<str>,
}

impl TextKey {
    pub fn new(text: &Arc<str>) -> Self {
        Self { mark: mark(text), text: Arc::clone(text) }
    }

    /// What sorts as the key of `text` does.
    pub fn draft(text: &Arc<str>) -> (u64, &Arc<str>) {
        (mark(text), text)
    }

    pub fn of_draft((mark, text): (u64, &Arc<str>)) -> Self {
        Self { mark, text: Arc::clone(text) }
    }

    /// How it stands to `text`, whose mark is given.
    #[inline]
    fn compare(&self, text: &str, mark: u64) -> Ordering {
        self.mark.cmp(&mark).then_with(|| (*self.text).cmp(text))
    }
}

/// A number that tells texts apart, nearly always.
#[inline]
fn mark(text: &str) -> u64 {
    // The golden ratio, as in Fibonacci hashing.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |mark: u64, word: u64| (mark.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    let mut words = text.as_bytes().chunks_exact(8);
    let mut marked = text.len() as u64;
    for word in words.by_ref() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        marked = mix(marked, u64::from_le_bytes(bytes));
    }
    let rest = words.remainder().iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    mix(marked, rest)
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord> Table<K> {
    /// The table of `rules`, each with what `key_of` makes its key from. Those of one key stay in their order.
    pub fn new<B: Ord + Copy>(mut rules: Vec<(B, Entry<'_>)>, depth: usize, key_of: impl Fn(B) -> K) -> Self {
        rules.sort_by_key(|(key, _)| *key);
        let mut rows = Vec::new();
        let mut alike = Vec::new();
        for rules in rules.chunk_by(|(key, _), (other, _)| key == other) {
            alike.clear();
            alike.extend(rules.iter().map(|(_, entry)| *entry));
            rows.extend(rules.first().map(|(key, _)| (key_of(*key), Bucket::new(&alike, depth))));
        }
        rows.shrink_to_fit();
        Self(rows)
    }

    /// The bucket of `key`, for more rules.
    pub fn bucket_mut(&mut self, key: K) -> &mut Bucket {
        let at = match self.0.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, Bucket::default()));
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it is there, or was inserted above")]
        &mut self.0[at].1
    }

    /// Takes something out of the bucket of `key`, and the bucket with it if nothing remains.
    pub fn remove(&mut self, key: &K, take_out: impl FnOnce(&mut Bucket)) {
        let Ok(at) = self.0.binary_search_by(|(other, _)| other.cmp(key)) else { return };
        let Some((_, bucket)) = self.0.get_mut(at) else { return };
        take_out(bucket);
        if bucket.is_empty() {
            self.0.remove(at);
        }
    }

    fn find(&self, compare: impl Fn(&K) -> Ordering) -> Option<&Bucket> {
        let at = self.0.binary_search_by(|(key, _)| compare(key)).ok()?;
        self.0.get(at).map(|(_, bucket)| bucket)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.0.iter().map(|(_, bucket)| bucket)
    }
}

impl Table<i128> {
    #[inline]
    pub fn at(&self, number: i128) -> Option<&Bucket> {
        self.find(|key| key.cmp(&number))
    }
}

impl Table<TextKey> {
    #[inline]
    pub fn at(&self, text: &str) -> Option<&Bucket> {
        if self.is_empty() {
            return None;
        }
        let mark = mark(text);
        self.find(|key| key.compare(text, mark))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::ruleset::index::condition::Terms;

    static NONE: Terms = Terms { each: Vec::new(), are_all: false };

    fn entry(rule: u32) -> Entry<'static> {
        Entry::new(rule, &NONE)
    }

    fn rules(bucket: Option<&Bucket>) -> Vec<u32> {
        let mut found = Vec::new();
        if let Some(bucket) = bucket {
            bucket.all(&mut found);
        }
        found.iter().map(|rule| rule.rule()).collect()
    }

    proptest! {
        #[test]
        fn each_key_has_its_rules(keys in vec("[ab\u{e9}]{0,2}([a-z]{8}){0,1}", 0..30), sought in "[ab\u{e9}]{0,2}") {
            let texts: Vec<Arc<str>> = keys.iter().map(|key| Arc::from(key.as_str())).collect();
            let filed = (0..).zip(&texts).map(|(rule, text)| (TextKey::draft(text), entry(rule)));
            let mut table = Table::new(filed.collect(), 0, TextKey::of_draft);
            for key in keys.iter().chain([&sought]) {
                let expected: Vec<u32> =
                    (0..).zip(&keys).filter(|(_, other)| *other == key).map(|(rule, _)| rule).collect();
                prop_assert_eq!(rules(table.at(key)), expected);
            }
            for text in &texts {
                table.remove(&TextKey::new(text), |bucket| *bucket = Bucket::default());
                prop_assert!(table.at(text).is_none());
            }
            prop_assert!(table.is_empty());
        }
    }

    #[test]
    fn texts_of_one_mark_are_told_apart() {
        let texts: [Arc<str>; 3] = ["c", "b", "a"].map(Arc::from);
        let filed = (0..).zip(&texts).map(|(rule, text)| ((mark("b"), text), entry(rule)));
        let table = Table::new(filed.collect(), 0, TextKey::of_draft);
        assert_eq!(rules(table.at("b")), [1]);
    }
}
