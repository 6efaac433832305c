//! Sub-expressions that other expressions may have too: which they are, and when two are the same.
//!
//! One is worth it that reads nothing but slots and takes longer than looking its value up: a loop, or a call that makes
//! something or goes through it. Two are the same if they are built alike, however they are written and whatever their
//! variables are called; both are compared in full. Which are evaluated once is up to [`super::memo`].

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use super::{
    check::{Checked, CheckedKind},
    types::Type,
    value::Value,
};

/// Bytes that the form of a sub-expression may have; a larger one is not shared, what is inside of it may be.
const FORM_BYTES_MAX: usize = 1_024;
/// Stands for variables beyond those that a word has room for.
const LAST_LOCAL: u32 = u64::BITS - 1;
/// Functions that are done sooner than a value is looked up.
const QUICK: &[&str] = &[
    "bool",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "first",
    "hasValue",
    "int",
    "isInf",
    "isNaN",
    "last",
    "optional.none",
    "optional.of",
    "or",
    "orValue",
    "size",
    "startsWith",
    "type",
    "uint",
    "value",
];

/// A sub-expression, the same for all programs that have it.
#[derive(Debug)]
pub(super) struct Shareable {
    /// Unlike that of any other, ever.
    pub(super) number: u64,
    form: Box<[u8]>,
}

/// The sub-expressions of one program that it may share, and whether it evaluates them more than once by itself.
#[derive(Debug)]
pub(super) struct Shareables(pub(super) Vec<(Arc<Shareable>, bool)>);

/// Found by its form.
#[derive(Debug)]
struct ByForm(Arc<Shareable>);

impl Borrow<[u8]> for ByForm {
    fn borrow(&self) -> &[u8] {
        &self.0.form
    }
}

impl PartialEq for ByForm {
    fn eq(&self, other: &Self) -> bool {
        self.0.form == other.0.form
    }
}

impl Eq for ByForm {}

impl Hash for ByForm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.form.hash(state);
    }
}

/// All that programs have, as long as one has it.
#[derive(Debug, Default)]
struct KnownExpressions {
    by_form: HashSet<ByForm>,
    next: u64,
    /// How many there may be before those that no program has any more are let go.
    sweep_at: usize,
}

static KNOWN: LazyLock<Mutex<KnownExpressions>> = LazyLock::new(Mutex::default);

impl KnownExpressions {
    fn shareable(&mut self, form: &[u8]) -> Arc<Shareable> {
        if let Some(known) = self.by_form.get(form) {
            return Arc::clone(&known.0);
        }
        if self.by_form.len() >= self.sweep_at {
            self.by_form.retain(|known| Arc::strong_count(&known.0) > 1);
            self.sweep_at = (self.by_form.len() * 2).max(64);
        }
        self.next += 1;
        let shareable = Arc::new(Shareable { number: self.next, form: form.into() });
        self.by_form.insert(ByForm(Arc::clone(&shareable)));
        shareable
    }
}

/// Marks the sub-expressions of `root` that may be shared; `None` if there are none.
pub(super) fn mark(root: &mut Checked) -> Option<Box<Shareables>> {
    let mut found = Shareables(Vec::new());
    wrap(root, false, &mut found);
    (!found.0.is_empty()).then(|| Box::new(found))
}

/// Marks what is in `node`, which may run `again` and again, and tells the variables that it reads and does not bind.
fn wrap(node: &mut Checked, again: bool, found: &mut Shareables) -> u64 {
    let mut free = 0;
    if let CheckedKind::Loop(parts) = &mut node.kind {
        for part in parts.predicate.iter_mut().chain(&mut parts.transform) {
            free |= wrap(part, true, found);
        }
        free &= !(bound(parts.first) | parts.second.map_or(0, bound));
        free |= wrap(&mut parts.range, again, found);
    } else {
        node.children_mut(&mut |child| free |= wrap(child, again, found));
    }
    match &node.kind {
        CheckedKind::Local(local) => free |= bit(*local),
        CheckedKind::Fail(..) => free |= bit(LAST_LOCAL),
        CheckedKind::Bind { bindings, .. } => {
            free &= !bindings.iter().fold(0, |all, (local, _)| all | bound(*local));
        }
        CheckedKind::MapOptional { local, .. } => free &= !bound(*local),
        _ => {}
    }
    if free == 0
        && is_worth_it(node)
        && let Some(form) = Form::of(node)
    {
        let shareable = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).shareable(&form);
        let number = shareable.number;
        match found.0.iter_mut().find(|(known, _)| known.number == number) {
            Some((_, repeated)) => *repeated = true,
            None => found.0.push((shareable, again)),
        }
        let (value_type, range) = (node.value_type.clone(), node.range);
        let nothing = Checked { kind: CheckedKind::Constant(Value::Null), value_type: value_type.clone(), range };
        let inner = std::mem::replace(node, nothing);
        *node = Checked { kind: CheckedKind::Shared(number, Box::new(inner)), value_type, range };
    }
    free
}

/// The bit of a variable that is read.
fn bit(local: u32) -> u64 {
    1 << local.min(LAST_LOCAL)
}

/// The bit of a variable that is bound; none for those that have one together.
fn bound(local: u32) -> u64 {
    if local < LAST_LOCAL { bit(local) } else { 0 }
}

/// Whether evaluating `node` takes longer than finding its value.
fn is_worth_it(node: &Checked) -> bool {
    match &node.kind {
        CheckedKind::Loop(_) => true,
        CheckedKind::Call { function, arguments } => match function.name {
            "_+_" => is_long(&node.value_type),
            "@in" => arguments.last().is_some_and(is_varying),
            name if name.starts_with(|first: char| !first.is_ascii_alphabetic()) => false,
            name => !QUICK.contains(&name) && (is_long(&node.value_type) || arguments.iter().any(is_varying)),
        },
        _ => false,
    }
}

/// Whether what `node` gives must be gone through, and is not known before.
fn is_varying(node: &Checked) -> bool {
    !matches!(node.kind, CheckedKind::Constant(_)) && is_long(&node.value_type)
}

fn is_long(value_type: &Type) -> bool {
    !matches!(
        value_type,
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Null | Type::Timestamp | Type::Duration
    )
}

/// A sub-expression as bytes that only one built alike has.
#[derive(Debug, Default)]
struct Form {
    bytes: Vec<u8>,
    /// The variables bound around, by which those that are read are counted.
    bound: Vec<u32>,
}

impl Form {
    /// The form of `node`; `None` if it is too large.
    fn of(node: &Checked) -> Option<Vec<u8>> {
        let mut form = Self::default();
        form.node(node)?;
        Some(form.bytes)
    }

    fn tag(&mut self, tag: u8) -> Option<()> {
        self.bytes.push(tag);
        (self.bytes.len() <= FORM_BYTES_MAX).then_some(())
    }

    fn number(&mut self, number: u64) -> Option<()> {
        self.bytes.extend(number.to_le_bytes());
        (self.bytes.len() <= FORM_BYTES_MAX).then_some(())
    }

    /// With its length, so that nothing behind it can be taken for a part of it.
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.number(bytes.len() as u64)?;
        (self.bytes.len() + bytes.len() <= FORM_BYTES_MAX).then(|| self.bytes.extend(bytes))
    }

    fn node(&mut self, node: &Checked) -> Option<()> {
        match &node.kind {
            CheckedKind::Constant(value) => self.constant(value)?,
            CheckedKind::Slot(slot, _) => self.slot(2, slot.0)?,
            CheckedKind::Object(_, slot) => self.slot(3, slot.0)?,
            CheckedKind::HasSlot(slot) => self.slot(4, slot.0)?,
            CheckedKind::OptionalSlot(slot, _) => self.slot(5, slot.0)?,
            CheckedKind::Local(local) => {
                let depth = self.bound.iter().rposition(|bound| bound == local)?;
                self.slot(6, u32::try_from(depth).ok()?)?;
            }
            CheckedKind::Select { field, position, mode, .. } => {
                self.tag(7)?;
                self.tag(*mode as u8)?;
                self.number(position.map_or(u64::MAX, |position| position as u64))?;
                self.bytes(field.as_bytes())?;
            }
            CheckedKind::Index { optional, .. } => self.slot(8, u32::from(*optional))?,
            CheckedKind::Call { function, arguments } => {
                self.tag(9)?;
                self.bytes(function.name.as_bytes())?;
                self.number(arguments.len() as u64)?;
            }
            CheckedKind::And(terms) => self.slot(10, u32::try_from(terms.len()).ok()?)?,
            CheckedKind::Or(terms) => self.slot(11, u32::try_from(terms.len()).ok()?)?,
            CheckedKind::Conditional(_) => self.tag(12)?,
            CheckedKind::List(elements) => {
                self.slot(13, u32::try_from(elements.len()).ok()?)?;
                elements.iter().try_for_each(|(_, optional)| self.tag(u8::from(*optional)))?;
            }
            CheckedKind::Map(entries) => {
                self.slot(14, u32::try_from(entries.len()).ok()?)?;
                entries.iter().try_for_each(|(.., optional)| self.tag(u8::from(*optional)))?;
            }
            CheckedKind::Loop(parts) => {
                self.tag(15)?;
                self.tag(parts.kind as u8)?;
                self.tag(u8::from(parts.second.is_some()))?;
                self.tag(u8::from(parts.predicate.is_some()))?;
                self.tag(u8::from(parts.transform.is_some()))?;
                self.node(&parts.range)?;
                let variables = [parts.first].into_iter().chain(parts.second);
                return self.within(variables, |form| {
                    parts.predicate.iter().chain(&parts.transform).try_for_each(|part| form.node(part))
                });
            }
            CheckedKind::Bind { bindings, body } => {
                self.slot(16, u32::try_from(bindings.len()).ok()?)?;
                return self.within(bindings.iter().map(|(local, _)| *local), |form| {
                    bindings.iter().try_for_each(|(_, value)| form.node(value))?;
                    form.node(body)
                });
            }
            CheckedKind::MapOptional { operand, local, body, flat } => {
                self.slot(17, u32::from(*flat))?;
                self.node(operand)?;
                return self.within([*local].into_iter(), |form| form.node(body));
            }
            CheckedKind::Shared(_, inner) => return self.node(inner),
            CheckedKind::Fail(..) => return None,
        }
        let mut is_small = Some(());
        node.children(&mut |child| is_small = is_small.and_then(|()| self.node(child)));
        is_small
    }

    fn slot(&mut self, tag: u8, number: u32) -> Option<()> {
        self.tag(tag)?;
        self.number(u64::from(number))
    }

    fn within(
        &mut self,
        variables: impl Iterator<Item = u32>,
        write: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let outer = self.bound.len();
        self.bound.extend(variables);
        let written = write(self);
        self.bound.truncate(outer);
        written
    }

    /// A constant with its type: `1`, `1u` and `1.0` are not the same.
    fn constant(&mut self, value: &Value) -> Option<()> {
        self.tag(1)?;
        self.bytes(value.type_name().as_bytes())?;
        match value {
            Value::Double(value) => self.number(value.to_bits()),
            Value::String(text) => self.bytes(text.as_bytes()),
            Value::List(items) => {
                self.number(items.len() as u64)?;
                items.iter().try_for_each(|item| self.constant(item))
            }
            Value::Map(map) => {
                self.number(map.len() as u64)?;
                map.iter().try_for_each(|(key, value)| {
                    self.constant(key)?;
                    self.constant(value)
                })
            }
            other => self.bytes(format!("{other:?}").as_bytes()),
        }
    }
}

/// How many forms are known.
#[cfg(test)]
pub(super) fn known_forms() -> usize {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).by_form.len()
}
