//! A second evaluator, for tests: it walks the checked tree and computes values, in the plainest way there is.
//!
//! No folding, no fusing, no look-up tables, no types decided beforehand, no cost. Arithmetic, comparison, look-up, logic
//! and loops are written here anew; the bodies of the library's functions are the library's own. The planned evaluator
//! must end with the same value or the same code of an error, on whatever the generator makes.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Program, Repeated,
    activation::{Activation, Slot},
    check::{self, Access, Checked, CheckedKind, Loop, LoopKind},
    env::Env,
    library::Function,
    meter::Meter,
    parse,
    run::{Limits, Run},
    types::Type,
    value::{MapValue, ObjectValue, Value, key_is_valid},
};

#[path = "../../tests/generator/mod.rs"]
mod generator;

use generator::{Case, Coverage, Dialect, Extent, FACTS_EACH};

/// A value, or the code of an error.
type Naive = Result<Value, &'static str>;

struct Walk<'a> {
    activation: &'a Activation,
    locals: Vec<(u32, Naive)>,
}

impl Walk<'_> {
    fn value(&mut self, node: &Checked) -> Naive {
        match &node.kind {
            CheckedKind::Constant(value) => Ok(value.clone()),
            CheckedKind::Slot(slot, _) => {
                self.activation.read(*slot).map_err(|error| error.code)?.cloned().ok_or("no_such_field")
            }
            CheckedKind::HasSlot(slot) => {
                Ok(Value::Bool(self.activation.read(*slot).map_err(|error| error.code)?.is_some()))
            }
            CheckedKind::OptionalSlot(slot, _) => {
                let read = self.activation.read(*slot).map_err(|error| error.code)?;
                Ok(Value::Optional(read.cloned().map(Arc::new)))
            }
            CheckedKind::Object(object, first) => {
                let slots = (first.0..).map(Slot).take(object.fields.len());
                let fields =
                    slots.map(|slot| Ok::<_, &str>(self.activation.read(slot).map_err(|error| error.code)?.cloned()));
                Ok(Value::Object(Arc::new(ObjectValue::new(Arc::clone(object), fields.collect::<Result<_, _>>()?))))
            }
            CheckedKind::Local(local) => self
                .locals
                .iter()
                .rev()
                .find(|(bound, _)| bound == local)
                .map_or(Err("no_such_field"), |(_, value)| value.clone()),
            CheckedKind::Select { operand, field, position, mode } => {
                let absence = if position.is_some() { "no_such_field" } else { "no_such_key" };
                select(&self.value(operand)?, field, *mode, absence)
            }
            CheckedKind::Index { operand, index, optional } => {
                let (operand, index) = (self.value(operand)?, self.value(index)?);
                look_up(&operand, &index, *optional)
            }
            CheckedKind::Call { function, arguments } => {
                let arguments = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                call(function, &arguments)
            }
            CheckedKind::And(terms) => self.terms(terms, false),
            CheckedKind::Or(terms) => self.terms(terms, true),
            CheckedKind::Conditional(parts) => {
                let [condition, accepted, refused] = &**parts;
                if self.truth(condition)? { self.value(accepted) } else { self.value(refused) }
            }
            CheckedKind::List(elements) => self.list(elements),
            CheckedKind::Map(entries) => self.map(entries),
            CheckedKind::Loop(parts) => self.repeat(parts),
            CheckedKind::Bind { bindings, body } => {
                for (local, value) in bindings {
                    let value = self.value(value);
                    self.locals.push((*local, value));
                }
                let value = self.value(body);
                self.locals.truncate(self.locals.len() - bindings.len());
                value
            }
            CheckedKind::MapOptional { operand, local, body, flat } => {
                let Value::Optional(inner) = self.value(operand)? else { return Err("no_such_overload") };
                let Some(inner) = inner else { return Ok(Value::Optional(None)) };
                let value = self.with(&[(*local, (*inner).clone())], |walk| walk.value(body))?;
                match value {
                    Value::Optional(_) if *flat => Ok(value),
                    _ if *flat => Err("no_such_overload"),
                    value => Ok(Value::some(value)),
                }
            }
            CheckedKind::Shared(_, inner) => self.value(inner),
            CheckedKind::Fail(code, _) => Err(code),
        }
    }

    fn truth(&mut self, node: &Checked) -> Result<bool, &'static str> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err("no_such_overload"),
        }
    }

    fn with<R>(&mut self, bound: &[(u32, Value)], run: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.locals.len();
        self.locals.extend(bound.iter().map(|(local, value)| (*local, Ok(value.clone()))));
        let result = run(self);
        self.locals.truncate(before);
        result
    }

    /// `&&` and `||`: every term is computed; one that decides wins, else the first error, else the other value.
    fn terms(&mut self, terms: &[Checked], decisive: bool) -> Naive {
        let outcomes: Vec<_> = terms.iter().map(|term| self.truth(term)).collect();
        decide(&outcomes, decisive).map(Value::Bool)
    }

    fn list(&mut self, elements: &[(Checked, bool)]) -> Naive {
        let mut items = Vec::new();
        for (element, optional) in elements {
            let value = self.value(element)?;
            items.extend(present(value, *optional)?);
        }
        Ok(Value::list(items))
    }

    fn map(&mut self, entries: &[(Checked, Checked, bool)]) -> Naive {
        let mut map = MapValue::default();
        for (key, value, optional) in entries {
            let (key, value) = (self.value(key)?, self.value(value)?);
            if let Some(value) = present(value, *optional)? {
                insert(&mut map, key, value)?;
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// A comprehension. `all` and `exists` look at every element, the loops that make something end with the first error.
    fn repeat(&mut self, parts: &Loop) -> Naive {
        let entries: Vec<(Value, Value)> = match self.value(&parts.range)? {
            Value::List(items) => {
                items.iter().enumerate().map(|(index, item)| (Value::Int(index as i64), item.clone())).collect()
            }
            Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            _ => return Err("no_such_overload"),
        };
        let is_map = matches!(self.value(&parts.range)?, Value::Map(_));
        let mut outcomes = Vec::new();
        let mut items = Vec::new();
        let mut map = MapValue::default();
        for (key, value) in entries {
            let bound = match parts.second {
                Some(second) => vec![(parts.first, key.clone()), (second, value.clone())],
                None => vec![(parts.first, if is_map { key.clone() } else { value.clone() })],
            };
            let kept = match &parts.predicate {
                Some(predicate) => self.with(&bound, |walk| walk.truth(predicate)),
                None => Ok(true),
            };
            outcomes.push(kept);
            if matches!(parts.kind, LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne) || kept == Ok(false) {
                continue;
            }
            kept?;
            let made = match &parts.transform {
                Some(transform) => self.with(&bound, |walk| walk.value(transform))?,
                None => bound[0].1.clone(),
            };
            match (parts.kind, made) {
                (LoopKind::List, made) => items.push(made),
                (LoopKind::Map, made) => insert(&mut map, key, made)?,
                (LoopKind::MapEntry, Value::Map(entries)) => {
                    entries.iter().try_for_each(|(key, value)| insert(&mut map, key.clone(), value.clone()))?;
                }
                _ => return Err("no_such_overload"),
            }
        }
        Ok(match parts.kind {
            LoopKind::All => Value::Bool(decide(&outcomes, false)?),
            LoopKind::Exists => Value::Bool(decide(&outcomes, true)?),
            LoopKind::ExistsOne => {
                let held = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
                Value::Bool(held.iter().filter(|held| **held).count() == 1)
            }
            LoopKind::List => Value::list(items),
            LoopKind::Map | LoopKind::MapEntry => Value::Map(Arc::new(map)),
        })
    }
}

fn decide(outcomes: &[Result<bool, &'static str>], decisive: bool) -> Result<bool, &'static str> {
    if outcomes.contains(&Ok(decisive)) {
        return Ok(decisive);
    }
    outcomes.iter().find(|outcome| outcome.is_err()).copied().unwrap_or(Ok(!decisive))
}

fn present(value: Value, optional: bool) -> Result<Option<Value>, &'static str> {
    match value {
        value if !optional => Ok(Some(value)),
        Value::Optional(inner) => Ok(inner.map(|inner| (*inner).clone())),
        _ => Err("no_such_overload"),
    }
}

fn insert(map: &mut MapValue, key: Value, value: Value) -> Result<(), &'static str> {
    if !key_is_valid(&key) {
        return Err("invalid_argument");
    }
    if map.insert(key, value) { Ok(()) } else { Err("duplicate_key") }
}

fn select(operand: &Value, field: &str, mode: Access, absence: &'static str) -> Naive {
    let (found, absence) = match operand {
        Value::Map(map) => (map.get(&Value::from(field)), absence),
        Value::Object(object) => (object.get(field), "no_such_field"),
        Value::Optional(None) if mode == Access::Test => return Ok(Value::Bool(false)),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) if mode == Access::Test => return select(inner, field, mode, absence),
        Value::Optional(Some(inner)) => return select(inner, field, Access::Optional, absence),
        _ => return Err("no_such_overload"),
    };
    match mode {
        Access::Plain => found.cloned().ok_or(absence),
        Access::Optional => Ok(Value::Optional(found.cloned().map(Arc::new))),
        Access::Test => Ok(Value::Bool(found.is_some())),
    }
}

fn look_up(operand: &Value, index: &Value, optional: bool) -> Naive {
    if let Value::Optional(inner) = operand {
        return inner.as_ref().map_or(Ok(Value::Optional(None)), |inner| look_up(inner, index, true));
    }
    let found = match operand {
        Value::List(items) => {
            let position = match index {
                Value::Int(index) => i128::from(*index),
                Value::Uint(index) => i128::from(*index),
                Value::Double(index) if index.fract() == 0.0 && (0.0..1e15).contains(index) => *index as i128,
                _ => return Err("invalid_argument"),
            };
            let mut found = items.iter().enumerate().filter(|(place, _)| *place as i128 == position);
            found.next().map(|(_, item)| item.clone()).ok_or("index_out_of_range")
        }
        Value::Map(map) => {
            map.iter().find(|(key, _)| *key == index).map(|(_, value)| value.clone()).ok_or("no_such_key")
        }
        Value::Object(object) => index.as_str().and_then(|name| object.get(name)).cloned().ok_or("no_such_key"),
        _ => return Err("no_such_overload"),
    };
    if optional { Ok(Value::Optional(found.ok().map(Arc::new))) } else { found }
}

/// Operators over numbers, texts and truth values are written here in whole numbers that cannot overflow.
fn call(function: &Function, arguments: &[Value]) -> Naive {
    use Value::{Bool, Double, Int, String, Uint};
    let int = |value: i128| i64::try_from(value).map(Int).map_err(|_| "overflow");
    let uint = |value: i128| u64::try_from(value).map(Uint).map_err(|_| "overflow");
    match (function.name, arguments) {
        ("_==_", [left, right]) => Ok(Bool(left == right)),
        ("_!=_", [left, right]) => Ok(Bool(left != right)),
        ("!_", [Bool(value)]) => Ok(Bool(!value)),
        ("-_", [Int(value)]) => int(-i128::from(*value)),
        ("-_", [Double(value)]) => Ok(Double(-value)),
        ("_+_", [Int(left), Int(right)]) => int(i128::from(*left) + i128::from(*right)),
        ("_-_", [Int(left), Int(right)]) => int(i128::from(*left) - i128::from(*right)),
        ("_*_", [Int(left), Int(right)]) => int(i128::from(*left) * i128::from(*right)),
        ("_/_" | "_%_", [Int(_), Int(0)] | [Uint(_), Uint(0)]) => Err("division_by_zero"),
        ("_/_", [Int(left), Int(right)]) => int(i128::from(*left) / i128::from(*right)),
        ("_%_", [Int(i64::MIN), Int(-1)]) => Err("overflow"),
        ("_%_", [Int(left), Int(right)]) => int(i128::from(*left) % i128::from(*right)),
        ("_+_", [Uint(left), Uint(right)]) => uint(i128::from(*left) + i128::from(*right)),
        ("_-_", [Uint(left), Uint(right)]) => uint(i128::from(*left) - i128::from(*right)),
        ("_*_", [Uint(left), Uint(right)]) => left.checked_mul(*right).map(Uint).ok_or("overflow"),
        ("_/_", [Uint(left), Uint(right)]) => uint(i128::from(*left) / i128::from(*right)),
        ("_%_", [Uint(left), Uint(right)]) => uint(i128::from(*left) % i128::from(*right)),
        ("_+_", [Double(left), Double(right)]) => Ok(Double(left + right)),
        ("_-_", [Double(left), Double(right)]) => Ok(Double(left - right)),
        ("_*_", [Double(left), Double(right)]) => Ok(Double(left * right)),
        ("_/_", [Double(left), Double(right)]) => Ok(Double(left / right)),
        ("_+_", [String(left), String(right)]) => Ok(Value::from(format!("{left}{right}"))),
        ("contains", [String(text), String(part)]) => Ok(Bool(text.contains(&**part))),
        ("startsWith", [String(text), String(part)]) => Ok(Bool(text.starts_with(&**part))),
        ("endsWith", [String(text), String(part)]) => Ok(Bool(text.ends_with(&**part))),
        ("@in", [item, Value::List(items)]) => Ok(Bool(items.iter().any(|candidate| candidate == item))),
        ("@in", [key, Value::Map(map)]) => Ok(Bool(map.iter().any(|(candidate, _)| candidate == key))),
        ("_<_", [left, right]) => ordered(left, right, Ordering::is_lt),
        ("_<=_", [left, right]) => ordered(left, right, Ordering::is_le),
        ("_>_", [left, right]) => ordered(left, right, Ordering::is_gt),
        ("_>=_", [left, right]) => ordered(left, right, Ordering::is_ge),
        _ => {
            let activation = Activation::new(&Env::new(Vec::new()));
            let limits = Limits { cost_max: u64::MAX, memory_bytes_max: u64::MAX };
            let meter = Meter::of(limits);
            (function.body)(&Run::new(&activation, &meter), arguments).map_err(|fault| fault.into_error("", None).code)
        }
    }
}

fn ordered(left: &Value, right: &Value, accepts: fn(Ordering) -> bool) -> Naive {
    let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    match left.compare(right) {
        Some(ordering) => Ok(Value::Bool(accepts(ordering))),
        None if is_number(left) && is_number(right) => Err("invalid_argument"),
        None => Err("no_such_overload"),
    }
}

#[test]
fn the_plan_gives_what_a_naive_walk_of_the_checked_tree_gives() {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread.spawn(|| compare(Extent::of(2_000, 30_000))).unwrap().join().unwrap();
}

/// The same values, faults with their places, and costs, with means that suffice and with half of them: for the whole, and
/// for a part of another expression.
fn shares(programs: &[Program], activation: &Activation, limits: Limits, repeated: &Repeated) -> u64 {
    let memo = repeated.memo();
    let mut compared = 0;
    for program in programs.iter().chain(programs) {
        let (outcome, cost) = program.evaluate_within(activation, limits);
        let shared = program.evaluate_sharing(activation, limits, memo.as_ref());
        assert_eq!(format!("{:?}", (outcome, cost)), format!("{shared:?}"), "{}", program.source());
        let half = Limits { cost_max: cost / 2, ..limits };
        let expected = program.evaluate_within(activation, half);
        let shared = program.evaluate_sharing(activation, half, memo.as_ref());
        assert_eq!(format!("{expected:?}"), format!("{shared:?}"), "{}", program.source());
        compared += u64::from(memo.is_some());
    }
    compared
}

/// Whether it has the sum of `[]` where several types would do.
fn has_untyped_sum(node: &Checked) -> bool {
    let mut found = node.value_type == Type::Dyn;
    found &= matches!(&node.kind, CheckedKind::Call { function, .. } if function.name == "sum");
    node.children(&mut |child| found = found || has_untyped_sum(child));
    found
}

fn compare(mut extent: Extent) {
    let (mut coverage, mut cases, mut agree, mut values, mut stopped) = (Coverage::default(), 0, 0, 0, 0);
    let mut shared = 0;
    for seed in extent.by_ref() {
        let case = Case::of(seed, Dialect::Whole, &mut coverage);
        cases += 1;
        let env = case.env();
        let program = match env.compile(&case.source) {
            Ok(program) => program,
            Err(details) => {
                let is_limit = |code: &str| code.starts_with("expression_too_");
                assert!(details.iter().all(|detail| is_limit(detail.code)), "{details:?}\n  {}", case.replay());
                continue;
            }
        };
        let checked = check::check(&env, &case.source, &parse::parse(&case.source).unwrap()).unwrap();
        let mut programs = vec![program.clone()];
        programs.extend(env.compile(&format!("[{}]", case.source)).ok());
        let repeated = Repeated::of(programs.iter().chain(&programs));
        for facts in &case.facts {
            let mut activation = Activation::new(&env);
            for (name, value) in facts {
                assert!(activation.set_path(&format!("facts.{name}"), value.clone()), "{name}");
            }
            let planned = program.evaluate(&activation).map_err(|error| error.code);
            if matches!(planned, Err("cost_exceeded" | "memory_exceeded")) {
                stopped += 1;
                continue;
            }
            shared += shares(&programs, &activation, env.limits(), &repeated);
            let naive = Walk { activation: &activation, locals: Vec::new() }.value(&checked);
            let is_untyped = case.has_dyn || has_untyped_sum(&checked);
            let is_sound = is_untyped || !matches!(planned, Err("no_such_overload"));
            assert!(is_sound, "it was checked, and has no overload, on {facts:?}\n  {}", case.replay());
            let is_equal = match (&planned, &naive) {
                (Ok(planned), Ok(naive)) => format!("{planned:?}") == format!("{naive:?}"),
                (planned, naive) => planned.as_ref().err() == naive.as_ref().err(),
            };
            assert!(is_equal, "on {facts:?}\n  planned: {planned:?}\n  naive: {naive:?}\n  {}", case.replay());
            agree += 1;
            values += u64::from(planned.is_ok());
        }
    }
    println!("{cases} cases, {agree} evaluations agree, {values} with a value; {stopped} stopped; {shared} shared");
    if extent.is_large() {
        coverage.check(Dialect::Whole);
        assert!(shared > agree, "too little is shared: {shared}");
        assert!(agree * 100 > cases * FACTS_EACH as u64 * 90 && values * 2 > agree, "{agree} agree, {values} values");
    }
}
