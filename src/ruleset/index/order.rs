//! The rules found, each once and in order.

use std::cell::Cell;

use super::Candidate;

/// So many are sorted sooner than marked.
const FEW: usize = 64;

thread_local! {
    /// A bit for each rule, and for each that is true for certain; kept, so that a decision need not make room for them. All are off between decisions.
    static MARKS: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Puts `rules` in order, each once: a rule may be filed under several values. It is true if one way to it shows that.
pub(super) fn put_in_order(rules: &mut Vec<Candidate>) {
    if rules.is_sorted_by(|one, next| one.rule() < next.rule()) {
        return;
    }
    let bounds = |(least, most): (u32, u32), rule: &Candidate| (least.min(rule.0), most.max(rule.0));
    let (least, greatest) = rules.iter().fold((u32::MAX, 0), bounds);
    let words = (greatest / u64::BITS - least / u64::BITS) as usize + 1;
    // Looking at a word of marks takes about as long as sorting a rule.
    if rules.len() <= FEW || words > rules.len() {
        rules.sort_unstable();
    } else {
        let mut marks = MARKS.take();
        if marks.len() < words {
            marks.resize(words, 0);
        }
        mark(rules, least / u64::BITS, &mut marks);
        MARKS.set(marks);
    }
    // Of one rule, what is certain comes first and stays.
    rules.dedup_by_key(|candidate| candidate.rule());
}

/// Marks each rule, and reads them back from the marks. `first` is the word of the least.
fn mark(rules: &mut Vec<Candidate>, first: u32, marks: &mut [u64]) {
    for Candidate(rule) in rules.iter() {
        if let Some(word) = marks.get_mut((rule / u64::BITS - first) as usize) {
            *word |= 1 << (rule % u64::BITS);
        }
    }
    rules.clear();
    for (number, word) in (first..).zip(marks) {
        if *word == 0 {
            continue;
        }
        let mut left = std::mem::take(word);
        while left != 0 {
            rules.push(Candidate(number * u64::BITS + left.trailing_zeros()));
            left &= left - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn each_rule_stands_once_and_in_order(
            base in prop_oneof![Just(0), Just(u32::MAX / 2 - 2_000), any::<u16>().prop_map(u32::from)],
            first in vec((0..2_000_u32, any::<bool>()), 0..200),
            second in vec((0..200_u32, any::<bool>()), 0..200),
        ) {
            // Twice on one thread: the marks of the first must be gone.
            for rules in [first, second] {
                let mut rules: Vec<_> =
                    rules.into_iter().map(|(rule, is_true)| Candidate::new(base + rule, is_true)).collect();
                let mut expected: BTreeMap<u32, bool> = BTreeMap::new();
                for rule in &rules {
                    *expected.entry(rule.rule()).or_default() |= rule.is_true();
                }
                put_in_order(&mut rules);
                let rules: Vec<_> = rules.iter().map(|rule| (rule.rule(), rule.is_true())).collect();
                prop_assert_eq!(rules, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
