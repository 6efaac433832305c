//! Comprehensions: native loops, each turn of which is paid for.

use std::sync::Arc;

use super::{
    BoolStep, Planner, Step, insert,
    logic::{Turns, turn},
};
use crate::cel::{
    check::{Loop, LoopKind},
    cost,
    parse::Range,
    run::{Fault, Outcome, Run},
    value::{MapValue, Value},
};

/// What a loop runs over.
enum Source {
    List(Arc<[Value]>),
    Map(Arc<MapValue>),
}

impl Source {
    fn of(value: Value, range: Range) -> Result<Self, Fault> {
        match value {
            Value::List(items) => Ok(Self::List(items)),
            Value::Map(map) => Ok(Self::Map(map)),
            other => {
                let message = format!("a loop runs over a list or a map, not over `{}`", other.type_name());
                Err(Fault::new("no_such_overload", message).at(range))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::List(items) => items.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// Binds the loop's variables to the entry at `index`; that entry's key.
    #[inline]
    fn bind(&self, run: &mut Run<'_>, index: usize, first: u32, second: Option<u32>) -> Value {
        let position = || Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
        match self {
            Self::List(items) => {
                let item = items.get(index).cloned().unwrap_or(Value::Null);
                match second {
                    None => {
                        run.bind(first, Ok(item));
                        Value::Null
                    }
                    Some(second) => {
                        run.bind(first, Ok(position()));
                        run.bind(second, Ok(item));
                        position()
                    }
                }
            }
            Self::Map(map) => {
                let (key, value) = map.entry(index).cloned().unwrap_or((Value::Null, Value::Null));
                run.bind(first, Ok(key.clone()));
                if let Some(second) = second {
                    run.bind(second, Ok(value));
                }
                key
            }
        }
    }
}

impl Planner {
    /// A loop that is a condition.
    pub(super) fn quick_loop(self, parts: &Loop) -> Option<BoolStep> {
        let predicate = parts.predicate.as_ref()?;
        let units = cost::of_turn(parts);
        let (first, second, range) = (parts.first, parts.second, parts.range.range);
        let decisive = match parts.kind {
            LoopKind::All => false,
            LoopKind::Exists => true,
            LoopKind::ExistsOne => return Some(self.exists_one(parts, units)),
            _ => return None,
        };
        let (source, step) = (self.value(&parts.range), self.truth(predicate));
        Some(Box::new(move |run| {
            let source = Source::of(source(run)?, range)?;
            let mut turns = Turns::new(decisive);
            if let (Source::List(items), None) = (&source, second) {
                for item in items.iter() {
                    run.bind(first, Ok(item.clone()));
                    let outcome = turn(run, units, &step);
                    if turns.take(outcome)? {
                        return Ok(decisive);
                    }
                }
                return turns.end();
            }
            for index in 0..source.len() {
                source.bind(run, index, first, second);
                let outcome = turn(run, units, &step);
                if turns.take(outcome)? {
                    return Ok(decisive);
                }
            }
            turns.end()
        }))
    }

    fn exists_one(self, parts: &Loop, units: u64) -> BoolStep {
        let (first, second, range) = (parts.first, parts.second, parts.range.range);
        let source = self.value(&parts.range);
        let step = parts.predicate.as_ref().map(|predicate| self.truth(predicate));
        Box::new(move |run| {
            let source = Source::of(source(run)?, range)?;
            let mut count = 0_usize;
            for index in 0..source.len() {
                source.bind(run, index, first, second);
                if let Some(step) = &step
                    && turn(run, units, step)?
                {
                    count += 1;
                }
            }
            Ok(count == 1)
        })
    }

    /// Any loop.
    pub(super) fn fold(self, parts: &Loop, range: Range) -> Step {
        if let Some(step) = self.quick_loop(parts) {
            return Box::new(move |run| step(run).map(Value::Bool));
        }
        let build = Build {
            kind: parts.kind,
            first: parts.first,
            second: parts.second,
            units: cost::of_turn(parts),
            predicate: parts.predicate.as_ref().map(|predicate| self.truth(predicate)),
            transform: parts.transform.as_ref().map(|transform| self.value(transform)),
            range,
        };
        let (source, source_range) = (self.value(&parts.range), parts.range.range);
        Box::new(move |run| {
            let source = Source::of(source(run)?, source_range)?;
            build.run(run, &source)
        })
    }
}

/// A loop that makes a list or a map.
struct Build {
    kind: LoopKind,
    first: u32,
    second: Option<u32>,
    units: u64,
    predicate: Option<BoolStep>,
    transform: Option<Step>,
    range: Range,
}

impl Build {
    fn run(&self, run: &mut Run<'_>, source: &Source) -> Outcome {
        let mut items = Vec::new();
        let mut map = MapValue::default();
        for index in 0..source.len() {
            let key = source.bind(run, index, self.first, self.second);
            run.charge(self.units)?;
            if let Some(predicate) = &self.predicate
                && !predicate(run)?
            {
                continue;
            }
            let value = match &self.transform {
                Some(transform) => transform(run)?,
                None => run.local(self.first)?.clone(),
            };
            self.keep(run, key, value, &mut items, &mut map).map_err(|fault| fault.at(self.range))?;
        }
        Ok(if self.kind == LoopKind::List { Value::list(items) } else { Value::Map(Arc::new(map)) })
    }

    fn keep(
        &self,
        run: &mut Run<'_>,
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
