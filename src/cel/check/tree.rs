//! A checked expression: names are slots, macros are loops and bindings, every node has its type.

use std::sync::Arc;

use crate::cel::{
    activation::Slot,
    library::Function,
    parse::Range,
    size::Size,
    types::{ObjectType, Type},
    value::Value,
};

/// A checked sub-expression.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Checked {
    pub(in crate::cel) kind: CheckedKind,
    pub(in crate::cel) value_type: Type,
    pub(in crate::cel) range: Range,
}

#[derive(Debug, Clone)]
pub(in crate::cel) enum CheckedKind {
    Constant(Value),
    /// A variable, or a field of a variable that is an object.
    Slot(Slot, Size),
    /// A variable that is an object, as a whole.
    Object(Arc<ObjectType>, Slot),
    /// A variable of a loop or a binding.
    Local(u32),
    Select {
        operand: Box<Checked>,
        field: Arc<str>,
        /// Where the field stands, if the operand is known to be an object.
        position: Option<usize>,
        mode: Access,
    },
    /// Whether a slot is present.
    HasSlot(Slot),
    /// The optional value of a slot.
    OptionalSlot(Slot, Size),
    Index {
        operand: Box<Checked>,
        index: Box<Checked>,
        optional: bool,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Checked>,
    },
    And(Vec<Checked>),
    Or(Vec<Checked>),
    Conditional(Box<[Checked; 3]>),
    List(Vec<(Checked, bool)>),
    Map(Vec<(Checked, Checked, bool)>),
    Loop(Box<Loop>),
    /// Values for locals, computed when they are first read, and an expression over them.
    Bind {
        bindings: Vec<(u32, Checked)>,
        body: Box<Checked>,
    },
    /// `optMap` and `optFlatMap`.
    MapOptional {
        operand: Box<Checked>,
        local: u32,
        body: Box<Checked>,
        flat: bool,
    },
    /// A sub-expression that other expressions may have too, by its number: put around it by [`crate::cel::share`].
    Shared(u64, Box<Checked>),
    /// What the checker would have refused: an error when it is reached.
    Fail(&'static str, String),
}

/// How a field is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum Access {
    /// Its value, or an error.
    Plain,
    /// Its value as an optional.
    Optional,
    /// Whether it is there.
    Test,
}

/// A comprehension.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Loop {
    pub(in crate::cel) kind: LoopKind,
    pub(in crate::cel) range: Checked,
    /// The element; the key of a map; or, if there is a second variable, the index or key.
    pub(in crate::cel) first: u32,
    /// The element or the value.
    pub(in crate::cel) second: Option<u32>,
    /// The condition on an element.
    pub(in crate::cel) predicate: Option<Checked>,
    /// What becomes of an element.
    pub(in crate::cel) transform: Option<Checked>,
}

/// What a comprehension makes of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum LoopKind {
    /// Whether the predicate holds for all.
    All,
    /// Whether it holds for at least one.
    Exists,
    /// Whether it holds for exactly one.
    ExistsOne,
    /// The list of the transformed elements for which it holds.
    List,
    /// A map of the same keys.
    Map,
    /// A map of the entries that the transformation gives.
    MapEntry,
}

impl Checked {
    /// How many variables of loops and bindings it numbers.
    pub(in crate::cel) fn locals(&self) -> usize {
        let own = match &self.kind {
            CheckedKind::Loop(parts) => parts.second.unwrap_or(parts.first) as usize + 1,
            CheckedKind::Bind { bindings, .. } => {
                bindings.iter().map(|(local, _)| *local as usize + 1).max().unwrap_or(0)
            }
            CheckedKind::MapOptional { local, .. } => *local as usize + 1,
            _ => 0,
        };
        let mut most = own;
        self.children(&mut |child| most = most.max(child.locals()));
        most
    }

    /// Calls `visit` with every direct child.
    pub(in crate::cel) fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match &self.kind {
            CheckedKind::Select { operand, .. } | CheckedKind::Shared(_, operand) => visit(operand),
            CheckedKind::Index { operand, index, .. } => {
                visit(operand);
                visit(index);
            }
            CheckedKind::Call { arguments, .. } => arguments.iter().for_each(visit),
            CheckedKind::And(terms) | CheckedKind::Or(terms) => terms.iter().for_each(visit),
            CheckedKind::Conditional(parts) => parts.iter().for_each(visit),
            CheckedKind::List(elements) => elements.iter().for_each(|(element, _)| visit(element)),
            CheckedKind::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                visit(key);
                visit(value);
            }),
            CheckedKind::Loop(parts) => {
                visit(&parts.range);
                parts.predicate.iter().chain(&parts.transform).for_each(visit);
            }
            CheckedKind::Bind { bindings, body } => {
                bindings.iter().for_each(|(_, value)| visit(value));
                visit(body);
            }
            CheckedKind::MapOptional { operand, body, .. } => {
                visit(operand);
                visit(body);
            }
            CheckedKind::Constant(_)
            | CheckedKind::Slot(..)
            | CheckedKind::Object(..)
            | CheckedKind::Local(_)
            | CheckedKind::HasSlot(_)
            | CheckedKind::OptionalSlot(..)
            | CheckedKind::Fail(..) => {}
        }
    }

    /// Calls `visit` with every direct child, which it may change.
    pub(in crate::cel) fn children_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        match &mut self.kind {
            CheckedKind::Select { operand, .. } | CheckedKind::Shared(_, operand) => visit(operand),
            CheckedKind::Index { operand, index, .. } => {
                visit(operand);
                visit(index);
            }
            CheckedKind::Call { arguments, .. } => arguments.iter_mut().for_each(visit),
            CheckedKind::And(terms) | CheckedKind::Or(terms) => terms.iter_mut().for_each(visit),
            CheckedKind::Conditional(parts) => parts.iter_mut().for_each(visit),
            CheckedKind::List(elements) => elements.iter_mut().for_each(|(element, _)| visit(element)),
            CheckedKind::Map(entries) => entries.iter_mut().for_each(|(key, value, _)| {
                visit(key);
                visit(value);
            }),
            CheckedKind::Loop(parts) => {
                visit(&mut parts.range);
                parts.predicate.iter_mut().chain(&mut parts.transform).for_each(visit);
            }
            CheckedKind::Bind { bindings, body } => {
                bindings.iter_mut().for_each(|(_, value)| visit(value));
                visit(body);
            }
            CheckedKind::MapOptional { operand, body, .. } => {
                visit(operand);
                visit(body);
            }
            CheckedKind::Constant(_)
            | CheckedKind::Slot(..)
            | CheckedKind::Object(..)
            | CheckedKind::Local(_)
            | CheckedKind::HasSlot(_)
            | CheckedKind::OptionalSlot(..)
            | CheckedKind::Fail(..) => {}
        }
    }
}
