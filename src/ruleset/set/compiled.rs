//! One expression, compiled, with what must stay the same for it to stay valid.

use crate::cel::{Allowed, Program, Size, Slot, Type};

/// The variable under which expressions read derived fields.
pub(super) const DERIVED: &str = "derived";

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Compiled {
    /// What runs.
    pub program: Program,
    /// The derived fields that it reads, as they were when it was compiled.
    pub reads: Box<[Read]>,
    /// Whether it reads the derived fields as a whole, whichever there are.
    pub reads_all: bool,
}

/// A derived field that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: Type,
    /// How large its value can be.
    pub size: Size,
    /// Which values it may have, if only some.
    pub allowed: Allowed,
    /// Whether its value may not be shown.
    pub is_sensitive: bool,
    /// Where its value stands.
    pub slot: Option<Slot>,
}

/// What an expression is for, and so which types it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A rule is of type `bool`.
    Rule,
    /// A derived field is of any type.
    DerivedField,
}

impl Compiled {
    /// What it was compiled as.
    pub fn role(&self) -> Role {
        if self.program.is_condition() { Role::Rule } else { Role::DerivedField }
    }

    /// The derived fields (`derived.x`) and facts (`facts.y`) that it reads, sorted.
    pub fn dependencies(&self) -> Vec<String> {
        self.program.references()
    }
}
