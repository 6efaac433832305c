//! The options of a decision: which rules it evaluates and what it answers. One set of facts and a batch take them in
//! their bodies, a stream in its query, since its body has no place for them.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    config::limits,
    domain::{DecisionSource, Revision},
    engine::Ask,
    error::Detail,
    http::door::{
        Error,
        query::{self, Parameters},
    },
    ruleset::{Query, Return, UnknownFacts},
};

/// Which results an answer has.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", expecting = "`all` or `matched`")]
pub enum ReturnWord {
    /// One for each rule evaluated.
    All,
    /// Those that matched or carry an error, with `evaluated` and `matchedCount`.
    Matched,
}

/// The options as given. Their descriptions are those of the query; [`with_options`] has those of the bodies.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct Options {
    /// NDJSON only. The id or name of a rule to evaluate; may be given more than once.
    #[param(max_items = 1_000)]
    pub rules: Option<Vec<String>>,
    /// NDJSON only. A tag that rules must have; may be given more than once, any of them is enough.
    #[param(max_items = 1_000)]
    pub tags: Option<Vec<String>>,
    /// NDJSON only. Which results the answer has; `all` if it is omitted.
    #[param(inline)]
    pub r#return: Option<ReturnWord>,
    /// NDJSON only. Whether the answer has the value of each sub-expression.
    pub trace: Option<bool>,
    /// NDJSON only. The least revision that may decide.
    #[param(minimum = 1)]
    pub min_revision: Option<i64>,
    /// NDJSON only. Whether facts that the schema does not declare are an error; as the tenant's setting says if it is omitted.
    pub strict_facts: Option<bool>,
    /// NDJSON only. The time of the decision, which rules read as `now`; if it is omitted, the time at which a line is decided.
    pub at: Option<DateTime<Utc>>,
}

/// Defines a body with the options beside its own fields. It is not `#[serde(flatten)]`, with which serde would copy
/// the facts and lose the paths of errors.
macro_rules! with_options {
    (
        $(#[$attribute:meta])*
        pub struct $body:ident<$lifetime:lifetime> {
            $($own:tt)*
        }
    ) => {
        $(#[$attribute])*
        pub struct $body<$lifetime> {
            $($own)*
            /// Ids or names of the rules to evaluate, in this order; all active rules if it is omitted.
            #[schema(max_items = 10_000)]
            rules: Option<Vec<String>>,
            /// Only rules with any of these tags.
            #[schema(max_items = 10_000)]
            tags: Option<Vec<String>>,
            /// Which results the answer has; `all` if it is omitted.
            #[schema(inline)]
            r#return: Option<super::options::ReturnWord>,
            /// Whether the answer has the value of each sub-expression.
            trace: Option<bool>,
            /// The least revision that may decide.
            #[schema(minimum = 1)]
            min_revision: Option<i64>,
            /// Whether facts that the schema does not declare are an error; as the tenant's setting says if it is omitted.
            strict_facts: Option<bool>,
            /// The time of the decision, which rules read as `now`; the current time if it is omitted.
            #[serde(default, deserialize_with = "body::read_time")]
            #[schema(nullable = false, example = "2026-01-31T23:59:59Z")]
            at: Option<DateTime<Utc>>,
        }

        impl From<$body<'_>> for super::options::Options {
            fn from(body: $body<'_>) -> Self {
                let $body { rules, tags, r#return, trace, min_revision, strict_facts, at, .. } = body;
                Self { rules, tags, r#return, trace, min_revision, strict_facts, at }
            }
        }
    };
}

pub(super) use with_options;

impl Parameters for Options {
    fn take(given: &mut query::Given) -> Self {
        Self {
            rules: given.texts("rules", limits::QUERY_SELECTION_MAX),
            tags: given.texts("tags", limits::QUERY_SELECTION_MAX),
            r#return: given.word("return", &[("all", ReturnWord::All), ("matched", ReturnWord::Matched)]),
            trace: given.flag("trace"),
            min_revision: given.number("minRevision", 1, i64::MAX),
            strict_facts: given.flag("strictFacts"),
            at: given.time("at"),
        }
    }
}

impl Options {
    /// What to decide, or everything that is wrong with the options.
    pub fn ask(self) -> Result<Ask, Error> {
        let mut details = Vec::new();
        for (name, list) in [("rules", &self.rules), ("tags", &self.tags)] {
            if list.as_ref().is_some_and(|list| list.len() > limits::SELECTION_MAX) {
                let message = format!("`{name}` must have at most {} items", limits::SELECTION_MAX);
                details.push(Detail::new("too_many", message).at(name));
            }
            if let Some(index) = list.iter().flatten().position(|text| text.contains('\0')) {
                let detail = Detail::new("nul_character", "the text contains a NUL character");
                details.push(detail.at(format!("{name}[{index}]")));
            }
        }
        if self.min_revision.is_some_and(|revision| revision <= 0) {
            details.push(Detail::new("invalid_value", "a revision must be 1 or more").at("minRevision"));
        }
        if !details.is_empty() {
            return Err(Error::invalid(details));
        }
        let returns = match self.r#return {
            Some(ReturnWord::Matched) => Return::Matched,
            Some(ReturnWord::All) | None => Return::All,
        };
        let trace = self.trace.unwrap_or_default();
        Ok(Ask {
            query: Query { rules: self.rules, tags: self.tags, returns, trace },
            unknown: self.strict_facts.map(unknown_facts),
            min_revision: self.min_revision.map(Revision),
            at: self.at,
            source: DecisionSource::Evaluate,
            ..Ask::default()
        })
    }
}

/// What a request asks to become of facts that the schema does not declare.
pub fn unknown_facts(strict: bool) -> UnknownFacts {
    if strict { UnknownFacts::Refuse } else { UnknownFacts::Ignore }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::door::query::Query as QueryString;

    #[test]
    fn a_revision_to_wait_for_is_positive() {
        for revision in [0, -1, i64::MIN] {
            let error = Options { min_revision: Some(revision), ..Options::default() }.ask().unwrap_err();
            assert_eq!(error.errors()[0].path.as_deref(), Some("minRevision"));
        }
        let ask = Options { min_revision: Some(1), strict_facts: Some(true), ..Options::default() }.ask().unwrap();
        assert_eq!((ask.min_revision, ask.unknown), (Some(Revision(1)), Some(UnknownFacts::Refuse)));
    }

    #[test]
    fn a_selection_has_a_limit() {
        let tags = Some(vec![String::new(); limits::SELECTION_MAX + 1]);
        assert_eq!(Options { tags, ..Options::default() }.ask().unwrap_err().errors()[0].path.as_deref(), Some("tags"));
    }

    #[test]
    fn a_stream_says_how_it_is_decided_in_its_query() {
        let query = QueryString::<Options>::read("rules=a&rules=b&return=matched&minRevision=3").unwrap();
        assert_eq!(query.rules.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
        assert!(matches!(query.r#return, Some(ReturnWord::Matched)));
        assert!(QueryString::<Options>::read("minRevision=0").is_err());
    }
}
