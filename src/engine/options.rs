//! The engine's settings.

use std::{fmt, sync::Arc, time::Duration};

use crate::{domain::Snapshot, ruleset::RuleSet, shared::SharedRates};

/// How long a caller waits for the first load of a tenant.
pub const FIRST_LOAD_WAIT: Duration = Duration::from_secs(10);

/// The engine's settings; `docs/configuration.md` explains them to operators.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How long a tenant stays in memory unused.
    pub idle_stop: Duration,
    /// Tenants in memory at most.
    pub residents_max: usize,
    /// Bytes of rule sets in memory at most, as [`RuleSet::memory_bytes`] estimates them.
    pub resident_bytes_max: u64,
    /// How often this node asks the database what changed.
    pub reconcile_interval: Duration,
    /// How long without an answer before decisions are marked stale.
    pub stale_after: Duration,
    /// How long an evaluation waits for the revision it asks for.
    pub min_revision_wait: Duration,
    /// How long it is known what a revision held that was replaced.
    pub history_retention: Duration,
    /// What is admitted at once.
    pub gate: GateOptions,
    /// What nodes share of tenants' rates.
    pub shared_rates: SharedRates,
    /// Dear decisions, and batches of events, that are evaluated at once; with 0 each is evaluated where it is asked for.
    pub evaluation_threads: usize,
    /// How often counts of decisions are written.
    pub count_flush: Duration,
    /// What makes rule sets of what is stored.
    pub compiler: Compiler,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            idle_stop: Duration::from_secs(15 * 60),
            residents_max: 100_000,
            resident_bytes_max: 8 << 30,
            reconcile_interval: Duration::from_secs(1),
            stale_after: Duration::from_secs(2),
            min_revision_wait: Duration::from_millis(500),
            history_retention: Duration::from_secs(400 * 24 * 60 * 60),
            gate: GateOptions::default(),
            shared_rates: SharedRates::default(),
            evaluation_threads: 1,
            count_flush: Duration::from_secs(5),
            compiler: Compiler::default(),
        }
    }
}

/// What this node admits.
#[derive(Debug, Clone, Copy)]
pub struct GateOptions {
    /// Whether tenants have rates and numbers in hand at all.
    pub is_limiting: bool,
    /// Requests in hand at once on this node.
    pub in_hand_max: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { is_limiting: true, in_hand_max: 2_000 }
    }
}

/// What makes a rule set of a snapshot, given the set before it: [`RuleSet::compile`], and in proofs of what happens
/// when it fails, something that does.
#[derive(Clone)]
pub struct Compiler(Arc<Compile>);

type Compile = dyn Fn(&Snapshot, Option<&RuleSet>) -> RuleSet + Send + Sync;

impl Compiler {
    /// One that works like `compile`.
    pub fn new(compile: impl Fn(&Snapshot, Option<&RuleSet>) -> RuleSet + Send + Sync + 'static) -> Self {
        Self(Arc::new(compile))
    }

    /// Makes the rule set of `snapshot`.
    pub fn compile(&self, snapshot: &Snapshot, previous: Option<&RuleSet>) -> RuleSet {
        (self.0)(snapshot, previous)
    }
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new(RuleSet::compile)
    }
}

impl fmt::Debug for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compiler")
    }
}
