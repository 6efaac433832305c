//! The cost that an expression can have at worst, from the bounds that the schema gives.
//!
//! Never less than what an evaluation takes whose values keep to those bounds. Where a schema is silent the defaults of
//! `config/limits.rs` stand in.

use super::{
    check::{Bounds, Checked, CheckedKind, Loop, LoopKind},
    cost,
    parse::Range,
    types::{ObjectType, Type},
    value::Value,
};
use crate::config::limits::{EVALUATION_MEMORY_BYTES_MAX, LIST_ITEMS_DEFAULT_MAX, STRING_CHARS_DEFAULT_MAX};

/// Bytes of a character at most.
const CHARACTER_BYTES: u64 = 4;
/// Bytes of a value inside of a list.
const ITEM_BYTES: u64 = size_of::<Value>() as u64;
/// How deep the bounds of nested types are looked into.
const DEPTH_MAX: usize = 8;

/// What an expression costs at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Estimate {
    /// Units of cost.
    pub(super) units: u64,
    /// The loop or call that most of them go into.
    pub(super) costliest: Range,
}

/// The largest a value can be.
#[derive(Debug, Clone, Default)]
struct Size {
    /// Bytes of a text, or elements.
    length: u64,
    /// An element, if it has elements.
    item: Option<Box<Size>>,
}

impl Size {
    fn text(bytes: u64) -> Self {
        Self { length: bytes.min(EVALUATION_MEMORY_BYTES_MAX), item: None }
    }

    fn list(length: u64, item: Self) -> Self {
        Self { length: length.min(EVALUATION_MEMORY_BYTES_MAX / ITEM_BYTES), item: Some(Box::new(item)) }
    }

    fn item(&self) -> Self {
        self.item.as_deref().cloned().unwrap_or_default()
    }

    /// What comparing it with something of its size costs.
    fn weight(&self) -> u64 {
        match &self.item {
            Some(item) => 1_u64.saturating_add(self.length.saturating_mul(item.weight().saturating_add(1))),
            None => 1 + cost::of_bytes(self.length),
        }
    }

    fn larger(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    fn of_value(value: &Value, depth: usize) -> Self {
        let largest = |items: &mut dyn Iterator<Item = &Value>| {
            items.map(|item| Self::of_value(item, depth + 1)).fold(Self::default(), Self::larger)
        };
        match value {
            Value::String(text) => Self::text(text.len() as u64),
            Value::Bytes(bytes) => Self::text(bytes.len() as u64),
            Value::List(items) if depth < DEPTH_MAX => Self::list(items.len() as u64, largest(&mut items.iter())),
            Value::Map(map) if depth < DEPTH_MAX => {
                Self::list(map.len() as u64, largest(&mut map.iter().flat_map(|(key, value)| [key, value])))
            }
            _ => Self::default(),
        }
    }

    fn of_type(value_type: &Type, bounds: Bounds, depth: usize) -> Self {
        if depth >= DEPTH_MAX {
            return Self::default();
        }
        let chars = bounds.max_length.unwrap_or(STRING_CHARS_DEFAULT_MAX);
        let items = bounds.max_items.unwrap_or(LIST_ITEMS_DEFAULT_MAX);
        // The bounds of a list's elements are not known here: those of the list's own texts stand for them.
        let inner = Bounds { max_length: bounds.max_length, max_items: None };
        match value_type {
            Type::String => Self::text(chars.saturating_mul(CHARACTER_BYTES)),
            Type::Bytes => Self::text(chars),
            Type::List(element) => Self::list(items, Self::of_type(element, inner, depth + 1)),
            Type::Map(key, value) => {
                let key = Self::of_type(key, inner, depth + 1);
                Self::list(items, key.larger(Self::of_type(value, inner, depth + 1)))
            }
            Type::Object(object) => Self::of_object(object, depth),
            Type::Optional(inner_type) => Self::of_type(inner_type, bounds, depth + 1),
            Type::Dyn => Self::list(items, Self::text(STRING_CHARS_DEFAULT_MAX.saturating_mul(CHARACTER_BYTES))),
            _ => Self::default(),
        }
    }

    fn of_object(object: &ObjectType, depth: usize) -> Self {
        let fields = object.fields.iter().map(|field| {
            let bounds = Bounds { max_length: field.max_length, max_items: field.max_items };
            Self::of_type(&field.value_type, bounds, depth + 1)
        });
        Self::list(object.fields.len() as u64, fields.fold(Self::default(), Self::larger))
    }
}

/// Estimates a checked expression with so many locals.
pub(super) fn estimate(node: &Checked, locals: usize) -> Estimate {
    let mut estimator = Estimator { locals: vec![Size::default(); locals], costliest: (0, node.range) };
    let (units, _) = estimator.node(node);
    Estimate { units, costliest: estimator.costliest.1 }
}

struct Estimator {
    locals: Vec<Size>,
    costliest: (u64, Range),
}

impl Estimator {
    fn bind(&mut self, local: u32, size: Size) {
        if let Some(place) = self.locals.get_mut(local as usize) {
            *place = size;
        }
    }

    fn note(&mut self, units: u64, range: Range) {
        if units > self.costliest.0 {
            self.costliest = (units, range);
        }
    }

    fn node(&mut self, node: &Checked) -> (u64, Size) {
        let (units, size) = self.parts(node);
        let units = units.saturating_add(1);
        if matches!(node.kind, CheckedKind::Loop(_) | CheckedKind::Call { .. }) {
            self.note(units, node.range);
        }
        (units, size)
    }

    fn parts(&mut self, node: &Checked) -> (u64, Size) {
        let declared = |bounds| Size::of_type(&node.value_type, bounds, 0);
        match &node.kind {
            CheckedKind::Constant(value) => (0, Size::of_value(value, 0)),
            CheckedKind::Slot(_, bounds) => (0, declared(*bounds)),
            CheckedKind::Object(object, _) => (object.fields.len() as u64 * 2, Size::of_object(object, 0)),
            CheckedKind::Local(local) => (0, self.locals.get(*local as usize).cloned().unwrap_or_default()),
            CheckedKind::HasSlot(_) | CheckedKind::Fail(..) => (0, Size::default()),
            CheckedKind::OptionalSlot(_) => (0, declared(Bounds::default())),
            CheckedKind::Select { operand, field, .. } => {
                let (units, _) = self.node(operand);
                let bounds = match &operand.value_type {
                    Type::Object(object) => object
                        .field(field)
                        .map(|field| Bounds { max_length: field.max_length, max_items: field.max_items }),
                    _ => None,
                };
                (units, declared(bounds.unwrap_or_default()))
            }
            CheckedKind::Index { operand, index, .. } => {
                let (units, size) = self.node(operand);
                (units.saturating_add(self.node(index).0), size.item())
            }
            CheckedKind::Call { function, arguments } => self.call(function.name, arguments),
            CheckedKind::And(terms) | CheckedKind::Or(terms) => {
                (terms.iter().fold(0, |units: u64, term| units.saturating_add(self.node(term).0)), Size::default())
            }
            CheckedKind::Conditional(parts) => {
                let [condition, accepted, refused] = parts.each_ref().map(|part| self.node(part));
                // All three: a block is paid for as a whole.
                (condition.0.saturating_add(accepted.0).saturating_add(refused.0), accepted.1.larger(refused.1))
            }
            CheckedKind::List(elements) => self.collection(elements.iter().map(|(element, _)| element)),
            CheckedKind::Map(entries) => self.collection(entries.iter().flat_map(|(key, value, _)| [key, value])),
            CheckedKind::Loop(parts) => self.repeat(parts),
            CheckedKind::Bind { bindings, body } => {
                let mut units = 0_u64;
                for (local, value) in bindings {
                    let (value_units, size) = self.node(value);
                    units = units.saturating_add(value_units);
                    self.bind(*local, size);
                }
                let (body_units, size) = self.node(body);
                (units.saturating_add(body_units), size)
            }
            CheckedKind::MapOptional { operand, local, body, .. } => {
                let (units, size) = self.node(operand);
                self.bind(*local, size);
                let (body_units, size) = self.node(body);
                (units.saturating_add(body_units), size)
            }
        }
    }

    fn collection<'a>(&mut self, nodes: impl Iterator<Item = &'a Checked>) -> (u64, Size) {
        let (mut units, mut length, mut largest) = (0_u64, 0, Size::default());
        for node in nodes {
            let (node_units, size) = self.node(node);
            units = units.saturating_add(node_units).saturating_add(6);
            length += 1;
            largest = largest.larger(size);
        }
        (units, Size::list(length, largest))
    }

    fn repeat(&mut self, parts: &Loop) -> (u64, Size) {
        let (range_units, range) = self.node(&parts.range);
        // Over a `dyn` that is no list the loop ends at once; over one it has the default length.
        let turns = range.length;
        self.bind(parts.first, range.item());
        if let Some(second) = parts.second {
            self.bind(second, range.item());
        }
        let mut turn = 1_u64;
        if let Some(predicate) = &parts.predicate {
            turn = turn.saturating_add(self.node(predicate).0);
        }
        let item = match &parts.transform {
            Some(transform) => {
                let (units, size) = self.node(transform);
                turn = turn.saturating_add(units);
                size
            }
            None => range.item(),
        };
        let made = match parts.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => 0,
            LoopKind::List => 3,
            LoopKind::Map => 6,
            LoopKind::MapEntry => item.length.saturating_mul(6),
        };
        let units = range_units.saturating_add(turns.saturating_mul(turn.saturating_add(made)));
        (units, if made == 0 { Size::default() } else { Size::list(turns, item) })
    }

    fn call(&mut self, name: &str, arguments: &[Checked]) -> (u64, Size) {
        let mut units = 0_u64;
        let mut sizes = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let (argument_units, size) = self.node(argument);
            units = units.saturating_add(argument_units);
            sizes.push(size);
        }
        let case = Case { name, arguments, sizes };
        let (work, result) = case.of_operator().or_else(|| case.of_text()).unwrap_or_else(|| case.of_list());
        (units.saturating_add(work), result)
    }
}

/// A call whose arguments are this large: what its work costs, and how large its result is.
struct Case<'a> {
    name: &'a str,
    arguments: &'a [Checked],
    sizes: Vec<Size>,
}

impl Case<'_> {
    fn size(&self, index: usize) -> Size {
        self.sizes.get(index).cloned().unwrap_or_default()
    }

    fn constant(&self, index: usize) -> Option<&Value> {
        match self.arguments.get(index).map(|argument| &argument.kind) {
            Some(CheckedKind::Constant(value)) => Some(value),
            _ => None,
        }
    }

    /// Bytes and elements of all arguments.
    fn total(&self) -> u64 {
        self.sizes.iter().fold(0, |total, size| total.saturating_add(size.length))
    }

    fn of_operator(&self) -> Option<(u64, Size)> {
        let (first, second) = (self.size(0), self.size(1));
        Some(match self.name {
            "_==_" | "_!=_" => (first.weight().min(second.weight()), Size::default()),
            "_<_" | "_<=_" | "_>_" | "_>=_" => (cost::of_bytes(first.length.min(second.length)), Size::default()),
            "@in" => {
                let each = first.weight().min(second.item().weight());
                (second.length.saturating_mul(each.saturating_add(1)), Size::default())
            }
            "_+_" if first.item.is_some() => {
                let total = self.total();
                (total.saturating_mul(2), Size::list(total, first.item().larger(second.item())))
            }
            "_+_" => (cost::of_bytes(self.total()), Size::text(self.total())),
            "optional.none" | "hasValue" => (0, Size::default()),
            "or" | "orValue" => (0, first.larger(second)),
            "value" | "optional.of" | "optional.ofNonZeroValue" | "dyn" => (0, first),
            _ => return None,
        })
    }

    fn of_text(&self) -> Option<(u64, Size)> {
        let (first, second) = (self.size(0), self.size(1));
        // What replacing every character, and the end, gives.
        let replaced = || first.length.saturating_add(1).saturating_mul(self.size(2).length.saturating_add(1));
        let pattern = if self.constant(1).is_some() && self.name == "matches" {
            0
        } else {
            second.length.saturating_mul(cost::PATTERN_BYTE_UNITS).saturating_add(cost::PATTERN_UNITS)
        };
        Some(match self.name {
            "matches" => (pattern.saturating_add(cost::of_bytes(first.length)), Size::default()),
            "regex.extract" => (pattern.saturating_add(cost::of_bytes(first.length)), Size::text(first.length)),
            "regex.extractAll" => {
                let each = first.length.saturating_add(1).saturating_mul(4);
                (pattern.saturating_add(each), Size::list(first.length + 1, Size::text(first.length)))
            }
            "regex.replace" => {
                (pattern.saturating_add(cost::of_bytes(replaced()).saturating_mul(4)), Size::text(replaced()))
            }
            "replace" => (cost::of_bytes(replaced().saturating_add(first.length)), Size::text(replaced())),
            "join" => {
                let each = first.item().length.saturating_add(second.length).saturating_add(1);
                let length = first.length.saturating_mul(each);
                (cost::of_bytes(length).saturating_add(first.length), Size::text(length))
            }
            "format" => {
                let length = first.length.saturating_add(second.weight().saturating_mul(32));
                (length, Size::text(length))
            }
            "split" => (first.length.saturating_mul(4), Size::list(first.length + 1, Size::text(first.length))),
            "base64.encode" => (cost::of_bytes(first.length), Size::text(first.length.saturating_mul(2))),
            _ => return None,
        })
    }

    fn of_list(&self) -> (u64, Size) {
        let (first, second) = (self.size(0), self.size(1));
        match self.name {
            "lists.range" => {
                let count = match self.constant(0) {
                    Some(Value::Int(count)) => u64::try_from(*count).unwrap_or(0),
                    _ => EVALUATION_MEMORY_BYTES_MAX / ITEM_BYTES,
                };
                (count.saturating_mul(2), Size::list(count, Size::default()))
            }
            "distinct" => {
                let each = first.item().weight();
                (first.length.saturating_mul(first.length).saturating_mul(each.saturating_add(1)), first)
            }
            "sets.contains" | "sets.equivalent" | "sets.intersects" => {
                let each = first.item().weight().min(second.item().weight());
                (first.length.saturating_mul(second.length).saturating_mul(each).saturating_mul(2), Size::default())
            }
            "sort" | "@sortByKeys" => {
                let each = if self.name == "sort" { first.item().weight() } else { second.item().weight() };
                (first.length.saturating_mul(20).saturating_mul(each.saturating_add(1)), first)
            }
            "flatten" => (first.weight().saturating_mul(2), Size::list(first.weight(), first.item().item())),
            _ if first.item.is_some() => (first.length.saturating_mul(2), first),
            _ => {
                let total = self.total();
                (cost::of_bytes(total).saturating_mul(2).saturating_add(4), Size::text(total.saturating_add(64)))
            }
        }
    }
}
