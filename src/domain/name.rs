//! Names that people give: to tenants, rules, keys and the parts of a schema.
//!
//! A name is taken as it is or refused, never changed: whoever looks it up again finds it by what they wrote.

use std::{borrow::Cow, fmt};

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use crate::{config::limits, error::Detail};

/// A name of 1 to 255 characters that can be seen, so that two that look alike are one. Audit rows store it as its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Takes `text` as a name, or says what is wrong with it; `path` tells where it was given.
    pub fn parse(text: &str, path: &str) -> Result<Self, Detail> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(Detail::new("name_empty", "a name must have at least one visible character").at(path));
        }
        if length > limits::NAME_CHARS_MAX {
            let message = format!("a name has at most {} characters, this one has {length}", limits::NAME_CHARS_MAX);
            return Err(Detail::new("name_too_long", message).at(path));
        }
        if text.chars().any(char::is_control) {
            return Err(Detail::new("name_control_character", "a name may not contain control characters").at(path));
        }
        if let Some(unclear) = Unclear::of(text) {
            let code = match unclear {
                Unclear::Space(..) => "name_space",
                Unclear::Invisible(_) => "name_invisible_character",
                Unclear::NotComposed { .. } => "name_not_composed",
            };
            return Err(unclear.detail(code, "a name").at(path));
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

/// Characters that show nothing or change how others show: Unicode's default ignorable code points, those that turn the
/// direction of a text, its separators of lines, and the blank of Braille.
const INVISIBLE: [(u32, u32); 19] = [
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x061c, 0x061c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0x1_3430, 0x1_343f),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
];

/// Why a text does not show what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// It has a white space at its begin or end, or one that is not the ordinary one.
    Space(char, &'static str),
    /// It has a character that cannot be seen.
    Invisible(char),
    /// It is not in Unicode's normal form C: characters are taken apart that are one there.
    NotComposed {
        /// The first character that is another one in that form.
        found: char,
        /// What is there in its place.
        composed: char,
        /// Its place, from 1.
        position: usize,
    },
}

impl Unclear {
    /// Why `text` does not show what it is, if it does not.
    pub fn of(text: &str) -> Option<Self> {
        let is_space = |character: &char| character.is_whitespace();
        if let Some(first) = text.chars().next().filter(is_space) {
            return Some(Self::Space(first, "begins with"));
        }
        if let Some(last) = text.chars().next_back().filter(is_space) {
            return Some(Self::Space(last, "ends with"));
        }
        if let Some(space) = text.chars().find(|character| character.is_whitespace() && *character != ' ') {
            return Some(Self::Space(space, "has"));
        }
        let is_invisible = |character: &char| {
            let code = u32::from(*character);
            INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&code))
        };
        if let Some(invisible) = text.chars().find(is_invisible) {
            return Some(Self::Invisible(invisible));
        }
        let mut pairs = text.chars().zip(text.nfc()).enumerate();
        let different = pairs.find(|(_, (found, composed))| found != composed);
        let (position, (found, composed)) = different?;
        Some(Self::NotComposed { found, composed, position: position + 1 })
    }

    /// The mistake, in the words of what the text is, such as `a name`.
    pub fn detail(&self, code: &'static str, what: &str) -> Detail {
        let point = |character: char| format!("U+{:04X}", u32::from(character));
        match self {
            Self::Space(space, "has") => {
                Detail::new(code, format!("{what} may contain no white space other than U+0020"))
                    .hint(format!("write U+0020 in the place of {}", point(*space)))
            }
            Self::Space(space, place) => Detail::new(
                code,
                format!("{what} neither begins nor ends with white space, and this one {place} {}", point(*space)),
            )
            .hint("leave it out"),
            Self::Invisible(character) => Detail::new(
                code,
                format!("{what} may not contain invisible characters, and this one contains {}", point(*character)),
            )
            .hint("leave it out"),
            Self::NotComposed { found, composed, position } => {
                let message = format!("{what} must be in Unicode's normal form C (NFC), and this one is not");
                let hint =
                    format!("write {} in the place of {}, character {position}", point(*composed), point(*found));
                Detail::new(code, message).hint(hint)
            }
        }
    }
}

/// Words that CEL keeps for itself: none of them is a variable.
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

/// Those of them that its grammar does not take for a name: as fields they are written in backticks.
const KEYWORDS: [&str; 4] = ["false", "in", "null", "true"];

/// What is wrong with `text` as the name of an object, if anything is: it becomes a variable of CEL.
pub fn identifier_error(text: &str) -> Option<Detail> {
    if let Some(wrong) = field_name_error(text) {
        return Some(wrong);
    }
    let detail = || Detail::new("identifier_reserved", format!("`{text}` is a reserved word of CEL"));
    RESERVED.contains(&text).then(|| detail().hint("a field may have this name, an object may not"))
}

/// What is wrong with `text` as the name of a field, if anything is. A reserved word of CEL is one: it is only selected.
pub fn field_name_error(text: &str) -> Option<Detail> {
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
    None
}

/// The name of a field as an expression selects it: a keyword in backticks.
pub fn selector(name: &str) -> Cow<'_, str> {
    if KEYWORDS.contains(&name) { format!("`{name}`").into() } else { name.into() }
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
    fn two_names_that_look_alike_are_one() {
        for (text, code, said) in [
            (" a", "name_space", "begins with U+0020"),
            ("a\u{a0}", "name_space", "ends with U+00A0"),
            ("\u{3000}a", "name_space", "begins with U+3000"),
            ("a\u{a0}b", "name_space", "U+0020 in the place of U+00A0"),
            ("a\u{2028}b", "name_space", "U+2028"),
            ("adults\u{200b}", "name_invisible_character", "U+200B"),
            ("a\u{200d}b", "name_invisible_character", "U+200D"),
            ("\u{feff}a", "name_invisible_character", "U+FEFF"),
            ("a\u{202e}b", "name_invisible_character", "U+202E"),
            ("a\u{ad}b", "name_invisible_character", "U+00AD"),
            ("a\u{fe0f}", "name_invisible_character", "U+FE0F"),
            ("\u{3164}", "name_invisible_character", "U+3164"),
            ("a\u{e0041}", "name_invisible_character", "U+E0041"),
            ("Jose\u{301}", "name_not_composed", "write U+00E9 in the place of U+0065, character 4"),
            ("\u{212b}", "name_not_composed", "write U+00C5 in the place of U+212B, character 1"),
            ("a\u{323}\u{307}b\u{307}\u{323}", "name_not_composed", "U+1EA1"),
        ] {
            let detail = Name::parse(text, "name").unwrap_err();
            assert_eq!(detail.code, code, "{text:?}");
            let words = format!("{} {}", detail.message, detail.hint.unwrap());
            assert!(words.contains(said), "{words}");
        }
        for text in ["José", "a b  c", "日本 語", "Ünïcödé", "q\u{323}", "👍", "नमस्ते", "(a) [b] {c}", "한국"]
        {
            assert!(Name::parse(text, "name").is_ok(), "{text}");
        }
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
        for (text, code) in
            [("in", None), ("namespace", None), ("9a", Some("identifier_invalid")), ("", Some("identifier_invalid"))]
        {
            assert_eq!(field_name_error(text).map(|detail| detail.code), code, "{text}");
        }
        assert_eq!((selector("in"), selector("loop")), ("`in`".into(), "loop".into()));
    }
}
