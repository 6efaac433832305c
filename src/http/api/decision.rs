//! Decisions as the OpenAPI document shows them. What is sent is written by `evaluate.rs`, `batch.rs` and `ndjson.rs`
//! from `ruleset`'s own values; a test compares the two.

use chrono::{DateTime, Utc};
use utoipa::ToSchema;

use crate::{
    domain::{Revision, SchemaVersion, TenantId},
    http::door::problem::ErrorDetail,
};

/// A decision.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct DecisionAnswer {
    /// The tenant.
    tenant_id: TenantId,
    /// The revision that decided.
    revision: Revision,
    /// The schema version that decided.
    schema_version: SchemaVersion,
    /// Whether for more than 2 s this node could not reach the database, or has known that it is behind.
    stale: bool,
    /// The time of the decision, which rules read as `now`.
    evaluated_at: DateTime<Utc>,
    /// How long the decision took, in milliseconds.
    evaluation_time_ms: f64,
    /// The decision's id, if it is recorded.
    #[schema(nullable = false)]
    decision_id: Option<uuid::Uuid>,
    /// The result of each rule.
    results: Vec<ResultItem>,
    /// How many rules were evaluated, with `return: "matched"`.
    #[schema(nullable = false)]
    evaluated: Option<usize>,
    /// How many matched, with `return: "matched"`.
    #[schema(nullable = false)]
    matched_count: Option<usize>,
    /// Facts that the schema does not declare: all of them with `trace`, otherwise those that are under none of its objects, if
    /// it has several.
    #[schema(nullable = false)]
    warnings: Option<Vec<ErrorDetail>>,
}

/// The result of a rule.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct ResultItem {
    /// The rule's id, or the entry of `rules` that is neither an id nor a name.
    rule_id: String,
    /// Its name; `null` if there is no such rule.
    #[schema(required = true)]
    rule_name: Option<String>,
    /// Whether its expression is true.
    matched: bool,
    /// The error that it ended with, or `null`.
    #[schema(required = true)]
    error: Option<ResultError>,
    /// The value of each sub-expression, with `trace`.
    #[schema(nullable = false)]
    trace: Option<Vec<TraceItem>>,
    /// The missing facts because of which it did not match, with `trace`; omitted if there are none.
    #[schema(nullable = false, example = json!(["facts.age"]))]
    missing: Option<Vec<String>>,
}

/// The error that a rule ended with.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct ResultError {
    /// The stable name.
    #[schema(example = "rule_not_found")]
    code: String,
    /// What happened.
    message: String,
    /// Line in the expression, from 1.
    #[schema(nullable = false)]
    line: Option<u32>,
    /// Column in the expression, from 1, in characters.
    #[schema(nullable = false)]
    column: Option<u32>,
    /// The missing fact, if that is the reason.
    #[schema(nullable = false, example = "facts.age")]
    missing: Option<String>,
    /// The derived field in which it happened, if it was not in the expression itself.
    #[schema(nullable = false, example = "derived.adult")]
    derived_field: Option<String>,
}

/// The value of a sub-expression.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct TraceItem {
    /// Line of its first character, from 1.
    line: u32,
    /// Column of its first character, from 1.
    column: u32,
    /// Line of the first character after it.
    end_line: u32,
    /// Column of the first character after it.
    end_column: u32,
    /// The sub-expression.
    text: String,
    /// Its value, or the error it ended with; `"(sensitive)"` where it comes from a sensitive fact.
    #[schema(value_type = serde_json::Value)]
    value: serde_json::Value,
    /// Whether it decided the result.
    decided: bool,
    /// The missing fact because of which it ended with an error, or is false.
    #[schema(nullable = false, example = "facts.age")]
    missing: Option<String>,
}

/// The decisions of a batch.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct BatchAnswer {
    /// The tenant.
    tenant_id: TenantId,
    /// The revision that decided.
    revision: Revision,
    /// The schema version that decided.
    schema_version: SchemaVersion,
    /// Whether for more than 2 s this node could not reach the database, or has known that it is behind.
    stale: bool,
    /// The time of the decisions, which rules read as `now`; all items have the same.
    evaluated_at: DateTime<Utc>,
    /// One for each item, in order.
    items: Vec<BatchItemAnswer>,
    /// How long the decision took, in milliseconds.
    evaluation_time_ms: f64,
}

/// The result of an item: `results`, or `error`.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct BatchItemAnswer {
    /// The decision's id, if it is recorded.
    #[schema(nullable = false)]
    decision_id: Option<uuid::Uuid>,
    /// The result of each rule.
    #[schema(nullable = false)]
    results: Option<Vec<ResultItem>>,
    /// How many rules were evaluated, with `return: "matched"`.
    #[schema(nullable = false)]
    evaluated: Option<usize>,
    /// How many matched, with `return: "matched"`.
    #[schema(nullable = false)]
    matched_count: Option<usize>,
    /// Facts that the schema does not declare: all of them with `trace`, otherwise those that are under none of its objects, if
    /// it has several.
    #[schema(nullable = false)]
    warnings: Option<Vec<ErrorDetail>>,
    /// Why the item is not decided.
    #[schema(nullable = false)]
    error: Option<ItemError>,
}

/// A line of an answer in NDJSON.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct DecisionLine {
    /// Which line of the request, from 0; empty lines are not counted.
    index: u64,
    /// The revision that decided.
    #[schema(nullable = false)]
    revision: Option<Revision>,
    /// The time of the decision, which rules read as `now`.
    #[schema(nullable = false)]
    evaluated_at: Option<DateTime<Utc>>,
    /// The decision, or why there is none.
    #[serde(flatten)]
    outcome: BatchItemAnswer,
}

/// Why an item is not decided.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the macro alone")]
pub struct ItemError {
    /// The stable name.
    #[schema(example = "invalid")]
    code: String,
    /// What is wrong.
    message: String,
    /// Each thing that is wrong.
    #[schema(required = false)]
    errors: Vec<ErrorDetail>,
}
