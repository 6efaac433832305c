//! What the interpreter reads of an activation.

use std::collections::BTreeMap;

use cel::{
    Value as Raw,
    common::{
        types::CelNull,
        value::{CowVal, Val},
    },
    context::VariableResolver,
    objects::Key,
};

use super::raw;
use crate::cel::{Activation, EvaluationError, activation::Slot};

/// A variable that an expression reads, with the fields it reads if it is an object.
pub(super) struct Read {
    pub(super) variable: String,
    pub(super) fields: Vec<(String, Slot)>,
    /// Where it is if it is no object.
    pub(super) slot: Option<Slot>,
}

/// The variables that one expression reads.
#[derive(Default)]
pub(super) struct Variables<'a> {
    values: Vec<(&'a str, Box<dyn Val>)>,
    /// Fields that could not be computed, by name. Such a field has no entry in its variable: where it is read, and
    /// only there, the interpreter finds the key missing, which `&&` and `||` absorb like any error.
    failed: BTreeMap<&'a str, EvaluationError>,
}

impl<'a> Variables<'a> {
    /// What `activation` holds of them.
    pub(super) fn read(reads: &'a [Read], activation: &Activation) -> Result<Self, EvaluationError> {
        let mut variables = Self::default();
        for read in reads {
            let value = match read.slot {
                Some(slot) => activation.read(slot)?.map(raw::from_value),
                None => Some(variables.object(&read.fields, activation)),
            };
            if let Some(value) = value {
                variables.values.push((&read.variable, convert(value)));
            }
        }
        Ok(variables)
    }

    fn object(&mut self, fields: &'a [(String, Slot)], activation: &Activation) -> Raw {
        let mut present: Vec<(Key, Raw)> = Vec::with_capacity(fields.len());
        for (name, slot) in fields {
            match activation.read(*slot) {
                Ok(Some(value)) => present.push((name.as_str().into(), raw::from_value(value))),
                Ok(None) => {}
                Err(error) => drop(self.failed.insert(name, error)),
            }
        }
        raw::map(present.into_iter())
    }

    /// Why a field could not be computed.
    pub(super) fn failure(&self, field: &str) -> Option<&EvaluationError> {
        self.failed.get(field)
    }
}

/// The interpreter's value, for it to borrow.
fn convert(value: Raw) -> Box<dyn Val> {
    // Only functions cannot be converted, and no value is one.
    let converted: Result<Box<dyn Val>, _> = value.try_into();
    converted.unwrap_or_else(|_| Box::new(CelNull))
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let found = self.values.iter().find(|(name, _)| *name == variable);
        found.map(|(_, value)| CowVal::Borrowed(value.as_ref()))
    }
}
