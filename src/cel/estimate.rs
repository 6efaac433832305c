//! The cost that an expression can have at worst, from the bounds that the schema gives.
//!
//! Never less than what an evaluation takes whose values keep to those bounds; where a schema is silent the defaults of
//! `config/limits.rs` stand in. A value of type `dyn` of which a schema does not say all is open: it is taken for a list of
//! texts, and for the least there is where what matters is the cost of all else.

mod call;

use std::collections::BTreeSet;

use super::{
    check::{Checked, CheckedKind, Loop, LoopKind},
    env::Env,
    parse::Range,
    size::{Size, of_items},
    types::Type,
};

/// The part of what an expression may cost from which on its estimate is looked at more closely.
const MUCH: u64 = 100;

/// The bound that says all of what is open.
const OPEN: &str = "";

/// What an expression costs at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Estimate {
    /// Units of cost.
    pub(super) units: u64,
    /// Units of cost where facts are as large as a request of the usual size holds, and all that is open is as small as it
    /// can be: the same as the units where these are few.
    pub(super) closed_units: u64,
    /// The loop or call that most of them go into.
    pub(super) costliest: Range,
}

/// A bound of the schema, of which another value is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// The field: `facts.items.name`.
    pub path: String,
    /// What is said of it: `maxItems`.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// Which facts are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The largest that the bounds allow.
    Largest,
    /// As large as a request of the usual size holds; what is open is as small as it can be.
    Usual,
}

/// Estimates a checked expression with so many locals; the second answer is the size of its value. Where it costs much of
/// what it may cost, that is looked at more closely.
pub(super) fn estimate(node: &Checked, locals: usize, cost_max: u64) -> (Estimate, Size) {
    let mut estimator = Estimator::new(node, locals, None);
    let (units, size) = estimator.node(node);
    let is_much = units > cost_max / MUCH;
    let closed_units = if is_much { units_of(node, locals, Expected::Usual, None) } else { units };
    (Estimate { units, closed_units, costliest: estimator.costliest.1 }, size)
}

fn units_of(node: &Checked, locals: usize, expected: Expected, trial: Option<Trial<'_>>) -> u64 {
    Estimator { expected, ..Estimator::new(node, locals, trial) }.node(node).0
}

/// The fields of the schema that are open, of those that the cost depends on, the most telling first.
pub(super) fn open_fields(env: &Env, node: &Checked, locals: usize) -> Vec<String> {
    let mut paths = BTreeSet::new();
    collect_open(env, node, &mut paths);
    let units = units_of(node, locals, Expected::Largest, None);
    let tried = |path: String| {
        let bound = Bound { path, name: OPEN, value: 0 };
        let reduced = units_of(node, locals, Expected::Largest, Some(Trial { env, bound: &bound }));
        (reduced < units).then_some((reduced, bound.path))
    };
    let mut telling: Vec<_> = paths.into_iter().filter_map(tried).collect();
    telling.sort();
    telling.into_iter().map(|(_, path)| path).collect()
}

fn collect_open(env: &Env, node: &Checked, paths: &mut BTreeSet<String>) {
    paths.extend(declared(env, node).filter(|(_, size)| size.is_open()).map(|(path, _)| path));
    node.children(&mut |child| collect_open(env, child, paths));
}

/// The bounds of the schema that the cost depends on most, the most telling first.
pub(super) fn telling_bounds(env: &Env, node: &Checked, locals: usize, expected: Expected) -> Vec<Bound> {
    let mut bounds = Vec::new();
    collect_bounds(env, node, &mut bounds);
    bounds.sort();
    bounds.dedup();
    let units = units_of(node, locals, expected, None);
    let tried = |bound: Bound| {
        let reduced = units_of(node, locals, expected, Some(Trial { env, bound: &bound }));
        // Less than a third less is no help.
        (reduced < units / 3 * 2).then_some((reduced, bound))
    };
    let mut telling: Vec<_> = bounds.into_iter().filter_map(tried).collect();
    telling.sort();
    telling.into_iter().map(|(_, bound)| bound).collect()
}

fn collect_bounds(env: &Env, node: &Checked, bounds: &mut Vec<Bound>) {
    if let Some((path, size)) = declared(env, node) {
        let text = [&size, &size.item()].into_iter().find(|size| size.bytes > 0).map(|size| size.bytes);
        let is_bytes = matches!(&node.value_type, Type::Bytes);
        if size.has_items() {
            bounds.push(Bound { path: path.clone(), name: "maxItems", value: size.count });
        }
        if let Some(bytes) = text {
            bounds.push(Bound { path, name: "maxLength", value: if is_bytes { bytes } else { bytes / 4 } });
        }
    }
    node.children(&mut |child| collect_bounds(env, child, bounds));
}

/// The path of a field of the schema that `node` reads, and its size. Where it may be one of several fields, their paths are
/// put together as a message quotes them.
fn declared(env: &Env, node: &Checked) -> Option<(String, Size)> {
    match &node.kind {
        CheckedKind::Slot(slot, size) => Some((env.path(*slot, false)?, size.clone())),
        CheckedKind::Select { operand, field, position: Some(_), .. } => match &operand.value_type {
            Type::Object(object) => {
                let paths: Vec<_> = object.places().map(|place| format!("{place}.{field}")).collect();
                Some((paths.join("` and `"), object.field(field).map(|field| field.size.clone())?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Another value for a bound.
#[derive(Clone, Copy)]
struct Trial<'a> {
    env: &'a Env,
    bound: &'a Bound,
}

impl Trial<'_> {
    fn size(self, node: &Checked, size: Size) -> Size {
        if declared(self.env, node).is_none_or(|(path, _)| path != self.bound.path) {
            return size;
        }
        match (self.bound.name, size.has_items()) {
            (OPEN, _) => size.usual(),
            ("maxItems", _) => Size::map(1, size.key(), size.item()),
            (_, true) => Size::list(size.count, Size::bytes(16)),
            (_, false) => Size::bytes(16),
        }
    }
}

struct Estimator<'a> {
    locals: Vec<Size>,
    costliest: (u64, Range),
    trial: Option<Trial<'a>>,
    expected: Expected,
}

impl<'a> Estimator<'a> {
    fn new(node: &Checked, locals: usize, trial: Option<Trial<'a>>) -> Self {
        let locals = vec![Size::scalar(); locals];
        Self { locals, costliest: (0, node.range), trial, expected: Expected::Largest }
    }

    fn bind(&mut self, local: u32, size: Size) {
        if let Some(place) = self.locals.get_mut(local as usize) {
            *place = size;
        }
    }

    /// Notes what a loop or a call takes beside its arguments.
    fn note(&mut self, units: u64, range: Range) {
        if units > self.costliest.0 {
            self.costliest = (units, range);
        }
    }

    fn node(&mut self, node: &Checked) -> (u64, Size) {
        let (units, size) = self.parts(node);
        let size = match self.trial {
            Some(trial) => trial.size(node, size),
            None => size,
        };
        let size = match self.expected {
            Expected::Largest => size,
            Expected::Usual => size.usual(),
        };
        (units.saturating_add(1), size)
    }

    /// The cost of all of `nodes`, which run one after the other.
    fn sum<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Checked>) -> u64 {
        nodes.into_iter().fold(0, |units: u64, node| units.saturating_add(self.node(node).0))
    }

    fn parts(&mut self, node: &Checked) -> (u64, Size) {
        match &node.kind {
            CheckedKind::Constant(value) => (0, Size::of_value(value)),
            CheckedKind::Slot(_, size) => (0, size.clone()),
            CheckedKind::OptionalSlot(_, size) => (0, size.clone().optional()),
            CheckedKind::Object(object, _) => {
                (of_items(object.fields.len() as u64), Size::object(object.fields.iter().map(|field| &field.size)))
            }
            CheckedKind::Local(local) => (0, self.locals.get(*local as usize).cloned().unwrap_or_default()),
            CheckedKind::HasSlot(_) | CheckedKind::Fail(..) => (0, Size::scalar()),
            CheckedKind::Shared(_, inner) => self.parts(inner),
            CheckedKind::Select { operand, field, .. } => {
                let (units, size) = self.node(operand);
                (units, selected(&operand.value_type, &node.value_type, field, &size))
            }
            CheckedKind::Index { operand, index, .. } => {
                let (units, size) = self.node(operand);
                (units.saturating_add(self.node(index).0), of_access(&node.value_type, size.item()))
            }
            CheckedKind::Call { function, arguments } => self.call(function.name, arguments, node),
            CheckedKind::And(terms) | CheckedKind::Or(terms) => (self.sum(terms), Size::scalar()),
            CheckedKind::Conditional(parts) => {
                // All three: a block is paid for as a whole.
                let [condition, accepted, refused] = parts.each_ref().map(|part| self.node(part));
                (condition.0.saturating_add(accepted.0).saturating_add(refused.0), accepted.1.or(&refused.1))
            }
            CheckedKind::List(elements) => {
                let (units, item) = self.elements(elements.iter().map(|(element, _)| element));
                let count = elements.len() as u64;
                (units.saturating_add(of_items(count)), Size::list(count, item))
            }
            CheckedKind::Map(entries) => {
                let (key_units, key) = self.elements(entries.iter().map(|(key, ..)| key));
                let (units, item) = self.elements(entries.iter().map(|(_, value, _)| value));
                let count = entries.len() as u64;
                let units = units.saturating_add(key_units).saturating_add(of_items(count * 3));
                (units, Size::map(count, key, item))
            }
            CheckedKind::Loop(parts) => self.repeat(parts, node),
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
                (units.saturating_add(body_units), size.optional())
            }
        }
    }

    fn elements<'n>(&mut self, nodes: impl Iterator<Item = &'n Checked>) -> (u64, Size) {
        nodes.fold((0, Size::default()), |(units, largest), node| {
            let (node_units, size) = self.node(node);
            (units.saturating_add(node_units), largest.or(&size))
        })
    }

    fn repeat(&mut self, parts: &Loop, node: &Checked) -> (u64, Size) {
        let (range_units, range) = self.node(&parts.range);
        let (key, item) = match &parts.range.value_type {
            Type::List(_) => (Size::scalar(), range.item()),
            Type::Map(..) => (range.key(), range.item()),
            _ => (range.key(), range.item().or(&range.key())),
        };
        // A single variable is an element of a list, or a key of a map.
        let single = if matches!(&parts.range.value_type, Type::Map(..)) { key.clone() } else { item.clone() };
        match parts.second {
            None => self.bind(parts.first, single.clone()),
            Some(second) => {
                self.bind(parts.first, key.clone());
                self.bind(second, item.clone());
            }
        }
        let mut turn = 1_u64.saturating_add(self.sum(&parts.predicate));
        let mut made_of = single;
        if let Some(transform) = &parts.transform {
            let (units, size) = self.node(transform);
            turn = turn.saturating_add(units);
            made_of = size;
        }
        let turns = range.count;
        // An element twice: while the list grows, and as what it becomes. An entry four times.
        let (made, size) = match parts.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => (0, Size::scalar()),
            LoopKind::List => (of_items(2), Size::list(turns, made_of)),
            LoopKind::Map => (of_items(4), Size::map(turns, key, made_of)),
            LoopKind::MapEntry => {
                let count = turns.saturating_mul(made_of.count);
                (made_of.count.saturating_mul(of_items(4)), Size::map(count, made_of.key(), made_of.item()))
            }
        };
        let units = turns.saturating_mul(turn.saturating_add(made));
        self.note(units, node.range);
        (range_units.saturating_add(units), size.made())
    }

    fn call(&mut self, name: &str, arguments: &[Checked], node: &Checked) -> (u64, Size) {
        let mut units = 0_u64;
        let mut sizes = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let (argument_units, size) = self.node(argument);
            units = units.saturating_add(argument_units);
            sizes.push(size);
        }
        let (work, size) = call::Case { name, arguments, sizes }.estimate();
        self.note(work, node.range);
        let grows = !matches!(
            node.value_type,
            Type::Null
                | Type::Bool
                | Type::Int
                | Type::Uint
                | Type::Double
                | Type::Timestamp
                | Type::Duration
                | Type::Type(_)
        ) && !matches!(&node.value_type, Type::Abstract(name, _) if &**name != "url");
        (units.saturating_add(work), if grows { size } else { Size::scalar() })
    }
}

/// The size of a field.
fn selected(operand: &Type, selected: &Type, field: &str, size: &Size) -> Size {
    if *selected == Type::Bool && !matches!(operand, Type::Object(_)) {
        return Size::scalar();
    }
    let object = match operand {
        Type::Optional(inner) => inner,
        other => other,
    };
    let field_size = match object {
        Type::Object(object) => object.field(field).map(|field| field.size.clone()),
        _ => None,
    };
    let field_size = field_size.unwrap_or_else(|| size.item());
    of_access(selected, field_size)
}

/// The size of what was found, which may be an optional.
fn of_access(value_type: &Type, found: Size) -> Size {
    if matches!(value_type, Type::Optional(_) | Type::Dyn) { found.optional() } else { found }
}
