//! Where in the facts a reader stands. Written out only when there is something to say about the place.

use crate::domain::quote::{child_path, element_path};

/// A place, as a step from the one around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FactPath<'a> {
    parent: Option<&'a FactPath<'a>>,
    step: FactStep<'a>,
    /// Levels of JSON around it.
    pub depth: usize,
    /// Whether it or anything around it is sensitive: neither its value nor the keys inside may be shown.
    pub sensitive: bool,
}

#[derive(Debug, Clone, Copy)]
enum FactStep<'a> {
    Root,
    /// A name that the schema knows.
    Field(&'a str),
    /// A name that came with the facts.
    Key(&'a str),
    Element(usize),
}

impl<'a> FactPath<'a> {
    /// Where facts begin.
    pub fn root() -> Self {
        Self { parent: None, step: FactStep::Root, depth: 1, sensitive: false }
    }

    /// A field that the schema knows.
    pub fn field(&'a self, name: &'a str, sensitive: bool) -> Self {
        let sensitive = self.sensitive || sensitive;
        Self { parent: Some(self), step: FactStep::Field(name), depth: self.depth + 1, sensitive }
    }

    /// What stands under a name that the schema does not know.
    pub fn key(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: FactStep::Key(name), depth: self.depth + 1, sensitive: self.sensitive }
    }

    /// An element of a list; `sensitive` is what the schema says of the elements.
    pub fn element(&'a self, index: usize, sensitive: bool) -> Self {
        let sensitive = self.sensitive || sensitive;
        Self { parent: Some(self), step: FactStep::Element(index), depth: self.depth + 1, sensitive }
    }

    /// The same place, sensitive if the schema says so of what stands there.
    pub fn marked(self, sensitive: bool) -> Self {
        Self { sensitive: self.sensitive || sensitive, ..self }
    }

    /// Whether it is a key of the outermost object.
    pub fn is_outermost(&self) -> bool {
        self.parent.is_some_and(|parent| parent.parent.is_none())
    }

    /// The path as the caller wrote it: `facts.age`. Keys inside what is sensitive are left out.
    pub fn path(&self) -> String {
        let Some(parent) = self.parent else { return "facts".to_owned() };
        let path = parent.path();
        match self.step {
            FactStep::Root => path,
            FactStep::Field(name) => child_path(&path, name),
            FactStep::Key(_) if parent.sensitive => format!("{path}[…]"),
            FactStep::Key(name) => child_path(&path, name),
            FactStep::Element(index) => element_path(&path, index),
        }
    }

    /// The name that came with the facts, if this is the place of one and it may be shown.
    pub fn last_key(&self) -> Option<&'a str> {
        match self.step {
            FactStep::Key(name) if !self.sensitive => Some(name),
            _ => None,
        }
    }

    /// The path of the field `name` beside this place.
    pub fn sibling_path(&self, name: &str) -> String {
        child_path(&self.parent.map(FactPath::path).unwrap_or_default(), name)
    }
}
