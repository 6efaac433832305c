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
    /// A field of the object in a variable, by its position and its name.
    LocalField(u32, usize, Arc<str>),
    /// A field of any other object.
    Field(Box<Place>, usize, Arc<str>),
}

impl Place {
    /// The place that `node` reads, if it only reads one.
    pub(super) fn of(node: &Checked) -> Option<Self> {
        match &node.kind {
            CheckedKind::Slot(slot, _) => Some(Self::Slot(*slot)),
            CheckedKind::Local(local) => Some(Self::Local(*local)),
            CheckedKind::Select { operand, field, position: Some(position), mode: Access::Plain } => {
                Some(match Self::of(operand)? {
                    Self::Local(local) => Self::LocalField(local, *position, Arc::clone(field)),
                    operand => Self::Field(Box::new(operand), *position, Arc::clone(field)),
                })
            }
            _ => None,
        }
    }

    #[inline]
    pub(super) fn read<'r>(&self, run: &'r Run<'_>) -> Result<&'r Value, Fault> {
        match self {
            Self::Slot(slot) => run.slot(*slot),
            Self::Local(local) => run.local(*local),
            Self::LocalField(local, position, name) => field(run.local(*local)?, *position, name),
            Self::Field(operand, position, name) => field(operand.read_deep(run)?, *position, name),
        }
    }

    /// Reads what is not next to hand; apart, so that the rest can be inlined.
    #[inline(never)]
    fn read_deep<'r>(&self, run: &'r Run<'_>) -> Result<&'r Value, Fault> {
        self.read(run)
    }
}

#[inline]
fn field<'r>(operand: &'r Value, position: usize, name: &str) -> Result<&'r Value, Fault> {
    match operand {
        Value::Object(object) => object.at(position).ok_or_else(missing),
        Value::Map(map) => map.get_str(name).ok_or_else(missing),
        _ => Err(mismatch()),
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
