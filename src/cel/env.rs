//! The environment that expressions are compiled in: variables with their types and slots, functions, a container.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    activation::Slot,
    allowed::Allowed,
    library::Overload,
    program::Program,
    reads::SlotRead,
    run::Limits,
    sensitive,
    types::{ObjectType, Type},
};
use crate::error::Detail;

/// The names that an expression may use, and their types. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

#[derive(Debug, Default, Clone)]
struct Inner {
    variables: BTreeMap<String, Variable>,
    functions: HashMap<String, Vec<Overload>>,
    slots: u32,
    /// The slots of sensitive fields, sorted.
    sensitive: Vec<Slot>,
    /// Whether any field is sensitive, a slot's own or one inside.
    has_sensitive: bool,
    container: String,
    /// Whether a name with a point in it may stand for a variable or a declared function.
    is_qualified: bool,
    is_unchecked: bool,
    is_without_macros: bool,
    limits: Limits,
}

/// A declared variable.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) value_type: Type,
    /// Its slot, or the slot of its first field if it is an object.
    pub(super) slot: Slot,
}

impl Env {
    /// An environment with these variables and the whole function library.
    pub fn new(variables: Vec<(String, Type)>) -> Self {
        let mut inner = Inner::default();
        for (name, value_type) in variables {
            let slot = Slot(inner.slots);
            if let Type::Object(object) = &value_type {
                let fields = (slot.0..).map(Slot).zip(&object.fields);
                inner.sensitive.extend(fields.filter(|(_, field)| field.is_sensitive).map(|(slot, _)| slot));
            }
            inner.has_sensitive |= sensitive::holds(&value_type);
            inner.slots += match &value_type {
                Type::Object(object) => u32::try_from(object.fields.len()).unwrap_or(u32::MAX),
                _ => 1,
            };
            inner.is_qualified |= name.contains('.');
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

    /// The same environment, in which names are looked up in `container` and the containers around it first.
    #[must_use]
    pub fn with_container(mut self, container: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.container = container.to_owned();
        inner.is_qualified |= !container.is_empty();
        self
    }

    /// The same environment with a function that can be checked and has no body. Called on a value, that
    /// is its first parameter.
    #[must_use]
    pub fn with_function(mut self, name: &str, is_member: bool, parameters: Vec<Type>, result: Type) -> Self {
        let overload = Overload::new(is_member, parameters, result);
        let inner = Arc::make_mut(&mut self.inner);
        inner.functions.entry(name.to_owned()).or_default().push(overload);
        inner.is_qualified |= name.contains('.');
        self
    }

    /// The same environment, in which types are not checked: what the checker would refuse ends its evaluation.
    #[must_use]
    pub fn without_checks(mut self) -> Self {
        Arc::make_mut(&mut self.inner).is_unchecked = true;
        self
    }

    /// The same environment, in which macros are calls of functions.
    #[must_use]
    pub fn without_macros(mut self) -> Self {
        Arc::make_mut(&mut self.inner).is_without_macros = true;
        self
    }

    /// The same environment with other limits on what an evaluation may take.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.inner).limits = limits;
        self
    }

    pub(super) fn limits(&self) -> Limits {
        self.inner.limits
    }

    /// Whether any field is sensitive.
    pub(super) fn has_sensitive(&self) -> bool {
        self.inner.has_sensitive
    }

    /// Whether a slot is a sensitive field's.
    pub(super) fn is_sensitive(&self, slot: Slot) -> bool {
        self.inner.sensitive.binary_search(&slot).is_ok()
    }

    pub(super) fn is_checked(&self) -> bool {
        !self.inner.is_unchecked
    }

    pub(super) fn has_macros(&self) -> bool {
        !self.inner.is_without_macros
    }

    pub(super) fn variable(&self, name: &str) -> Option<&Variable> {
        self.inner.variables.get(name)
    }

    pub(super) fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.inner.variables.keys().map(String::as_str)
    }

    /// The variables that are objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &Arc<ObjectType>)> {
        self.inner.variables.iter().filter_map(|(name, variable)| match &variable.value_type {
            Type::Object(object) => Some((name.as_str(), object)),
            _ => None,
        })
    }

    pub(super) fn function(&self, name: &str) -> Option<&[Overload]> {
        self.inner.functions.get(name).map(Vec::as_slice)
    }

    /// What `name` may stand for, the innermost container first.
    pub(super) fn candidates<'a>(&'a self, name: &'a str, absolute: bool) -> impl Iterator<Item = Cow<'a, str>> {
        let container = Some(self.inner.container.as_str()).filter(|container| !absolute && !container.is_empty());
        let around = |container: &&'a str| container.rsplit_once('.').map(|(outer, _)| outer);
        std::iter::successors(container, around)
            .map(move |container| Cow::Owned(format!("{container}.{name}")))
            .chain([Cow::Borrowed(name)])
    }

    /// Whether a name with a point in it, or in a container, may stand for a variable or a declared function.
    pub(super) fn is_qualified(&self) -> bool {
        self.inner.is_qualified
    }

    /// Compiles `source`, or says everything that is wrong with it.
    pub fn compile(&self, source: &str) -> Result<Program, Vec<Detail>> {
        Program::compile(self, source, false).map(|(program, _)| program)
    }

    /// Compiles `source`, which must be a `bool`, or `dyn`, which is known at run time.
    pub fn compile_bool(&self, source: &str) -> Result<Program, Vec<Detail>> {
        Program::compile(self, source, true).map(|(program, _)| program)
    }

    /// The same as [`Env::compile`], or [`Env::compile_bool`] if it is a condition, with the slots that are read, sorted.
    pub fn compile_reading(&self, source: &str, is_condition: bool) -> Result<(Program, Vec<SlotRead>), Vec<Detail>> {
        Program::compile(self, source, is_condition)
    }

    /// Which values a slot may have, if only some.
    pub(super) fn allowed(&self, slot: Slot) -> Allowed {
        let field = self.inner.variables.values().find_map(|variable| match &variable.value_type {
            Type::Object(object) => object.fields.get(slot.0.checked_sub(variable.slot.0)? as usize),
            _ => None,
        });
        field.map(|field| field.allowed.clone()).unwrap_or_default()
    }

    /// The path of a slot, or of the object that begins there.
    pub(super) fn path(&self, slot: Slot, is_whole: bool) -> Option<String> {
        self.inner.variables.iter().find_map(|(name, variable)| {
            let position = slot.0.checked_sub(variable.slot.0)? as usize;
            match &variable.value_type {
                Type::Object(_) if is_whole => (position == 0).then(|| name.clone()),
                Type::Object(object) => object.fields.get(position).map(|field| format!("{name}.{}", field.name)),
                _ => (position == 0).then(|| name.clone()),
            }
        })
    }
}
