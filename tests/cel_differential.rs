//! Our evaluator against the interpreter of the `cel` crate, on generated schemas, expressions and facts.
//!
//! Both must give the same value, or both an error. Expressions are well-typed, so that it is also held that a checked
//! expression never ends in `no_such_overload` unless a type took part that is known at run time only. How much runs, and
//! from which seed on, is for `generator::Extent`; a failure says how to run its case alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

mod generator;

use std::{collections::HashMap, sync::Arc};

use ::cel::{Context, Value as Raw, extensions, objects::Key};
use generator::{Case, Coverage, Dialect, Extent, FACTS_EACH};
use tenet::cel::{self, Activation, EvaluationError, Program, Value};

/// The interpreter recurses deeply in a debug build.
const STACK_BYTES: usize = 256 * 1024 * 1024;

#[test]
fn ours_gives_what_the_other_implementation_gives() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(|| compare(Extent::of(2_000, 30_000))).unwrap().join().unwrap();
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    agree: u64,
    values: u64,
    refused: u64,
    stopped: u64,
    faults: u64,
}

fn compare(mut extent: Extent) {
    let theirs = Arc::new(their_env());
    let (mut coverage, mut tally) = (Coverage::default(), Tally::default());
    for seed in extent.by_ref() {
        let case = Case::of(seed, Dialect::Shared, &mut coverage);
        tally.cases += 1;
        let env = case.env();
        let program = match env.compile(&case.source) {
            Ok(program) => program,
            // What is too long, too deep or too large is refused, and nothing else.
            Err(details) if details.iter().all(|detail| LIMIT_CODES.contains(&detail.code)) => {
                tally.refused += 1;
                continue;
            }
            Err(details) => panic!("refused: {details:?}\n  {}", case.replay()),
        };
        let other = theirs.compile(&case.source);
        let other = other.unwrap_or_else(|errors| panic!("the other parser refuses it: {errors}\n  {}", case.replay()));
        for facts in &case.facts {
            let mut activation = Activation::new(&env);
            for (name, value) in facts {
                assert!(activation.set_path(&format!("facts.{name}"), value.clone()), "{name}");
            }
            let ours = program.evaluate(&activation);
            if ours.as_ref().is_err_and(EvaluationError::is_stop) {
                tally.stopped += 1;
                continue;
            }
            let mut context = Context::with_env(Arc::clone(&theirs));
            context
                .add_variable_from_value("facts", to_raw_map(facts.iter().map(|(name, value)| (name.as_str(), value))));
            let expected = Raw::resolve(other.expression(), &context);
            if let Err(error) = &ours {
                let is_sound = case.has_dyn || error.code != "no_such_overload";
                assert!(is_sound, "it was checked, and ends with {error}, on {facts:?}\n  {}", case.replay());
            }
            if !agree(&ours, &expected) {
                if known_fault(&case, &ours, &expected).is_none() {
                    panic!("on {facts:?}\n  ours: {ours:?}\n  theirs: {expected:?}\n  {}", case.replay());
                }
                tally.faults += 1;
                continue;
            }
            agrees_with_its_trace(&case, &program, &activation, &ours);
            tally.agree += 1;
            tally.values += u64::from(ours.is_ok());
        }
    }
    println!("{tally:?}");
    if extent.is_large() {
        coverage.check(Dialect::Shared);
        let triples = tally.cases * FACTS_EACH as u64;
        assert!(tally.agree * 100 > triples * 90, "too little can be compared: {tally:?}");
        assert!(tally.values * 2 > tally.agree, "too much ends with an error: {tally:?}");
    }
}

/// With every extension that it has.
fn their_env() -> ::cel::Env {
    let mut env = ::cel::Env::stdlib();
    for extension in [extensions::strings, extensions::math, extensions::lists, extensions::encoders] {
        env.add_extension(extension).unwrap();
    }
    env
}
/// The plan that runs takes short cuts; the one that traces takes none. Both must end alike.
fn agrees_with_its_trace(
    case: &Case,
    program: &Program,
    activation: &Activation,
    ours: &Result<Value, EvaluationError>,
) {
    let trace = program.trace(activation);
    // A trace that is full has no room for the whole, which comes last.
    let Some(whole) = trace.first().filter(|entry| entry.text == program.source() && trace.len() < 1_000) else {
        return;
    };
    match ours {
        Ok(value) => assert_eq!(whole.value, value.to_json(), "{}", case.replay()),
        Err(error) => assert_eq!(whole.value["error"]["code"], error.code, "{}", case.replay()),
    }
}

fn agree(ours: &Result<Value, EvaluationError>, theirs: &Result<Raw, ::cel::ExecutionError>) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => is_same(ours, theirs),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

/// Why the other implementation gives something else, where it is known to.
fn known_fault(
    case: &Case,
    ours: &Result<Value, EvaluationError>,
    theirs: &Result<Raw, ::cel::ExecutionError>,
) -> Option<&'static str> {
    let code = ours.as_ref().err().map(|error| error.code);
    let is_about = |name: &str| case.source.contains(name);
    match (code, theirs) {
        (Some("no_such_overload"), Ok(_))
            if case.has_dyn && ["or(", "orValue(", "optFlatMap(", "?dyn("].into_iter().any(is_about) =>
        {
            Some("what takes an optional takes what is none, if that is known at run time only")
        }
        (Some("index_out_of_range"), Ok(_)) if is_about("ndexOf(") => {
            Some("an empty text is found beyond the end of another")
        }
        (None, Err(::cel::ExecutionError::UnsupportedKeyType(_))) if case.source.contains("{?") => {
            Some("an optional entry that is not there must have a key that could be one")
        }
        (None, Err(::cel::ExecutionError::NoSuchOverload(error)))
            if case.has_dyn && error.to_string().contains("@in") =>
        {
            Some("what can be no key is in no map, and need not be an error if it is known at run time only")
        }
        (None, Ok(_))
            if is_about("matches(")
                && [r"\w", r"\d", r"\s", r"\b", r"\W", r"\D", r"\S", r"\B"].into_iter().any(is_about) =>
        {
            Some("RE2's classes and word boundaries are of ASCII, the other's of Unicode")
        }
        (None, Ok(_)) if case.loops_over_map => Some("a loop meets the entries of a map in an order of its own"),
        _ => None,
    }
}

/// What an expression may be refused with though it is well-typed.
const LIMIT_CODES: [&str; 3] = ["expression_too_long", "expression_too_large", "expression_too_deep"];

fn to_raw_map<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>) -> Raw {
    Raw::from(entries.map(|(name, value)| (Key::from(name), to_raw(value))).collect::<HashMap<Key, Raw>>())
}

fn to_key(value: &Value) -> Key {
    match value {
        Value::Bool(value) => Key::Bool(*value),
        Value::Int(value) => Key::Int(*value),
        Value::Uint(value) => Key::Uint(*value),
        Value::String(value) => Key::from(&**value),
        other => panic!("{other:?} is no key"),
    }
}

fn to_raw(value: &Value) -> Raw {
    match value {
        Value::Null => Raw::Null,
        Value::Bool(value) => Raw::Bool(*value),
        Value::Int(value) => Raw::Int(*value),
        Value::Uint(value) => Raw::UInt(*value),
        Value::Double(value) => Raw::Float(*value),
        Value::String(value) => Raw::String(Arc::new(value.to_string())),
        Value::Bytes(value) => Raw::Bytes(Arc::new(value.to_vec())),
        Value::Timestamp(value) => Raw::Timestamp(value.fixed_offset()),
        Value::Duration(value) => Raw::Duration(*value),
        Value::List(items) => Raw::List(Arc::new(items.iter().map(to_raw).collect())),
        Value::Map(map) => {
            Raw::from(map.iter().map(|(key, value)| (to_key(key), to_raw(value))).collect::<HashMap<Key, Raw>>())
        }
        Value::Object(object) => to_raw_map(object.iter()),
        other => panic!("{other:?} is no fact"),
    }
}

fn is_same(ours: &Value, theirs: &Raw) -> bool {
    match (ours, theirs) {
        (Value::Double(ours), Raw::Float(theirs)) => ours == theirs || (ours.is_nan() && theirs.is_nan()),
        (Value::List(ours), Raw::List(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs.iter()).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Value::Map(ours), Raw::Map(theirs)) => {
            ours.len() == theirs.map.len()
                && ours
                    .iter()
                    .all(|(key, value)| theirs.map.get(&to_key(key)).is_some_and(|other| is_same(value, other)))
        }
        _ => to_raw(ours) == *theirs,
    }
}
