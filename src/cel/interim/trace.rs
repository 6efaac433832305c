//! The value of each sub-expression of one evaluation, for people who ask why. Slow, and never on the hot path.

use cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::evaluate::evaluate;
use super::locate::Locator;
use super::parse::children;
use super::variables::Variables;
use crate::cel::TraceEntry;

/// The entries of `tree`, in the order of the text, the outer before the inner.
pub(super) fn trace(tree: &IdedExpr, locator: &Locator<'_>, variables: &Variables<'_>) -> Vec<TraceEntry> {
    let mut entries = Vec::new();
    let mut waiting = vec![tree];
    while let Some(node) = waiting.pop() {
        waiting.extend(traced_parts(node));
        if matches!(node.expr, Expr::Literal(_)) || is_object(node, tree) {
            continue;
        }
        let Some((span, text)) = locator.locate(node) else { continue };
        let value = match evaluate(node, variables) {
            Ok(value) => value.to_json(),
            Err(error) => serde_json::json!({"error": {"code": error.code, "message": error.message}}),
        };
        entries.push(TraceEntry { span, text: text.to_owned(), value });
    }
    entries.sort_by_key(|entry| {
        let span = entry.span;
        (span.line, span.column, std::cmp::Reverse((span.end_line, span.end_column)))
    });
    entries
}

/// The parts that have a value of their own: not the body of a comprehension, whose variable has many, and not the name
/// before a namespace's function.
fn traced_parts(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Comprehension(inner) => vec![&inner.iter_range],
        Expr::Call(CallExpr { target: Some(target), args, .. }) if matches!(&target.expr, Expr::Ident(name) if name == "optional") => {
            args.iter().collect()
        }
        _ => children(node),
    }
}

/// Whether `node` only leads to a field: `facts` in `facts.age` says nothing that `facts.age` does not.
fn is_object(node: &IdedExpr, tree: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Ident(_)) && !std::ptr::eq(node, tree)
}
