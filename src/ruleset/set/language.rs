//! What the expressions of one set may name: the schema's objects, and the derived fields.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::compiled::{Compiled, DERIVED, Read, Role, derived_name};
use crate::{
    cel::{Env, Frame, ObjectField, ObjectType, Program, Slot, Type},
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
    pub fn new<'a>(layout: Option<&Layout>, derived: impl Iterator<Item = (&'a str, Type)>) -> Self {
        let field = |(name, value_type): (&str, Type)| ObjectField {
            name: name.to_owned(),
            value_type,
            max_length: None,
            max_items: None,
        };
        let derived = Arc::new(ObjectType { name: DERIVED.to_owned(), fields: derived.map(field).collect() });
        // Facts first: their slots do not move when derived fields come and go.
        let mut variables = layout.map(|layout| layout.variables().to_vec()).unwrap_or_default();
        variables.push((DERIVED.to_owned(), Type::Object(Arc::clone(&derived))));
        Self { env: Env::new(variables), derived }
    }

    /// Compiles an expression, or says everything that is wrong with it.
    pub fn compile(&self, expression: &str, role: Role) -> Result<Compiled, Vec<Detail>> {
        let compile = || match role {
            Role::Rule => self.env.compile_bool(expression),
            Role::DerivedField => self.env.compile(expression),
        };
        // One tenant's expression must not take another's down, whatever a defect of the compiler does.
        let program = catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| {
            Err(vec![Detail::new("internal", "the expression cannot be compiled, and that is a defect of the service")])
        })?;
        Ok(self.compiled(program, role))
    }

    fn compiled(&self, program: Program, role: Role) -> Compiled {
        let mut names: Vec<&str> = program.references().iter().filter_map(|path| derived_name(path)).collect();
        names.dedup();
        let reads = names.into_iter().filter_map(|name| self.read(name)).collect();
        let reads_all = program.references().iter().any(|path| path == DERIVED);
        Compiled { program, role, reads, reads_all }
    }

    fn read(&self, name: &str) -> Option<Read> {
        let field = self.derived.field(name)?;
        let slot = self.env.slot(&format!("{DERIVED}.{name}"));
        Some(Read { name: name.to_owned(), value_type: field.value_type.clone(), slot })
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
