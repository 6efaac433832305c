//! Comprehensions: native loops, each turn of which is paid for. Elements are lent to their turns, not copied.

use std::sync::Arc;

use super::{BoolStep, Planner, Step, condition::Condition, element::Element, insert, place::Place, search::Search};
use crate::cel::{
    check::{Checked, Loop, LoopKind},
    cost,
    parse::Range,
    run::{Bound, Fault, Outcome, Run},
    value::{MapValue, Value},
};

/// What a loop runs over.
struct Source {
    origin: ListSource,
    range: Range,
}

/// Where a loop's list or map comes from.
enum ListSource {
    Place(Place),
    Step(Step),
}

/// The elements of a loop.
#[derive(Clone, Copy)]
pub(super) enum Items<'a> {
    List(&'a [Value]),
    Map(&'a MapValue),
}

impl Source {
    /// Runs `work` over the elements.
    #[inline]
    fn visit<R>(&self, run: &Run<'_>, work: impl FnOnce(Items<'_>) -> Result<R, Fault>) -> Result<R, Fault> {
        let made;
        let value = match &self.origin {
            ListSource::Place(place) => match place.peek(run) {
                Some(value) => value,
                None => place.read(run).map_err(|fault| fault.at(self.range))?,
            },
            ListSource::Step(step) => {
                made = step(run)?;
                &made
            }
        };
        match value {
            Value::List(items) => work(Items::List(items)),
            Value::Map(map) => work(Items::Map(map)),
            other => Err(self.not_a_range(other)),
        }
    }

    #[cold]
    fn not_a_range(&self, value: &Value) -> Fault {
        let message = format!("a loop runs over a list or a map, not over `{}`", value.type_name());
        Fault::new("no_such_overload", message).at(self.range)
    }
}

impl<'a> Items<'a> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Map(map) => map.len(),
        }
    }
}

/// The variables of a loop.
#[derive(Clone, Copy)]
pub(super) struct Variables {
    pub(super) first: u32,
    pub(super) second: Option<u32>,
}

impl Variables {
    /// Runs `turn` with the variables bound to the entry at `index`, whose key and element it gets too.
    pub(super) fn bind<R>(
        self,
        run: &Run<'_>,
        items: Items<'_>,
        index: usize,
        turn: impl FnOnce(&Run<'_>, &Value, &Value) -> R,
    ) -> R {
        let position = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
        let (key, value) = match items {
            Items::List(items) => (&position, items.get(index).unwrap_or(&Value::Null)),
            Items::Map(map) => map.entry(index).map_or((&Value::Null, &Value::Null), |(key, value)| (key, value)),
        };
        // Alone, a variable is the element of a list, and the key of a map.
        let element = if self.second.is_none() && matches!(items, Items::Map(_)) { key } else { value };
        let Some(second) = self.second else {
            let scope = run.scope(Bound::One(self.first, element));
            return turn(&run.within(&scope), key, element);
        };
        let outer = run.scope(Bound::One(self.first, key));
        let run = run.within(&outer);
        let scope = run.scope(Bound::One(second, value));
        turn(&run.within(&scope), key, value)
    }
}

/// The condition of a loop.
pub(super) struct Predicate {
    pub(super) condition: Condition,
    /// The same, if it shows in an element that is bound to a variable alone.
    pub(super) element: Option<Element>,
}

impl Predicate {
    /// Whether it holds for `element` of a list, if that shows in it.
    #[inline]
    fn shown(&self, items: Items<'_>, index: usize) -> Option<bool> {
        match (items, &self.element) {
            (Items::List(items), Some(element)) => element.holds(items.get(index)?),
            _ => None,
        }
    }
}

impl Planner {
    fn predicate(self, node: &Checked, variables: Variables) -> Predicate {
        let condition = self.truth(node);
        let element = match variables.second {
            None => Element::of(&condition, variables.first),
            Some(_) => None,
        };
        Predicate { condition, element }
    }

    fn source(self, node: &Checked) -> Source {
        let origin = match Place::of(node) {
            Some(place) if !self.is_traced => ListSource::Place(place),
            _ => ListSource::Step(self.value(node)),
        };
        Source { origin, range: node.range }
    }

    /// A loop that is a condition.
    pub(super) fn quick_loop(self, parts: &Loop) -> Option<BoolStep> {
        let predicate = parts.predicate.as_ref()?;
        let units = cost::of_turn(parts);
        let variables = Variables { first: parts.first, second: parts.second };
        let decisive = match parts.kind {
            LoopKind::All => false,
            LoopKind::Exists => true,
            LoopKind::ExistsOne => return Some(self.exists_one(parts, units)),
            _ => return None,
        };
        let predicate = self.predicate(predicate, variables);
        let (source, search) = (self.source(&parts.range), Search { predicate, variables, units, decisive });
        Some(Box::new(move |run| source.visit(run, |items| search.run(run, items))))
    }

    fn exists_one(self, parts: &Loop, units: u64) -> BoolStep {
        let variables = Variables { first: parts.first, second: parts.second };
        let source = self.source(&parts.range);
        let predicate = parts.predicate.as_ref().map(|predicate| self.predicate(predicate, variables));
        Box::new(move |run| {
            source.visit(run, |items| {
                let mut count = 0_usize;
                for index in 0..items.len() {
                    let Some(predicate) = &predicate else { break };
                    run.charge(units)?;
                    let holds = match predicate.shown(items, index) {
                        Some(holds) => holds,
                        None => variables.bind(run, items, index, |run, _, _| predicate.condition.test(run))?,
                    };
                    count += usize::from(holds);
                }
                Ok(count == 1)
            })
        })
    }

    /// Any loop.
    pub(super) fn fold(self, parts: &Loop, range: Range) -> Step {
        if let Some(step) = self.quick_loop(parts) {
            return Box::new(move |run| step(run).map(Value::Bool));
        }
        let variables = Variables { first: parts.first, second: parts.second };
        let build = Build {
            kind: parts.kind,
            variables,
            units: cost::of_turn(parts),
            predicate: parts.predicate.as_ref().map(|predicate| self.predicate(predicate, variables)),
            transform: parts.transform.as_ref().map(|transform| self.value(transform)),
            range,
        };
        let source = self.source(&parts.range);
        Box::new(move |run| source.visit(run, |items| build.run(run, items)))
    }
}

/// A loop that makes a list or a map.
struct Build {
    kind: LoopKind,
    variables: Variables,
    units: u64,
    predicate: Option<Predicate>,
    transform: Option<Step>,
    range: Range,
}

impl Build {
    fn run(&self, run: &Run<'_>, source: Items<'_>) -> Outcome {
        let mut items = Vec::new();
        let mut map = MapValue::default();
        for index in 0..source.len() {
            run.charge(self.units)?;
            if let Some(predicate) = &self.predicate
                && predicate.shown(source, index) == Some(false)
            {
                continue;
            }
            let entry = self.variables.bind(run, source, index, |run, key, element| self.turn(run, key, element))?;
            if let Some((key, value)) = entry {
                self.keep(run, key, value, &mut items, &mut map).map_err(|fault| fault.at(self.range))?;
            }
        }
        Ok(if self.kind == LoopKind::List { Value::list(items) } else { Value::Map(Arc::new(map)) })
    }

    /// What becomes of one entry: its key and its new value, or nothing.
    fn turn(&self, run: &Run<'_>, key: &Value, element: &Value) -> Result<Option<(Value, Value)>, Fault> {
        if let Some(predicate) = &self.predicate
            && !predicate.condition.test(run)?
        {
            return Ok(None);
        }
        let value = match &self.transform {
            Some(transform) => transform(run)?,
            None => element.clone(),
        };
        Ok(Some((key.clone(), value)))
    }

    fn keep(
        &self,
        run: &Run<'_>,
        key: Value,
        value: Value,
        items: &mut Vec<Value>,
        map: &mut MapValue,
    ) -> Result<(), Fault> {
        match (self.kind, value) {
            (LoopKind::List, value) => {
                // Twice: while it grows, and as the list that it becomes.
                run.allocate_items(2)?;
                items.push(value);
                Ok(())
            }
            (LoopKind::MapEntry, Value::Map(entries)) => {
                for (key, value) in entries.iter() {
                    run.allocate_items(4)?;
                    insert(map, key.clone(), value.clone())?;
                }
                Ok(())
            }
            (LoopKind::MapEntry, other) => {
                let message = format!("`transformMapEntry` needs a map, not `{}`", other.type_name());
                Err(Fault::new("no_such_overload", message))
            }
            (_, value) => {
                run.allocate_items(4)?;
                insert(map, key, value)
            }
        }
    }
}
