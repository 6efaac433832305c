//! How a decision is asked for and written, for one set of facts and for many alike.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    config::limits,
    domain::{Quota, Revision, TenantScope},
    engine::{self, Served},
    error::Detail,
    http::door::{AppState, Error, strict},
    ruleset::{Decision, Facts, Query, Results, Return, RuleSet, UnknownFacts},
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
pub async fn serve(api: &AppState, scope: TenantScope, min_revision: Option<Revision>) -> Result<Served, Error> {
    let served = api.engine.rule_set(scope, min_revision).await?;
    if served.set.schema_version().is_none() {
        return Err(engine::Error::SchemaMissing.into());
    }
    if served.stale {
        api.metrics.stale_decision();
    }
    Ok(served)
}

/// Whether so many bytes, or items, are within the tenant's quota.
pub fn within(served: &Served, quota: Quota, used: usize) -> Result<(), Error> {
    let limit = served.set.tenant().quota(quota);
    quota.allows(limit, used as u64).map_err(|exceeded| engine::Error::QuotaExceeded(exceeded).into())
}

/// What one set of facts is answered with, beside where it was decided.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// One for each rule asked for.
    pub results: Results<'a>,
    /// How many rules were evaluated, and how many matched, where not each has its result.
    pub counts: Option<(usize, usize)>,
    /// Facts that were left out, with a trace.
    pub warnings: Option<Vec<Detail>>,
}

impl Outcome<'_> {
    /// Appends its members as JSON, without the braces of an object around them. Answers are mostly this.
    pub fn write_members(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"results\":");
        self.results.write_json(out);
        if let Some((evaluated, matched_count)) = self.counts {
            out.extend_from_slice(format!(",\"evaluated\":{evaluated},\"matchedCount\":{matched_count}").as_bytes());
        }
        if let Some(warnings) = &self.warnings {
            out.extend_from_slice(b",\"warnings\":");
            write(out, warnings);
        }
    }
}

/// Appends `value` as JSON. Its keys are strings and its writer is memory, so nothing can go wrong.
pub fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(out, value) {
        tracing::error!(%error, "an answer could not be written");
    }
}

/// Decides. `facts` is well-formed JSON; `depth` is how deep in its document it stands.
pub fn decide<'a>(
    api: &AppState,
    served: &'a Served,
    ask: &'a Ask,
    facts: &str,
    depth: usize,
) -> Result<Outcome<'a>, Error> {
    let set = &served.set;
    let begun = Instant::now();
    let facts = read(set, ask, facts, depth)?;
    let decision = set.decide(&facts, &ask.query);
    note(api, served, &decision, begun);
    let is_counted = ask.query.returns == Return::Matched;
    let warn = |path: &String| Detail::new("unknown_fact", "the schema declares no such fact").at(path.as_str());
    Ok(Outcome {
        counts: is_counted.then_some((decision.evaluated, decision.matched_count)),
        warnings: ask.query.trace.then(|| facts.unknown().iter().map(warn).collect()),
        results: decision.results,
    })
}

/// Reads facts. What the reader takes is strict JSON but for two things, so that the text is looked at once more only
/// where one of them may be so, or something is wrong.
fn read(set: &RuleSet, ask: &Ask, text: &str, depth: usize) -> Result<Facts, Error> {
    let facts = set.read_facts(text, ask.unknown);
    let is_shallow = |facts: &Facts| facts.depth() + depth <= limits::JSON_DEPTH_MAX;
    match facts {
        // A NUL character can only be written as this.
        Ok(facts) if is_shallow(&facts) && !text.contains("\\u0000") => Ok(facts),
        facts => {
            strict::check_showing(text.as_bytes(), "facts", depth, &|steps| set.shown_steps(steps))?;
            if !text.starts_with('{') {
                return Err(Error::invalid_one(Detail::new("wrong_type", "facts are an object of facts").at("facts")));
            }
            facts.map_err(Error::invalid)
        }
    }
}

fn note(api: &AppState, served: &Served, decision: &Decision, begun: Instant) {
    let took = begun.elapsed();
    api.metrics.decision(decision.evaluated, decision.matched_count, took);
    served.decided(decision, took);
    for error in decision.results.errors() {
        api.metrics.rule_error(error.code);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Epoch, Name, QuotaOverrides, Schema, SchemaDefinition, SchemaVersion, Snapshot, Tenant, TenantId, TenantStatus,
        Tier,
    };

    #[test]
    fn a_revision_to_wait_for_is_positive() {
        for revision in [0, -1, i64::MIN] {
            let error = Given { min_revision: Some(revision), ..Given::default() }.ask().unwrap_err();
            assert_eq!(error.errors()[0].path.as_deref(), Some("minRevision"));
        }
        let ask = Given { min_revision: Some(1), strict_facts: Some(true), ..Given::default() }.ask().unwrap();
        assert_eq!((ask.min_revision, ask.unknown), (Some(Revision(1)), UnknownFacts::Refuse));
    }

    /// A set whose facts are `x`, of any type, and `n`, an int.
    fn set() -> RuleSet {
        let tenant = Tenant {
            id: TenantId(Uuid::from_u128(1)),
            name: Name::stored("acme".to_owned()),
            tier: Tier::Enterprise,
            status: TenantStatus::Active,
            revision: Revision(1),
            pinned: false,
            idle_stop_seconds: None,
            quotas: QuotaOverrides::default(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        let definition = SchemaDefinition::parse(&json!({"facts": {"x": "dyn", "n": "int"}})).unwrap();
        let version = SchemaVersion(1);
        let schema =
            Schema { version, definition: Arc::new(definition), active: true, created_at: DateTime::UNIX_EPOCH };
        let snapshot = Snapshot {
            tenant,
            epoch: Epoch(Uuid::from_u128(2)),
            schema: Some(schema),
            schema_version_max: Some(version),
            derived_fields: Vec::new(),
            rules: Vec::new(),
            taken_at: DateTime::UNIX_EPOCH,
        };
        RuleSet::compile(&snapshot, None)
    }

    proptest! {
        #[test]
        fn facts_that_are_read_are_strict_json(
            field in "[xnz]",
            parts in prop::collection::vec(
                prop_oneof![
                    Just("\"\\u0000\""), Just("\"\\\\u0000\""), Just("\"\\ud800\""), Just("{\"a\":1,\"a\":2}"), Just("1e999"),
                    Just("{\"\\u0000\":1}"), Just("{\"a\":1,\"\\u0061\":2}"), Just("1"), Just("\"text\""), Just("{}"), Just("01"),
                ],
                1..3,
            ),
            nested in 0..36_usize, depth in 0..4_usize,
        ) {
            let (set, ask) = (set(), Ask::default());
            let lists = format!("{}{}{}", "[".repeat(nested), parts.join(","), "]".repeat(nested));
            let text = format!("{{\"{field}\":{lists}}}");
            let strict = strict::check(text.as_bytes(), "facts", depth).map_err(|error| format!("{error:?}"));
            match read(&set, &ask, &text, depth) {
                Ok(_) => prop_assert_eq!(strict, Ok(()), "{}", text),
                Err(error) if strict.is_err() => prop_assert_eq!(Err(format!("{error:?}")), strict, "{}", text),
                Err(error) => prop_assert!(field == "n" || nested > 20, "{} {:?}", text, error),
            }
        }
    }

    #[test]
    fn facts_are_an_object() {
        let set = set();
        let refusal = |text: &str| read(&set, &Ask::default(), text, 1).map(drop).unwrap_err();
        for text in ["[]", "7", "null", "\"{}\""] {
            assert_eq!(refusal(text).errors()[0].code, "wrong_type", "{text}");
        }
        assert_eq!(refusal("[1e999]").code(), "malformed_json");
        assert_eq!(refusal(&format!("{{\"x\":{}{}}}", "[".repeat(31), "]".repeat(31))).code(), "json_too_deep");
        assert_eq!(refusal("{\"x\":\"\\u0000\",\"n\":\"\"}").errors()[0].code, "nul_character");
        let details = refusal("{\"n\":\"\"}");
        assert_eq!(details.errors()[0].message, "`facts.n` is an int, not a string");
    }

    #[test]
    fn a_selection_has_a_limit() {
        let tags = Some(vec![String::new(); limits::SELECTION_MAX + 1]);
        assert_eq!(Given { tags, ..Given::default() }.ask().unwrap_err().errors()[0].path.as_deref(), Some("tags"));
    }
}
