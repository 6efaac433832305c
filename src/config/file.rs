//! The settings file: TOML, one section a group, one key a setting.
//!
//! Its values become texts, which are read like those of the environment. A mistake names file and line and never
//! shows the line, which may hold a secret.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{SETTINGS, nearest::nearest};

/// A value of the file.
pub(super) struct Entry {
    /// File and line.
    pub place: String,
    /// Which setting.
    pub key: String,
    /// Its value.
    pub text: String,
}

/// What the file sets, and everything that is wrong with its form or its names.
pub(super) fn read(path: &Path, content: &str) -> (Vec<Entry>, Vec<String>) {
    let (root, errors) = DeTable::parse_recoverable(content);
    let place = |span: Range<usize>| format!("{}, line {}", path.display(), line_of(content, span.start));
    if !errors.is_empty() {
        let mistakes =
            errors.iter().map(|error| format!("{}: {}", place(error.span().unwrap_or(0..0)), error.message()));
        return (Vec::new(), mistakes.collect());
    }
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for (section, value) in root.get_ref() {
        let DeValue::Table(keys) = value.get_ref() else {
            mistakes.push(unknown(&place(section.span()), section.get_ref()));
            continue;
        };
        for (name, value) in keys {
            let key = format!("{}.{}", section.get_ref(), name.get_ref());
            let place = place(name.span());
            if !SETTINGS.iter().any(|setting| setting.key == key) {
                mistakes.push(unknown(&place, &key));
                continue;
            }
            match text_of(value.get_ref()) {
                Some(text) => entries.push(Entry { place, key, text }),
                None => mistakes.push(format!("{place}: `{key}` must be a string or a whole number")),
            }
        }
    }
    (entries, mistakes)
}

fn unknown(place: &str, key: &str) -> String {
    match nearest(key, SETTINGS.iter().map(|setting| setting.key)) {
        Some(meant) => format!("{place}: unknown setting `{key}`; did you mean `{meant}`?"),
        None => format!("{place}: unknown setting `{key}`; docs/configuration.md lists all of them"),
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        _ => None,
    }
}

fn line_of(content: &str, offset: usize) -> usize {
    content.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
