//! Tests of texts against constants, and membership in constant lists: no text is copied.

use std::{collections::HashSet, sync::Arc};

use super::{
    BoolStep, Checked, CheckedKind, Planner,
    numbers::Comparison,
    place::{Place, mismatch},
};
use crate::cel::{
    cost,
    library::{literals, no_overload},
    parse::Range,
    run::{Fault, Run},
    types::Type,
    value::Value,
};

/// Up to this many constants are compared one by one, which is faster than hashing.
const LINEAR_MAX: usize = 8;

impl Planner {
    /// `text == 'constant'`.
    pub(super) fn compare_text(self, comparison: Comparison, left: &Checked, right: &Checked) -> Option<BoolStep> {
        let (text, constant) = match (&left.kind, &right.kind) {
            (_, CheckedKind::Constant(Value::String(constant))) => (left, Arc::clone(constant)),
            (CheckedKind::Constant(Value::String(constant)), _) => (right, Arc::clone(constant)),
            _ => return None,
        };
        let wanted = match comparison {
            Comparison::Equal => true,
            Comparison::NotEqual => false,
            _ => return None,
        };
        let (place, range) = (text_place(text)?, text.range);
        Some(Box::new(move |run| Ok((*read(&place, run, range)? == *constant) == wanted)))
    }

    /// A call of a method on a text, with a constant.
    pub(super) fn test_text(self, name: &str, arguments: &[Checked]) -> Option<BoolStep> {
        let [text, constant] = arguments else { return None };
        let CheckedKind::Constant(Value::String(constant)) = &constant.kind else { return None };
        let (range, constant) = (text.range, Arc::clone(constant));
        let Some(place) = text_place(text) else { return self.matches_computed(name, text, &constant) };
        Some(match name {
            "startsWith" => Box::new(move |run| Ok(read(&place, run, range)?.starts_with(&*constant))),
            "endsWith" => Box::new(move |run| Ok(read(&place, run, range)?.ends_with(&*constant))),
            "contains" => Box::new(move |run| {
                let units = cost::of_bytes(read(&place, run, range)?.len() as u64);
                run.charge(units)?;
                Ok(read(&place, run, range)?.contains(&*constant))
            }),
            "matches" => match literals::pattern(&constant) {
                Ok(pattern) => Box::new(move |run| {
                    let units = cost::of_bytes(read(&place, run, range)?.len() as u64);
                    run.charge(units)?;
                    Ok(pattern.is_match(read(&place, run, range)?))
                }),
                // One that was computed while the expression was folded: the checker has not seen it.
                Err(_) => return self.matches_computed(name, text, &constant),
            },
            _ => return None,
        })
    }

    /// `matches` on a text that is computed, with a constant pattern: that is compiled here all the same.
    fn matches_computed(self, name: &str, text: &Checked, constant: &str) -> Option<BoolStep> {
        if name != "matches" || self.is_traced {
            return None;
        }
        let (step, range, pattern) = (self.value(text), text.range, literals::pattern(constant));
        Some(Box::new(move |run| match (step(run)?, &pattern) {
            (Value::String(text), Ok(pattern)) => {
                run.charge_bytes(text.len())?;
                Ok(pattern.is_match(&text))
            }
            (Value::String(_), Err(reason)) => Err(Fault::new("invalid_argument", reason.clone()).at(range)),
            (other, _) => Err(no_overload("matches", &[other]).at(range)),
        }))
    }

    /// `value in [constants]`.
    pub(super) fn contained(self, item: &Checked, list: &Checked) -> Option<BoolStep> {
        let CheckedKind::Constant(Value::List(constants)) = &list.kind else { return None };
        let range = item.range;
        match item.value_type {
            Type::String => {
                let place = text_place(item)?;
                let texts: Option<Vec<Arc<str>>> = constants
                    .iter()
                    .map(|constant| if let Value::String(text) = constant { Some(Arc::clone(text)) } else { None })
                    .collect();
                let texts = texts?;
                if texts.len() <= LINEAR_MAX {
                    return Some(Box::new(move |run| {
                        let text = read(&place, run, range)?;
                        Ok(texts.iter().any(|candidate| **candidate == *text))
                    }));
                }
                let texts: HashSet<Arc<str>> = texts.into_iter().collect();
                Some(Box::new(move |run| Ok(texts.contains(read(&place, run, range)?))))
            }
            Type::Int => {
                let numbers: Option<Vec<i64>> = constants
                    .iter()
                    .map(|constant| if let Value::Int(number) = constant { Some(*number) } else { None })
                    .collect();
                let mut numbers = numbers?;
                numbers.sort_unstable();
                let item = self.int(item);
                Some(Box::new(move |run| Ok(numbers.binary_search(&item(run)?).is_ok())))
            }
            _ => None,
        }
    }
}

fn text_place(node: &Checked) -> Option<Place> {
    (node.value_type == Type::String).then(|| Place::of(node)).flatten()
}

#[inline]
fn read<'r>(place: &Place, run: &'r Run<'_>, range: Range) -> Result<&'r str, Fault> {
    match place.read(run) {
        Ok(Value::String(text)) => Ok(text),
        Ok(_) => Err(mismatch().at(range)),
        Err(fault) => Err(fault.at(range)),
    }
}
