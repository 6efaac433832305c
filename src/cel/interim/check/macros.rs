//! Macros, told from the comprehensions they expand to. Only what the author wrote is checked.

use cel::common::ast::operators::{ADD, CONDITIONAL, LOGICAL_AND, LOGICAL_OR};
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::Checker;
use crate::cel::types::Type;
use crate::error::Detail;

impl Checker<'_> {
    pub(super) fn infer_macro(&mut self, inner: &ComprehensionExpr) -> Type {
        let item = match self.infer(&inner.iter_range) {
            Type::List(item) => item.as_ref().clone(),
            Type::Map(key, _) => key.as_ref().clone(),
            Type::Object(_) => Type::String,
            Type::Dyn => Type::Dyn,
            other => {
                let mistake = Detail::new("no_such_overload", format!("{other} has no items to go through"));
                self.report(&inner.iter_range, mistake.hint("use a list or a map"))
            }
        };
        self.scopes.push((inner.iter_var.clone(), item));
        let found = self.infer_step(inner);
        self.scopes.pop();
        found
    }

    fn infer_step(&mut self, inner: &ComprehensionExpr) -> Type {
        match (&inner.accu_init.expr, &inner.loop_step.expr) {
            // all: accumulator && predicate; exists: accumulator || predicate.
            (Expr::Literal(LiteralValue::Boolean(_)), Expr::Call(call))
                if is(call, LOGICAL_AND) || is(call, LOGICAL_OR) =>
            {
                self.expect_bool(call.args.get(1));
                Type::Bool
            }
            // exists_one: predicate ? accumulator + 1 : accumulator.
            (Expr::Literal(LiteralValue::Int(_)), Expr::Call(call)) if is(call, CONDITIONAL) => {
                self.expect_bool(call.args.first());
                Type::Bool
            }
            // filter and map with a predicate: predicate ? accumulator + [item] : accumulator.
            (Expr::List(_), Expr::Call(call)) if is(call, CONDITIONAL) => {
                self.expect_bool(call.args.first());
                Type::list(call.args.get(1).map_or(Type::Dyn, |step| self.infer_appended(step)))
            }
            (Expr::List(_), _) => Type::list(self.infer_appended(&inner.loop_step)),
            _ => Type::Dyn,
        }
    }

    /// The type of the item in `accumulator + [item]`.
    fn infer_appended(&mut self, step: &IdedExpr) -> Type {
        let Expr::Call(call) = &step.expr else { return Type::Dyn };
        match call.args.get(1).map(|appended| &appended.expr) {
            Some(Expr::List(list)) if is(call, ADD) => list.elements.first().map_or(Type::Dyn, |item| self.infer(item)),
            _ => Type::Dyn,
        }
    }

    /// Checks a part that must be boolean.
    pub(super) fn expect_bool(&mut self, part: Option<&IdedExpr>) {
        let Some(part) = part else { return };
        let found = self.infer(part);
        if !matches!(found, Type::Bool | Type::Dyn) {
            let mistake = Detail::new("no_such_overload", format!("a bool is needed here, and this is {found}"));
            self.report(part, mistake);
        }
    }
}

fn is(call: &CallExpr, operator: &str) -> bool {
    call.func_name == operator
}
