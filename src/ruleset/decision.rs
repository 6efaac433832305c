//! What is asked of a rule set, and what it answers.

use std::{cell::Cell, collections::BTreeSet, fmt};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::RuleSet;
use crate::{cel::TraceEntry, domain::RuleId};

/// Answers that a thread keeps room for.
const ANSWERS_KEPT_MAX: usize = 16 * 1024;

/// Which rules to evaluate and how to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The ids or names of the rules wanted, in this order and as often as they are named; all active rules if `None`.
    pub rules: Option<Vec<String>>,
    /// Only rules with any of these tags.
    pub tags: Option<Vec<String>>,
    /// Which results to answer.
    pub returns: Return,
    /// Whether each result carries the values of its sub-expressions.
    pub trace: bool,
}

/// Which results an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Return {
    /// One for each rule evaluated.
    #[default]
    All,
    /// Those that matched or carry an error.
    Matched,
}

/// How a decision goes on.
#[derive(Clone, Copy)]
pub enum Pace<'p> {
    /// From beginning to end.
    AtOnce,
    /// As long as it takes no more units of cost than this.
    Within(u64),
    /// From beginning to end, and between rules this is called.
    GivingWay(&'p dyn Fn()),
}

/// The results of evaluating a rule set on facts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision<'a> {
    /// The results asked for, in order.
    pub results: Results<'a>,
    /// How many results there were before any were left out.
    pub evaluated: usize,
    /// How many matched.
    pub matched_count: usize,
    /// Units of cost that evaluating took.
    #[serde(skip)]
    pub cost: u64,
    /// Whether it took more than its pace allows: then nothing else of it counts.
    #[serde(skip)]
    pub is_cut: bool,
}

/// What became of rules, in order.
pub struct Results<'a> {
    set: &'a RuleSet,
    answers: Answers<'a>,
    matched_count: usize,
}

/// The form of the results.
enum Answers<'a> {
    Listed(List<'a>),
    /// In the bits of those of the rules at these places that are answered.
    Truths {
        places: &'a [u32],
        truths: u64,
        answered: u64,
    },
}

/// Results one by one.
///
/// A rule that was decided is its place and a bool, and whatever more there is to say of some is kept apart. The room
/// for it is used again by the next decision of the thread.
#[derive(Default)]
struct List<'a> {
    answers: Vec<Answer>,
    /// What more there is to say, by the position of the answer, in order.
    more: Vec<(usize, More<'a>)>,
}

/// A rule's place among those of its set, and whether it matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    place: u32,
    matched: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct More<'a> {
    /// What was asked for, if it is no rule of the set.
    unknown: Option<&'a str>,
    error: Option<RuleError>,
    trace: Option<Vec<TraceEntry>>,
}

thread_local! {
    static ANSWERS: Cell<Vec<Answer>> = const { Cell::new(Vec::new()) };
}

impl<'a> Results<'a> {
    /// Those of the rules at `places`, of which `truths` has a bit for each from the lowest on.
    #[inline]
    pub(super) fn of_truths(set: &'a RuleSet, places: &'a [u32], truths: u64, returns: Return) -> Self {
        let answered = match returns {
            Return::All => u64::MAX,
            Return::Matched => truths,
        };
        Self { set, answers: Answers::Truths { places, truths, answered }, matched_count: truths.count_ones() as usize }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.answers {
            Answers::Listed(list) => list.answers.len(),
            Answers::Truths { places, answered, .. } => places.len().min(answered.count_ones() as usize),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many matched.
    pub(super) fn matched_count(&self) -> usize {
        self.matched_count
    }

    fn answers(&self) -> impl Iterator<Item = Answer> {
        let (listed, places, truths, answered) = match &self.answers {
            Answers::Listed(list) => (&*list.answers, &[][..], 0, 0),
            Answers::Truths { places, truths, answered } => (&[][..], *places, *truths, *answered),
        };
        let told = places.iter().enumerate().filter(move |(bit, _)| answered >> bit & 1 == 1);
        let told = told.map(move |(bit, place)| Answer { place: *place, matched: truths >> bit & 1 == 1 });
        listed.iter().copied().chain(told)
    }

    fn more(&self) -> &[(usize, More<'a>)] {
        if let Answers::Listed(list) = &self.answers { &list.more } else { &[] }
    }

    /// Them all.
    pub fn iter(&self) -> impl Iterator<Item = RuleResult<'_>> {
        let mut more = self.more().iter().peekable();
        self.answers().enumerate().map(move |(position, answer)| {
            let more = more.next_if(|(of, _)| *of == position).map(|(_, more)| more);
            let rule = self.set.rule(answer.place);
            let trace = more.and_then(|more| more.trace.as_deref());
            RuleResult {
                rule_id: match (rule, more.and_then(|more| more.unknown)) {
                    (Some((id, _)), None) => RuleReference::Known(id),
                    (_, unknown) => RuleReference::Unknown(unknown.unwrap_or_default()),
                },
                rule_name: rule.map(|(_, rule)| &*rule.name),
                matched: answer.matched,
                error: more.and_then(|more| more.error.as_ref()),
                trace,
                missing: trace.filter(|_| !answer.matched).map(missing).unwrap_or_default(),
            }
        })
    }

    /// The rules that matched or have an error: all that is counted of them.
    pub fn telling(&self) -> impl Iterator<Item = (RuleId, bool, Option<&RuleError>)> {
        let mut more = self.more().iter().peekable();
        self.answers().enumerate().filter_map(move |(position, answer)| {
            let error = more.next_if(|(of, _)| *of == position).and_then(|(_, more)| more.error.as_ref());
            if !answer.matched && error.is_none() {
                return None;
            }
            let (rule, _) = self.set.rule(answer.place)?;
            Some((rule, answer.matched, error))
        })
    }

    /// Whether one of them may have an error.
    pub fn has_errors(&self) -> bool {
        !self.more().is_empty()
    }

    /// The errors of those that have one.
    pub fn errors(&self) -> impl Iterator<Item = &RuleError> {
        self.more().iter().filter_map(|(_, more)| more.error.as_ref())
    }
}

/// The facts whose absence decided.
fn missing(trace: &[TraceEntry]) -> Vec<String> {
    let missing: BTreeSet<&String> =
        trace.iter().filter(|entry| entry.decided).filter_map(|entry| entry.missing.as_ref()).collect();
    missing.into_iter().cloned().collect()
}

/// Results that are being listed.
pub(super) struct Listing<'a> {
    list: List<'a>,
    matched_count: usize,
}

impl<'a> Listing<'a> {
    /// No results yet, of `most` at most.
    pub(super) fn of(most: usize) -> Self {
        let mut answers = ANSWERS.take();
        answers.clear();
        answers.reserve(most);
        Self { list: List { answers, more: Vec::new() }, matched_count: 0 }
    }

    /// Adds that of a rule that has nothing but a truth value.
    #[inline]
    pub(super) fn decided(&mut self, place: u32, matched: bool) {
        self.matched_count += usize::from(matched);
        self.list.answers.push(Answer { place, matched });
    }

    /// Adds that of a rule, with whatever there is.
    pub(super) fn add(&mut self, place: u32, matched: bool, error: Option<RuleError>, trace: Option<Vec<TraceEntry>>) {
        if error.is_some() || trace.is_some() {
            self.list.more.push((self.list.answers.len(), More { unknown: None, error, trace }));
        }
        self.decided(place, matched);
    }

    /// Adds that of what is no rule of the set.
    pub(super) fn add_unknown(&mut self, text: &'a str, error: RuleError) {
        let more = More { unknown: Some(text), error: Some(error), trace: None };
        self.list.more.push((self.list.answers.len(), more));
        self.decided(u32::MAX, false);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.answers.len()
    }

    /// The results, of rules of `rules`.
    pub(super) fn finish(self, set: &'a RuleSet) -> Results<'a> {
        Results { set, answers: Answers::Listed(self.list), matched_count: self.matched_count }
    }
}

impl Drop for List<'_> {
    fn drop(&mut self) {
        // Room for very many is better given back.
        if self.answers.capacity() <= ANSWERS_KEPT_MAX {
            ANSWERS.set(std::mem::take(&mut self.answers));
        }
    }
}

impl fmt::Debug for Results<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// They are equal if they say the same, of whichever sets.
impl PartialEq for Results<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Results<'_> {
    /// Appends them as JSON: what serializing gives, with less work where a rule has nothing but a truth value.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (position, (answer, result)) in self.answers().zip(self.iter()).enumerate() {
            if position > 0 {
                out.push(b',');
            }
            match self.set.rule(answer.place) {
                Some((id, rule)) if result.error.is_none() && result.trace.is_none() => {
                    write_plain(id, &rule.name, answer.matched, out)
                }
                _ => write_value(&result, out),
            }
        }
        out.push(b']');
    }
}

/// The members in the order of [`RuleResult`]; a test holds the two together.
fn write_plain(id: RuleId, name: &str, matched: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ruleId\":\"");
    out.extend_from_slice(id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    out.extend_from_slice(b"\",\"ruleName\":");
    if name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    } else {
        write_value(&name, out);
    }
    let rest: &[u8] =
        if matched { b",\"matched\":true,\"error\":null}" } else { b",\"matched\":false,\"error\":null}" };
    out.extend_from_slice(rest);
}

/// Keys are strings and the writer is memory, so nothing can go wrong.
fn write_value(value: &impl Serialize, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(out, value) {
        tracing::error!(%error, "a result could not be written");
    }
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleResult<'a> {
    /// The rule.
    pub rule_id: RuleReference<'a>,
    /// Its name; `None` if there is no such rule.
    pub rule_name: Option<&'a str>,
    /// Whether its expression is true; `false` where it carries an error.
    pub matched: bool,
    /// Why there is no answer.
    pub error: Option<&'a RuleError>,
    /// The values of its sub-expressions, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a [TraceEntry]>,
    /// The facts for want of which it did not match, if a trace was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A rule as it was named: one of the set, or a text that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RuleReference<'a> {
    /// A rule of the set.
    Known(RuleId),
    /// What the caller wrote.
    Unknown(&'a str),
}

/// Why a rule has no answer: a run-time error, or a rule that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleError {
    /// A stable name: `rule_not_found`, `rule_inactive`, `rule_broken`, or an evaluation error of `cel`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Line in the rule's expression, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the rule's expression, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The fact that is missing, if it ended for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Box<str>>,
    /// The derived field in which it happened, if it was none of the rule's own doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived_field: Option<Box<str>>,
}
