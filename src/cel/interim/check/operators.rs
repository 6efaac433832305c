//! Operators and the types of their operands.

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, IdedExpr};

use super::{Checker, common};
use crate::cel::types::Type;
use crate::error::Detail;

impl Checker<'_> {
    /// The type of an operator's result; `None` if `call` is none.
    pub(super) fn infer_operator(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Type> {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), args) {
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, operands) => {
                for operand in operands {
                    self.expect_bool(Some(operand));
                }
                Some(Type::Bool)
            }
            (op::CONDITIONAL, [condition, yes, no]) => {
                self.expect_bool(Some(condition));
                let branches = vec![self.infer(yes), self.infer(no)];
                Some(common(branches))
            }
            (op::INDEX, [operand, index]) => Some(self.infer_index(node, operand, index)),
            (op::OPT_INDEX | op::OPT_SELECT, [operand, index]) => {
                let (_, field) = self.infer_field_by_text(node, operand, index);
                if field.is_none() {
                    self.infer(index);
                }
                Some(Type::Dyn)
            }
            (op::NEGATE, [operand]) => {
                let found = self.infer(operand);
                Some(match found {
                    Type::Int | Type::Double | Type::Duration | Type::Dyn => found,
                    other => self.refuse(node, "-", &[&other]),
                })
            }
            (name, [left, right]) => {
                let symbol = symbol(name)?;
                let (left, right) = (self.infer(left), self.infer(right));
                Some(binary(symbol, &left, &right).unwrap_or_else(|| self.refuse(node, symbol, &[&left, &right])))
            }
            _ => None,
        }
    }

    fn infer_index(&mut self, node: &IdedExpr, operand: &IdedExpr, index: &IdedExpr) -> Type {
        let (operand, field) = self.infer_field_by_text(node, operand, index);
        if let Some(field) = field {
            return field;
        }
        let index = self.infer(index);
        match &operand {
            Type::List(item) if index.is_numeric() || index == Type::Dyn => item.as_ref().clone(),
            Type::Map(key, value) if is_comparable(key, &index) => value.as_ref().clone(),
            Type::Object(_) if matches!(index, Type::String | Type::Dyn) => Type::Dyn,
            Type::Dyn => Type::Dyn,
            _ => self.refuse(node, "_[_]", &[&operand, &index]),
        }
    }

    /// Reports operands that `symbol` does not take.
    fn refuse(&mut self, node: &IdedExpr, symbol: &str, operands: &[&Type]) -> Type {
        let types: Vec<String> = operands.iter().map(ToString::to_string).collect();
        let mistake = Detail::new("no_such_overload", format!("no overload of `{symbol}` for ({})", types.join(", ")));
        let mistake = match operands {
            [left, right] if left.is_numeric() && right.is_numeric() => {
                mistake.hint(format!("convert one side, such as `{left}(…)`"))
            }
            [Type::Timestamp, Type::String] | [Type::String, Type::Timestamp] => mistake.hint("write `timestamp('…')`"),
            [Type::Duration, Type::String] | [Type::String, Type::Duration] => mistake.hint("write `duration('…')`"),
            [left, _] => mistake.hint(format!("compare or combine {left} with {left}")),
            _ => mistake,
        };
        self.report(node, mistake)
    }
}

/// How an operator of two operands is written.
fn symbol(name: &str) -> Option<&'static str> {
    Some(match name {
        op::EQUALS => "==",
        op::NOT_EQUALS => "!=",
        op::LESS => "<",
        op::LESS_EQUALS => "<=",
        op::GREATER => ">",
        op::GREATER_EQUALS => ">=",
        op::ADD => "+",
        op::SUBSTRACT => "-",
        op::MULTIPLY => "*",
        op::DIVIDE => "/",
        op::MODULO => "%",
        op::IN => "in",
        _ => return None,
    })
}

/// The type of the result, if there is an overload for these operands.
fn binary(symbol: &str, left: &Type, right: &Type) -> Option<Type> {
    use Type::{Bool, Bytes, Double, Duration, Dyn, Int, List, Map, Object, String, Timestamp, Uint};
    let ordered = matches!(left, Bool | Int | Uint | Double | String | Bytes | Timestamp | Duration);
    match (symbol, left, right) {
        ("==" | "!=", left, right) => is_comparable(left, right).then_some(Bool),
        ("in", left, List(item)) => is_comparable(left, item).then_some(Bool),
        ("in", left, Map(key, _)) => is_comparable(left, key).then_some(Bool),
        ("in", String | Dyn, Object(_)) | ("in", _, Dyn) => Some(Bool),
        ("in", ..) => None,
        ("<" | "<=" | ">" | ">=", Dyn, _) | ("<" | "<=" | ">" | ">=", _, Dyn) => Some(Bool),
        ("<" | "<=" | ">" | ">=", left, right) => {
            (ordered && (left == right || (left.is_numeric() && right.is_numeric()))).then_some(Bool)
        }
        (_, Dyn, _) | (_, _, Dyn) => Some(Dyn),
        ("+", List(left), List(right)) => Some(Type::list(common(vec![left.as_ref().clone(), right.as_ref().clone()]))),
        ("+", String, String) | ("+", Bytes, Bytes) => Some(left.clone()),
        ("+", Timestamp, Duration) | ("+", Duration, Timestamp) | ("-", Timestamp, Duration) => Some(Timestamp),
        ("+" | "-", Duration, Duration) | ("-", Timestamp, Timestamp) => Some(Duration),
        ("+" | "-" | "*" | "/", Double, Double) => Some(Double),
        (_, Int, Int) | (_, Uint, Uint) => Some(left.clone()),
        _ => None,
    }
}

/// Whether an equality of both can be meant: numbers compare across types, `null` and `dyn` with everything.
fn is_comparable(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn | Type::Null, _) | (_, Type::Dyn | Type::Null) => true,
        (Type::List(left), Type::List(right)) | (Type::Map(_, left), Type::Map(_, right)) => is_comparable(left, right),
        (Type::Object(_) | Type::Map(..), Type::Object(_) | Type::Map(..)) => true,
        (left, right) => left == right || (left.is_numeric() && right.is_numeric()),
    }
}
