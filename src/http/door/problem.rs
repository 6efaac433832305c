//! The body of every error, as the OpenAPI document shows it. `error.rs` writes what is sent; a test compares the two.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Problem details (RFC 9457). Some codes add members of their own, such as `currentRevision`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The kind of problem: `urn:tenet:problem:<code>`.
    #[schema(example = "urn:tenet:problem:schema_missing")]
    pub r#type: String,
    /// The kind of problem in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The stable code, for programs.
    #[schema(example = "schema_missing")]
    pub code: String,
    /// The request's id, as in `X-Request-Id` and in the log.
    pub request_id: String,
    /// Every error in the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<ErrorDetail>,
    /// The tenant's revision, with `revision_mismatch` and `revision_not_reached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<i64>,
    /// The quota that is exceeded, with `quota_exceeded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "rules")]
    pub quota: Option<String>,
    /// The limit, with `quota_exceeded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The use, as it is or would be, with `quota_exceeded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

/// An error in the input.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDetail {
    /// The stable code of the error, for programs.
    #[schema(example = "undeclared_reference")]
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where in the input.
    #[schema(nullable = false, example = "rules[3].expression")]
    pub path: Option<String>,
    /// What to do.
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// Line in the expression, from 1.
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// Column in the expression, from 1, in characters.
    #[schema(nullable = false)]
    pub column: Option<u32>,
    /// Line of the first character after the offending part.
    #[schema(nullable = false)]
    pub end_line: Option<u32>,
    /// Column of the first character after the offending part.
    #[schema(nullable = false)]
    pub end_column: Option<u32>,
    /// The offending part of the expression.
    #[schema(nullable = false)]
    pub text: Option<String>,
    /// The stored rule or derived field concerned.
    #[serde(flatten)]
    pub subject: Option<ErrorSubject>,
}

/// The stored rule or derived field that has the error: `ruleId` and `ruleName`, or `fieldId` and `fieldName`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorSubject {
    /// The rule's id.
    #[schema(nullable = false)]
    pub rule_id: Option<Uuid>,
    /// The rule's name.
    #[schema(nullable = false)]
    pub rule_name: Option<String>,
    /// The derived field's id.
    #[schema(nullable = false)]
    pub field_id: Option<Uuid>,
    /// The derived field's name.
    #[schema(nullable = false)]
    pub field_name: Option<String>,
}
