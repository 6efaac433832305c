//! Regular expressions, compiled, with what a search costs. What a pattern means is for [`re2`].
//!
//! A search takes time in proportion to the text and, at worst, to the size of the pattern: most patterns run in a few
//! nanoseconds a byte whatever their size, but some make an automaton of every step. So the size is charged.

use regex_automata::meta::{BuildError, CapturesMatches, Config, FindMatches, Regex};
use regex_syntax::hir::{Hir, HirKind};

use super::re2::{self, Meaning, Refusal, Remark};
use crate::cel::cost;

/// Bytes that a compiled pattern may take: one that is written in the source is compiled once.
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a pattern may take that is compiled during an evaluation.
const COMPUTED_BYTES_MAX: usize = 128 * 1024;
/// Size that a pattern may have that is compiled during an evaluation.
const COMPUTED_SIZE_MAX: u64 = 1_000;
/// Bytes that an automaton may take which is made while a text is searched.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// A pattern up to this size is likely to run fast, and is charged a part of its size.
const SMALL_SIZE: u64 = 128;
/// A search for one more match may look at all the rest of the text to find that a short match is the best: this part of
/// it is charged, of what is beyond [`REST_FREE`] bytes.
const REST_PART: u64 = 4;
/// Bytes that are looked at in some microseconds.
const REST_FREE: u64 = 16_384;
/// Units for a match beyond the first, with its groups.
const MATCH_UNITS: u64 = 16;

/// A pattern, ready to be searched for.
#[derive(Debug, Clone)]
pub(in crate::cel) struct Pattern {
    /// The automaton.
    regex: Regex,
    /// How many groups it has.
    pub(in crate::cel) groups: usize,
    /// What a search costs, by the cost of reading the text.
    factor: u64,
}

impl Pattern {
    /// Compiles a pattern that is written in the source, or says where it is wrong.
    pub(in crate::cel) fn written(text: &str) -> Result<Self, Refusal> {
        compile(text, BYTES_MAX, u64::MAX)
    }

    /// Compiles a pattern that is known before the evaluation.
    pub(in crate::cel) fn new(text: &str) -> Result<Self, String> {
        Self::written(text).map_err(|refusal| refusal.sentence(text))
    }

    /// Compiles a pattern that is not known before the evaluation.
    pub(in crate::cel) fn computed(text: &str) -> Result<Self, String> {
        compile(text, COMPUTED_BYTES_MAX, COMPUTED_SIZE_MAX).map_err(|refusal| refusal.sentence(text))
    }

    /// Whether the text has a match.
    pub(in crate::cel) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The matches in the text, from left to right.
    pub(in crate::cel) fn find<'p>(&'p self, text: &'p str) -> FindMatches<'p, 'p> {
        self.regex.find_iter(text)
    }

    /// The same with their groups.
    pub(in crate::cel) fn captures<'p>(&'p self, text: &'p str) -> CapturesMatches<'p, 'p> {
        self.regex.captures_iter(text)
    }

    /// The cost of a search in `bytes` of text.
    pub(in crate::cel) fn search(&self, bytes: usize) -> u64 {
        work(self.factor, bytes as u64)
    }

    /// The cost of going on after a match with `rest` bytes of text left.
    pub(in crate::cel) fn next_search(&self, rest: usize) -> u64 {
        MATCH_UNITS + work(self.factor, (rest as u64).saturating_sub(REST_FREE) / REST_PART)
    }
}

/// What the pattern says that other dialects read otherwise.
pub(in crate::cel) fn remarks(text: &str) -> Vec<Remark> {
    re2::read(text).map_or_else(|_| Vec::new(), |meaning| meaning.remarks)
}

/// The cost of one search in `bytes` of text at most: for the pattern `constant`, or for any that can be computed.
pub(in crate::cel) fn search_estimate(constant: Option<&str>, bytes: u64) -> u64 {
    work(factor_of(constant), bytes)
}

/// The same for a search for all matches.
pub(in crate::cel) fn searches_estimate(constant: Option<&str>, bytes: u64) -> u64 {
    // No two matches end at one place.
    let beyond = bytes.saturating_sub(REST_FREE);
    let rests = beyond.saturating_mul(beyond.saturating_add(1)) / 2;
    let more = work(factor_of(constant), rests / REST_PART + 1).saturating_add(1);
    let matches = bytes.saturating_add(1).saturating_mul(MATCH_UNITS);
    search_estimate(constant, bytes).saturating_add(more).saturating_add(matches)
}

fn factor_of(constant: Option<&str>) -> u64 {
    match constant {
        Some(text) => factor(size_of(text)),
        None => factor(COMPUTED_SIZE_MAX),
    }
}

fn work(factor: u64, bytes: u64) -> u64 {
    cost::of_bytes(bytes.saturating_mul(factor))
}

fn factor(size: u64) -> u64 {
    if size <= SMALL_SIZE { 1 + size / 4 } else { size }
}

fn compile(text: &str, bytes_max: usize, size_max: u64) -> Result<Pattern, Refusal> {
    let too_large = || Refusal::new(0..text.len(), "the pattern is too large");
    let Meaning { hir, groups, takes_bytes, .. } = re2::read(text)?;
    let size = size(&hir);
    if size > size_max {
        return Err(too_large());
    }
    // The automata either take characters throughout, or bytes.
    let config =
        Config::new().nfa_size_limit(Some(bytes_max)).hybrid_cache_capacity(CACHE_BYTES).utf8_empty(!takes_bytes);
    let regex = Regex::builder().configure(config).build_from_hir(&hir).map_err(|error: BuildError| {
        match error.size_limit() {
            Some(_) => too_large(),
            None => Refusal::new(0..text.len(), error.to_string()),
        }
    })?;
    Ok(Pattern { regex, groups, factor: factor(size) })
}

/// The characters and classes of a pattern, those repeated so many times counted as often.
fn size_of(text: &str) -> u64 {
    re2::read(text).map_or(1, |meaning| size(&meaning.hir))
}

fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(0, |total, part| total.saturating_add(size(part)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_counts_what_is_repeated() {
        for (text, size) in
            [("", 0), ("^abc$", 3), ("[a-z]+@[a-z]+", 3), ("(a|b){10}", 10), ("(?:(a{3}){5}){7}b*", 106)]
        {
            assert_eq!(size_of(text), size, "{text}");
        }
    }

    #[test]
    fn a_large_pattern_costs_its_size_and_a_small_one_a_part_of_it() {
        let cost = |text: &str| Pattern::new(text).unwrap().search(1_600);
        assert_eq!(cost("abc"), 100);
        assert_eq!(cost("^[a-z]+@[a-z]+\\.com$"), 200);
        assert_eq!(cost("(a?){500}"), 50_000);
        assert_eq!(Pattern::new("(a?){500}").unwrap().search(1), 31, "a short text is not free");
    }

    #[test]
    fn a_pattern_that_is_computed_has_a_smaller_limit() {
        assert!(Pattern::new("a{1000}b").is_ok());
        assert!(Pattern::computed("a{1000}").is_ok());
        assert!(Pattern::computed("a{1000}b").unwrap_err().contains("too large"));
    }
}
