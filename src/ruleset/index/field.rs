//! Rules filed under what must hold of one slot.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::{
    Terms,
    condition::{Condition, Domain, Filing},
    node::{Bucket, Filed},
    spans::Spans,
};
use crate::cel::{Activation, Slot, Value};

/// Rules by the value of a slot.
#[derive(Debug, Clone)]
pub(super) struct Field {
    slot: Slot,
    domain: Option<Domain>,
    /// Those that are not false where the slot is absent.
    absent: Bucket,
    /// Those that ask for no more than a value.
    present: Bucket,
    numbers: HashMap<i128, Bucket>,
    texts: HashMap<Arc<str>, Bucket>,
    /// Those that ask for a beginning, by its length in bytes.
    prefixes: Vec<(usize, HashMap<Arc<str>, Bucket>)>,
    spans: Arc<Spans>,
}

/// The rules of a field, before they are divided.
#[derive(Debug, Default)]
struct Sorted {
    absent: Vec<Filed>,
    present: Vec<Filed>,
    numbers: HashMap<i128, Vec<Filed>>,
    texts: HashMap<Arc<str>, Vec<Filed>>,
    prefixes: HashMap<Arc<str>, Vec<Filed>>,
    spans: Vec<(i128, i128, u32)>,
}

impl Sorted {
    fn take(&mut self, filed: Filed, filing: &Filing) {
        if stays_where_absent(filing) {
            self.absent.push(filed);
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => self.present.push(filed),
            Condition::Within(low, high) => self.spans.push((*low, *high, filed.rule)),
            Condition::Prefix(prefix) => self.prefixes.entry(Arc::clone(prefix)).or_default().push(filed),
            Condition::Numbers(numbers) => {
                numbers.iter().for_each(|number| self.numbers.entry(*number).or_default().push(filed));
            }
            Condition::Texts(texts) => {
                texts.iter().for_each(|text| self.texts.entry(Arc::clone(text)).or_default().push(filed));
            }
        }
    }
}

/// Whether a rule is not false for certain where the slot is absent.
fn stays_where_absent(filing: &Filing) -> bool {
    filing.condition == Condition::Absent || (filing.condition != Condition::Present && !filing.is_guarded)
}

impl Field {
    pub fn new(slot: Slot, rules: Vec<(Filed, Filing)>, terms: &Terms, depth: usize) -> Self {
        let domain = rules.first().and_then(|(_, filing)| filing.domain);
        let mut sorted = Sorted::default();
        for (filed, filing) in rules {
            sorted.take(filed, &filing);
        }
        let bucket = |rules| Bucket::new(rules, terms, depth);
        let mut field = Self {
            slot,
            domain,
            absent: bucket(sorted.absent),
            present: bucket(sorted.present),
            numbers: sorted.numbers.into_iter().map(|(number, rules)| (number, bucket(rules))).collect(),
            texts: sorted.texts.into_iter().map(|(text, rules)| (text, bucket(rules))).collect(),
            prefixes: Vec::new(),
            spans: Arc::new(Spans::new(sorted.spans.into_iter())),
        };
        for (prefix, rules) in sorted.prefixes {
            *field.beginning(&prefix) = bucket(rules);
        }
        field
    }

    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The rules that ask for this beginning.
    fn beginning(&mut self, prefix: &Arc<str>) -> &mut Bucket {
        let at = self.prefixes.partition_point(|(length, _)| *length < prefix.len());
        if self.prefixes.get(at).is_none_or(|(length, _)| *length != prefix.len()) {
            self.prefixes.insert(at, (prefix.len(), HashMap::new()));
        }
        #[expect(clippy::indexing_slicing, reason = "it is there, or was inserted above")]
        self.prefixes[at].1.entry(Arc::clone(prefix)).or_default()
    }

    pub fn insert(&mut self, filed: Filed, filing: &Filing, terms: &Terms, depth: usize) {
        if stays_where_absent(filing) {
            self.absent.insert(filed, terms, depth);
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => self.present.insert(filed, terms, depth),
            Condition::Within(low, high) => Arc::make_mut(&mut self.spans).insert(*low, *high, filed.rule),
            Condition::Prefix(prefix) => self.beginning(prefix).insert(filed, terms, depth),
            Condition::Numbers(numbers) => {
                for number in numbers {
                    self.numbers.entry(*number).or_default().insert(filed, terms, depth);
                }
            }
            Condition::Texts(texts) => {
                for text in texts {
                    self.texts.entry(Arc::clone(text)).or_default().insert(filed, terms, depth);
                }
            }
        }
    }

    pub fn remove(&mut self, filed: Filed, filing: &Filing, terms: &Terms, depth: usize) {
        if stays_where_absent(filing) {
            self.absent.remove(filed, terms, depth);
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => self.present.remove(filed, terms, depth),
            Condition::Within(..) => Arc::make_mut(&mut self.spans).remove(filed.rule),
            Condition::Prefix(prefix) => self.beginning(prefix).remove(filed, terms, depth),
            Condition::Numbers(numbers) => {
                numbers.iter().for_each(|number| remove_from(&mut self.numbers, number, filed, terms, depth));
            }
            Condition::Texts(texts) => {
                texts.iter().for_each(|text| remove_from(&mut self.texts, text, filed, terms, depth));
            }
        }
    }

    /// Puts the rules that the facts do not make false into `found`.
    pub fn find(&self, facts: &Activation, found: &mut Vec<u32>) {
        let value = match facts.read(self.slot) {
            Ok(Some(value)) => value,
            Ok(None) => return self.absent.find(facts, found),
            Err(_) => return self.all(found),
        };
        self.present.find(facts, found);
        match (self.domain, value) {
            (None, _) => {}
            (Some(Domain::Text), Value::String(text)) => self.find_text(text, facts, found),
            (Some(domain), value) => match domain.place(value) {
                Some(place) => {
                    if let Some(bucket) = at(&self.numbers, &place) {
                        bucket.find(facts, found);
                    }
                    self.spans.find(place, found);
                }
                // NaN, which is in no order.
                None => self.all(found),
            },
        }
    }

    fn find_text(&self, text: &str, facts: &Activation, found: &mut Vec<u32>) {
        if let Some(bucket) = at(&self.texts, text) {
            bucket.find(facts, found);
        }
        for (length, prefixes) in &self.prefixes {
            if let Some(bucket) = text.get(..*length).and_then(|beginning| prefixes.get(beginning)) {
                bucket.find(facts, found);
            }
        }
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<u32>) {
        let prefixed = self.prefixes.iter().flat_map(|(_, prefixes)| prefixes.values());
        let buckets = self.numbers.values().chain(self.texts.values()).chain(prefixed);
        [&self.absent, &self.present].into_iter().chain(buckets).for_each(|bucket| bucket.all(found));
        found.extend(self.spans.rules());
    }
}

/// A look-up that does not hash where there is nothing.
#[inline]
fn at<'a, Q: Hash + Eq + ?Sized, K: Hash + Eq + std::borrow::Borrow<Q>>(
    buckets: &'a HashMap<K, Bucket>,
    key: &Q,
) -> Option<&'a Bucket> {
    if buckets.is_empty() { None } else { buckets.get(key) }
}

fn remove_from<K: Hash + Eq>(buckets: &mut HashMap<K, Bucket>, key: &K, filed: Filed, terms: &Terms, depth: usize) {
    if let Some(bucket) = buckets.get_mut(key) {
        bucket.remove(filed, terms, depth);
        if bucket.is_empty() {
            buckets.remove(key);
        }
    }
}
