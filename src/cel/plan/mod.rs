//! A checked expression into closures over slots: what runs.
//!
//! Each closure does one thing that was decided here: which slot, which overload, which constant. Straight-line code is
//! paid for where it is entered, at the root or for each turn of a loop; work in proportion to a size, where it is done.

mod asked;
mod column;
mod condition;
mod element;
mod fold;
mod logic;
mod loops;
mod numbers;
mod place;
mod search;
mod spans;
mod text;

use super::{
    activation::Slot,
    check::{Access, Checked, CheckedKind},
    library::{Function, Pattern, PatternBody, operators, pattern_body},
    parse::Range,
    run::{Bound, Fault, Outcome, Run},
    types::Type,
    value::{MapValue, Value, key_is_valid},
};
use std::sync::Arc;

pub(super) use asked::Asked;
pub(super) use column::Column;
pub(super) use condition::{Condition, Truth};
pub(super) use fold::{failure, fold};

/// Computes a value.
pub(super) type Step = Box<dyn Fn(&Run<'_>) -> Outcome + Send + Sync>;
/// Computes a truth value.
pub(super) type BoolStep = Box<dyn Fn(&Run<'_>) -> Result<bool, Fault> + Send + Sync>;

/// Makes closures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planner {
    /// Whether every sub-expression notes its value; slower, and without short cuts.
    pub(super) is_traced: bool,
}

impl Planner {
    /// The closure of a node, whatever its type.
    pub(super) fn value(self, node: &Checked) -> Step {
        if !self.is_traced || matches!(node.kind, CheckedKind::Constant(_)) {
            return self.plain_value(node);
        }
        let (step, range) = (self.plain_value(node), node.range);
        Box::new(move |run| {
            let outcome = step(run);
            run.note(range, &outcome);
            outcome
        })
    }

    fn plain_value(self, node: &Checked) -> Step {
        if !self.is_traced {
            if node.value_type == Type::Bool
                && let Some(condition) = self.quick_truth(node)
            {
                return as_value(condition);
            }
            if let Some(step) = self.quick_int(node) {
                return Box::new(move |run| step(run).map(Value::Int));
            }
            if let Some(step) = self.quick_double(node) {
                return Box::new(move |run| step(run).map(Value::Double));
            }
        }
        let range = node.range;
        match &node.kind {
            CheckedKind::Constant(value) => {
                let value = value.clone();
                Box::new(move |_| Ok(value.clone()))
            }
            CheckedKind::Slot(slot, _) => {
                let slot = *slot;
                Box::new(move |run| run.slot(slot).cloned().map_err(|fault| fault.at(range)))
            }
            CheckedKind::Object(object, slot) => {
                let (object, slot) = (Arc::clone(object), *slot);
                Box::new(move |run| {
                    run.allocate_items(object.fields.len())?;
                    run.object(&object, slot).map_err(|fault| fault.at(range))
                })
            }
            CheckedKind::Local(local) => {
                let local = *local;
                Box::new(move |run| match run.nearest(local) {
                    Some(value) => Ok(value.clone()),
                    None => run.local(local).cloned(),
                })
            }
            CheckedKind::HasSlot(_) | CheckedKind::And(_) | CheckedKind::Or(_) => as_value(self.plain_truth(node)),
            CheckedKind::OptionalSlot(slot, _) => {
                let slot = *slot;
                Box::new(move |run| optional_slot(run, slot).map_err(|fault| fault.at(range)))
            }
            CheckedKind::Select { operand, field, mode, position } => {
                // A map may stand for an object: what it lacks is a field then.
                let absence = if position.is_some() { "no_such_field" } else { "no_such_key" };
                let (step, field, mode) = (self.value(operand), Arc::clone(field), *mode);
                Box::new(move |run| select(&step(run)?, &field, mode, absence).map_err(|fault| fault.at(range)))
            }
            CheckedKind::Index { operand, index, optional } => {
                let (operand, index, optional) = (self.value(operand), self.value(index), *optional);
                Box::new(move |run| {
                    let pair = [operand(run)?, index(run)?];
                    operators::look_up(&pair, optional).map_err(|fault| fault.at(range))
                })
            }
            CheckedKind::Call { function, arguments } => self.call(function, arguments, range),
            CheckedKind::Conditional(parts) => self.conditional(parts),
            CheckedKind::List(elements) => self.list(elements, range),
            CheckedKind::Map(entries) => self.map(entries, range),
            CheckedKind::Loop(parts) => self.fold(parts, range),
            CheckedKind::Bind { bindings, body } => self.bind(bindings, body),
            CheckedKind::MapOptional { operand, local, body, flat } => self.map_optional(operand, *local, body, *flat),
            CheckedKind::Shared(number, inner) => self.shared(*number, inner),
            CheckedKind::Fail(code, message) => {
                let (code, message) = (*code, message.clone());
                Box::new(move |_| Err(Fault::new(code, message.clone()).at(range)))
            }
        }
    }

    fn call(self, function: &'static Function, arguments: &[Checked], range: Range) -> Step {
        let body = function.body;
        let mut steps: Vec<Step> = arguments.iter().map(|argument| self.value(argument)).collect();
        if let Some((body, pattern)) = constant_pattern(function, arguments) {
            return Box::new(move |run| {
                let arguments: Vec<Value> = steps.iter().map(|step| step(run)).collect::<Result<_, _>>()?;
                match &pattern {
                    Ok(pattern) => body(run, pattern, &arguments).map_err(|fault| fault.at(range)),
                    Err(reason) => Err(Fault::new("invalid_argument", reason.clone()).at(range)),
                }
            });
        }
        match (steps.pop(), steps.pop(), steps.pop()) {
            (Some(only), None, _) => Box::new(move |run| {
                let arguments = [only(run)?];
                body(run, &arguments).map_err(|fault| fault.at(range))
            }),
            (Some(second), Some(first), None) => Box::new(move |run| {
                let arguments = [first(run)?, second(run)?];
                body(run, &arguments).map_err(|fault| fault.at(range))
            }),
            (last, before, more) => {
                steps.extend(more);
                steps.extend(before);
                steps.extend(last);
                Box::new(move |run| {
                    let arguments: Vec<Value> = steps.iter().map(|step| step(run)).collect::<Result<_, _>>()?;
                    body(run, &arguments).map_err(|fault| fault.at(range))
                })
            }
        }
    }

    /// What is looked up first, if this evaluation shares with others.
    fn shared(self, number: u64, inner: &Checked) -> Step {
        let step = self.value(inner);
        Box::new(move |run| match run.memo() {
            None => step(run),
            Some(memo) => memo.value(run, number, &step),
        })
    }

    fn conditional(self, parts: &[Checked; 3]) -> Step {
        let [condition, accepted, refused] = parts;
        let (condition, accepted, refused) = (self.truth(condition), self.value(accepted), self.value(refused));
        Box::new(move |run| if condition.test(run)? { accepted(run) } else { refused(run) })
    }

    fn list(self, elements: &[(Checked, bool)], range: Range) -> Step {
        let steps: Vec<_> = elements.iter().map(|(element, optional)| (self.value(element), *optional)).collect();
        Box::new(move |run| {
            run.allocate_items(steps.len())?;
            let mut items = Vec::with_capacity(steps.len());
            for (step, optional) in &steps {
                items.extend(present(step(run)?, *optional).map_err(|fault| fault.at(range))?);
            }
            Ok(Value::list(items))
        })
    }

    fn map(self, entries: &[(Checked, Checked, bool)], range: Range) -> Step {
        let steps: Vec<_> =
            entries.iter().map(|(key, value, optional)| (self.value(key), self.value(value), *optional)).collect();
        Box::new(move |run| {
            run.allocate_items(steps.len() * 3)?;
            let mut map = MapValue::default();
            for (key, value, optional) in &steps {
                let (key, value) = (key(run)?, value(run)?);
                if let Some(value) = present(value, *optional).map_err(|fault| fault.at(range))? {
                    insert(&mut map, key, value).map_err(|fault| fault.at(range))?;
                }
            }
            Ok(Value::Map(Arc::new(map)))
        })
    }

    fn bind(self, bindings: &[(u32, Checked)], body: &Checked) -> Step {
        let bindings: Vec<_> = bindings.iter().map(|(local, value)| (*local, self.value(value))).collect();
        let body = self.value(body);
        Box::new(move |run| {
            let mut values = Vec::with_capacity(bindings.len());
            for (local, step) in &bindings {
                // An error is kept, and surfaces where the variable is read: perhaps nowhere.
                let outcome = step(&run.within(&run.scope(Bound::Many(&values))));
                if let Err(fault) = &outcome
                    && fault.is_stop()
                {
                    return outcome;
                }
                values.push((*local, outcome));
            }
            body(&run.within(&run.scope(Bound::Many(&values))))
        })
    }

    fn map_optional(self, operand: &Checked, local: u32, body: &Checked, flat: bool) -> Step {
        let (operand_range, body_range) = (operand.range, body.range);
        let (operand, body) = (self.value(operand), self.value(body));
        Box::new(move |run| match operand(run)? {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => {
                let scope = run.scope(Bound::One(local, &inner));
                match body(&run.within(&scope))? {
                    value if !flat => Ok(Value::some(value)),
                    value @ Value::Optional(_) => Ok(value),
                    _ => Err(Fault::new("no_such_overload", "`optFlatMap` needs an optional").at(body_range)),
                }
            }
            _ => Err(Fault::new("no_such_overload", "`optMap` needs an optional").at(operand_range)),
        })
    }
}

fn as_value(condition: Condition) -> Step {
    Box::new(move |run| condition.test(run).map(Value::Bool))
}

/// What `function` does with a pattern that is known before the evaluation, and that pattern: a mistake in one that was
/// folded is not known to the checker.
fn constant_pattern(function: &Function, arguments: &[Checked]) -> Option<(PatternBody, Result<Pattern, String>)> {
    let body = pattern_body(function.name)?;
    // A traced expression is not folded.
    let mut pattern = arguments.get(1)?.clone();
    fold(&mut pattern);
    let CheckedKind::Constant(Value::String(pattern)) = &pattern.kind else { return None };
    Some((body, Pattern::new(pattern)))
}

fn optional_slot(run: &Run<'_>, slot: Slot) -> Outcome {
    Ok(Value::Optional(run.read(slot)?.cloned().map(Arc::new)))
}

/// The value of an element; none for one marked with `?` that is absent.
fn present(value: Value, optional: bool) -> Result<Option<Value>, Fault> {
    match value {
        value if !optional => Ok(Some(value)),
        Value::Optional(inner) => Ok(inner.map(|inner| Value::clone(&inner))),
        _ => Err(Fault::new("no_such_overload", "a value marked with `?` must be optional")),
    }
}

fn insert(map: &mut MapValue, key: Value, value: Value) -> Result<(), Fault> {
    if !key_is_valid(&key) {
        let message = format!("`{}` cannot be the key of a map", key.type_name());
        return Err(Fault::new("invalid_argument", message));
    }
    let shown = key.to_json();
    if !map.insert(key, value) {
        return Err(Fault::new("duplicate_key", format!("duplicate key `{shown}`")));
    }
    Ok(())
}

/// `operand.field`.
fn select(operand: &Value, field: &str, mode: Access, absence: &'static str) -> Outcome {
    let missing = |code| Fault::new(code, format!("there is no `{field}`"));
    let found = match operand {
        Value::Map(map) => map.get_str(field).cloned().ok_or_else(|| missing(absence)),
        Value::Object(object) => object.get(field).cloned().ok_or_else(|| missing("no_such_field")),
        Value::Optional(None) if mode == Access::Test => return Ok(Value::Bool(false)),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) if mode == Access::Test => return select(inner, field, mode, absence),
        Value::Optional(Some(inner)) => return select(inner, field, Access::Optional, absence),
        other => {
            let message = format!("`{}` has no field `{field}`", other.type_name());
            return Err(Fault::new("no_such_overload", message));
        }
    };
    match mode {
        Access::Plain => found,
        Access::Optional => Ok(Value::Optional(found.ok().map(Arc::new))),
        Access::Test => Ok(Value::Bool(found.is_ok())),
    }
}
