//! Patterns as RE2 reads them: the rows of its syntax page, as data, and RE2 itself on made-up patterns.
//!
//! A line of `tests/cases/re2/*.jsonl` is a pattern with texts that it `matches` and texts that it `misses`, and what
//! `regex.extract` finds (`extracts`); or with `refused`, the part of it that a refusal points at. `make check-re2`
//! installs RE2 and runs the tests that are otherwise left out.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::string_slice,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

#[path = "generator/random.rs"]
mod random;
#[path = "re2/patterns.rs"]
mod patterns;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use patterns::Patterns;
use serde_json::{Value as Json, json};
use tenet::{
    cel::{Activation, Env, Limits, Program, Type, Value},
    error::Detail,
};

/// The longest expression that is accepted, less what stands around a pattern.
const PATTERN_BYTES_MAX: usize = 1_500;

fn env() -> Env {
    let texts = ["text", "pattern"].map(|name| (name.to_owned(), Type::String));
    let limits = Limits { cost_max: u64::MAX / 2, memory_bytes_max: 1 << 30 };
    Env::new(texts.to_vec()).with_limits(limits)
}

/// `text` as CEL writes it.
fn quoted(text: &str) -> String {
    let escaped = |character: char| match character {
        '\'' | '\\' => format!("\\{character}"),
        character if character.is_control() => format!("\\u{:04x}", u32::from(character)),
        character => character.to_string(),
    };
    format!("'{}'", text.chars().map(escaped).collect::<String>())
}

/// A pattern, ready to be tried on texts.
struct Tried {
    env: Env,
    matches: Program,
    replaced: Program,
}

impl Tried {
    /// With every match written as `<match|group 1|…>`.
    fn new(pattern: &str, groups: usize) -> Result<Self, Vec<Detail>> {
        let env = env();
        let groups: Vec<String> = (0..=groups).map(|group| format!("\\{group}")).collect();
        let replacement = quoted(&format!("<{}>", groups.join("|")));
        let written = quoted(pattern);
        let matches = env.compile(&format!("text.matches({written})"))?;
        let replaced = env.compile(&format!("regex.replace(text, {written}, {replacement})"))?;
        Ok(Self { env, matches, replaced })
    }

    fn run(&self, program: &Program, text: &str) -> Result<Value, String> {
        let mut activation = Activation::new(&self.env);
        activation.set_path("text", Value::from(text));
        let outcome = catch_unwind(AssertUnwindSafe(|| program.evaluate(&activation)));
        outcome.map_err(|_| "it panics".to_owned())?.map_err(|error| error.message)
    }

    fn matches(&self, text: &str) -> bool {
        self.run(&self.matches, text) == Ok(Value::Bool(true))
    }

    fn replaced(&self, text: &str) -> Result<String, String> {
        match self.run(&self.replaced, text)? {
            Value::String(text) => Ok(text.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

/// What `source` gives where `pattern` and `text` are these.
fn value_of(source: &str, pattern: &str, text: &str) -> Result<Value, String> {
    let env = env();
    let program = env.compile(source).map_err(|details| details[0].message.clone())?;
    let mut activation = Activation::new(&env);
    activation.set_path("text", Value::from(text));
    activation.set_path("pattern", Value::from(pattern));
    program.evaluate(&activation).map_err(|error| format!("{}: {}", error.code, error.message))
}

/// One line of the table: what is wrong with it.
fn check(case: &Json) -> Vec<String> {
    let pattern = case["pattern"].as_str().expect("a case has a pattern");
    let texts = |key: &str| case[key].as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned());
    let written = format!("text.matches({})", quoted(pattern));
    let mut wrong = Vec::new();
    if let Some(part) = case["refused"].as_str() {
        match env().compile(&written) {
            Ok(_) => wrong.push("it is accepted".to_owned()),
            Err(details) => {
                let [detail] = details.as_slice() else { panic!("{details:?}") };
                let found = detail.text.as_deref().unwrap_or_default();
                // What it points at is told as it is written in the source.
                let is_there = detail.code == "invalid_regex" && found == &quoted(part)[1..quoted(part).len() - 1];
                if !is_there {
                    wrong.push(format!("the refusal is {}, at `{found}`: {}", detail.code, detail.message));
                }
            }
        }
        match value_of("text.matches(pattern)", pattern, "") {
            Err(message) if message.starts_with("invalid_argument: the pattern is not valid at character ") => {}
            other => wrong.push(format!("computed, it ends with {other:?}")),
        }
        return wrong;
    }
    for (key, expected) in [("matches", true), ("misses", false)] {
        for text in texts(key) {
            for source in [written.as_str(), "text.matches(pattern)", "matches(text, pattern)"] {
                let found = value_of(source, pattern, &text);
                if found != Ok(Value::Bool(expected)) {
                    wrong.push(format!("`{source}` with {text:?} is {found:?}"));
                }
            }
        }
    }
    for (text, expected) in case["extracts"].as_object().into_iter().flatten() {
        let found = value_of("regex.extract(text, pattern).orValue('(none)')", pattern, text);
        if found != Ok(Value::from(expected.as_str().unwrap())) {
            wrong.push(format!("from {text:?} it extracts {found:?}"));
        }
    }
    if texts("matches").chain(texts("misses")).count() == 0 && case["extracts"].is_null() {
        wrong.push("it says nothing".to_owned());
    }
    wrong
}

#[test]
fn patterns_mean_what_the_table_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/re2");
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for (number, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
            let case: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{path:?}:{number}: {error}"));
            cases += 1;
            wrong.extend(check(&case).iter().map(|what| format!("{path:?}:{number}: {}: {what}", case["pattern"])));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 200, "{cases} cases");
}

/// RE2 in a process of its own.
struct Peer {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let python = std::env::var("TENET_TEST_RE2_PYTHON").expect("`make check-re2` sets it");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/re2-answers");
        let mut command = Command::new(python);
        let mut process = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, questions, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, pattern: &str, texts: &[String]) -> Json {
        writeln!(self.questions, "{}", json!({"pattern": pattern, "texts": texts})).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Why RE2 and Tenet may differ on a pattern and a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// RE2's automaton may take more memory.
    TooLarge,
    /// Groups are deeper inside each other than is allowed.
    TooDeep,
    /// RE2 finds an empty match, as of `\B`, between the bytes of a character; a text of CEL consists of characters.
    WithinCharacter,
    /// `\C` takes a part of a character: there is no text that could be given or replaced, which is an error in CEL.
    PartOfCharacter,
}

/// How often what happened.
#[derive(Debug, Default)]
struct Tally {
    patterns: u64,
    pairs: u64,
    matched: u64,
    refused: u64,
    listed: BTreeMap<Reason, u64>,
    differences: Vec<String>,
}

#[test]
#[ignore = "needs RE2: `make check-re2`"]
fn patterns_mean_what_re2_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let pairs = number("TENET_TEST_RE2_PAIRS").unwrap_or(100_000);
    let first = number("TENET_SEED").unwrap_or(1);
    let (mut peer, mut tally) = (Peer::start(), Tally::default());
    for seed in first.. {
        if tally.pairs >= pairs || tally.differences.len() >= 20 {
            break;
        }
        let mut patterns = Patterns::new(seed);
        let pattern = patterns.pattern();
        if pattern.len() <= PATTERN_BYTES_MAX {
            let texts: Vec<String> = (0..10).map(|_| patterns.text(&pattern)).collect();
            compare(seed, &pattern, &texts, &mut peer, &mut tally);
        }
    }
    println!("{tally:#?}");
    assert!(tally.differences.is_empty(), "{}", tally.differences.join("\n"));
    assert!(tally.refused * 2 < tally.patterns, "too much is refused");
    assert!(tally.matched * 10 > tally.pairs, "too little is found");
}

fn compare(seed: u64, pattern: &str, texts: &[String], peer: &mut Peer, tally: &mut Tally) {
    let theirs = peer.ask(pattern, texts);
    let groups = usize::try_from(theirs["groups"].as_u64().unwrap_or(0)).unwrap();
    let ours = Tried::new(pattern, groups.min(9));
    tally.patterns += 1;
    tally.pairs += texts.len() as u64;
    let mut differ = |what: String| tally.differences.push(format!("seed {seed}, {pattern:?}: {what}"));
    let ours = match (theirs["error"].as_str(), ours) {
        (None, Ok(ours)) => ours,
        (Some(_), Err(_)) => {
            tally.refused += 1;
            return;
        }
        (Some(error), Ok(_)) => return differ(format!("refused by RE2: {error}")),
        (None, Err(details)) => {
            let message = &details[0].message;
            let reason = match () {
                () if message.contains("too large") => Reason::TooLarge,
                () if message.contains("deep inside each other") => Reason::TooDeep,
                () => return differ(format!("refused by Tenet: {message}")),
            };
            *tally.listed.entry(reason).or_default() += 1;
            return;
        }
    };
    for (text, answer) in texts.iter().zip(theirs["answers"].as_array().unwrap()) {
        let (found, replaced) = (ours.matches(text), ours.replaced(text));
        let (expected, expected_text) = (answer["matches"] == true, answer["replaced"].as_str());
        tally.matched += u64::from(expected);
        let is_same = found == expected && replaced.as_deref().ok() == expected_text && expected_text.is_some();
        let reason = match (expected_text, &replaced) {
            _ if is_same => continue,
            (_, Err(message)) if found == expected && message.contains("within a character") => Reason::PartOfCharacter,
            (None, Ok(_)) => Reason::WithinCharacter,
            _ => {
                let ours = format!("{found}, {replaced:?}");
                differ(format!("on {text:?}\n  ours: {ours}\n  RE2's: {answer}"));
                continue;
            }
        };
        *tally.listed.entry(reason).or_default() += 1;
    }
}

/// What RE2 knows classes by, and the flags that they are tried with.
const CATEGORIES: &str =
    "Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs";

/// What Unicode 16 has changed: the first two have another case since, the third is of another category.
const CHANGED: &str = "\\u{19b}\\u{264}\\u{1171e}";

#[test]
#[ignore = "needs RE2: `make check-re2`"]
fn classes_have_the_characters_of_re2() {
    let mut peer = Peer::start();
    let everything: String = ('\0'..=char::MAX).filter(|sign| !matches!(sign, '<' | '>')).collect();
    // RE2 has the tables of Unicode 15.1; what the next version has assigned is listed as one difference.
    let newer = regex::Regex::new(r"[\p{age=16.0}--\p{age=15.1}]").unwrap();
    let scripts = include_str!("../src/cel/library/re2/scripts.rs");
    let scripts = scripts.split('"').skip(1).step_by(2);
    let names: Vec<&str> = CATEGORIES.split(' ').chain(scripts).collect();
    assert!(names.len() > 190, "{}", names.len());
    let perl = [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", ".", r"(?i)\w", r"(?i)[[:upper:]]", r"(?i)[^[:lower:]]"];
    let classes = names.iter().map(|name| format!(r"\p{{{name}}}")).chain(perl.map(str::to_owned));
    let folded =
        ["Lu", "Ll", "Lt", "L", "Greek", "Latin", "Cyrillic", "Cherokee", "Armenian", "Georgian", "Adlam", "M"];
    let folded = folded.iter().flat_map(|name| [format!(r"(?i)\p{{{name}}}"), format!(r"(?i)\P{{{name}}}")]);
    let (mut listed, mut changed) = (BTreeSet::new(), BTreeSet::new());
    for class in classes.chain(folded) {
        let pattern = format!("(?:{class})+");
        let theirs = peer.ask(&pattern, std::slice::from_ref(&everything));
        assert!(theirs["error"].is_null(), "{class}: {theirs}");
        let theirs = inside(theirs["answers"][0]["replaced"].as_str().unwrap());
        let ours = inside(&Tried::new(&pattern, 0).unwrap().replaced(&everything).unwrap());
        for character in theirs.symmetric_difference(&ours) {
            let set = if newer.is_match(character.encode_utf8(&mut [0; 4])) { &mut listed } else { &mut changed };
            set.insert(*character);
        }
    }
    println!("{} characters that Unicode 16 has added", listed.len());
    assert_eq!(changed.iter().collect::<String>().escape_unicode().to_string(), CHANGED);
}

/// The characters between the signs that mark matches.
fn inside(text: &str) -> BTreeSet<char> {
    let parts = text.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.flat_map(|(found, _)| found.chars()).collect()
}
