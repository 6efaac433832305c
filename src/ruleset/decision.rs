//! What is asked of a rule set, and what it answers.

use serde::Serialize;

use crate::domain::RuleId;

/// Which rules to evaluate and how to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The ids of the rules wanted, in this order and as often as they are named; all active rules if `None`.
    pub rules: Option<Vec<String>>,
    /// Only rules with any of these tags.
    pub tags: Option<Vec<String>>,
    /// Which results to answer.
    pub returns: Return,
    /// Whether each result carries the values of its sub-expressions.
    pub trace: bool,
}

/// Which results an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Return {
    /// One for each rule evaluated.
    #[default]
    All,
    /// Those that matched or carry an error.
    Matched,
}

/// The results of evaluating a rule set on facts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision<'a> {
    /// The results asked for, in order.
    pub results: Vec<RuleResult<'a>>,
    /// How many results there were before any were left out.
    pub evaluated: usize,
    /// How many matched.
    pub matched_count: usize,
    /// Units of cost that evaluating took.
    #[serde(skip)]
    pub cost: u64,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleResult<'a> {
    /// The rule.
    pub rule_id: RuleReference<'a>,
    /// Its name; `None` if there is no such rule.
    pub rule_name: Option<&'a str>,
    /// Whether its expression is true; `false` where it carries an error.
    pub matched: bool,
    /// Why there is no answer.
    pub error: Option<RuleError>,
    /// The values of its sub-expressions, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<crate::cel::TraceEntry>>,
    /// The facts for want of which it did not match, if a trace was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A rule as it was named: one of the set, or a text that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RuleReference<'a> {
    /// A rule of the set.
    Known(RuleId),
    /// What the caller wrote.
    Unknown(&'a str),
}

/// Why a rule has no answer: a run-time error, or a rule that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleError {
    /// A stable name: `rule_not_found`, `rule_inactive`, `rule_broken`, or an evaluation error of `cel`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Line in the rule's expression, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the rule's expression, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The fact that is missing, if it ended for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Box<str>>,
    /// The derived field in which it happened, if it was none of the rule's own doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived_field: Option<Box<str>>,
}
