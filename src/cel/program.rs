//! A compiled expression.

use std::{fmt, sync::Arc};

use super::{
    TraceEntry,
    activation::Activation,
    env::Env,
    fault::EvaluationError,
    interim::{self, Expression},
    types::Type,
    value::Value,
};
use crate::error::Detail;

/// An expression that was checked. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<str>,
    expression: Expression,
}

impl Program {
    pub(super) fn compile(env: &Env, source: &str, expected: Option<&Type>) -> Result<Self, Vec<Detail>> {
        let expression = interim::compile(env, source, expected)?;
        Ok(Self { inner: Arc::new(Inner { source: source.into(), expression }) })
    }

    /// The expression's type.
    pub fn value_type(&self) -> &Type {
        &self.inner.expression.value_type
    }

    /// What the expression reads, sorted: `facts.age`, `derived.adult`.
    pub fn references(&self) -> &[String] {
        &self.inner.expression.references
    }

    /// The source compiled.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// The expression's value.
    pub fn evaluate(&self, activation: &Activation) -> Result<Value, EvaluationError> {
        self.inner.expression.evaluate(activation)
    }

    /// The value of every sub-expression that was evaluated, in the order of the source.
    pub fn trace(&self, activation: &Activation) -> Vec<TraceEntry> {
        self.inner.expression.trace(&self.inner.source, activation)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.inner.source).finish()
    }
}
