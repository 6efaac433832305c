//! What a schema's facts are read by, and where their values go: for each field its bounds, its type in CEL, and for
//! those of the outermost objects the slot that expressions read.

use std::sync::Arc;

use super::marks::{Marks, Order};
use crate::{
    cel::{Allowed, Env, ObjectField, ObjectType, Size, Slot, Type, Value, Word},
    domain::{Bounds, Field, FieldType, SchemaDefinition},
    ruleset::index::Domains,
};

/// How expressions name the time of the decision.
const NOW: &str = "now";

/// The layout of a schema's facts.
#[derive(Debug)]
pub(in crate::ruleset) struct Layout {
    /// The objects, as what one object around them all would hold.
    pub(super) objects: Shape,
    /// For each object, the slots of its fields.
    pub(super) slots: Vec<Vec<Slot>>,
    variables: Vec<(String, Type)>,
    /// The slot of the time of the decision.
    now: Option<Slot>,
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
        let all = with_now(&variables);
        let env = Env::new(all.clone());
        let slots = |object: &crate::domain::ObjectDefinition| {
            object.fields.iter().filter_map(|field| env.slot(&format!("{}.{}", object.name, field.name))).collect()
        };
        Self {
            slots: definition.objects().iter().map(slots).collect(),
            now: env.slot(NOW),
            domains: Domains::of_variables(&all),
            objects: Shape::of("", objects, Vec::new()),
            variables,
        }
    }

    /// The fields of the only object; `None` if there are several.
    pub(super) fn only(&self) -> Option<&Shape> {
        match self.objects.nodes.as_slice() {
            [Node { inner: Inner::Object(shape), .. }] => Some(shape),
            _ => None,
        }
    }

    /// Whether facts are below `key`, if that is their only key and its value an object; otherwise they are flat. So it is
    /// if the key is the name of the only object, and no field has that name. With several objects facts are never flat.
    pub(super) fn is_wrapped_by(&self, key: &str) -> bool {
        self.only().is_none_or(|shape| {
            shape.find(key).is_none() && self.objects.nodes.first().is_some_and(|object| object.field.name == key)
        })
    }

    /// What an index knows of the slots.
    pub fn domains(&self) -> &Domains {
        &self.domains
    }

    /// The objects as variables of CEL.
    pub fn variables(&self) -> &[(String, Type)] {
        &self.variables
    }

    /// All that expressions may name beside derived fields: the objects, and the time of the decision. Further variables
    /// go behind them, so that these slots do not move.
    pub fn variables_and_now(&self) -> Vec<(String, Type)> {
        with_now(&self.variables)
    }

    /// The slot of the time of the decision; `None` if an object of the schema has its name.
    pub fn now(&self) -> Option<Slot> {
        self.now
    }
}

/// The objects, and behind them the time of the decision, unless one of them has its name.
fn with_now(objects: &[(String, Type)]) -> Vec<(String, Type)> {
    let mut variables = objects.to_vec();
    if objects.iter().all(|(name, _)| name != NOW) {
        variables.push((NOW.to_owned(), Type::Timestamp));
    }
    variables
}

fn shape(path: &str, fields: &[Field]) -> Shape {
    let (nodes, fields) = fields.iter().map(|field| node(&format!("{path}.{}", field.name), field)).unzip();
    Shape::of(path, nodes, fields)
}

/// A field at `path`, and how CEL sees it.
fn node(path: &str, field: &Field) -> (Node, ObjectField) {
    let plain = |value_type, size| (Inner::Plain, value_type, size);
    let mut is_sensitive = field.sensitive;
    let mut allowed = Allowed::only(field.bounds.allowed.iter().filter_map(|value| word(field, value)));
    let (inner, value_type, size) = match &field.field_type {
        FieldType::Int => plain(Type::Int, Size::scalar()),
        FieldType::Uint => plain(Type::Uint, Size::scalar()),
        FieldType::Double => plain(Type::Double, Size::scalar()),
        FieldType::String => plain(Type::String, Size::text(field.length_max())),
        FieldType::Bool => plain(Type::Bool, Size::scalar()),
        FieldType::Bytes => plain(Type::Bytes, Size::bytes(field.length_max())),
        FieldType::Timestamp => plain(Type::Timestamp, Size::scalar()),
        FieldType::Duration => plain(Type::Duration, Size::scalar()),
        FieldType::Dyn => {
            let Bounds { max_length, max_items, max_depth, .. } = field.bounds;
            plain(Type::Dyn, Size::dynamic(max_length, max_items, max_depth))
        }
        FieldType::List(items) => {
            let (node, seen) = node(path, items);
            is_sensitive |= seen.is_sensitive;
            allowed = Allowed::holding(seen.allowed);
            (Inner::Items(Box::new(node)), Type::list(seen.value_type), Size::list(field.items_max(), seen.size))
        }
        FieldType::Map(values) => {
            let (node, seen) = node(path, values);
            is_sensitive |= seen.is_sensitive;
            allowed = Allowed::holding(seen.allowed);
            // Nothing bounds a key: it is taken for a text of which the schema says nothing.
            let size = Size::map(field.items_max(), Size::of_type(&Type::String), seen.size);
            (Inner::Values(Box::new(node)), Type::map(Type::String, seen.value_type), size)
        }
        FieldType::Object(fields) => {
            let shape = shape(path, fields);
            let object_type = Type::Object(Arc::clone(&shape.object_type));
            let size = Size::of_type(&object_type);
            (Inner::Object(shape), object_type, size)
        }
    };
    let seen = ObjectField { name: field.name.clone(), value_type, size, allowed, is_sensitive };
    (Node { field: field.clone(), inner }, seen)
}

/// A value of a field's enumeration, as expressions compare it.
fn word(field: &Field, value: &serde_json::Value) -> Option<Word> {
    match &field.field_type {
        FieldType::Int => value.as_i64().map(Word::Int),
        FieldType::Uint => value.as_u64().map(Word::Uint),
        FieldType::Double => Word::of(&Value::Double(value.as_f64()?)),
        FieldType::Bool => value.as_bool().map(Word::Bool),
        FieldType::String => value.as_str().map(|text| Word::Text(text.into())),
        _ => None,
    }
}
