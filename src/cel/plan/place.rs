//! Where a value can be read without computing or copying it: a slot, a variable, a field of one of them.

use std::sync::Arc;

use crate::cel::{
    activation::{Slot, State},
    check::{Access, Checked, CheckedKind},
    run::{Fault, Run},
    value::Value,
};

#[derive(Debug, Clone)]
pub(in crate::cel) enum Place {
    Slot(Slot),
    Local(u32),
    /// A field of the object in a variable.
    LocalField(u32, Box<Field>),
    /// A field of any other object.
    Field(Box<(Place, Field)>),
}

/// A field, by its position and, for a map that stands for an object, by its name.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Field {
    position: usize,
    name: Arc<str>,
}

impl Place {
    /// The place that `node` reads, if it only reads one.
    pub(super) fn of(node: &Checked) -> Option<Self> {
        match &node.kind {
            CheckedKind::Slot(slot, _) => Some(Self::Slot(*slot)),
            CheckedKind::Local(local) => Some(Self::Local(*local)),
            CheckedKind::Select { operand, field, position: Some(position), mode: Access::Plain } => {
                let field = Field { position: *position, name: Arc::clone(field) };
                Some(match Self::of(operand)? {
                    Self::Local(local) => Self::LocalField(local, Box::new(field)),
                    operand => Self::Field(Box::new((operand, field))),
                })
            }
            _ => None,
        }
    }

    /// The value, if it is next to hand.
    #[inline]
    pub(super) fn peek<'a>(&self, run: &Run<'a>) -> Option<&'a Value> {
        // One after the other, the likeliest first: a table of jumps would take longer.
        if let Self::LocalField(local, field) = self {
            return match run.nearest(*local)? {
                Value::Object(object) => object.at(field.position),
                _ => None,
            };
        }
        if let Self::Slot(slot) = self {
            return if let State::Present(value) = run.state(*slot) { Some(value) } else { None };
        }
        if let Self::Local(local) = self { run.nearest(*local) } else { None }
    }

    /// The value, or why there is none.
    pub(super) fn read<'a>(&self, run: &Run<'a>) -> Result<&'a Value, Fault> {
        match self {
            Self::Slot(slot) => run.slot(*slot),
            Self::Local(local) => run.local(*local),
            Self::LocalField(local, field) => field.of(run.local(*local)?),
            Self::Field(parts) => parts.1.of(parts.0.read(run)?),
        }
    }
}

impl Field {
    /// Where it stands in an object.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    #[inline]
    fn of<'a>(&self, operand: &'a Value) -> Result<&'a Value, Fault> {
        match operand {
            Value::Object(object) => object.at(self.position).ok_or_else(missing),
            Value::Map(map) => map.get_str(&self.name).ok_or_else(missing),
            _ => Err(mismatch()),
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
