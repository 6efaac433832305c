//! Names and fields: variables, qualified names, types as values, selection.

use std::{borrow::Cow, sync::Arc};

use super::{Access, Checked, CheckedKind, Checker, checked, hints};
use crate::{
    cel::{
        activation::Slot,
        parse::{Kind, Node, Range},
        size::Size,
        types::Type,
        value::Value,
    },
    config::nearest,
    domain::selector,
};

/// A name, split where it was written with points.
pub(super) struct Path<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) absolute: bool,
    pub(super) root: &'a str,
}

impl<'a> Path<'a> {
    /// The qualified name that `node` spells, if it spells one.
    pub(super) fn of(node: &'a Node<'a>) -> Option<Self> {
        match &node.kind {
            Kind::Ident { name, absolute } => Some(Self { name: Cow::Borrowed(name), absolute: *absolute, root: name }),
            Kind::Select { operand, field, optional: false } => {
                let mut path = Self::of(operand)?;
                let name = path.name.to_mut();
                name.push('.');
                name.push_str(field);
                Some(path)
            }
            _ => None,
        }
    }
}

/// The first name of the qualified name that `node` spells, if it spells one.
pub(super) fn root<'a>(node: &Node<'a>) -> Option<&'a str> {
    match &node.kind {
        Kind::Ident { name, .. } => Some(name),
        Kind::Select { operand, optional: false, .. } => root(operand),
        _ => None,
    }
}

impl Checker<'_> {
    /// An identifier or a selection.
    pub(super) fn name(&mut self, node: &Node<'_>) -> Checked {
        if self.may_be_one_name(node)
            && let Some(path) = Path::of(node)
            && let Some(found) = self.qualified(&path, node.range)
        {
            return found;
        }
        match &node.kind {
            Kind::Select { operand, field, optional } => {
                let access = if *optional { Access::Optional } else { Access::Plain };
                self.select(node.range, operand, field, access)
            }
            Kind::Ident { name, .. } => self.undeclared(name, node.range),
            _ => self.fail(node.range, "undeclared_reference", "no name".to_owned()),
        }
    }

    /// Whether a whole qualified name may stand for something of its own, and not only for a field of what is before
    /// the last point.
    fn may_be_one_name(&self, node: &Node<'_>) -> bool {
        matches!(node.kind, Kind::Ident { .. })
            || self.env.is_qualified()
            || root(node).is_some_and(|root| matches!(root, "google" | "net"))
    }

    /// What a whole qualified name stands for.
    fn qualified(&mut self, path: &Path<'_>, range: Range) -> Option<Checked> {
        if !path.absolute
            && let Some((name, local, value_type)) = self.scopes.iter().rev().find(|scope| *scope.0 == *path.root)
        {
            // A local hides whatever is declared, also names that begin with its own.
            let is_whole = **name == *path.name;
            return is_whole.then(|| checked(CheckedKind::Local(*local), value_type.clone(), range));
        }
        let env = self.env;
        for candidate in env.candidates(&path.name, path.absolute) {
            if let Some(variable) = env.variable(&candidate) {
                let kind = match &variable.value_type {
                    Type::Object(object) => CheckedKind::Object(Arc::clone(object), variable.slot),
                    _ => CheckedKind::Slot(variable.slot, Size::of_type(&variable.value_type)),
                };
                return Some(checked(kind, variable.value_type.clone(), range));
            }
            if let Some(named) = named_type(&candidate) {
                let value = Value::Type(named.runtime_name().into());
                return Some(checked(CheckedKind::Constant(value), Type::Type(Arc::new(named)), range));
            }
        }
        None
    }

    fn undeclared(&mut self, name: &str, range: Range) -> Checked {
        let failed = self.fail(range, "undeclared_reference", format!("`{name}` is not declared"));
        let locals = self.scopes.iter().map(|(name, ..)| &**name);
        let near = nearest(name, self.env.variable_names().chain(locals)).map(str::to_owned).or_else(|| {
            // A field written without its object.
            self.env.objects().find_map(|(object, fields)| {
                let field = nearest(name, fields.fields.iter().map(|field| field.name.as_str()))?;
                Some(format!("{object}.{}", selector(field)))
            })
        });
        if let Some(word) = hints::foreign_word(name) {
            self.hint(word.to_owned());
        } else if let Some(near) = near {
            self.hint(format!("did you mean `{near}`?"));
        }
        failed
    }

    /// `operand.field`, in one of the ways to select it.
    pub(super) fn select(&mut self, range: Range, operand: &Node<'_>, field: &str, access: Access) -> Checked {
        let operand = self.node(operand);
        let operand_type = self.variables.resolve(&operand.value_type, false);
        let (inner, is_optional) = match &operand_type {
            Type::Optional(inner) => (inner.as_ref().clone(), true),
            _ => (operand_type.clone(), false),
        };
        let (field_type, position, size) = match &inner {
            Type::Object(object) => match object.position(field) {
                Some(position) => {
                    let declared = object.fields.get(position);
                    let size = declared.map(|declared| declared.size.clone());
                    let field_type = declared.map_or(Type::Dyn, |declared| declared.value_type.clone());
                    (field_type, Some(position), size.unwrap_or_default())
                }
                None => return self.undefined_field(&operand, object, field, range),
            },
            Type::Map(_, value) => (value.as_ref().clone(), None, Size::default()),
            Type::Dyn => (Type::Dyn, None, Size::default()),
            Type::Variable(_) => {
                self.variables.assign(&inner, &Type::Dyn);
                (Type::Dyn, None, Size::default())
            }
            other => {
                let message = format!("`{}` is `{}` and has no fields", self.text(operand.range), self.shown(other));
                if self.env.is_checked() {
                    let failed = self.fail(range, "no_such_field", message);
                    if let Some(hint) = hints::field_of_value(&self.text(operand.range), field) {
                        self.hint(hint);
                    }
                    return failed;
                }
                (Type::Dyn, None, Size::default())
            }
        };
        let value_type = match access {
            Access::Test => Type::Bool,
            Access::Optional => Type::optional(field_type),
            Access::Plain if is_optional => Type::optional(field_type),
            Access::Plain => field_type,
        };
        let kind = match (&operand.kind, position.and_then(|position| u32::try_from(position).ok())) {
            (CheckedKind::Object(_, first), Some(position)) => {
                let slot = Slot(first.0 + position);
                match access {
                    Access::Plain => CheckedKind::Slot(slot, size),
                    Access::Optional => CheckedKind::OptionalSlot(slot, size),
                    Access::Test => CheckedKind::HasSlot(slot),
                }
            }
            _ => {
                let position = if is_optional { None } else { position };
                CheckedKind::Select { operand: Box::new(operand), field: field.into(), position, mode: access }
            }
        };
        checked(kind, value_type, range)
    }

    /// `operand[index]` or `operand[?index]`.
    pub(super) fn index(&mut self, range: Range, operand: &Node<'_>, index: &Node<'_>, optional: bool) -> Checked {
        let (operand, index) = (self.node(operand), self.node(index));
        let name = if optional { "_[?_]" } else { "_[_]" };
        let Some(function) = crate::cel::library::find(name) else { return operand };
        if let (Type::Object(object), CheckedKind::Constant(Value::String(key)), true) =
            (&operand.value_type, &index.kind, self.env.is_checked())
        {
            let text = self.text(operand.range);
            let failed = self.fail(
                range,
                "no_such_overload",
                format!("`{text}` is an object: select a field by its name, without `[…]`"),
            );
            let names = object.fields.iter().map(|field| field.name.as_str());
            self.hint(hints::field_in_brackets(&text, key, names));
            return failed;
        }
        let mut resolved = self.resolve(range, function, false, vec![operand, index], range);
        if let CheckedKind::Call { arguments, .. } = &mut resolved.kind
            && let (Some(index), Some(operand)) = (arguments.pop(), arguments.pop())
        {
            resolved.kind = CheckedKind::Index { operand: Box::new(operand), index: Box::new(index), optional };
        }
        resolved
    }

    fn undefined_field(
        &mut self,
        operand: &Checked,
        object: &crate::cel::types::ObjectType,
        field: &str,
        range: Range,
    ) -> Checked {
        let operand_text = self.text(operand.range);
        let failed = self.fail(range, "no_such_field", format!("`{operand_text}` has no field `{field}`"));
        match nearest(field, object.fields.iter().map(|field| field.name.as_str())) {
            Some(near) => self.hint(format!("did you mean `{operand_text}.{}`?", selector(near))),
            None if object.fields.is_empty() => self.hint(format!("it has no fields: `{}` is empty", object.name)),
            None => {
                let names: Vec<_> = object.fields.iter().take(8).map(|field| format!("`{}`", field.name)).collect();
                self.hint(format!("its fields are {}", names.join(", ")));
            }
        }
        failed
    }
}

/// The type that a name stands for as a value.
fn named_type(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null_type" => Type::Null,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "type" => Type::Type(Arc::new(Type::Dyn)),
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "net.IP" | "net.CIDR" | "url" | "quantity" | "semver" => Type::named(name),
        _ => return None,
    })
}
