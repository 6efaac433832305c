//! Classes of characters by their Unicode properties: `\pL`, `\p{Greek}`.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::{Reader, Refusal, class, scripts::SCRIPTS};

/// General categories. Of `C`, RE2 has no unassigned characters, and a text has no surrogates.
const CATEGORIES: [&str; 37] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs", "Any",
];

/// What the name of a group may consist of.
static NAMES: LazyLock<ClassUnicode> = LazyLock::new(|| property(r"[\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]"));

pub(super) fn is_in_names(character: char) -> bool {
    let ranges = NAMES.ranges();
    let after = ranges.partition_point(|range| range.start() <= character);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|range| character <= range.end())
}

impl Reader<'_> {
    /// `\p` or `\P` and a name, with the reader at the backslash.
    pub(super) fn unicode_class(&mut self) -> Result<ClassUnicode, Refusal> {
        let start = self.at;
        let mut is_negated = self.rest().starts_with("\\P");
        self.at += 2;
        let rest = self.rest();
        let (name, length) = match rest.strip_prefix('{') {
            Some(rest) => match rest.find('}') {
                Some(end) => (rest.get(..end).unwrap_or_default(), end + 2),
                None => {
                    let range = start..self.text.len();
                    return Err(Refusal::new(range, "the name of the class has no `}`"));
                }
            },
            None => {
                let length = rest.chars().next().map_or(0, char::len_utf8);
                (rest.get(..length).unwrap_or_default(), length)
            }
        };
        self.at += length;
        let plain = name.strip_prefix('^').unwrap_or(name);
        is_negated ^= plain.len() < name.len();
        let Some(found) = named(plain) else {
            let refusal = Refusal::new(start..self.at, format!("there is no class `{}`", self.written(start)));
            return Err(match meant(plain) {
                Some(name) => refusal.hint(format!("did you mean `\\p{{{name}}}`?")),
                None => refusal.hint("there are categories such as `\\p{Lu}` and scripts such as `\\p{Greek}`"),
            });
        };
        Ok(class::signed(found, is_negated, self.flags))
    }
}

fn named(name: &str) -> Option<ClassUnicode> {
    if !CATEGORIES.contains(&name) && SCRIPTS.binary_search(&name).is_err() {
        return None;
    }
    Some(match name {
        "Any" => class::of_codes(0, u32::from(char::MAX)),
        "C" => property(r"[\p{Cc}\p{Cf}\p{Co}]"),
        "Cs" => ClassUnicode::empty(),
        _ if CATEGORIES.contains(&name) => property(&format!(r"\p{{gc={name}}}")),
        _ => property(&format!(r"\p{{sc={name}}}")),
    })
}

/// What is written as a class in the dialect of `regex-syntax`, which has the tables.
fn property(pattern: &str) -> ClassUnicode {
    match regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        // A class of one character.
        Ok(HirKind::Literal(literal)) => {
            let text = std::str::from_utf8(&literal.0).unwrap_or_default();
            ClassUnicode::new(text.chars().map(|character| ClassUnicodeRange::new(character, character)))
        }
        _ => ClassUnicode::empty(),
    }
}

/// The name that `name` is written like, apart from case.
fn meant(name: &str) -> Option<&'static str> {
    SCRIPTS.iter().chain(&CATEGORIES).find(|known| known.eq_ignore_ascii_case(name)).copied()
}
