//! Deciding once more what was decided before: with the rules of the revision that decided, or of another one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Engine, decide::Work, record::told};
use crate::{
    domain::{DecisionSource, Revision, RuleId, TenantId, TenantScope},
    engine::error::Error,
    error::Detail,
    ruleset::{Query, Return, RuleSet, UnknownFacts},
    store::{LeftOut, PastRevision, StoredDecision},
};

/// Rule sets of the past that are kept compiled.
const SETS_MAX: usize = 8;
/// For how long: what is restored or changed by hand is seen after that.
const SETS_FOR: Duration = Duration::from_secs(30);

/// Which rules decide again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayWith {
    /// Those that decided.
    TheSame,
    /// Those of a revision.
    Revision(Revision),
    /// Those of now.
    Current,
}

/// Why a replay does not show for certain what was decided, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inexact {
    /// The decision has no facts.
    FactsNotStored,
    /// Sensitive facts were left out.
    SensitiveFactsLeftOut,
    /// The schema of the revision refuses the facts.
    FactsRefused,
    /// The rules that are known of the revision are not those that decided.
    RulesDiffer,
    /// The decision does not tell which rules decided.
    RulesNotKnown,
}

impl Inexact {
    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::FactsNotStored => "facts_not_stored",
            Self::SensitiveFactsLeftOut => "sensitive_facts_left_out",
            Self::FactsRefused => "facts_refused",
            Self::RulesDiffer => "rules_differ",
            Self::RulesNotKnown => "rules_not_known",
        }
    }
}

/// A rule that came to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The rule.
    pub rule: RuleId,
    /// Whether it matched then.
    pub then: bool,
    /// Whether it matches now.
    pub now: bool,
    /// The error that it ended with then.
    pub error_then: Option<String>,
    /// The error that it ends with now.
    pub error_now: Option<String>,
}

/// What came of deciding again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The revision that decided this time.
    pub revision: Revision,
    /// Why it is not certain.
    pub because: Option<Inexact>,
    /// What came to something else; `None` if nothing could be decided.
    pub differences: Option<Vec<Difference>>,
}

/// Rule sets of the past.
#[derive(Debug, Default)]
pub(super) struct PastSets(Mutex<Vec<PastSet>>);

/// A rule set of the past, and since when it is kept.
#[derive(Debug)]
struct PastSet {
    since: Instant,
    set: Arc<RuleSet>,
}

impl PastSet {
    fn is_of(&self, tenant: TenantId, revision: Revision) -> bool {
        self.set.tenant().id == tenant && self.set.revision() == revision
    }

    fn is_fresh(&self) -> bool {
        self.since.elapsed() < SETS_FOR
    }
}

impl PastSets {
    fn get(&self, tenant: TenantId, revision: Revision) -> Option<Arc<RuleSet>> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.iter().find(|kept| kept.is_of(tenant, revision) && kept.is_fresh()).map(|kept| kept.set.clone())
    }

    fn put(&self, set: &Arc<RuleSet>) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|kept| !kept.is_of(set.tenant().id, set.revision()) && kept.is_fresh());
        if sets.len() == SETS_MAX {
            sets.remove(0);
        }
        sets.push(PastSet { since: Instant::now(), set: set.clone() });
    }
}

impl Engine {
    /// Decides again what was decided, and says what comes to something else.
    pub async fn replay(
        &self,
        scope: TenantScope,
        decision: StoredDecision,
        with: ReplayWith,
    ) -> Result<Replayed, Error> {
        let set = match with {
            ReplayWith::TheSame => self.past_set(scope, decision.revision).await?,
            ReplayWith::Revision(revision) => self.past_set(scope, revision).await?,
            ReplayWith::Current => {
                let tenant = self.inner.shared.store.tenant(scope).await?.ok_or(Error::TenantNotFound)?;
                self.past_set(scope, tenant.revision).await?
            }
        };
        let tenant = set.tenant().clone();
        self.in_turn(&tenant, Work::Request, move || replay(&set, &decision)).await
    }

    /// The rule set of a revision, compiled from what is known of it.
    async fn past_set(&self, scope: TenantScope, revision: Revision) -> Result<Arc<RuleSet>, Error> {
        if let Some(set) = self.inner.past_sets.get(scope.id(), revision) {
            return Ok(set);
        }
        let shared = &self.inner.shared;
        let snapshot = match shared.store.snapshot_at(scope, revision).await?.ok_or(Error::TenantNotFound)? {
            PastRevision::Kept(snapshot) => snapshot,
            PastRevision::Expired => return Err(Error::RevisionExpired),
            PastRevision::Unknown => {
                let detail = Detail::new("invalid_value", "the tenant has not had this revision");
                return Err(Error::Invalid(vec![detail.at("revision")]));
            }
        };
        let compiler = shared.options.compiler.clone();
        let compile = move || Arc::new(compiler.compile(&snapshot, None));
        let set = tokio::task::spawn_blocking(compile)
            .await
            .map_err(|_| Error::Internal("compiling a revision of the past panicked"))?;
        self.inner.past_sets.put(&set);
        Ok(set)
    }
}

fn replay(set: &RuleSet, decision: &StoredDecision) -> Replayed {
    let revision = set.revision();
    let without = |because| Replayed { revision, because: Some(because), differences: None };
    let Some(facts) = decision.facts.as_deref() else { return without(Inexact::FactsNotStored) };
    let Ok(facts) = set.read_facts(facts, UnknownFacts::Ignore) else { return without(Inexact::FactsRefused) };
    let query = Query { returns: Return::Matched, ..query(decision) };
    let decided = set.decide(&facts.at(decision.evaluated_at), &query);
    let (matched, errors) = told(&decided);
    let now = Told::of(&matched, &Value::Array(errors));
    let differences = Told::of(&decision.matched, &decision.errors).differences(&now);
    let because = match &decision.rule_set_hash {
        _ if decision.left_out == Some(LeftOut::Sensitive) => Some(Inexact::SensitiveFactsLeftOut),
        _ if revision != decision.revision => None,
        None => Some(Inexact::RulesNotKnown),
        Some(hash) => (hash[..] != set.hash()[..]).then_some(Inexact::RulesDiffer),
    };
    Replayed { revision, because, differences: Some(differences) }
}

/// Which rules were asked for.
fn query(decision: &StoredDecision) -> Query {
    let texts = |name: &str| {
        let list = decision.selection.as_ref()?.get(name)?.as_array()?;
        Some(list.iter().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect())
    };
    if decision.source == DecisionSource::Event {
        return Query::default();
    }
    Query { rules: texts("rules"), tags: texts("tags"), ..Query::default() }
}

/// What a decision tells of rules: those that matched, and the errors of others.
struct Told(BTreeMap<RuleId, (bool, Option<String>)>);

impl Told {
    fn of(matched: &[RuleId], errors: &Value) -> Self {
        let mut told: BTreeMap<RuleId, (bool, Option<String>)> =
            matched.iter().map(|rule| (*rule, (true, None))).collect();
        for error in errors.as_array().into_iter().flatten() {
            let text = |name: &str| error.get(name).and_then(Value::as_str);
            let Some(rule) = text("ruleId").and_then(|id| id.parse().ok()) else { continue };
            told.entry(rule).or_default().1 = text("code").map(ToOwned::to_owned);
        }
        Self(told)
    }

    fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut rules: Vec<RuleId> = self.0.keys().chain(now.0.keys()).copied().collect();
        rules.sort_unstable();
        rules.dedup();
        let difference = |rule: RuleId| {
            let [then, now] = [self, now].map(|told| told.0.get(&rule).cloned().unwrap_or_default());
            (then != now).then_some(Difference { rule, then: then.0, now: now.0, error_then: then.1, error_now: now.1 })
        };
        rules.into_iter().filter_map(difference).collect()
    }
}
