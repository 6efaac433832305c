//! Which rules of a set facts can match: those that are not false for certain.
//!
//! A rule is left out only if one term of its `&&` is false of a fact that is there: then it is false, whatever its
//! other terms end with, since `&&` absorbs errors. Where a fact is absent all rules filed under it stay, because a
//! missing fact is an error that must be answered. What cannot be filed is always a candidate.
//!
//! Rules are filed under the term that tells most, and where many share a value, under their next term below it. The
//! nodes are shared between an index and the ones made from it, so that changing a rule copies the way to it alone.

mod condition;
mod field;
mod node;
mod order;
mod spans;
mod table;

use crate::cel::{Activation, Conjunct};

pub(super) use condition::Domains;
use condition::{Term, terms};
use node::{Entry, Node};

/// The index of a rule set. Rules are known by their places in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    root: Node,
}

/// The terms of the rules that are filed already, by their places.
struct Terms<'a> {
    of: &'a dyn Fn(u32) -> Vec<Term>,
}

impl Index {
    /// The index of `rules`. `conjuncts` tells those of each; none makes it a candidate for all facts.
    pub fn new<'a>(rules: &[u32], conjuncts: impl Fn(u32) -> &'a [Conjunct], domains: &Domains) -> Self {
        let terms: Vec<Vec<Term>> = rules.iter().map(|rule| terms(conjuncts(*rule), domains)).collect();
        let entries: Vec<Entry<'_>> =
            rules.iter().zip(&terms).map(|(rule, terms)| Entry { rule: *rule, used: 0, terms }).collect();
        Self { root: Node::new(&entries, 0) }
    }

    /// Takes a rule out. `conjuncts` tells those that it was filed with.
    pub fn remove(&mut self, rule: u32, conjuncts: &[Conjunct], domains: &Domains) {
        let terms = terms(conjuncts, domains);
        self.root.remove(Entry { rule, used: 0, terms: &terms }, 0);
    }

    /// Files a rule. `conjuncts` tells those of each rule.
    pub fn insert<'a>(&mut self, rule: u32, conjuncts: impl Fn(u32) -> &'a [Conjunct], domains: &Domains) {
        let of = |rule: u32| terms(conjuncts(rule), domains);
        self.root.insert(Entry { rule, used: 0, terms: &of(rule) }, &Terms { of: &of }, 0);
    }

    /// Puts the rules that `facts` can match, and those that they may end with an error, into `found`, in order.
    pub fn candidates(&self, facts: &Activation, found: &mut Vec<u32>) {
        found.clear();
        self.root.find(facts, found);
        order::put_in_order(found);
    }
}
