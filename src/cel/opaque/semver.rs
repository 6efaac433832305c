//! Versions as semver.org 2.0.0 writes and orders them.

use std::{cmp::Ordering, fmt};

/// Bytes of a version: what comparing two may look at.
const BYTES_MAX: usize = 256;

/// A version.
#[derive(Debug, Clone)]
pub struct Semver {
    /// Major, minor, patch.
    numbers: [i64; 3],
    /// What stands behind the hyphen, part by part.
    pre_release: Box<[Part]>,
    build: Box<str>,
}

/// A part of what stands behind the hyphen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Digits, which come before words; by their count and then by their text, since any number of them is allowed.
    Number(usize, Box<str>),
    Word(Box<str>),
}

impl Semver {
    /// Reads a version, and nothing that is not written as one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        let (core, pre_release) = match rest.split_once('-') {
            Some((core, pre_release)) => (core, Some(pre_release)),
            None => (rest, None),
        };
        let mut parts = core.split('.');
        let mut next = || number(parts.next()?);
        let numbers = [next()?, next()?, next()?];
        if parts.next().is_some() {
            return None;
        }
        let pre_release = match pre_release {
            Some(text) => text.split('.').map(part).collect::<Option<_>>()?,
            None => Box::default(),
        };
        if build.is_some_and(|build| !build.split('.').all(is_word)) {
            return None;
        }
        Some(Self { numbers, pre_release, build: build.unwrap_or_default().into() })
    }

    /// The same, for what is nearly one: with a `v` before it, with parts that are left out, or with zeros before numbers.
    pub fn parse_loosely(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at_checked(end)?;
        let mut parts: Vec<&str> = core.split('.').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        for part in &mut parts {
            let trimmed = part.trim_start_matches('0');
            *part = if trimmed.is_empty() { "0" } else { trimmed };
        }
        parts.resize(3, "0");
        Self::parse(&format!("{}{rest}", parts.join(".")))
    }

    /// Major, minor, patch.
    pub fn numbers(&self) -> [i64; 3] {
        self.numbers
    }

    /// Which comes first; what stands behind the plus does not count.
    pub fn order(&self, other: &Self) -> Ordering {
        let rank = |version: &Self| version.pre_release.is_empty();
        self.numbers
            .cmp(&other.numbers)
            .then(rank(self).cmp(&rank(other)))
            .then_with(|| self.pre_release.cmp(&other.pre_release))
    }
}

/// Equal where neither comes first.
impl PartialEq for Semver {
    fn eq(&self, other: &Self) -> bool {
        self.order(other).is_eq()
    }
}

impl Eq for Semver {}

fn number(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_number { text.parse().ok() } else { None }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn part(text: &str) -> Option<Part> {
    if !is_word(text) {
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Part::Word(text.into()));
    }
    (text == "0" || !text.starts_with('0')).then(|| Part::Number(text.len(), text.into()))
}

impl fmt::Display for Semver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (index, part) in self.pre_release.iter().enumerate() {
            let (Part::Number(_, text) | Part::Word(text)) = part;
            write!(f, "{}{text}", if index == 0 { '-' } else { '.' })?;
        }
        if self.build.is_empty() { Ok(()) } else { write!(f, "+{}", self.build) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_order_of_the_standard() {
        let ordered = [
            "0.0.9",
            "1.0.0-1",
            "1.0.0-9",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "2.0.0",
            "10.0.0",
        ];
        let versions = ordered.map(|text| Semver::parse(text).unwrap_or_else(|| panic!("{text}")));
        for (left, one) in versions.iter().enumerate() {
            assert_eq!(one.to_string(), ordered[left]);
            for (right, other) in versions.iter().enumerate() {
                assert_eq!(one.order(other), left.cmp(&right), "{one} {other}");
            }
        }
        assert_eq!(Semver::parse("1.0.0+a.1"), Semver::parse("1.0.0+b"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "1.0.x",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0+",
            "1.0.0-a..b",
            "1.0.0-ü",
            " 1.0.0",
            "1.0.0 ",
            "-1.0.0",
            "1.0.99999999999999999999",
        ] {
            assert_eq!(Semver::parse(text), None, "{text}");
        }
        for (text, shown) in [("v1", "1.0.0"), ("1.2", "1.2.0"), ("v01.002.3-rc.1+b", "1.2.3-rc.1+b"), ("0.0", "0.0.0")]
        {
            assert_eq!(Semver::parse_loosely(text).map(|found| found.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "v", "1.2.3.4", "1..2", "vv1", "1.x"] {
            assert_eq!(Semver::parse_loosely(text), None, "{text}");
        }
    }
}
