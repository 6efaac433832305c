//! `tenet check`: checks rule files and runs their test cases, without a service or a database.

use std::ops::Range;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{
    input::{self, Format, counted},
    output::{self, say},
    report::{Problem, ProblemRow, Source, printable},
    verify::{Costing, Counts, verify},
    yaml::{self, Found},
};
use crate::{
    config::limits,
    error::{Detail, Span},
    ruleset::Cost,
};

/// Errors about a key itself, not about its value.
const ABOUT_KEYS: [&str; 7] = [
    "key_unknown",
    "identifier_invalid",
    "identifier_too_long",
    "identifier_reserved",
    "name_reserved",
    "unknown_fact",
    "object_name_as_field",
];

/// Flags of `tenet check`.
#[derive(Args)]
pub(super) struct Flags {
    /// YAML: a schema, derived fields, rules and test cases; `-` is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What was found in one file.
struct Checked {
    source: Source,
    problems: Vec<Problem>,
    /// Number of further problems, which are not listed.
    more: usize,
    warnings: Vec<Problem>,
    counts: Counts,
    /// Each with the place of its most expensive part.
    costs: Vec<(Option<Range<usize>>, Costing)>,
}

/// What was found, for machines.
#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    errors: usize,
    files: Vec<FileRow<'a>>,
}

#[derive(Serialize)]
struct FileRow<'a> {
    file: &'a str,
    #[serde(flatten)]
    counts: Counts,
    errors: Vec<ProblemRow<'a>>,
    warnings: Vec<ProblemRow<'a>>,
    costs: Vec<CostRow<'a>>,
}

/// What a rule or a derived field costs at worst, for machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CostRow<'a> {
    kind: &'a str,
    name: &'a str,
    units: u64,
    limit: u64,
    /// What costs most of it.
    text: &'a str,
    /// Its position in the file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
}

/// Checks every file; fails if any has an error.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let checked: Vec<Checked> = flags.files.iter().map(|name| check(name)).collect();
    let errors: usize = checked.iter().map(Checked::errors).sum();
    let text = match flags.format {
        Format::Text => as_text(&checked),
        Format::Json => as_json(&checked, errors)?,
    };
    output::text(&text)?;
    if errors > 0 {
        let wrong = checked.iter().filter(|file| file.errors() > 0).count();
        bail!("{} in {wrong} of {}", counted(errors, "error"), counted(checked.len(), "file"));
    }
    if flags.format == Format::Text {
        for line in checked.iter().filter_map(Checked::costliest) {
            say!("{line}")?;
        }
        say!("{}", summary(&checked))?;
    }
    Ok(())
}

fn check(name: &str) -> Checked {
    let source = match input::read(name) {
        Ok(source) => source,
        Err(unreadable) => return Checked::unreadable(unreadable.source, unreadable.problem),
    };
    let document = match yaml::read(&source.text) {
        Ok(document) => document,
        Err(malformed) => {
            let problem = Problem { detail: malformed.detail, place: malformed.place };
            return Checked::unreadable(source, problem);
        }
    };
    let verdict = verify(&document);
    let more = verdict.details.len().saturating_sub(limits::DETAILS_MAX);
    let located = verdict.details.into_iter().take(limits::DETAILS_MAX);
    let mut problems: Vec<Problem> = located.map(|detail| locate(&source, &document, detail)).collect();
    problems.sort_by_key(|problem| problem.place.as_ref().map_or(0, |place| place.start));
    let place = |costing: &Costing| {
        let detail = Detail::new("cost", "").at(costing.path.clone());
        locate(&source, &document, Detail { span: Some(costing.cost.span), ..detail }).place
    };
    let costs = verdict.costs.into_iter().map(|costing| (place(&costing), costing)).collect();
    let warnings = verdict.warnings.into_iter().take(limits::DETAILS_MAX);
    let warnings = warnings.map(|detail| locate(&source, &document, detail)).collect();
    Checked { source, problems, more, warnings, counts: verdict.counts, costs }
}

/// Finds the place of a mistake in the text of a document.
pub(super) fn locate(source: &Source, document: &Value, detail: Detail) -> Problem {
    let wants_key = ABOUT_KEYS.contains(&detail.code);
    let path = detail.path.as_deref().unwrap_or_default();
    let place = yaml::find(&source.text, document, path, wants_key).map(|found| narrowed(found, &detail, document));
    Problem { detail, place }
}

/// The part of an expression that a mistake is about, as a range of the file.
fn narrowed(found: Found, detail: &Detail, document: &Value) -> std::ops::Range<usize> {
    let part = || {
        let (span, places) = (detail.span.as_ref()?, found.characters.as_ref()?);
        let expression = yaml::text_at(document, detail.path.as_deref()?)?;
        let inside = Source { name: String::new(), text: expression.to_owned() }.bytes(span);
        let character = |byte: usize| expression.get(..byte).map(|before| before.chars().count());
        let (begin, end) = (character(inside.start)?, character(inside.end)?);
        let (first, last) = (*places.get(begin)?, *places.get(end)?);
        Some(first..last.max(first))
    };
    part().unwrap_or(found.place)
}

impl Checked {
    fn unreadable(source: Source, problem: Problem) -> Self {
        let (warnings, counts, costs) = (Vec::new(), Counts::default(), Vec::new());
        Self { source, problems: vec![problem], more: 0, warnings, counts, costs }
    }

    fn errors(&self) -> usize {
        self.problems.len() + self.more
    }
}

impl Checked {
    fn cost_row<'a>(&self, place: Option<&Range<usize>>, costing: &'a Costing) -> CostRow<'a> {
        let Cost { units, limit, text, .. } = &costing.cost;
        let span = place.map(|place| self.source.span(place));
        CostRow { kind: costing.kind, name: &costing.name, units: *units, limit: *limit, text, span }
    }

    /// What costs most of all, for people.
    fn costliest(&self) -> Option<String> {
        let (place, costing) = self.costs.iter().max_by_key(|(_, costing)| costing.cost.units)?;
        let CostRow { kind, name, units, limit, text, span } = self.cost_row(place.as_ref(), costing);
        let at = span.map(|span| format!(":{}:{}", span.line, span.column)).unwrap_or_default();
        let (name, text) = (printable(name), printable(text));
        let file = &self.source.name;
        Some(format!(
            "{file}{at}: the {kind} `{name}` has the highest worst-case cost, {units} of {limit} units; its most expensive part is `{text}`"
        ))
    }
}

fn as_text(checked: &[Checked]) -> String {
    let colours = input::colours();
    let mut text = String::new();
    for file in checked {
        for problem in &file.problems {
            text.push_str(&file.source.show(problem, colours));
            text.push('\n');
        }
        for warning in &file.warnings {
            text.push_str(&file.source.show_warning(warning, colours));
            text.push('\n');
        }
        if file.more > 0 {
            text.push_str(&format!("{}: and {} more\n\n", file.source.name, counted(file.more, "error")));
        }
        if file.counts.tests_not_run > 0 {
            let tests = counted(file.counts.tests_not_run, "test");
            text.push_str(&format!("{}: {tests} not run because of the errors above\n\n", file.source.name));
        }
    }
    text
}

fn as_json(checked: &[Checked], errors: usize) -> anyhow::Result<String> {
    let files = checked.iter().map(|file| FileRow {
        file: &file.source.name,
        counts: file.counts,
        errors: file.problems.iter().map(|problem| file.source.row(problem)).collect(),
        warnings: file.warnings.iter().map(|warning| file.source.row(warning)).collect(),
        costs: file.costs.iter().map(|(place, costing)| file.cost_row(place.as_ref(), costing)).collect(),
    });
    let answer = Answer { ok: errors == 0, errors, files: files.collect() };
    Ok(serde_json::to_string_pretty(&answer)? + "\n")
}

fn summary(checked: &[Checked]) -> String {
    let sum = |count: fn(&Counts) -> usize| checked.iter().map(|file| count(&file.counts)).sum::<usize>();
    format!(
        "{}: {}, {}, {} passed, no errors",
        counted(checked.len(), "file"),
        counted(sum(|counts| counts.rules), "rule"),
        counted(sum(|counts| counts.derived_fields), "derived field"),
        counted(sum(|counts| counts.tests_passed), "test"),
    )
}
