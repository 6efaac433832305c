//! The language in its first form: the `cel` crate's parser and interpreter behind limits and checks of our own.
//!
//! Types are known as far as the checks need them. Evaluation is bounded by the limits on the source alone.

mod check;
mod evaluate;
mod locate;
mod parse;
mod raw;
#[cfg(test)]
mod tests;
mod trace;
mod variables;

use cel::common::ast::IdedExpr;

use self::{
    check::check,
    locate::Locator,
    parse::{depth, on_big_stack, parse, parse_with_positions},
    variables::{Read, Variables},
};
use super::{Activation, Env, EvaluationError, TraceEntry, Type, Value};
use crate::error::Detail;

/// Sources up to this size are compiled where the caller is, larger ones on a big stack.
const SMALL_SOURCE_BYTES: usize = 1_024;
/// Depth up to which a debug build's frames fit a thread's ordinary stack: 37 KB a level.
const DEBUG_DEPTH_MAX: usize = 12;

/// A checked expression.
pub(super) struct Expression {
    tree: IdedExpr,
    depth: usize,
    reads: Vec<Read>,
    pub(super) value_type: Type,
    pub(super) references: Vec<String>,
}

/// The expression that `source` writes, or everything wrong with it.
pub(super) fn compile(env: &Env, source: &str, expected: Option<&Type>) -> Result<Expression, Vec<Detail>> {
    let build = || {
        let tree = parse(source)?;
        let checked = check(&tree, env.variables(), expected, None)
            .map_err(|errors| located(source, env.variables(), expected).unwrap_or(errors))?;
        let (value_type, references) = (checked.value_type, checked.references);
        let reads = reads(env, &references);
        Ok(Expression { depth: depth(&tree), tree, reads, value_type, references })
    };
    if cfg!(debug_assertions) || source.len() > SMALL_SOURCE_BYTES {
        let abandoned =
            || Detail::new("compilation_failed", "the expression could not be compiled by a defect of ours");
        return on_big_stack(build).unwrap_or_else(|| Err(vec![abandoned()]));
    }
    build()
}

/// The errors of the same checks on the tree that has positions.
fn located(source: &str, variables: &[(String, Type)], expected: Option<&Type>) -> Option<Vec<Detail>> {
    on_big_stack(|| {
        let (tree, info) = parse_with_positions(source)?;
        check(&tree, variables, expected, Some(&Locator::new(source, &info))).err()
    })
    .flatten()
}

fn reads(env: &Env, references: &[String]) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    for path in references {
        let mut segments = path.split('.');
        let variable = segments.next().unwrap_or_default();
        let field = segments.next();
        // A type's name, such as `int`, is no variable.
        if !env.variables().iter().any(|(name, _)| name == variable) {
            continue;
        }
        if reads.last().is_none_or(|read| read.variable != variable) {
            reads.push(Read { variable: variable.to_owned(), fields: Vec::new(), slot: env.slot(variable) });
        }
        let (Some(field), Some(read)) = (field, reads.last_mut()) else { continue };
        let is_known = read.fields.iter().any(|(name, _)| name == field);
        if let (false, Some(slot)) = (is_known, env.slot(&format!("{variable}.{field}"))) {
            read.fields.push((field.to_owned(), slot));
        }
    }
    reads
}

impl Expression {
    /// Its value for what `activation` holds.
    pub(super) fn evaluate(&self, activation: &Activation) -> Result<Value, EvaluationError> {
        let variables = Variables::read(&self.reads, activation)?;
        let work = || evaluate::evaluate(&self.tree, &variables);
        if cfg!(debug_assertions) && self.depth > DEBUG_DEPTH_MAX {
            let abandoned = || EvaluationError::new("evaluation_failed", "no thread for the evaluation");
            return on_big_stack(work).unwrap_or_else(|| Err(abandoned()));
        }
        work()
    }

    /// The values of its sub-expressions, in the order of the text.
    pub(super) fn trace(&self, source: &str, activation: &Activation) -> Vec<TraceEntry> {
        let Ok(variables) = Variables::read(&self.reads, activation) else { return Vec::new() };
        on_big_stack(|| {
            let (tree, info) = parse_with_positions(source)?;
            Some(trace::trace(&tree, &Locator::new(source, &info), &variables))
        })
        .flatten()
        .unwrap_or_default()
    }
}
