//! Versions of semver.org. How two compare is in `quantities`.

use std::sync::Arc;

use super::{Declaration, Fault, Outcome, Value, no_overload};
use crate::cel::opaque::{Opaque, Semver};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("semver", &["semver(string): semver", "semver(string, bool): semver"], |_, arguments| {
        let (text, found) = read(arguments).ok_or_else(|| no_overload("semver", arguments))?;
        let found = found.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Fault::new("invalid_conversion", format!("`{shown}` is not a version such as `1.2.3`"))
        })?;
        Ok(Value::Opaque(Arc::new(Opaque::Semver(found))))
    }),
    ("isSemver", &["isSemver(string): bool", "isSemver(string, bool): bool"], |_, arguments| match read(arguments) {
        Some((_, found)) => Ok(Value::Bool(found.is_some())),
        None => Err(no_overload("isSemver", arguments)),
    }),
    ("major", &["semver.major(): int"], |_, arguments| number("major", arguments, |[major, ..]| major)),
    ("minor", &["semver.minor(): int"], |_, arguments| number("minor", arguments, |[_, minor, _]| minor)),
    ("patch", &["semver.patch(): int"], |_, arguments| number("patch", arguments, |[.., patch]| patch)),
];

/// The text among the arguments, and the version in it; one that is nearly one counts where a second argument says so.
fn read(arguments: &[Value]) -> Option<(&str, Option<Semver>)> {
    match arguments {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Some((text, Semver::parse(text))),
        [Value::String(text), Value::Bool(true)] => Some((text, Semver::parse_loosely(text))),
        _ => None,
    }
}

fn number(name: &str, arguments: &[Value], which: fn([i64; 3]) -> i64) -> Outcome {
    match arguments {
        [Value::Opaque(opaque)] => match &**opaque {
            Opaque::Semver(version) => Ok(Value::Int(which(version.numbers()))),
            _ => Err(no_overload(name, arguments)),
        },
        _ => Err(no_overload(name, arguments)),
    }
}
