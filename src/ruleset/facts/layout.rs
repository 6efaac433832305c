//! What a schema's facts are read by, and where their values go: for each field its bounds, its type in CEL, and for
//! those of the outermost objects the slot that expressions read.

use std::sync::Arc;

use super::marks::{Marks, Order};
use crate::{
    cel::{Env, ObjectField, ObjectType, Slot, Type},
    domain::{Field, FieldType, SchemaDefinition},
    ruleset::index::Domains,
};

/// The layout of a schema's facts.
#[derive(Debug)]
pub(in crate::ruleset) struct Layout {
    /// The objects, as what one object around them all would hold.
    pub(super) objects: Shape,
    /// For each object, the slots of its fields.
    pub(super) slots: Vec<Vec<Slot>>,
    variables: Vec<(String, Type)>,
    domains: Domains,
}

/// A field, and what it holds.
#[derive(Debug)]
pub(super) struct Node {
    /// The field.
    pub field: Field,
    /// What it holds.
    pub inner: Inner,
}

/// What a field holds.
#[derive(Debug)]
pub(super) enum Inner {
    /// Nothing that has fields: a scalar, or anything at all.
    Plain,
    /// The elements of a list.
    Items(Box<Node>),
    /// The values of a map.
    Values(Box<Node>),
    /// Fields.
    Object(Shape),
}

/// An object's fields, sorted by name, and its type.
#[derive(Debug)]
pub(super) struct Shape {
    /// The fields.
    pub nodes: Vec<Node>,
    /// Those that must be there.
    pub required: Marks,
    /// The order in which callers name them.
    pub order: Order,
    /// The type, with its fields in the same order.
    pub object_type: Arc<ObjectType>,
}

impl Shape {
    fn of(path: &str, nodes: Vec<Node>, fields: Vec<ObjectField>) -> Self {
        let required = |(position, node): (usize, &Node)| node.field.required.then_some(position);
        Self {
            required: nodes.iter().enumerate().filter_map(required).collect(),
            order: Order::of(nodes.len()),
            object_type: Arc::new(ObjectType { name: path.to_owned(), fields }),
            nodes,
        }
    }

    /// The field called `name`, and where it stands.
    pub fn find(&self, name: &str) -> Option<(usize, &Node)> {
        let position = self.nodes.binary_search_by(|node| node.field.name.as_str().cmp(name)).ok()?;
        Some((position, self.nodes.get(position)?))
    }
}

impl Layout {
    /// The layout of a schema.
    pub fn of(definition: &SchemaDefinition) -> Self {
        let (mut objects, mut variables) = (Vec::new(), Vec::new());
        for object in definition.objects() {
            let shape = shape(&object.name, &object.fields);
            variables.push((object.name.clone(), Type::Object(Arc::clone(&shape.object_type))));
            let field = Field {
                // Facts without the object lack the fields that it must have.
                required: object.fields.iter().any(|field| field.required),
                ..Field::plain(object.name.clone(), FieldType::Object(object.fields.clone()))
            };
            objects.push(Node { field, inner: Inner::Object(shape) });
        }
        let env = Env::new(variables.clone());
        let slots = |object: &crate::domain::ObjectDefinition| {
            object.fields.iter().filter_map(|field| env.slot(&format!("{}.{}", object.name, field.name))).collect()
        };
        Self {
            slots: definition.objects().iter().map(slots).collect(),
            domains: Domains::of_variables(&variables),
            objects: Shape::of("", objects, Vec::new()),
            variables,
        }
    }

    /// What an index knows of the slots.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The objects as variables of CEL. Whoever adds others puts them behind, so that the slots stay what they are.
    pub fn variables(&self) -> &[(String, Type)] {
        &self.variables
    }
}

fn shape(path: &str, fields: &[Field]) -> Shape {
    let (nodes, fields) = fields.iter().map(|field| node(&format!("{path}.{}", field.name), field)).unzip();
    Shape::of(path, nodes, fields)
}

/// A field at `path`, and how CEL sees it.
fn node(path: &str, field: &Field) -> (Node, ObjectField) {
    let (inner, value_type, inner_length) = match &field.field_type {
        FieldType::Int => (Inner::Plain, Type::Int, None),
        FieldType::Uint => (Inner::Plain, Type::Uint, None),
        FieldType::Double => (Inner::Plain, Type::Double, None),
        FieldType::String => (Inner::Plain, Type::String, Some(field.length_max())),
        FieldType::Bool => (Inner::Plain, Type::Bool, None),
        FieldType::Bytes => (Inner::Plain, Type::Bytes, Some(field.length_max())),
        FieldType::Timestamp => (Inner::Plain, Type::Timestamp, None),
        FieldType::Duration => (Inner::Plain, Type::Duration, None),
        FieldType::Dyn => (Inner::Plain, Type::Dyn, None),
        FieldType::List(items) => {
            let (node, seen) = node(path, items);
            (Inner::Items(Box::new(node)), Type::list(seen.value_type), seen.max_length)
        }
        FieldType::Map(values) => {
            let (node, seen) = node(path, values);
            (Inner::Values(Box::new(node)), Type::map(Type::String, seen.value_type), seen.max_length)
        }
        FieldType::Object(fields) => {
            let shape = shape(path, fields);
            let object_type = Type::Object(Arc::clone(&shape.object_type));
            (Inner::Object(shape), object_type, None)
        }
    };
    let holds_many = matches!(field.field_type, FieldType::List(_) | FieldType::Map(_));
    let seen = ObjectField {
        name: field.name.clone(),
        value_type,
        max_length: inner_length,
        max_items: holds_many.then(|| field.items_max()),
    };
    (Node { field: field.clone(), inner }, seen)
}
