//! The possible values of each sub-expression: of fields by their enumerations, and of what only passes them on.

use super::Lint;
use crate::cel::{
    allowed::{Allowed, Word},
    check::{Access, Checked, CheckedKind, Loop, LoopKind},
    types::Type,
};

impl Lint<'_> {
    /// Looks at a sub-expression and all inside of it; what values it may have.
    pub(super) fn visit(&mut self, node: &Checked) -> Allowed {
        match &node.kind {
            CheckedKind::Constant(value) => Allowed::only(Word::of(value)),
            CheckedKind::Slot(slot, _) | CheckedKind::OptionalSlot(slot, _) => self.env.allowed(*slot),
            CheckedKind::Local(local) => self.locals.get(local).cloned().unwrap_or_default(),
            CheckedKind::Select { operand, field, mode, .. } => {
                let held = self.visit(operand);
                match inside(&operand.value_type) {
                    _ if *mode == Access::Test => Allowed::default(),
                    Type::Object(object) => object.field(field).map(|field| field.allowed.clone()).unwrap_or_default(),
                    Type::Map(..) => held.item(),
                    _ => Allowed::default(),
                }
            }
            CheckedKind::Index { operand, index, .. } => {
                let held = self.visit(operand);
                self.visit(index);
                held.item()
            }
            CheckedKind::Call { function, arguments } => {
                let allowed: Vec<Allowed> = arguments.iter().map(|argument| self.visit(argument)).collect();
                self.call(node, function.name, arguments, &allowed);
                passed_on(function.name, node, &allowed)
            }
            CheckedKind::Conditional(parts) => {
                let [condition, accepted, refused] = &**parts;
                self.visit(condition);
                self.visit(accepted).or(&self.visit(refused))
            }
            CheckedKind::List(elements) => Allowed::holding(self.any_of(elements.iter().map(|(element, _)| element))),
            CheckedKind::Map(entries) => {
                for (key, ..) in entries {
                    self.visit(key);
                }
                Allowed::holding(self.any_of(entries.iter().map(|(_, value, _)| value)))
            }
            CheckedKind::Loop(parts) => self.visit_loop(parts),
            CheckedKind::Bind { bindings, body } => {
                for (local, value) in bindings {
                    let allowed = self.visit(value);
                    self.locals.insert(*local, allowed);
                }
                self.visit(body)
            }
            CheckedKind::MapOptional { operand, local, body, .. } => {
                let allowed = self.visit(operand);
                self.locals.insert(*local, allowed);
                self.visit(body)
            }
            CheckedKind::And(_)
            | CheckedKind::Or(_)
            | CheckedKind::Shared(..)
            | CheckedKind::Object(..)
            | CheckedKind::HasSlot(_)
            | CheckedKind::Fail(..) => {
                node.children(&mut |child| drop(self.visit(child)));
                Allowed::default()
            }
        }
    }

    /// The values that any of these may have.
    fn any_of<'a>(&mut self, nodes: impl Iterator<Item = &'a Checked>) -> Allowed {
        let allowed: Vec<Allowed> = nodes.map(|node| self.visit(node)).collect();
        allowed.into_iter().reduce(|all, next| all.or(&next)).unwrap_or_default()
    }

    fn visit_loop(&mut self, parts: &Loop) -> Allowed {
        let range = self.visit(&parts.range);
        let is_list = matches!(parts.range.value_type, Type::List(_));
        // Of a map the first variable is a key, and any text may be one.
        match parts.second {
            Some(second) => drop(self.locals.insert(second, range.item())),
            None if is_list => drop(self.locals.insert(parts.first, range.item())),
            None => {}
        }
        if let Some(predicate) = &parts.predicate {
            self.visit(predicate);
        }
        let transformed = parts.transform.as_ref().map(|transform| self.visit(transform));
        match (parts.kind, transformed) {
            (LoopKind::List | LoopKind::Map, Some(item)) => Allowed::holding(item),
            (LoopKind::List, None) if is_list => range,
            _ => Allowed::default(),
        }
    }
}

/// The type, or what an optional of it holds.
pub(super) fn inside(value_type: &Type) -> &Type {
    if let Type::Optional(inner) = value_type { inner } else { value_type }
}

/// Whether a function may be one that makes no values of its own.
pub(super) fn passes_on(name: &str) -> bool {
    matches!(
        name,
        "value"
            | "optional.of"
            | "optional.ofNonZeroValue"
            | "or"
            | "orValue"
            | "first"
            | "last"
            | "_+_"
            | "distinct"
            | "unique"
            | "sort"
            | "reverse"
            | "slice"
            | "@sortByKeys"
    )
}

/// What a call gives that makes no values of its own.
fn passed_on(name: &str, node: &Checked, allowed: &[Allowed]) -> Allowed {
    let is_list = matches!(node.value_type, Type::List(_));
    match (name, allowed) {
        ("value" | "optional.of" | "optional.ofNonZeroValue", [held]) => held.clone(),
        ("or" | "orValue", [held, other]) => held.or(other),
        ("first" | "last", [list]) => list.item(),
        ("_+_", [left, right]) if is_list => left.or(right),
        ("distinct" | "unique" | "sort" | "reverse" | "slice" | "@sortByKeys", [list, ..]) if is_list => list.clone(),
        _ => Allowed::default(),
    }
}
