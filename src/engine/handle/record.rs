//! Which decisions are recorded, and what of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::{
    domain::{DecisionSource, LogMode, RuleId},
    engine::{
        Ask, Engine, Error, Served,
        recorder::{Entry, FACTS_BYTES_MAX},
    },
    ruleset::{Decision, Query, RuleReference},
    store::LeftOut,
};

/// How long a caller waits until what it asked for is stored.
const STORED_WAIT: Duration = Duration::from_secs(5);

/// What a request wants of the record of its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordWish {
    /// What the tenant's settings say.
    #[default]
    BySetting,
    /// That it is stored before it is answered.
    Durable,
}

/// A decision that the recorder took.
#[derive(Debug)]
pub struct Recorded {
    /// Its id.
    pub id: Uuid,
    /// Tells when it is stored, if it is to be awaited.
    pub stored: Option<oneshot::Receiver<()>>,
}

/// What becomes of a decision that is to be stored before it is answered.
#[derive(Debug)]
pub struct ToBeStored(Option<oneshot::Receiver<()>>);

impl Recorded {
    /// Waits until the decision is stored; an error if that is not certain.
    pub async fn stored(of: ToBeStored) -> Result<(), Error> {
        let Some(stored) = of.0 else { return Err(Error::NotRecorded) };
        match timeout(STORED_WAIT, stored).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::NotRecorded),
        }
    }
}

impl Ask {
    /// What is to be awaited of a decision before it is answered; nothing if that was not asked for.
    pub fn to_be_stored(&self, recorded: Option<&mut Recorded>) -> Option<ToBeStored> {
        (self.record == RecordWish::Durable).then(|| ToBeStored(recorded.and_then(|recorded| recorded.stored.take())))
    }
}

impl Served {
    /// Whether decisions that are asked for so may be recorded.
    #[inline]
    pub fn records(&self, ask: &Ask) -> bool {
        let is_on = self.set.tenant().decision_log.mode != LogMode::Off;
        (is_on || ask.record == RecordWish::Durable) && ask.source == DecisionSource::Evaluate
    }
}

impl Engine {
    /// Records a decision, if that is wanted and it is among those that are.
    pub(super) fn record(
        &self,
        served: &Served,
        ask: &Ask,
        facts: &str,
        decision: &Decision<'_>,
        (evaluated_at, took): (DateTime<Utc>, Duration),
    ) -> Option<Recorded> {
        let (id, log) = (Uuid::now_v7(), served.set.tenant().decision_log);
        let is_durable = ask.record == RecordWish::Durable;
        if !is_durable && !log.takes(id, decision.results.errors().next().is_some()) {
            return None;
        }
        let (matched, errors) = told(decision);
        let left_out = match () {
            () if !log.facts => Some(LeftOut::NotKept),
            () if facts.len() > FACTS_BYTES_MAX => Some(LeftOut::TooLarge),
            () => None,
        };
        let (sender, receiver) = is_durable.then(oneshot::channel).unzip();
        let entry = Entry {
            id,
            set: served.set.clone(),
            request_id: ask.request_id.clone(),
            facts: left_out.is_none().then(|| facts.into()),
            left_out,
            selection: selection(&ask.query),
            matched,
            errors,
            cost: decision.cost,
            took,
            evaluated_at,
            decided_at: Utc::now(),
            stored: sender,
        };
        self.inner.shared.record(entry).then_some(Recorded { id, stored: receiver })
    }
}

/// The rules that matched, and those that ended with an error.
pub(super) fn told(decision: &Decision<'_>) -> (Vec<RuleId>, Vec<Value>) {
    let (mut matched, mut errors) = (Vec::new(), Vec::new());
    for result in decision.results.iter() {
        let RuleReference::Known(rule) = result.rule_id else { continue };
        if result.matched {
            matched.push(rule);
        }
        if let Some(error) = result.error {
            errors.push(json!({ "ruleId": rule, "code": error.code, "message": error.message }));
        }
    }
    (matched, errors)
}

/// Which rules were asked for, as it is stored.
fn selection(query: &Query) -> Option<Value> {
    let Query { rules, tags, .. } = query;
    (rules.is_some() || tags.is_some()).then(|| json!({ "rules": rules, "tags": tags }))
}
