//! Where a value can be read without computing or copying it: a slot, a variable, a field of one of them.

use std::sync::Arc;

use crate::cel::{
    activation::Slot,
    check::{Access, Checked, CheckedKind},
    run::{Fault, Run},
    value::Value,
};

#[derive(Debug, Clone)]
pub(super) enum Place {
    Slot(Slot),
    Local(u32),
    /// The field of an object, by its position and its name.
    Field(Box<Place>, usize, Arc<str>),
}

impl Place {
    /// The place that `node` reads, if it only reads one.
    pub(super) fn of(node: &Checked) -> Option<Self> {
        match &node.kind {
            CheckedKind::Slot(slot, _) => Some(Self::Slot(*slot)),
            CheckedKind::Local(local) => Some(Self::Local(*local)),
            CheckedKind::Select { operand, field, position: Some(position), mode: Access::Plain } => {
                Some(Self::Field(Box::new(Self::of(operand)?), *position, Arc::clone(field)))
            }
            _ => None,
        }
    }

    #[inline]
    pub(super) fn read<'r>(&self, run: &'r Run<'_>) -> Result<&'r Value, Fault> {
        match self {
            Self::Slot(slot) => run.slot(*slot),
            Self::Local(local) => run.local(*local),
            Self::Field(operand, position, name) => match operand.read(run)? {
                Value::Object(object) => object.at(*position).ok_or_else(missing),
                Value::Map(map) => map.get_str(name).ok_or_else(missing),
                _ => Err(mismatch()),
            },
        }
    }
}

#[cold]
pub(super) fn missing() -> Fault {
    Fault::new("no_such_field", "the value is missing")
}

/// A value that is not of the type that was declared for it: the activation was filled wrongly.
#[cold]
pub(super) fn mismatch() -> Fault {
    Fault::new("no_such_overload", "the value is not of its declared type")
}
