//! Rules by spans of the line: those whose span holds a place are found without looking at the others.
//!
//! Spans that reach from a limit to an end of the line are sorted by it: those that hold a place are all on one side of
//! it. The others are sorted by where they begin; each stands for the root of the spans around it, as in a balanced
//! search tree laid flat, and knows how far the furthest of these reaches.

use super::Candidate;

/// The spans of one slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans {
    /// From a limit upwards.
    from: Limits,
    /// Up to a limit.
    to: Limits,
    between: Vec<Span>,
}

/// Limits in their order, and the rule of each.
#[derive(Debug, Clone, Default)]
struct Limits {
    limits: Vec<i128>,
    rules: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    low: i128,
    high: i128,
    rule: Candidate,
    /// The furthest end of all spans below this one in the tree.
    reach: i128,
}

impl Limits {
    fn new(mut limits: Vec<(i128, Candidate)>) -> Self {
        limits.sort_unstable();
        let (limits, rules) = limits.into_iter().unzip();
        Self { limits, rules }
    }

    fn insert(&mut self, limit: i128, rule: Candidate) {
        let at = self.limits.partition_point(|other| *other <= limit);
        self.limits.insert(at, limit);
        self.rules.insert(at, rule);
    }

    fn remove(&mut self, rule: u32) {
        while let Some(at) = self.rules.iter().position(|other| other.rule() == rule) {
            self.limits.remove(at);
            self.rules.remove(at);
        }
    }
}

impl Spans {
    /// The spans of these rules.
    pub fn new(spans: impl Iterator<Item = (i128, i128, Candidate)>) -> Self {
        let (mut from, mut to, mut between) = (Vec::new(), Vec::new(), Vec::new());
        for (low, high, rule) in spans {
            match (low, high) {
                (low, i128::MAX) => from.push((low, rule)),
                (i128::MIN, high) => to.push((high, rule)),
                _ => between.push(span((low, high, rule))),
            }
        }
        between.sort_unstable();
        settle(&mut between);
        Self { from: Limits::new(from), to: Limits::new(to), between }
    }

    /// Adds a rule.
    pub fn insert(&mut self, low: i128, high: i128, rule: Candidate) {
        match (low, high) {
            (low, i128::MAX) => self.from.insert(low, rule),
            (i128::MIN, high) => self.to.insert(high, rule),
            _ => {
                let at = self.between.partition_point(|other| (other.low, other.high, other.rule) < (low, high, rule));
                self.between.insert(at, span((low, high, rule)));
                settle(&mut self.between);
            }
        }
    }

    /// Removes a rule.
    pub fn remove(&mut self, rule: u32) {
        self.from.remove(rule);
        self.to.remove(rule);
        self.between.retain(|span| span.rule.rule() != rule);
        settle(&mut self.between);
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = Candidate> {
        let limits = self.from.rules.iter().chain(&self.to.rules).copied();
        limits.chain(self.between.iter().map(|span| span.rule))
    }

    /// The rules whose span holds `place`.
    #[inline]
    pub fn find(&self, place: i128, found: &mut Vec<Candidate>) {
        let begun = self.from.limits.partition_point(|limit| *limit <= place);
        found.extend_from_slice(self.from.rules.get(..begun).unwrap_or_default());
        let ended = self.to.limits.partition_point(|limit| *limit < place);
        found.extend_from_slice(self.to.rules.get(ended..).unwrap_or_default());
        find(&self.between, place, found);
    }
}

fn span((low, high, rule): (i128, i128, Candidate)) -> Span {
    Span { low, high, rule, reach: high }
}

fn settle(spans: &mut [Span]) -> i128 {
    let (before, rest) = spans.split_at_mut(spans.len() / 2);
    let Some((root, after)) = rest.split_first_mut() else { return i128::MIN };
    let below = settle(before).max(settle(after));
    root.reach = root.high.max(below);
    root.reach
}

fn find(mut spans: &[Span], place: i128, found: &mut Vec<Candidate>) {
    loop {
        let (before, rest) = spans.split_at(spans.len() / 2);
        let Some((root, after)) = rest.split_first() else { return };
        if root.reach < place {
            return;
        }
        if root.low > place {
            spans = before;
            continue;
        }
        find(before, place, found);
        if place <= root.high {
            found.push(root.rule);
        }
        spans = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A place, or the end of the line.
    fn end(of_line: i128) -> impl Strategy<Value = i128> {
        prop_oneof![2 => -9..9_i128, 1 => Just(of_line)]
    }

    proptest! {
        #[test]
        fn those_that_hold_a_place_are_found_and_no_others(
            spans in proptest::collection::vec((end(i128::MIN), end(i128::MAX)), 0..40),
            removed in 0..40_u32,
            place in -10..10_i128,
        ) {
            let numbered: Vec<_> = (0..)
                .zip(&spans)
                .map(|(rule, (low, high))| (*low, *high, Candidate::new(rule, rule % 2 == 0)))
                .collect();
            let expected: Vec<_> = numbered
                .iter()
                .filter(|(low, high, rule)| (*low..=*high).contains(&place) && rule.rule() != removed)
                .map(|(.., rule)| *rule)
                .collect();
            let mut at_once = Spans::new(numbered.iter().copied());
            at_once.remove(removed);
            let mut one_by_one = Spans::default();
            for (low, high, rule) in numbered {
                one_by_one.insert(low, high, rule);
            }
            one_by_one.remove(removed);
            for spans in [at_once, one_by_one] {
                let mut found = Vec::new();
                spans.find(place, &mut found);
                found.sort_unstable();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
