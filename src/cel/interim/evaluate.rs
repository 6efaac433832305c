//! Evaluating one tree with the interpreter of the `cel` crate, and its errors under stable codes. Checks nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::{Context, ExecutionError, Value as Raw};

use super::{raw, variables::Variables};
use crate::cel::{EvaluationError, Value};

/// The functions of the language: built once, because it takes 39 µs.
static STANDARD: LazyLock<Arc<cel::Env>> = LazyLock::new(|| Arc::new(cel::Env::stdlib()));

/// The value of `tree`. A missing key called like a field that could not be computed is that field's error.
pub(super) fn evaluate(tree: &IdedExpr, variables: &Variables<'_>) -> Result<Value, EvaluationError> {
    let mut context = Context::with_env(Arc::clone(&STANDARD));
    context.set_variable_resolver(variables);
    // A defect of the interpreter must fail one rule, not the node.
    match catch_unwind(AssertUnwindSafe(|| Raw::resolve(tree, &context))) {
        Ok(Ok(raw)) => raw::to_value(&raw).ok_or_else(|| {
            EvaluationError::new("evaluation_failed", "the result is of a kind that cannot be returned")
        }),
        Ok(Err(ExecutionError::NoSuchKey(key))) if variables.failure(&key).is_some() => {
            Err(variables.failure(&key).cloned().unwrap_or_else(|| translate(&ExecutionError::NoSuchKey(key))))
        }
        Ok(Err(error)) => Err(translate(&error)),
        Err(_) => Err(EvaluationError::new("evaluation_failed", "the evaluation was abandoned by a defect of ours")),
    }
}

/// The interpreter's error under our codes, and without the values it quotes: they are a caller's facts, of any size.
fn translate(error: &ExecutionError) -> EvaluationError {
    let overload =
        |name: &str| EvaluationError::new("no_such_overload", format!("no overload of `{name}` for these operands"));
    match error {
        ExecutionError::NoSuchKey(key) => EvaluationError::new("no_such_key", format!("no such key `{key}`")),
        ExecutionError::NoSuchOverload(found) => EvaluationError::new(
            "no_such_overload",
            format!("no overload of `{}` for ({})", found.function(), found.argument_types().join(", ")),
        ),
        ExecutionError::UnsupportedBinaryOperator(name, ..) => overload(name),
        ExecutionError::ValuesNotComparable(..) => EvaluationError::new("no_such_overload", "the values have no order"),
        ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnsupportedIndex(..)
        | ExecutionError::UnsupportedKeyType(_)
        | ExecutionError::UnexpectedType { .. } => {
            EvaluationError::new("no_such_overload", "a value is of a type that has no such operation")
        }
        ExecutionError::InvalidArgumentCount { .. } | ExecutionError::MissingArgumentOrTarget => {
            EvaluationError::new("no_such_overload", "wrong number of arguments")
        }
        ExecutionError::UndeclaredReference(name) => {
            EvaluationError::new("undeclared_reference", format!("`{name}` has no value"))
        }
        ExecutionError::DivisionByZero(_) => EvaluationError::new("division_by_zero", "division by zero"),
        ExecutionError::RemainderByZero(_) => {
            EvaluationError::new("division_by_zero", "remainder of a division by zero")
        }
        ExecutionError::Overflow(name, ..) => {
            EvaluationError::new("overflow", format!("the result of `{name}` does not fit its type"))
        }
        ExecutionError::IndexOutOfBounds(_) => {
            EvaluationError::new("index_out_of_range", "the list has no item at this index")
        }
        ExecutionError::DuplicateKey(_) => EvaluationError::new("invalid_argument", "the map has the same key twice"),
        ExecutionError::FunctionError { function, message } => {
            EvaluationError::new("invalid_argument", format!("`{function}` failed: {message}"))
        }
        _ => EvaluationError::new("evaluation_failed", "the evaluation failed"),
    }
}
