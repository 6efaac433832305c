//! `tenet eval`: checks one expression and evaluates it on facts, without a service or a database.

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::{Args, error::ErrorKind};
use serde_json::{Value, json};

use super::{
    check::locate,
    input::{self, Format},
    output,
    report::{Problem, Source},
    verify, yaml,
};
use crate::{
    cel::{EvaluationError, TraceEntry},
    domain::{SchemaDefinition, read_timestamp},
    error::Detail,
    ruleset::{Evaluated, Facts, RuleSet, UnknownFacts},
};

/// Flags of `tenet eval`.
#[derive(Args)]
pub(super) struct Flags {
    /// The schema's definition, in YAML or JSON: a file, `-` for the standard input, or JSON that begins with `{`
    #[arg(long, value_name = "FILE")]
    schema: String,
    /// The facts, in YAML or JSON, given like the schema
    #[arg(long, value_name = "FILE", default_value = "{}")]
    facts: String,
    /// CEL expression of any type
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// Time that the expression reads as `now`, in RFC 3339 [default: the current time]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<DateTime<Utc>>,
    /// Also show the value of every sub-expression
    #[arg(long)]
    trace: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is wrong with one of the texts given.
struct Wrong {
    source: Source,
    problems: Vec<Problem>,
}

/// Prints the value of the expression.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    if flags.schema == "-" && flags.facts == "-" {
        let message = "the schema and the facts cannot both be the standard input\n";
        clap::Error::raw(ErrorKind::ArgumentConflict, message).exit();
    }
    match evaluate(flags) {
        Ok(evaluated) => answer(flags, evaluated),
        Err(wrong) => refuse(flags, &wrong, None),
    }
}

fn evaluate(flags: &Flags) -> Result<Evaluated, Wrong> {
    let set = read_schema(&flags.schema)?;
    let facts = read_facts(&flags.facts, &set)?.at(flags.at.unwrap_or_else(Utc::now));
    set.evaluate_expression(&flags.expression, &facts).map_err(|details| wrong_expression(flags, details))
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    read_timestamp(text).map_err(|reason| format!("it {reason}"))
}

/// A text that was given as an argument, or where the argument says.
fn given(argument: &str, what: &str) -> Result<Source, Wrong> {
    if argument.starts_with('{') {
        return Ok(Source { name: what.to_owned(), text: argument.to_owned() });
    }
    input::read(argument).map_err(|unreadable| Wrong { source: unreadable.source, problems: vec![unreadable.problem] })
}

/// The document that a text holds. What is JSON is read as such: not every text of JSON is one of YAML.
fn document(source: Source) -> Result<(Source, Value), Wrong> {
    match yaml::read(&source.text) {
        Ok(document) => Ok((source, document)),
        Err(malformed) if malformed.detail.code == "malformed_yaml" => match serde_json::from_str(&source.text) {
            Ok(document) => Ok((source, document)),
            Err(_) => Err(malformed_text(source, malformed)),
        },
        Err(malformed) => Err(malformed_text(source, malformed)),
    }
}

fn malformed_text(source: Source, malformed: yaml::Malformed) -> Wrong {
    Wrong { source, problems: vec![Problem { detail: malformed.detail, place: malformed.place }] }
}

fn located(source: Source, document: &Value, details: Vec<Detail>) -> Wrong {
    // In a text of its own, the path begins below the name that the service gives to the whole.
    let find = |detail: Detail| {
        let begin = detail.path.clone();
        let path = begin.as_deref().map(|path| {
            let (_, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
            rest.trim_start_matches('.').to_owned()
        });
        let problem = locate(&source, document, Detail { path, ..detail });
        Problem { detail: Detail { path: begin, ..problem.detail }, ..problem }
    };
    let problems = details.into_iter().map(find).collect();
    Wrong { source, problems }
}

fn read_schema(argument: &str) -> Result<RuleSet, Wrong> {
    let (source, document) = document(given(argument, "schema")?)?;
    match SchemaDefinition::parse(&document) {
        Ok(definition) => Ok(RuleSet::compile(&verify::snapshot(definition), None)),
        Err(details) => Err(located(source, &document, details)),
    }
}

fn read_facts(argument: &str, set: &RuleSet) -> Result<Facts, Wrong> {
    let (source, document) = document(given(argument, "facts")?)?;
    // A number keeps all its digits where JSON is read as it was written.
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&source.text).is_ok();
    let json = if is_json { source.text.clone() } else { document.to_string() };
    set.read_facts(&json, UnknownFacts::Refuse).map_err(|details| located(source, &document, details))
}

fn wrong_expression(flags: &Flags, details: Vec<Detail>) -> Wrong {
    let source = Source { name: "expression".to_owned(), text: flags.expression.clone() };
    let problem = |detail: Detail| Problem { place: detail.span.as_ref().map(|span| source.bytes(span)), detail };
    let problems = details.into_iter().map(problem).collect();
    Wrong { source, problems }
}

fn answer(flags: &Flags, evaluated: Evaluated) -> anyhow::Result<()> {
    let Evaluated { value_type, value, trace, cost: _ } = evaluated;
    match value {
        Ok(value) => print(&match flags.format {
            Format::Text if flags.trace => format!("{value}\n\n{}", as_text(&trace)),
            Format::Text => format!("{value}\n"),
            Format::Json => {
                let mut answer = json!({ "type": value_type, "value": value });
                with_trace(&mut answer, flags, &trace)?;
                format!("{answer:#}\n")
            }
        }),
        Err(EvaluationError { code, message, span, .. }) => {
            let detail = Detail { span, ..Detail::new(code, message) };
            refuse(flags, &wrong_expression(flags, vec![detail]), Some(&trace))
        }
    }
}

fn with_trace(answer: &mut Value, flags: &Flags, trace: &[TraceEntry]) -> anyhow::Result<()> {
    if let (true, Some(map)) = (flags.trace, answer.as_object_mut()) {
        map.insert("trace".to_owned(), serde_json::to_value(trace)?);
    }
    Ok(())
}

/// Prints the errors, and fails.
fn refuse(flags: &Flags, wrong: &Wrong, trace: Option<&[TraceEntry]>) -> anyhow::Result<()> {
    let trace = trace.filter(|_| flags.trace).unwrap_or_default();
    let colours = input::colours();
    let text = match flags.format {
        Format::Text => {
            let shown: Vec<String> = wrong.problems.iter().map(|problem| wrong.source.show(problem, colours)).collect();
            let gap = if trace.is_empty() { "" } else { "\n" };
            format!("{}{gap}{}", shown.join("\n"), as_text(trace))
        }
        Format::Json => {
            let rows: Vec<_> = wrong.problems.iter().map(|problem| wrong.source.row(problem)).collect();
            let mut answer = json!({ "errors": rows });
            with_trace(&mut answer, flags, trace)?;
            format!("{answer:#}\n")
        }
    };
    print(&text)?;
    bail!("the expression has no value");
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(output::text(text)?)
}

/// The sub-expressions, each below the one that holds it, with their values beside them.
fn as_text(trace: &[TraceEntry]) -> String {
    let mut around: Vec<(u32, u32)> = Vec::new();
    let mut rows: Vec<(String, String)> = Vec::with_capacity(trace.len());
    for entry in trace {
        let begin = (entry.span.line, entry.span.column);
        let end = (entry.span.end_line, entry.span.end_column);
        while around.last().is_some_and(|outer| *outer <= begin || *outer < end) {
            around.pop();
        }
        // A part inside a loop has an entry for each turn.
        let text = entry.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_again = rows.last().is_some_and(|(last, _)| last.trim_start() == text);
        let depth = around.len() - usize::from(is_again && around.last() == Some(&end));
        let mark = if entry.decided { "" } else { "  (did not decide)" };
        rows.push((format!("{}{text}", "  ".repeat(depth)), format!("{}{mark}", shown(&entry.value))));
        if !(is_again && around.last() == Some(&end)) {
            around.push(end);
        }
    }
    let width = rows.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    let line = |(text, value): &(String, String)| format!("{text:width$}  {value}\n");
    rows.iter().map(line).collect()
}

fn shown(value: &Value) -> String {
    match value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("error")?.get("message")?.as_str()) {
        Some(message) => format!("error: {message}"),
        None => value.to_string(),
    }
}
