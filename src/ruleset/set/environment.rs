//! What the expressions of one set may name: the schema's objects, and the derived fields.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::compiled::{Compiled, DERIVED, Read, Role};
use crate::{
    cel::{Env, Frame, ObjectField, ObjectType, Program, Slot, SlotRead, Type},
    error::Detail,
    ruleset::facts::Layout,
};

/// The names and types that expressions are compiled under. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    env: Env,
    derived: Arc<ObjectType>,
}

impl Environment {
    /// The environment of a schema's layout with these derived fields, sorted by name.
    pub fn new(layout: Option<&Layout>, derived: impl Iterator<Item = ObjectField>) -> Self {
        let derived = Arc::new(ObjectType { name: DERIVED.to_owned(), fields: derived.collect() });
        // Facts first: their slots do not move when derived fields come and go.
        let mut variables = layout.map(Layout::variables_and_now).unwrap_or_default();
        variables.push((DERIVED.to_owned(), Type::Object(Arc::clone(&derived))));
        Self { env: Env::new(variables), derived }
    }

    /// Compiles an expression, or says everything that is wrong with it.
    pub fn compile(&self, expression: &str, role: Role) -> Result<Compiled, Vec<Detail>> {
        let compile = || self.env.compile_reading(expression, role == Role::Rule);
        // One tenant's expression must not take another's down, whatever a defect of the compiler does.
        let (program, reads) = catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| {
            Err(vec![Detail::new("internal", "the expression cannot be compiled, and that is a defect of the service")])
        })?;
        Ok(self.compiled(program, &reads))
    }

    fn compiled(&self, program: Program, reads: &[SlotRead]) -> Compiled {
        // The derived fields have the last slots.
        let first = self.env.slots() - self.derived.fields.len();
        let position = |read: &SlotRead| read.slot.index().checked_sub(first);
        let names = reads.iter().filter(|read| !read.is_whole).filter_map(position);
        let names = names.filter_map(|position| Some(self.derived.fields.get(position)?.name.as_str()));
        let reads_all = reads.iter().any(|read| read.is_whole && position(read) == Some(0));
        let reads = names.filter_map(|name| self.read(name)).collect();
        Compiled { program, reads, reads_all }
    }

    fn read(&self, name: &str) -> Option<Read> {
        let field = self.derived.field(name)?;
        let slot = self.env.slot(&format!("{DERIVED}.{name}"));
        Some(Read {
            name: name.to_owned(),
            value_type: field.value_type.clone(),
            size: field.size.clone(),
            allowed: field.allowed.clone(),
            is_sensitive: field.is_sensitive,
            slot,
        })
    }

    /// Whether what was compiled under another environment of the same schema means the same under this one.
    pub fn holds(&self, compiled: &Compiled) -> bool {
        !compiled.reads_all && compiled.reads.iter().all(|read| self.read(&read.name).as_ref() == Some(read))
    }

    /// Whether every derived field that `compiled` reads exists here, of whatever type.
    pub fn knows(&self, compiled: &Compiled) -> bool {
        compiled.reads.iter().all(|read| self.derived.position(&read.name).is_some())
    }

    /// The slots that expressions read; those of `deferred` take their values from programs.
    pub fn frame(&self, deferred: Vec<(Slot, Program)>) -> Frame {
        Frame::new(&self.env, deferred)
    }

    /// The slot of a derived field.
    pub fn derived_slot(&self, name: &str) -> Option<Slot> {
        self.env.slot(&format!("{DERIVED}.{name}"))
    }
}
