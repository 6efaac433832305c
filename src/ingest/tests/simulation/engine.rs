//! The engine of a run: it serves one set to all tenants, and now and then none.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{ledger::Fate, tables::number_in, world::Link};
use crate::{
    admission::Standing,
    domain::{Revision, Tenant, TenantScope, Tier},
    engine::{self, Ask, Decided, Error, RateRefused, Served, Submission},
    ruleset::{RuleSet, UnknownFacts, fixture},
};

#[derive(Debug, Clone)]
pub struct Engine(pub Link);

impl From<engine::Engine> for Engine {
    fn from(_: engine::Engine) -> Self {
        unreachable!("the service is not started in tests of the library")
    }
}

fn served() -> Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(compile).clone()
}

fn compile() -> Served {
    let mut snapshot = fixture::with_schema(&json!({"facts": {"n": "int"}}));
    snapshot.tenant.tier = Tier::Enterprise;
    Served::of(RuleSet::compile(&snapshot, None))
}

impl Engine {
    pub async fn deciding(&self, _: TenantScope, _: Option<Revision>) -> Result<Served, Error> {
        self.0.pass("find rules").await;
        let fails = {
            let mut state = self.0.state();
            let permille = state.errors_permille / 2;
            state.random.permille(permille)
        };
        if fails { Err(Error::LoadFailed) } else { Ok(served()) }
    }

    #[expect(clippy::unused_self, reason = "as the engine's own")]
    pub fn admit_events(&self, _: &Tenant, wanted: u64) -> (u64, Option<RateRefused>) {
        (wanted, None)
    }

    #[expect(clippy::unused_self, reason = "as the engine's own")]
    pub fn events_left(&self, _: &Tenant) -> Option<Standing> {
        None
    }

    #[expect(clippy::unused_self, reason = "as the engine's own")]
    pub fn check_facts(&self, _: &Served, _: &str, _: usize) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "as the engine's own")]
    pub fn count_duplicate(&self, _: TenantScope, _: DateTime<Utc>, _: Option<&str>, _: Option<&str>) {}

    pub fn decide<'a>(
        &self,
        served: &'a Served,
        ask: &'a Ask,
        submission: Submission<'_>,
    ) -> Result<Decided<'a>, Error> {
        let is_invalid = {
            let mut state = self.0.state();
            let fate = state.ledger.fate(number_in(submission.facts));
            fate == Fate::Invalid || fate == Fate::Changing && state.random.permille(500)
        };
        if is_invalid {
            return Err(Error::Invalid(Vec::new()));
        }
        let evaluated_at = self.0.time();
        let facts = served.set.read_facts(submission.facts, UnknownFacts::Ignore).unwrap().at(evaluated_at);
        let decision = served.set.decide(&facts, &ask.query);
        Ok(Decided {
            evaluated_at,
            counts: None,
            warnings: None,
            cost: decision.cost,
            results: decision.results,
            took: std::time::Duration::ZERO,
            recorded: None,
        })
    }
}
