//! What callers wrote, as it appears in messages and paths: escaped, and cut where it is long.
//!
//! Not for values of facts: those stay out of messages altogether where the schema calls them sensitive.

use super::field_name_error;

/// Characters of a caller's text that a message or path repeats.
const QUOTED_CHARS_MAX: usize = 100;

/// `text` without control characters and not longer than a line.
pub fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

/// `text` as a value that a message names: only what cannot be seen is escaped, so that words look as they are written.
pub fn shown_text(text: &str) -> String {
    let plain = |character: char| matches!(character, '"' | '\'' | '\\');
    let escaped = |character: char| -> String {
        if plain(character) { character.to_string() } else { character.escape_debug().to_string() }
    };
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).map(escaped).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A value of JSON as a message names it: `JPY`, `3`.
pub fn shown_value(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => shown_text(text),
        None => shown_text(&value.to_string()),
    }
}

/// The path of what stands under `key` in the object at `parent`: `facts.age`, `facts["full name"]`.
pub fn child_path(parent: &str, key: &str) -> String {
    match field_name_error(key) {
        None => format!("{parent}.{key}"),
        Some(_) => format!("{parent}[\"{}\"]", quoted(key)),
    }
}

/// The path of an element of the list at `parent`: `facts.tags[3]`.
pub fn element_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_readable_whatever_the_key() {
        assert_eq!(child_path("facts", "age"), "facts.age");
        assert_eq!(child_path("facts", "in"), "facts.in");
        assert_eq!(child_path("facts", "full name"), "facts[\"full name\"]");
        assert_eq!(child_path("facts", "a\0\""), "facts[\"a\\0\\\"\"]");
        assert_eq!(element_path("facts.tags", 3), "facts.tags[3]");
    }

    #[test]
    fn a_value_is_shown_as_it_is_written() {
        for (value, shown) in [
            (serde_json::json!("JPY"), "JPY"),
            (serde_json::json!("say \"hi\" it's \\"), "say \"hi\" it's \\"),
            (serde_json::json!("a\u{200b}\n"), "a\\u{200b}\\n"),
            (serde_json::json!(1.0), "1.0"),
            (serde_json::json!(true), "true"),
        ] {
            assert_eq!(shown_value(&value), shown);
        }
        assert_eq!(shown_text(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }

    #[test]
    fn what_is_quoted_is_cut() {
        assert_eq!(quoted(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(quoted(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }
}
