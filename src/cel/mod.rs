//! CEL, the language: parse, check, plan, evaluate. Knows no tenant.
//!
//! An [`Env`] holds the variables; [`Env::compile`] checks an expression against them and plans it as a [`Program`];
//! [`Program::evaluate`] reads an [`Activation`]. A variable whose type is [`Type::Object`] has one slot for each field:
//! find it once with [`Env::slot`] (`facts.age`) and fill it with [`Activation::set`]; what is not filled is absent.
//! [`Frame`] holds programs whose values fill slots when they are first read.

mod account;
mod activation;
mod allowed;
mod check;
mod conjuncts;
mod cost;
mod env;
mod estimate;
mod fault;
mod library;
mod lint;
mod memo;
mod meter;
#[cfg(test)]
mod naive;
mod network;
mod opaque;
mod other_names;
mod parse;
mod pattern_notes;
mod plan;
mod program;
mod reads;
mod run;
mod share;
mod sheet;
mod sensitive;
mod size;
#[cfg(test)]
mod tests;
mod text_format;
mod trace;
mod types;
mod value;

pub use activation::{Activation, Frame, Slot};
pub use allowed::{Allowed, Word};
pub use conjuncts::{Conjunct, Few, Side, SlotTest, Test};
pub use env::Env;
pub use estimate::{Bound, Expected};
pub use fault::EvaluationError;
pub use memo::{Memo, Repeated};
pub use meter::Meter;
pub use network::Network;
pub use opaque::{Opaque, Quantity, Semver, Url};
pub use program::{CostEstimate, Program};
pub use reads::SlotRead;
pub use run::{Limits, Run};
pub use sheet::Sheet;
pub use size::Size;
pub use types::{ObjectField, ObjectType, Type};
pub use value::{MapValue, ObjectValue, Value};

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
    /// Whether the result would be unknown without it: not so for a term of `&&` that is true where another is false.
    pub decided: bool,
    /// The fact for want of which it ended with an error, or is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}
