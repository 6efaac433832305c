//! Rules by spans of the line: those whose span holds a place are found without looking at the others.
//!
//! The spans are sorted by where they begin; each stands for the root of the spans around it, as in a balanced search
//! tree laid flat, and knows how far the furthest of these reaches.

/// The spans of one slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans(Vec<Span>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    low: i128,
    high: i128,
    rule: u32,
    /// The furthest end of all spans below this one in the tree.
    reach: i128,
}

impl Spans {
    /// The spans of these rules.
    pub fn new(spans: impl Iterator<Item = (i128, i128, u32)>) -> Self {
        let mut spans = Self(spans.map(span).collect());
        spans.0.sort_unstable();
        spans.settle();
        spans
    }

    /// Adds a rule.
    pub fn insert(&mut self, low: i128, high: i128, rule: u32) {
        let new = span((low, high, rule));
        let at = self.0.partition_point(|other| (other.low, other.high, other.rule) < (low, high, rule));
        self.0.insert(at, new);
        self.settle();
    }

    /// Removes a rule.
    pub fn remove(&mut self, rule: u32) {
        self.0.retain(|span| span.rule != rule);
        self.settle();
    }

    /// All rules.
    pub fn rules(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|span| span.rule)
    }

    fn settle(&mut self) {
        settle(&mut self.0);
    }

    /// The rules whose span holds `place`.
    #[inline]
    pub fn find(&self, place: i128, found: &mut Vec<u32>) {
        find(&self.0, place, found);
    }
}

fn span((low, high, rule): (i128, i128, u32)) -> Span {
    Span { low, high, rule, reach: high }
}

fn settle(spans: &mut [Span]) -> i128 {
    let (before, rest) = spans.split_at_mut(spans.len() / 2);
    let Some((root, after)) = rest.split_first_mut() else { return i128::MIN };
    let below = settle(before).max(settle(after));
    root.reach = root.high.max(below);
    root.reach
}

fn find(mut spans: &[Span], place: i128, found: &mut Vec<u32>) {
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

    proptest! {
        #[test]
        fn those_that_hold_a_place_are_found_and_no_others(
            spans in proptest::collection::vec((-9..9_i128, -9..9_i128), 0..40),
            removed in 0..40_u32,
            place in -10..10_i128,
        ) {
            let numbered: Vec<_> = (0..).zip(&spans).map(|(rule, (low, high))| (*low, *high, rule)).collect();
            let expected: Vec<_> = numbered
                .iter()
                .filter(|(low, high, rule)| (*low..=*high).contains(&place) && *rule != removed)
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
