//! Rules filed under what must hold of one slot.

use std::sync::Arc;

use super::{
    Candidate, KnownTerms,
    condition::{Condition, Domain, Filing},
    node::{Bucket, Entry},
    spans::Spans,
    table::{Table, TextKey},
};
use crate::cel::{Activation, Slot, Value};

/// Terms less that rules are filed under where the slot is absent: most of them end with an error there, which must be
/// answered, so that dividing them finely is not worth its making.
const ABSENT_DEPTH: usize = 2;

/// Rules by the value of a slot.
#[derive(Debug, Clone)]
pub(super) struct Field {
    slot: Slot,
    domain: Option<Domain>,
    /// Those that are not false where the slot is absent.
    absent: Bucket,
    /// Those that ask for no more than a value.
    present: Bucket,
    numbers: Table<i128>,
    texts: Table<TextKey>,
    /// Those that ask for a beginning, by its length in bytes.
    prefixes: Vec<(usize, Table<TextKey>)>,
    spans: Arc<Spans>,
}

/// The rules of a field, before they are divided.
#[derive(Debug, Default)]
struct Sorted<'t> {
    absent: Vec<Entry<'t>>,
    present: Vec<Entry<'t>>,
    numbers: Vec<(i128, Entry<'t>)>,
    texts: Vec<((u64, &'t Arc<str>), Entry<'t>)>,
    prefixes: Vec<(&'t Arc<str>, Entry<'t>)>,
    spans: Vec<(i128, i128, Candidate)>,
}

impl<'t> Sorted<'t> {
    fn take(&mut self, entry: Entry<'t>, filing: &'t Filing) {
        if stays_where_absent(filing) {
            self.absent.push(entry.unknown());
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => self.present.push(entry),
            Condition::Within(low, high) => self.spans.push((*low, *high, entry.candidate())),
            Condition::Prefix(prefix) => self.prefixes.push((prefix, entry)),
            Condition::Numbers(numbers) => self.numbers.extend(numbers.iter().map(|number| (*number, entry))),
            Condition::Texts(texts) => self.texts.extend(texts.iter().map(|text| (TextKey::draft(text), entry))),
        }
    }
}

/// Whether a rule is not false for certain where the slot is absent.
fn stays_where_absent(filing: &Filing) -> bool {
    filing.condition == Condition::Absent || (filing.condition != Condition::Present && !filing.is_guarded)
}

impl Field {
    /// The rules of one slot; `None` if there are none.
    pub fn new(rules: &[(Entry<'_>, &Filing)], depth: usize) -> Option<Self> {
        let (_, Filing { slot, domain, .. }) = rules.first()?;
        let mut sorted = Sorted::default();
        for (entry, filing) in rules {
            sorted.take(*entry, filing);
        }
        sorted.prefixes.sort_by_key(|(prefix, _)| prefix.len());
        let of_lengths = sorted.prefixes.chunk_by(|(one, _), (other, _)| one.len() == other.len());
        let of_length = |prefixes: &[(&Arc<str>, Entry<'_>)]| {
            let length = prefixes.first().map_or(0, |(prefix, _)| prefix.len());
            let keyed = prefixes.iter().map(|(prefix, entry)| (TextKey::draft(prefix), *entry));
            (length, Table::new(keyed.collect(), depth, TextKey::of_draft))
        };
        Some(Self {
            slot: *slot,
            domain: *domain,
            absent: Bucket::new(&sorted.absent, depth + ABSENT_DEPTH),
            present: Bucket::new(&sorted.present, depth),
            prefixes: of_lengths.map(of_length).collect(),
            numbers: Table::new(sorted.numbers, depth, |number| number),
            texts: Table::new(sorted.texts, depth, TextKey::of_draft),
            spans: Arc::new(Spans::new(sorted.spans.into_iter())),
        })
    }

    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The rules that ask for a beginning of this length.
    fn beginnings(&mut self, length: usize) -> &mut Table<TextKey> {
        let at = self.prefixes.partition_point(|(other, _)| *other < length);
        if self.prefixes.get(at).is_none_or(|(other, _)| *other != length) {
            self.prefixes.insert(at, (length, Table::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "it is there, or was inserted above")]
        &mut self.prefixes[at].1
    }

    pub fn insert(&mut self, entry: Entry<'_>, filing: &Filing, known: &KnownTerms, depth: usize) {
        if stays_where_absent(filing) {
            self.absent.insert(entry.unknown(), known, depth + ABSENT_DEPTH);
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => self.present.insert(entry, known, depth),
            Condition::Within(low, high) => Arc::make_mut(&mut self.spans).insert(*low, *high, entry.candidate()),
            Condition::Prefix(prefix) => {
                self.beginnings(prefix.len()).bucket_mut(TextKey::new(prefix)).insert(entry, known, depth);
            }
            Condition::Numbers(numbers) => {
                for number in numbers {
                    self.numbers.bucket_mut(*number).insert(entry, known, depth);
                }
            }
            Condition::Texts(texts) => {
                for text in texts {
                    self.texts.bucket_mut(TextKey::new(text)).insert(entry, known, depth);
                }
            }
        }
    }

    pub fn remove(&mut self, entry: Entry<'_>, filing: &Filing, depth: usize) {
        let take_out = |bucket: &mut Bucket| bucket.remove(entry, depth);
        if stays_where_absent(filing) {
            self.absent.remove(entry.unknown(), depth + ABSENT_DEPTH);
        }
        match &filing.condition {
            Condition::Absent => {}
            Condition::Present => take_out(&mut self.present),
            Condition::Within(..) => Arc::make_mut(&mut self.spans).remove(entry.candidate().rule()),
            Condition::Prefix(prefix) => self.beginnings(prefix.len()).remove(&TextKey::new(prefix), take_out),
            Condition::Numbers(numbers) => {
                numbers.iter().for_each(|number| self.numbers.remove(number, take_out));
            }
            Condition::Texts(texts) => {
                texts.iter().for_each(|text| self.texts.remove(&TextKey::new(text), take_out));
            }
        }
    }

    /// Puts the rules that the facts do not make false into `found`.
    pub fn find(&self, facts: &Activation, found: &mut Vec<Candidate>) {
        let value = match facts.read(self.slot) {
            Ok(Some(value)) => value,
            Ok(None) => return self.absent.find(facts, found),
            Err(_) => return self.all_unknown(found),
        };
        self.present.find(facts, found);
        match (self.domain, value) {
            (None, _) => {}
            (Some(Domain::Text), Value::String(text)) => self.find_text(text, facts, found),
            (Some(domain), value) => match domain.place(value) {
                Some(place) => {
                    if let Some(bucket) = self.numbers.at(place) {
                        bucket.find(facts, found);
                    }
                    self.spans.find(place, found);
                }
                // NaN, which is in no order.
                None => self.all_unknown(found),
            },
        }
    }

    fn find_text(&self, text: &str, facts: &Activation, found: &mut Vec<Candidate>) {
        if let Some(bucket) = self.texts.at(text) {
            bucket.find(facts, found);
        }
        for (length, prefixes) in &self.prefixes {
            if let Some(bucket) = text.get(..*length).and_then(|beginning| prefixes.at(beginning)) {
                bucket.find(facts, found);
            }
        }
    }

    /// All rules, of which nothing is known.
    #[cold]
    fn all_unknown(&self, found: &mut Vec<Candidate>) {
        let others = found.len();
        self.all(found);
        found.iter_mut().skip(others).for_each(|candidate| *candidate = candidate.unknown());
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<Candidate>) {
        let prefixed = self.prefixes.iter().flat_map(|(_, prefixes)| prefixes.buckets());
        let buckets = self.numbers.buckets().chain(self.texts.buckets()).chain(prefixed);
        [&self.absent, &self.present].into_iter().chain(buckets).for_each(|bucket| bucket.all(found));
        found.extend(self.spans.rules());
    }
}
