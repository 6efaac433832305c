//! Rules filed under their most telling terms, and what shares a value filed further.

use std::sync::Arc;

use super::{
    Candidate, KnownTerms,
    condition::{Filing, TERMS_MAX, Term, Terms},
    field::Field,
};
use crate::cel::Activation;

/// A rule, and which of its terms it has been filed under on the way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filed {
    pub candidate: Candidate,
    used: u32,
    is_known: bool,
}

/// The same of a rule that is about to be filed, with its terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'t> {
    rule: u32,
    used: u32,
    /// Whether the terms used hold where the rule is found, and with the others are all it asks for.
    is_known: bool,
    terms: &'t [Term],
}

/// Rules, filed by slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Those that have nothing more to be filed under.
    loose: Arc<[Candidate]>,
    fields: Vec<Arc<Field>>,
}

/// Rules that share a value.
#[derive(Debug, Clone, Default)]
pub(super) enum Bucket {
    #[default]
    Empty,
    /// One, as in most buckets of a key that tells rules apart.
    One(Filed),
    /// So few that it is cheapest to run them, or those that are not divided further.
    Few(Arc<[Filed]>),
    Many(Arc<Node>),
}

/// Rules that are not divided further.
const FEW: usize = 8;
/// Terms that a rule is filed under, one below the other.
const DEPTH_MAX: usize = 4;

const _: () = assert!(TERMS_MAX <= u32::BITS as usize, "a bit for each term");

/// Whether so many rules are left together.
fn is_undivided(rules: usize, depth: usize) -> bool {
    rules <= FEW || depth >= DEPTH_MAX
}

impl<'t> Entry<'t> {
    pub fn new(rule: u32, terms: &'t Terms) -> Self {
        Self { rule, used: 0, is_known: terms.are_all, terms: &terms.each }
    }

    /// The rule as it is found here.
    pub fn candidate(self) -> Candidate {
        Candidate::new(self.rule, self.is_known && self.used.count_ones() as usize == self.terms.len())
    }

    /// The same where a term that it was filed under does not hold for certain.
    pub fn unknown(self) -> Self {
        Self { is_known: false, ..self }
    }

    fn filed(self) -> Filed {
        Filed { candidate: self.candidate(), used: self.used, is_known: self.is_known }
    }

    /// What to file the rule under next, and the rule as it is filed there.
    fn next(self) -> Option<(Self, &'t Term)> {
        let unused = self.terms.iter().enumerate().filter(|(index, _)| self.used & (1 << index) == 0);
        let (index, term) = unused.min_by_key(|(index, term)| (term.vagueness, *index))?;
        Some((Self { used: self.used | 1 << index, ..self }, term))
    }
}

impl Node {
    pub fn new(rules: &[Entry<'_>], depth: usize) -> Self {
        let mut loose = Vec::new();
        let mut filings: Vec<(Entry<'_>, &Filing)> = Vec::with_capacity(rules.len());
        for entry in rules {
            match entry.next() {
                Some((below, term)) => filings.extend(term.any_of.iter().map(|filing| (below, filing))),
                None => loose.push(entry.candidate()),
            }
        }
        filings.sort_by_key(|(_, filing)| filing.slot);
        let of_slots = filings.chunk_by(|(_, one), (_, other)| one.slot == other.slot);
        let fields = of_slots.filter_map(|filings| Some(Arc::new(Field::new(filings, depth + 1)?)));
        Self { loose: loose.into(), fields: fields.collect() }
    }

    pub fn insert(&mut self, entry: Entry<'_>, known: &KnownTerms, depth: usize) {
        let Some((below, term)) = entry.next() else {
            self.loose = self.loose.iter().copied().chain([entry.candidate()]).collect();
            return;
        };
        for filing in &term.any_of {
            match self.fields.iter_mut().find(|field| field.slot() == filing.slot) {
                Some(field) => Arc::make_mut(field).insert(below, filing, known, depth + 1),
                None => self.fields.extend(Field::new(&[(below, filing)], depth + 1).map(Arc::new)),
            }
        }
    }

    pub fn remove(&mut self, entry: Entry<'_>, depth: usize) {
        let Some((below, term)) = entry.next() else {
            self.loose = self.loose.iter().copied().filter(|other| other.rule() != entry.rule).collect();
            return;
        };
        for filing in &term.any_of {
            if let Some(field) = self.fields.iter_mut().find(|field| field.slot() == filing.slot) {
                Arc::make_mut(field).remove(below, filing, depth + 1);
            }
        }
    }

    pub fn find(&self, facts: &Activation, found: &mut Vec<Candidate>) {
        found.extend_from_slice(&self.loose);
        for field in &self.fields {
            field.find(facts, found);
        }
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<Candidate>) {
        found.extend_from_slice(&self.loose);
        for field in &self.fields {
            field.all(found);
        }
    }
}

impl Bucket {
    pub fn new(rules: &[Entry<'_>], depth: usize) -> Self {
        match rules {
            [] => Self::Empty,
            [entry] => Self::One(entry.filed()),
            rules if is_undivided(rules.len(), depth) => Self::Few(rules.iter().map(|entry| entry.filed()).collect()),
            rules => Self::Many(Arc::new(Node::new(rules, depth))),
        }
    }

    pub fn insert(&mut self, entry: Entry<'_>, known: &KnownTerms, depth: usize) {
        match self {
            Self::Empty => *self = Self::One(entry.filed()),
            Self::One(other) => *self = Self::Few(Arc::from([*other, entry.filed()])),
            Self::Few(rules) if is_undivided(rules.len() + 1, depth) => {
                *rules = rules.iter().copied().chain([entry.filed()]).collect();
            }
            Self::Few(rules) => {
                let of_rules: Vec<_> = rules.iter().map(|filed| (*filed, (known.of)(filed.candidate.rule()))).collect();
                let mut rules: Vec<Entry<'_>> = Vec::with_capacity(FEW + 1);
                rules.extend(of_rules.iter().map(|(filed, terms)| Entry {
                    used: filed.used,
                    is_known: filed.is_known,
                    ..Entry::new(filed.candidate.rule(), terms)
                }));
                rules.push(entry);
                *self = Self::new(&rules, depth);
            }
            Self::Many(node) => Arc::make_mut(node).insert(entry, known, depth),
        }
    }

    pub fn remove(&mut self, entry: Entry<'_>, depth: usize) {
        match self {
            Self::One(other) if other.candidate.rule() == entry.rule => *self = Self::Empty,
            Self::Empty | Self::One(_) => {}
            Self::Few(rules) => {
                let rest: Vec<Filed> =
                    rules.iter().copied().filter(|other| other.candidate.rule() != entry.rule).collect();
                *self = match rest.as_slice() {
                    [] => Self::Empty,
                    [one] => Self::One(*one),
                    _ => Self::Few(rest.into()),
                };
            }
            Self::Many(node) => Arc::make_mut(node).remove(entry, depth),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    #[inline]
    pub fn find(&self, facts: &Activation, found: &mut Vec<Candidate>) {
        match self {
            Self::Many(node) => node.find(facts, found),
            few => few.all(found),
        }
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<Candidate>) {
        match self {
            Self::Empty => {}
            Self::One(filed) => found.push(filed.candidate),
            Self::Few(rules) => found.extend(rules.iter().map(|filed| filed.candidate)),
            Self::Many(node) => node.all(found),
        }
    }
}
