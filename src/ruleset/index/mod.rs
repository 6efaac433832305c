//! Which rules of a set facts can match: those that are not false for certain.
//!
//! A rule is left out only if one term of its `&&` is false of a fact that is there: then it is false, whatever its
//! other terms end with, since `&&` absorbs errors. Where a fact is absent all rules filed under it stay, because a
//! missing fact is an error that must be answered. What cannot be filed is always a candidate.
//!
//! The way to a rule may have shown more: that all it asks for holds, of facts that are there. Then it is true, and need
//! not be evaluated either.
//!
//! Rules are filed under the term that tells most, and where many share a value, under their next term below it. The
//! nodes are shared between an index and the ones made from it, so that changing a rule copies the way to it alone.

mod candidate;
mod condition;
mod field;
mod node;
mod order;
mod spans;
mod table;

use crate::cel::{Activation, Conjunct};

pub(super) use candidate::Candidate;
pub(super) use condition::Domains;
use condition::{Terms, terms};
use node::{Entry, Node};

/// The index of a rule set. Rules are known by their places in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    root: Node,
}

/// What a rule asks of facts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// Without these it is false.
    pub conjuncts: &'a [Conjunct],
    /// Whether it is true with them.
    pub is_all: bool,
}

/// The terms of the rules that are filed already, by their places.
struct KnownTerms<'a> {
    of: &'a dyn Fn(u32) -> Terms,
}

impl Index {
    /// The index of `rules`. `asked` tells what each asks; nothing makes it a candidate for all facts.
    pub fn new<'a>(rules: &[u32], asked: impl Fn(u32) -> Asked<'a>, domains: &Domains) -> Self {
        let terms: Vec<Terms> = rules.iter().map(|rule| terms(asked(*rule), domains)).collect();
        let entries: Vec<Entry<'_>> = rules.iter().zip(&terms).map(|(rule, terms)| Entry::new(*rule, terms)).collect();
        Self { root: Node::new(&entries, 0) }
    }

    /// Takes a rule out. `asked` is what it was filed with.
    pub fn remove(&mut self, rule: u32, asked: Asked, domains: &Domains) {
        let terms = terms(asked, domains);
        self.root.remove(Entry::new(rule, &terms), 0);
    }

    /// Files a rule. `asked` tells what each rule asks.
    pub fn insert<'a>(&mut self, rule: u32, asked: impl Fn(u32) -> Asked<'a>, domains: &Domains) {
        let of = |rule: u32| terms(asked(rule), domains);
        self.root.insert(Entry::new(rule, &of(rule)), &KnownTerms { of: &of }, 0);
    }

    /// Puts the rules that `facts` can match, and those that they may end with an error, into `found`, in order.
    pub fn candidates(&self, facts: &Activation, found: &mut Vec<Candidate>) {
        found.clear();
        self.root.find(facts, found);
        order::put_in_order(found);
    }
}
