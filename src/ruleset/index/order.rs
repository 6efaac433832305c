//! The rules found, each once and in order.

use std::cell::Cell;

/// So many are sorted sooner than marked.
const FEW: usize = 64;

thread_local! {
    /// A bit for each rule; kept, so that a decision need not make room for them. All are off between decisions.
    static MARKS: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Puts `rules` in order, each once: a rule may be filed under several values.
pub(super) fn put_in_order(rules: &mut Vec<u32>) {
    if rules.is_sorted_by(|one, next| one < next) {
        return;
    }
    let (least, greatest) = rules.iter().fold((u32::MAX, 0), |(least, most), rule| (least.min(*rule), most.max(*rule)));
    let words = (greatest / u64::BITS - least / u64::BITS) as usize + 1;
    // Looking at a word of marks takes about as long as sorting a rule.
    if rules.len() <= FEW || words > rules.len() {
        rules.sort_unstable();
        rules.dedup();
        return;
    }
    let mut marks = MARKS.take();
    if marks.len() < words {
        marks.resize(words, 0);
    }
    mark(rules, least / u64::BITS, &mut marks);
    MARKS.set(marks);
}

/// Marks each rule, and reads them back from the marks. `first` is the word of the least.
fn mark(rules: &mut Vec<u32>, first: u32, marks: &mut [u64]) {
    for rule in rules.iter() {
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
            rules.push(number * u64::BITS + left.trailing_zeros());
            left &= left - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn each_rule_stands_once_and_in_order(
            base in prop_oneof![Just(0), Just(u32::MAX - 2_000), any::<u16>().prop_map(u32::from)],
            first in vec(0..2_000_u32, 0..200),
            second in vec(0..200_u32, 0..200),
        ) {
            // Twice on one thread: the marks of the first must be gone.
            for rules in [first, second] {
                let mut rules: Vec<u32> = rules.into_iter().map(|rule| base + rule).collect();
                let mut expected = rules.clone();
                expected.sort_unstable();
                expected.dedup();
                put_in_order(&mut rules);
                prop_assert_eq!(rules, expected);
            }
        }
    }
}
