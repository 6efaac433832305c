//! The environment that expressions are compiled in: variables with their types and slots, functions, a container.

use std::{collections::HashMap, sync::Arc};

use super::{activation::Slot, program::Program, types::Type};
use crate::error::Detail;

/// The names that an expression may use, and their types. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    variables: HashMap<String, Variable>,
    slots: u32,
    declared: Vec<(String, Type)>,
}

/// A declared variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) value_type: Type,
    /// Its slot, or the slot of its first field if it is an object.
    pub(super) slot: Slot,
}

impl Env {
    /// An environment with these variables and the whole function library.
    pub fn new(variables: Vec<(String, Type)>) -> Self {
        let mut inner = Inner { declared: variables.clone(), ..Inner::default() };
        for (name, value_type) in variables {
            let slot = Slot(inner.slots);
            inner.slots += match &value_type {
                Type::Object(object) => u32::try_from(object.fields.len()).unwrap_or(u32::MAX),
                _ => 1,
            };
            inner.variables.insert(name, Variable { value_type, slot });
        }
        Self { inner: Arc::new(inner) }
    }

    /// The slot of a variable that is no object, or of a field `<variable>.<field>` of one that is.
    pub fn slot(&self, path: &str) -> Option<Slot> {
        if let Some(variable) = self.inner.variables.get(path) {
            return (!matches!(variable.value_type, Type::Object(_))).then_some(variable.slot);
        }
        let (name, field) = path.rsplit_once('.')?;
        let variable = self.inner.variables.get(name)?;
        let Type::Object(object) = &variable.value_type else { return None };
        let position = u32::try_from(object.position(field)?).ok()?;
        Some(Slot(variable.slot.0 + position))
    }

    /// How many slots an activation has.
    pub fn slots(&self) -> usize {
        self.inner.slots as usize
    }

    /// Compiles `source`, or says everything that is wrong with it.
    pub fn compile(&self, source: &str) -> Result<Program, Vec<Detail>> {
        Program::compile(self, source, None)
    }

    /// Compiles `source`, which must be a `bool`.
    pub fn compile_bool(&self, source: &str) -> Result<Program, Vec<Detail>> {
        Program::compile(self, source, Some(&Type::Bool))
    }

    /// The variables, as they were declared.
    pub(super) fn variables(&self) -> &[(String, Type)] {
        &self.inner.declared
    }
}
