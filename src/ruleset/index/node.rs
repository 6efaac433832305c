//! Rules filed under their most telling terms, and what shares a value filed further.

use std::sync::Arc;

use super::{
    Terms,
    condition::{Filing, TERMS_MAX, Term},
    field::Field,
};
use crate::cel::{Activation, Slot};

/// A rule, and which of its terms it has been filed under on the way here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filed {
    pub rule: u32,
    pub used: u32,
}

/// Rules, filed by slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Those that have nothing more to be filed under.
    loose: Arc<[u32]>,
    fields: Vec<Arc<Field>>,
}

/// Rules that share a value.
#[derive(Debug, Clone)]
pub(super) enum Bucket {
    /// So few that it is cheapest to run them.
    Few(Arc<[Filed]>),
    Many(Arc<Node>),
}

/// Rules that are not divided further.
const FEW: usize = 8;
/// Terms that a rule is filed under, one below the other.
const DEPTH_MAX: usize = 4;

const _: () = assert!(TERMS_MAX <= u32::BITS as usize, "a bit for each term");

/// The term to file a rule under next.
fn next(terms: &[Term], used: u32) -> Option<(usize, &Term)> {
    let unused = terms.iter().enumerate().filter(|(index, _)| used & (1 << index) == 0);
    unused.min_by_key(|(index, term)| (term.vagueness, *index))
}

impl Node {
    pub fn new(rules: Vec<Filed>, terms: &Terms, depth: usize) -> Self {
        let mut loose = Vec::new();
        let mut slots: Vec<(Slot, Vec<(Filed, Filing)>)> = Vec::new();
        for filed in rules {
            let of_rule = (terms.of)(filed.rule);
            let Some((index, term)) = next(&of_rule, filed.used).filter(|_| depth < DEPTH_MAX) else {
                loose.push(filed.rule);
                continue;
            };
            let below = Filed { used: filed.used | 1 << index, ..filed };
            for filing in &term.any_of {
                let position = slots.iter().position(|(slot, _)| *slot == filing.slot);
                match position.and_then(|position| slots.get_mut(position)) {
                    Some((_, rules)) => rules.push((below, filing.clone())),
                    None => slots.push((filing.slot, vec![(below, filing.clone())])),
                }
            }
        }
        let field = |(slot, rules)| Arc::new(Field::new(slot, rules, terms, depth + 1));
        Self { loose: loose.into(), fields: slots.into_iter().map(field).collect() }
    }

    pub fn insert(&mut self, filed: Filed, terms: &Terms, depth: usize) {
        let of_rule = (terms.of)(filed.rule);
        let Some((index, term)) = next(&of_rule, filed.used).filter(|_| depth < DEPTH_MAX) else {
            self.loose = self.loose.iter().copied().chain([filed.rule]).collect();
            return;
        };
        let below = Filed { used: filed.used | 1 << index, ..filed };
        for filing in &term.any_of {
            match self.fields.iter_mut().find(|field| field.slot() == filing.slot) {
                Some(field) => Arc::make_mut(field).insert(below, filing, terms, depth + 1),
                None => {
                    let rules = vec![(below, filing.clone())];
                    self.fields.push(Arc::new(Field::new(filing.slot, rules, terms, depth + 1)));
                }
            }
        }
    }

    pub fn remove(&mut self, filed: Filed, terms: &Terms, depth: usize) {
        let of_rule = (terms.of)(filed.rule);
        let Some((index, term)) = next(&of_rule, filed.used).filter(|_| depth < DEPTH_MAX) else {
            self.loose = self.loose.iter().copied().filter(|rule| *rule != filed.rule).collect();
            return;
        };
        let below = Filed { used: filed.used | 1 << index, ..filed };
        for filing in &term.any_of {
            if let Some(field) = self.fields.iter_mut().find(|field| field.slot() == filing.slot) {
                Arc::make_mut(field).remove(below, filing, terms, depth + 1);
            }
        }
    }

    pub fn find(&self, facts: &Activation, found: &mut Vec<u32>) {
        found.extend_from_slice(&self.loose);
        for field in &self.fields {
            field.find(facts, found);
        }
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<u32>) {
        found.extend_from_slice(&self.loose);
        for field in &self.fields {
            field.all(found);
        }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self::Few(Arc::from([]))
    }
}

impl Bucket {
    pub fn new(rules: Vec<Filed>, terms: &Terms, depth: usize) -> Self {
        if rules.len() <= FEW {
            return Self::Few(rules.into());
        }
        Self::Many(Arc::new(Node::new(rules, terms, depth)))
    }

    pub fn insert(&mut self, filed: Filed, terms: &Terms, depth: usize) {
        match self {
            Self::Few(rules) => *self = Self::new(rules.iter().copied().chain([filed]).collect(), terms, depth),
            Self::Many(node) => Arc::make_mut(node).insert(filed, terms, depth),
        }
    }

    pub fn remove(&mut self, filed: Filed, terms: &Terms, depth: usize) {
        match self {
            Self::Few(rules) => *rules = rules.iter().copied().filter(|other| other.rule != filed.rule).collect(),
            Self::Many(node) => Arc::make_mut(node).remove(filed, terms, depth),
        }
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Few(rules) if rules.is_empty())
    }

    #[inline]
    pub fn find(&self, facts: &Activation, found: &mut Vec<u32>) {
        match self {
            Self::Few(rules) => found.extend(rules.iter().map(|filed| filed.rule)),
            Self::Many(node) => node.find(facts, found),
        }
    }

    /// All rules.
    pub fn all(&self, found: &mut Vec<u32>) {
        match self {
            Self::Few(rules) => found.extend(rules.iter().map(|filed| filed.rule)),
            Self::Many(node) => node.all(found),
        }
    }
}
