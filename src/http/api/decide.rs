//! How a decision is asked for and written, for one set of facts and for many alike.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    config::limits,
    domain::Revision,
    engine::{Ask, Decided, Served},
    error::Detail,
    http::door::Error,
    json::Writer,
    ruleset::{Query, Return, UnknownFacts},
};

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
    /// `at`.
    pub at: Option<DateTime<Utc>>,
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
            at: self.at,
        })
    }
}

/// Milliseconds with the precision of a microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    f64::from(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

/// Writes where something was decided: members of an object.
pub fn write_origin(writer: &mut Writer, served: &Served) {
    writer.member("tenantId", &served.set.tenant().id);
    writer.member("revision", &served.set.revision());
    writer.member("schemaVersion", &served.set.schema_version());
    writer.member("stale", &served.stale);
}

/// Writes the time of a decision: a member of an object.
pub fn write_time(writer: &mut Writer, time: DateTime<Utc>) {
    writer.key("evaluatedAt");
    writer.time(time);
}

/// Writes what was decided: members of an object. Answers are mostly this.
pub fn write_decided(writer: &mut Writer, decided: &Decided<'_>) {
    writer.key("results");
    writer.raw(|bytes| decided.results.write_json(bytes));
    if let Some((evaluated, matched_count)) = decided.counts {
        writer.member("evaluated", &evaluated);
        writer.member("matchedCount", &matched_count);
    }
    if let Some(warnings) = &decided.warnings {
        writer.member("warnings", warnings);
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
