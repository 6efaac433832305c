//! Literal arguments that can be wrong: regexes, timestamps, durations.

use cel::common::ast::{CallExpr, IdedExpr};

use super::{Checker, text_of};
use crate::cel::interim::{evaluate, variables::Variables};
use crate::error::Detail;

/// Memory that one compiled regex may take.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

impl Checker<'_> {
    /// Compiles the literal that `call` has for its last argument, if its function compiles one.
    pub(super) fn check_literals(&mut self, node: &IdedExpr, name: &str, call: &CallExpr) {
        let Some(argument) = call.args.last() else { return };
        let Some(text) = text_of(argument) else { return };
        let mistake = match name {
            "matches" => regex_mistake(text),
            "timestamp" | "duration" => literal_mistake(node, name, text),
            _ => None,
        };
        if let Some(mistake) = mistake {
            self.report(argument, mistake);
        }
    }
}

fn regex_mistake(pattern: &str) -> Option<Detail> {
    let error = regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().err()?;
    let text = error.to_string();
    let reason = text.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(&text);
    Some(Detail::new("invalid_regex", format!("`{pattern}` is not a regular expression: {reason}")))
}

fn literal_mistake(node: &IdedExpr, name: &str, text: &str) -> Option<Detail> {
    evaluate::evaluate(node, &Variables::default()).err()?;
    let (code, example) = match name {
        "timestamp" => ("invalid_timestamp", "2026-01-31T12:00:00Z"),
        _ => ("invalid_duration", "1h30m"),
    };
    Some(Detail::new(code, format!("`{text}` is not a {name}")).hint(format!("write it like `{name}('{example}')`")))
}
