//! A rule set as it is served, with the place where decisions by it are counted: a decision holds one reference, to this.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    domain::nanos,
    ruleset::{Decision, RuleSet},
};

/// A rule set that is served.
#[derive(Debug)]
pub struct LiveSet {
    rules: RuleSet,
    usage: Arc<Usage>,
}

/// What decisions have taken since the tenant came into memory. Outlives the sets that it counts for.
#[derive(Debug, Default)]
pub struct Usage {
    decisions: AtomicU64,
    rules: AtomicU64,
    cost: AtomicU64,
    time_ns: AtomicU64,
    /// The moving average of what a decision costs.
    usual_cost: AtomicU64,
}

/// How many decisions the average is of, about.
const AVERAGED: u64 = 8;

/// The same, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Decisions made.
    pub decisions: u64,
    /// Rules evaluated in them.
    pub rules_evaluated: u64,
    /// Units of cost that they took.
    pub cost: u64,
    /// Time that they took.
    pub time: Duration,
}

impl LiveSet {
    /// `rules`, whose decisions `usage` counts.
    pub(in crate::engine) fn new(rules: RuleSet, usage: Arc<Usage>) -> Self {
        Self { rules, usage }
    }

    /// Counts a decision.
    pub(in crate::engine) fn decided(&self, decision: &Decision<'_>, took: Duration) {
        self.usage.decisions.fetch_add(1, Ordering::Relaxed);
        self.usage.rules.fetch_add(u64::try_from(decision.evaluated).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.usage.cost.fetch_add(decision.cost, Ordering::Relaxed);
        self.usage.time_ns.fetch_add(nanos(took), Ordering::Relaxed);
        self.usage.average(decision.cost);
    }

    /// Whether its decisions usually cost more than this.
    pub(in crate::engine) fn usually_costs_more_than(&self, cost: u64) -> bool {
        self.usage.usual_cost.load(Ordering::Relaxed) > cost
    }

    /// Counts a decision that was not made, because it would have cost more than this.
    pub(in crate::engine) fn was_too_dear(&self, cost: u64, took: Duration) {
        self.usage.time_ns.fetch_add(nanos(took), Ordering::Relaxed);
        self.usage.average(cost);
    }
}

impl Deref for LiveSet {
    type Target = RuleSet;

    fn deref(&self) -> &RuleSet {
        &self.rules
    }
}

impl Usage {
    fn average(&self, cost: u64) {
        // Of two at once one is lost, which an average can bear.
        let usual = self.usual_cost.load(Ordering::Relaxed);
        let next = usual - usual / AVERAGED + cost / AVERAGED;
        if next != usual {
            self.usual_cost.store(next, Ordering::Relaxed);
        }
    }

    /// What decisions have taken.
    pub fn read(&self) -> Used {
        Used {
            decisions: self.decisions.load(Ordering::Relaxed),
            rules_evaluated: self.rules.load(Ordering::Relaxed),
            cost: self.cost.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.time_ns.load(Ordering::Relaxed)),
        }
    }
}
