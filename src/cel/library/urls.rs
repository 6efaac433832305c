//! Web addresses and their parts, as Kubernetes has them.

use std::{collections::HashMap, sync::Arc};

use super::{Declaration, Fault, Outcome, Run, Value, no_overload};
use crate::cel::{
    opaque::{Opaque, Url},
    value::MapValue,
};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("url", &["url(string): url"], |run, arguments| match arguments {
        [Value::String(text)] => {
            // The text, and at most as much three times over for what its parts are.
            run.allocate(text.len().saturating_mul(4))?;
            let found = Url::parse(text).ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                Fault::new(
                    "invalid_conversion",
                    format!("`{shown}` is neither an absolute URL nor a path that begins with `/`"),
                )
            })?;
            Ok(Value::Opaque(Arc::new(Opaque::Url(found))))
        }
        _ => Err(no_overload("url", arguments)),
    }),
    ("isURL", &["isURL(string): bool"], |run, arguments| match arguments {
        [Value::String(text)] => {
            run.allocate(text.len().saturating_mul(4))?;
            Ok(Value::Bool(Url::parse(text).is_some()))
        }
        _ => Err(no_overload("isURL", arguments)),
    }),
    ("getScheme", &["url.getScheme(): string"], |run, arguments| part(run, "getScheme", arguments, Url::scheme)),
    ("getHost", &["url.getHost(): string"], |run, arguments| part(run, "getHost", arguments, Url::host)),
    ("getHostname", &["url.getHostname(): string"], |run, arguments| {
        part(run, "getHostname", arguments, Url::hostname)
    }),
    ("getPort", &["url.getPort(): string"], |run, arguments| part(run, "getPort", arguments, Url::port)),
    ("getEscapedPath", &["url.getEscapedPath(): string"], |run, arguments| {
        part(run, "getEscapedPath", arguments, Url::path)
    }),
    ("getQuery", &["url.getQuery(): map(string, list(string))"], query),
];

fn url<'v>(name: &str, arguments: &'v [Value]) -> Result<&'v Url, Fault> {
    match arguments {
        [Value::Opaque(opaque)] => match &**opaque {
            Opaque::Url(url) => Ok(url),
            _ => Err(no_overload(name, arguments)),
        },
        _ => Err(no_overload(name, arguments)),
    }
}

fn part(run: &Run<'_>, name: &str, arguments: &[Value], which: fn(&Url) -> &str) -> Outcome {
    let part = which(url(name, arguments)?);
    run.allocate(part.len())?;
    Ok(Value::from(part))
}

/// The values of each name that is asked for, in their order.
fn query(run: &Run<'_>, arguments: &[Value]) -> Outcome {
    let url = url("getQuery", arguments)?;
    let (bytes, names) = url.query_extent();
    // What is no UTF-8 becomes three bytes; a pair is a name, a list and a value, while they grow and as what they become.
    run.allocate(bytes.saturating_mul(6))?;
    run.allocate_items(names.saturating_mul(6))?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    for (name, value) in url.query() {
        let place = *places.entry(name.clone()).or_insert(found.len());
        match found.get_mut(place) {
            Some((_, values)) => values.push(Value::from(value)),
            None => found.push((name, vec![Value::from(value)])),
        }
    }
    let entries = found.into_iter().map(|(name, values)| (Value::from(name), Value::list(values)));
    Ok(Value::Map(Arc::new(entries.collect::<MapValue>())))
}
