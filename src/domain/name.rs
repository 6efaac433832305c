//! Names that people give: to tenants, rules and the parts of a schema.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{config::limits, error::Detail};

/// A name of 1 to 255 characters, neither blank nor with control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Takes `text` as a name, or says what is wrong with it; `path` tells where it was given.
    pub fn parse(text: &str, path: &str) -> Result<Self, Detail> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(Detail::new("name_empty", "a name has at least one visible character").at(path));
        }
        if length > limits::NAME_CHARS_MAX {
            let message = format!("a name has at most {} characters, this one has {length}", limits::NAME_CHARS_MAX);
            return Err(Detail::new("name_too_long", message).at(path));
        }
        if text.chars().any(char::is_control) {
            return Err(Detail::new("name_control_character", "a name has no control characters").at(path));
        }
        Ok(Self(text.to_owned()))
    }

    /// A name that was checked when it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Words that CEL keeps for itself: none of them can be selected as `facts.<word>`.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// What is wrong with `text` as an identifier of a schema, if anything is.
pub fn identifier_error(text: &str) -> Option<Detail> {
    let mut characters = text.chars();
    let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let message = format!("`{}` is not an identifier", text.escape_default());
        let hint = "letters, digits and underscores, not beginning with a digit";
        return Some(Detail::new("identifier_invalid", message).hint(hint));
    }
    if text.len() > limits::IDENTIFIER_CHARS_MAX {
        let message = format!("an identifier has at most {} characters", limits::IDENTIFIER_CHARS_MAX);
        return Some(Detail::new("identifier_too_long", message));
    }
    if RESERVED.contains(&text) {
        return Some(Detail::new("identifier_reserved", format!("`{text}` is a reserved word of CEL")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_measured_in_characters() {
        assert!(Name::parse(&"é".repeat(255), "name").is_ok());
        assert_eq!(Name::parse(&"é".repeat(256), "name").unwrap_err().code, "name_too_long");
    }

    #[test]
    fn a_name_is_neither_blank_nor_binary() {
        assert_eq!(Name::parse(" \t ", "name").unwrap_err().code, "name_empty");
        assert_eq!(Name::parse("a\0b", "name").unwrap_err().code, "name_control_character");
    }

    #[test]
    fn reserved_words_are_no_identifiers() {
        for (text, code) in [
            ("in", "identifier_reserved"),
            ("9a", "identifier_invalid"),
            ("", "identifier_invalid"),
            ("ä", "identifier_invalid"),
        ] {
            assert_eq!(identifier_error(text).map(|detail| detail.code), Some(code), "{text}");
        }
        assert_eq!(identifier_error("_a9"), None);
    }
}
