//! Variables, the fields of objects, and the names of types. No functions.

use cel::common::ast::{Expr, IdedExpr, SelectExpr};

use super::{Checker, text_of};
use crate::cel::types::{ObjectType, Type};
use crate::config::nearest;
use crate::error::Detail;

/// Types that an expression may name, as in `type(x) == int`.
const TYPES: [&str; 13] = [
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

impl Checker<'_> {
    /// The type of a variable used as a whole.
    pub(super) fn infer_name(&mut self, node: &IdedExpr, name: &str) -> Type {
        let found = self.look_up(node, name);
        if self.scoped(name).is_none() {
            self.read_whole(name, &found);
        }
        found
    }

    pub(super) fn infer_select(&mut self, node: &IdedExpr, select: &SelectExpr) -> Type {
        if qualified_name(node).is_some_and(|name| TYPES.contains(&name.as_str())) {
            return Type::Dyn;
        }
        let (operand, path) = self.infer_operand(&select.operand);
        let found = self.infer_field(node, &operand, &select.field, path.as_deref());
        self.read(path, &select.field, &found);
        if select.test { Type::Bool } else { found }
    }

    /// The type of `operand[index]` or `operand.?field`, if it names a field of an object.
    pub(super) fn infer_field_by_text(
        &mut self,
        node: &IdedExpr,
        operand: &IdedExpr,
        index: &IdedExpr,
    ) -> (Type, Option<Type>) {
        let (operand_type, path) = self.infer_operand(operand);
        match (&operand_type, text_of(index)) {
            (Type::Object(_), Some(field)) => {
                let found = self.infer_field(node, &operand_type, field, path.as_deref());
                self.read(path, field, &found);
                (operand_type, Some(found))
            }
            _ => {
                if let Some(path) = path {
                    self.read_whole(&path, &operand_type);
                }
                (operand_type, None)
            }
        }
    }

    /// The type of what a field is selected of and, if it is a path from a variable, that path. Unlike
    /// [`Checker::infer`] it does not count as reading the whole.
    fn infer_operand(&mut self, node: &IdedExpr) -> (Type, Option<String>) {
        match &node.expr {
            Expr::Ident(name) if self.scoped(name).is_some() => (self.look_up(node, name), None),
            Expr::Ident(name) => (self.look_up(node, name), Some(name.clone())),
            Expr::Select(select) if !select.test => {
                let (operand, path) = self.infer_operand(&select.operand);
                let found = self.infer_field(node, &operand, &select.field, path.as_deref());
                if matches!(found, Type::Object(_)) {
                    return (found, path.map(|path| format!("{path}.{}", select.field)));
                }
                self.read(path, &select.field, &found);
                (found, None)
            }
            _ => (self.infer(node), None),
        }
    }

    fn infer_field(&mut self, node: &IdedExpr, operand: &Type, field: &str, path: Option<&str>) -> Type {
        match operand {
            Type::Dyn => Type::Dyn,
            Type::Map(key, value) if matches!(**key, Type::String | Type::Dyn) => value.as_ref().clone(),
            Type::Object(object) => match object.field(field) {
                Some(found) => found.value_type.clone(),
                None => self.report(node, unknown_field(object, field, path)),
            },
            other => self.report(node, Detail::new("no_such_field", format!("{other} has no fields, so no `{field}`"))),
        }
    }

    fn look_up(&mut self, node: &IdedExpr, name: &str) -> Type {
        // A leading dot asks for the variable itself, past those of comprehensions.
        let plain = name.strip_prefix('.').unwrap_or(name);
        let declared = || self.variables.iter().find(|(declared, _)| declared == plain).map(|(_, found)| found.clone());
        if let Some(found) = self.scoped(name).or_else(declared) {
            return found;
        }
        if TYPES.contains(&plain) {
            return Type::Dyn;
        }
        let mistake = Detail::new("undeclared_reference", format!("`{name}` is not declared"));
        let known = self.variables.iter().chain(&self.scopes);
        let mistake = match nearest(name, known.clone().map(|(declared, _)| declared.as_str())) {
            Some(near) => mistake.hint(format!("did you mean `{near}`?")),
            None => match self.owner_of(name) {
                Some(owner) => mistake.hint(format!("did you mean `{owner}.{name}`?")),
                None => mistake,
            },
        };
        self.report(node, mistake)
    }

    /// The variable that has a field called `name`.
    fn owner_of(&self, name: &str) -> Option<&str> {
        let owns = |found: &Type| matches!(found, Type::Object(object) if object.field(name).is_some());
        self.variables.iter().find(|(_, found)| owns(found)).map(|(owner, _)| owner.as_str())
    }

    fn scoped(&self, name: &str) -> Option<Type> {
        self.scopes.iter().rev().find(|(variable, _)| variable == name).map(|(_, found)| found.clone())
    }

    /// Notes that `path.field` is read.
    fn read(&mut self, path: Option<String>, field: &str, found: &Type) {
        if let Some(path) = path {
            self.read_whole(&format!("{path}.{field}"), found);
        }
    }

    /// Notes that `path` is read as a whole: of an object, each field.
    fn read_whole(&mut self, path: &str, found: &Type) {
        let path = path.strip_prefix('.').unwrap_or(path);
        match found {
            Type::Object(object) if !object.fields.is_empty() => {
                for field in &object.fields {
                    self.read_whole(&format!("{path}.{}", field.name), &field.value_type);
                }
            }
            _ => drop(self.references.insert(path.to_owned())),
        }
    }
}

fn unknown_field(object: &ObjectType, field: &str, path: Option<&str>) -> Detail {
    let mistake = Detail::new("no_such_field", format!("`{}` has no field `{field}`", object.name));
    let near = nearest(field, object.fields.iter().map(|known| known.name.as_str()));
    match (near, path) {
        (Some(near), Some(path)) => mistake.hint(format!("did you mean `{path}.{near}`?")),
        (Some(near), None) => mistake.hint(format!("did you mean `{near}`?")),
        (None, _) => mistake,
    }
}

/// The name that a chain of selections spells: `a.b.c`.
pub(super) fn qualified_name(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", qualified_name(&select.operand)?, select.field)),
        _ => None,
    }
}
