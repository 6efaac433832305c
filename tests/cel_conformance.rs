//! The language, case by case: `cargo test --test cel_conformance`.
//!
//! Reads the project's own cases under `tests/cases/cel`, and every file that `CEL_CASES` names, separated by colons.
//! One case is one line of JSON; `tests/cases/cel/README.md` says what it may hold. Prints a count for each file and
//! one for all; ends with an error if a case fails or a file cannot be read.

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta};
use serde_json::Value as Json;
use tenet::cel::{Activation, Env, MapValue, Type, Value};

fn main() -> ExitCode {
    let mut total = Count::default();
    let mut is_broken = false;
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else {
            println!("{}: cannot be read", path.display());
            is_broken = true;
            continue;
        };
        let mut count = Count::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let outcome = serde_json::from_str(line).map_err(|error| error.to_string()).and_then(|case| run(&case));
            match outcome {
                Ok(true) => count.passed += 1,
                Ok(false) => count.skipped += 1,
                Err(reason) => {
                    count.failed += 1;
                    println!("{}:{number}: {reason}", path.display());
                }
            }
        }
        println!("{}: {count}", path.display());
        total.passed += count.passed;
        total.failed += count.failed;
        total.skipped += count.skipped;
    }
    println!("{total}");
    if total.failed > 0 || is_broken || total.passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "passed {}, failed {}, skipped {}", self.passed, self.failed, self.skipped)
    }
}

fn files() -> Vec<PathBuf> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/cel");
    let mut files: Vec<_> = fs::read_dir(own)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let named = std::env::var("CEL_CASES").unwrap_or_default();
    files.extend(named.split(':').filter(|name| !name.is_empty()).map(PathBuf::from));
    files
}

/// Whether the case passed; `false` if it needs what no tenant has: messages and enums of protocol buffers.
fn run(case: &Json) -> Result<bool, String> {
    if mentions_proto(case) {
        return Ok(false);
    }
    let expression = case["expr"].as_str().ok_or("a case needs `expr`")?;
    let fail = |what: String| {
        Err(format!(
            "{} {}: `{expression}`: {what}",
            case["section"].as_str().unwrap_or(""),
            case["name"].as_str().unwrap_or("")
        ))
    };
    let env = environment(case)?;
    let expect = &case["expect"];
    let is_error = expect.get("error").is_some();
    let program = match env.compile(expression) {
        Ok(program) => program,
        Err(_) if is_error => return Ok(true),
        Err(details) => {
            let messages: Vec<_> = details.iter().map(|detail| detail.message.clone()).collect();
            return fail(format!("refused: {}", messages.join("; ")));
        }
    };
    if let Some(deduced) = expect.get("deduced_type") {
        let (expected, found) = (read_type(deduced)?, program.value_type().clone());
        if expected != found {
            return fail(format!("its type is `{found}`, expected was `{expected}`"));
        }
    }
    if case["check_only"] == true {
        return Ok(true);
    }
    let mut activation = Activation::new(&env);
    for (name, value) in case["bindings"].as_object().into_iter().flatten() {
        activation.set_path(name, read_value(value)?);
    }
    match (program.evaluate(&activation), expect.get("value")) {
        (Err(_), None) if is_error => Ok(true),
        (Ok(found), _) if is_error => fail(format!("expected was an error, found {found:?}")),
        (Ok(_), None) => Ok(true),
        (Ok(found), Some(expected)) => {
            let expected = read_value(expected)?;
            if is_same(&found, &expected) {
                Ok(true)
            } else {
                fail(format!("found {found:?}, expected was {expected:?}"))
            }
        }
        (Err(error), _) => fail(format!("ended with {}: {}", error.code, error.message)),
    }
}

fn mentions_proto(case: &Json) -> bool {
    if case["needs_proto"].as_bool() == Some(true) {
        return true;
    }
    fn holds(json: &Json) -> bool {
        match json {
            Json::Object(entries) => {
                entries.keys().any(|key| matches!(key.as_str(), "proto" | "enum" | "message"))
                    || entries.values().any(holds)
            }
            Json::Array(items) => items.iter().any(holds),
            _ => false,
        }
    }
    ["bindings", "expect", "type_env"].into_iter().any(|part| holds(&case[part]))
}

fn environment(case: &Json) -> Result<Env, String> {
    let mut variables: Vec<(String, Type)> = Vec::new();
    let mut functions = Vec::new();
    for declaration in case["type_env"].as_array().into_iter().flatten() {
        let name = declaration["name"].as_str().unwrap_or_default().to_owned();
        if let Some(ident) = declaration.get("ident").filter(|ident| !ident.is_null()) {
            variables.push((name.clone(), read_type(ident)?));
        }
        for overload in declaration["function"].as_array().into_iter().flatten() {
            let parameters: Result<Vec<_>, _> =
                overload["params"].as_array().into_iter().flatten().map(read_type).collect();
            functions.push((name.clone(), overload["member"] == true, parameters?, read_type(&overload["result"])?));
        }
    }
    for (name, _) in case["bindings"].as_object().into_iter().flatten() {
        if !variables.iter().any(|(declared, _)| declared == name) {
            variables.push((name.clone(), Type::Dyn));
        }
    }
    let mut env = Env::new(variables).with_container(case["container"].as_str().unwrap_or_default());
    for (name, is_member, parameters, result) in functions {
        env = env.with_function(&name, is_member, parameters, result);
    }
    if case["disable_check"] == true {
        env = env.without_checks();
    }
    if case["disable_macros"] == true {
        env = env.without_macros();
    }
    Ok(env)
}

fn read_type(json: &Json) -> Result<Type, String> {
    if let Some(name) = json.as_str() {
        return Ok(match name {
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "bool" => Type::Bool,
            "null" => Type::Null,
            "timestamp" => Type::Timestamp,
            "duration" => Type::Duration,
            "dyn" | "error" => Type::Dyn,
            other => return Err(format!("there is no type `{other}`")),
        });
    }
    if let Some(element) = json.get("list") {
        return Ok(Type::list(read_type(element)?));
    }
    if let Some(parts) = json.get("map") {
        return Ok(Type::map(read_type(&parts[0])?, read_type(&parts[1])?));
    }
    if let Some(inner) = json.get("type") {
        return Ok(Type::Type(Arc::new(if inner.is_null() { Type::Dyn } else { read_type(inner)? })));
    }
    if let Some(name) = json.get("type_param").and_then(Json::as_str) {
        return Ok(Type::Parameter(name.into()));
    }
    if let Some([name, parameters @ ..]) = json.get("abstract").and_then(Json::as_array).map(Vec::as_slice) {
        let parameters = parameters.iter().map(read_type).collect::<Result<Vec<_>, _>>()?;
        return match (name.as_str().unwrap_or_default(), parameters.as_slice()) {
            ("optional_type", [inner]) => Ok(Type::optional(inner.clone())),
            (name, _) => Ok(Type::Abstract(name.into(), parameters.into())),
        };
    }
    Err(format!("`{json}` is no type"))
}

fn read_value(json: &Json) -> Result<Value, String> {
    let bad = || format!("`{json}` is no value");
    let (kind, content) = json.as_object().and_then(|entries| entries.iter().next()).ok_or_else(bad)?;
    let text = content.as_str().unwrap_or_default();
    Ok(match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool().ok_or_else(bad)?),
        "int" => Value::Int(text.parse().map_err(|_| bad())?),
        "uint" => Value::Uint(text.parse().map_err(|_| bad())?),
        "double" => Value::Double(match content.as_f64() {
            Some(number) => number,
            None => text.parse().map_err(|_| bad())?,
        }),
        "string" => Value::from(text),
        "bytes" => Value::Bytes(STANDARD.decode(text).map_err(|_| bad())?.into()),
        "list" => Value::list(content.as_array().ok_or_else(bad)?.iter().map(read_value).collect::<Result<_, _>>()?),
        "map" => {
            let mut map = MapValue::default();
            for entry in content.as_array().ok_or_else(bad)? {
                map.insert(read_value(&entry[0])?, read_value(&entry[1])?);
            }
            Value::Map(Arc::new(map))
        }
        "type" => Value::Type(text.into()),
        "timestamp" | "duration" => {
            let number = |name: &str| {
                let part = &content[name];
                part.as_i64().or_else(|| part.as_str().and_then(|part| part.parse().ok())).unwrap_or(0)
            };
            let (seconds, nanos) = (number("seconds"), number("nanos"));
            if kind == "duration" {
                Value::Duration(TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanos))
            } else {
                Value::Timestamp(
                    DateTime::from_timestamp(seconds, u32::try_from(nanos).map_err(|_| bad())?).ok_or_else(bad)?,
                )
            }
        }
        _ => return Err(bad()),
    })
}

/// Equal and of one type: `1` is not `1.0` here, NaN is NaN, and the order of a map does not matter.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Double(left), Value::Double(right)) => {
            left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| is_same(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|found| is_same(value, found)))
        }
        _ => left.type_name() == right.type_name() && left == right,
    }
}
