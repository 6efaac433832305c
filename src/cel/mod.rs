//! CEL, the language: parse, check, plan, evaluate. Knows no tenant.

/// The value of one sub-expression in one evaluation.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceEntry {
    /// Where it stands.
    #[serde(flatten)]
    pub span: crate::error::Span,
    /// The sub-expression.
    pub text: String,
    /// Its value in JSON, or the error it ended with.
    pub value: serde_json::Value,
}
