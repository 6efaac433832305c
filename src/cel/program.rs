//! A compiled expression.

use std::sync::Arc;

use super::{TraceEntry, activation::Activation, env::Env, fault::EvaluationError, types::Type, value::Value};
use crate::error::Detail;

/// An expression that was checked and planned. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Box<str>,
    value_type: Type,
    references: Box<[String]>,
}

impl Program {
    pub(super) fn compile(_env: &Env, source: &str) -> Result<Self, Vec<Detail>> {
        Ok(Self { inner: Arc::new(Inner { source: source.into(), value_type: Type::Dyn, references: Box::new([]) }) })
    }

    /// The expression's type.
    pub fn value_type(&self) -> &Type {
        &self.inner.value_type
    }

    /// What the expression reads, sorted: `facts.age`, `derived.adult`.
    pub fn references(&self) -> &[String] {
        &self.inner.references
    }

    /// The source compiled.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The expression's value, within the default budget.
    pub fn evaluate(&self, activation: &Activation) -> Result<Value, EvaluationError> {
        let _ = activation;
        Err(EvaluationError::new("no_such_overload", "the evaluator is not here yet"))
    }

    /// The value of every sub-expression that was evaluated, in the order of the source.
    pub fn trace(&self, activation: &Activation) -> Vec<TraceEntry> {
        let _ = activation;
        Vec::new()
    }
}
