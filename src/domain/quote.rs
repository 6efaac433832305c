//! What callers wrote, as it appears in messages and paths: escaped, and cut where it is long.
//!
//! Not for values of facts: those stay out of messages altogether where the schema calls them sensitive.

use super::identifier_error;

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

/// The path of what stands under `key` in the object at `parent`: `facts.age`, `facts["full name"]`.
pub fn child_path(parent: &str, key: &str) -> String {
    match identifier_error(key).map(|detail| detail.code) {
        None | Some("identifier_reserved") => format!("{parent}.{key}"),
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
    fn what_is_quoted_is_cut() {
        assert_eq!(quoted(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(quoted(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }
}
