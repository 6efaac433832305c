//! How a decision is asked for and written, for one set of facts and for many alike.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Error, strict};
use crate::{
    config::limits,
    domain::{Revision, TenantId},
    engine::{self, Served},
    error::Detail,
    ruleset::{Decision, Query, Results, Return, UnknownFacts},
};

/// Which rules to decide by, and how to answer.
#[derive(Debug, Default)]
pub struct Ask {
    /// Which rules, which results.
    pub query: Query,
    /// What becomes of facts that the schema does not declare.
    pub unknown: UnknownFacts,
    /// The revision that the answer must have reached.
    pub min_revision: Option<Revision>,
}

/// Which results an answer holds.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", expecting = "`all` or `matched`")]
pub enum ReturnWord {
    /// One for each rule evaluated.
    All,
    /// Those that matched or carry an error, with `evaluated` and `matchedCount`.
    Matched,
}

/// The parts of an [`Ask`] as they were given.
#[derive(Debug, Default)]
pub struct Given {
    /// `rules`.
    pub rules: Option<Vec<String>>,
    /// `tags`.
    pub tags: Option<Vec<String>>,
    /// `return`.
    pub returns: Option<ReturnWord>,
    /// `trace`.
    pub trace: Option<bool>,
    /// `minRevision`.
    pub min_revision: Option<i64>,
    /// `strictFacts`.
    pub strict_facts: Option<bool>,
}

impl Given {
    /// What is asked, or everything that is wrong with it.
    pub fn ask(self) -> Result<Ask, Error> {
        let mut details = Vec::new();
        for (name, list) in [("rules", &self.rules), ("tags", &self.tags)] {
            if list.as_ref().is_some_and(|list| list.len() > limits::SELECTION_MAX) {
                let message = format!("an evaluation names at most {} of these", limits::SELECTION_MAX);
                details.push(Detail::new("too_many", message).at(name));
            }
            if let Some(index) = list.iter().flatten().position(|text| text.contains('\0')) {
                let detail = Detail::new("nul_character", "the text has a NUL character");
                details.push(detail.at(format!("{name}[{index}]")));
            }
        }
        if self.min_revision.is_some_and(|revision| revision <= 0) {
            details.push(Detail::new("invalid_value", "a revision is 1 or more").at("minRevision"));
        }
        if !details.is_empty() {
            return Err(Error::invalid(details));
        }
        let returns = match self.returns {
            Some(ReturnWord::Matched) => Return::Matched,
            Some(ReturnWord::All) | None => Return::All,
        };
        let trace = self.trace.unwrap_or_default();
        Ok(Ask {
            query: Query { rules: self.rules, tags: self.tags, returns, trace },
            unknown: if self.strict_facts == Some(true) { UnknownFacts::Refuse } else { UnknownFacts::Ignore },
            min_revision: self.min_revision.map(Revision),
        })
    }
}

/// The set that a tenant's facts are decided with.
pub async fn serve(api: &Api, tenant: TenantId, min_revision: Option<Revision>) -> Result<Served, Error> {
    let served = api.engine.rule_set(tenant, min_revision).await?;
    if served.set.schema_version().is_none() {
        return Err(engine::Error::SchemaMissing.into());
    }
    if served.stale {
        api.metrics.stale_decision();
    }
    Ok(served)
}

/// What one set of facts is answered with, beside where it was decided.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome<'a> {
    /// One for each rule asked for.
    pub results: Results<'a>,
    /// How many rules were evaluated, where not each has its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<usize>,
    /// How many matched, where not each has its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_count: Option<usize>,
    /// Facts that were left out, with a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<Detail>>,
}

/// Decides. `facts` is well-formed JSON; `depth` is how deep in its document it stands.
pub fn decide<'a>(
    api: &Api,
    served: &'a Served,
    ask: &'a Ask,
    facts: &str,
    depth: usize,
) -> Result<Outcome<'a>, Error> {
    let set = &served.set;
    let begun = Instant::now();
    strict::check(facts.as_bytes(), "facts", depth)?;
    if !facts.starts_with('{') {
        return Err(Error::invalid_one(Detail::new("wrong_type", "facts are an object of facts").at("facts")));
    }
    let facts = set.read_facts(facts, ask.unknown).map_err(Error::invalid)?;
    let decision = set.decide(&facts, &ask.query);
    note(api, served, &decision, begun);
    let counted = ask.query.returns == Return::Matched;
    let warn = |path: &String| Detail::new("unknown_fact", "the schema declares no such fact").at(path.as_str());
    Ok(Outcome {
        evaluated: counted.then_some(decision.evaluated),
        matched_count: counted.then_some(decision.matched_count),
        warnings: ask.query.trace.then(|| facts.unknown().iter().map(warn).collect()),
        results: decision.results,
    })
}

fn note(api: &Api, served: &Served, decision: &Decision, begun: Instant) {
    let took = begun.elapsed();
    api.metrics.decision(decision.evaluated, decision.matched_count, took);
    served.decided(decision, took);
    for error in decision.results.errors() {
        api.metrics.rule_error(error.code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_to_wait_for_is_positive() {
        for revision in [0, -1, i64::MIN] {
            let error = Given { min_revision: Some(revision), ..Given::default() }.ask().unwrap_err();
            assert_eq!(error.errors()[0].path.as_deref(), Some("minRevision"));
        }
        let ask = Given { min_revision: Some(1), strict_facts: Some(true), ..Given::default() }.ask().unwrap();
        assert_eq!((ask.min_revision, ask.unknown), (Some(Revision(1)), UnknownFacts::Refuse));
    }

    #[test]
    fn a_selection_has_a_limit() {
        let tags = Some(vec![String::new(); limits::SELECTION_MAX + 1]);
        assert_eq!(Given { tags, ..Given::default() }.ask().unwrap_err().errors()[0].path.as_deref(), Some("tags"));
    }
}
