//! A line of a tenant's work that waits to begin: the oldest is first, or the newest once the oldest wait in vain.
//!
//! As long as everything begins in time, the order in which it came is fair. Once work is given up that has waited for too
//! long, the oldest that is left has waited for nearly as long: it would begin just before nobody wants it any more, and
//! everything behind it would, too. Then the newest is first ("adaptive LIFO"; Maurer, Fail at Scale, ACM Queue 13/8), under
//! pressure alone, and until the line was empty.

use std::collections::VecDeque;

/// What waits, with the number that each was given.
#[derive(Debug)]
pub struct Line<T> {
    waiting: VecDeque<(u64, T)>,
    /// Whether something was given up since the line was empty.
    is_vain: bool,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), is_vain: false }
    }
}

impl<T> Line<T> {
    /// Something has come, with a number of its own.
    pub fn join(&mut self, number: u64, item: T) {
        self.waiting.push_back((number, item));
    }

    /// Takes what is first.
    pub fn next(&mut self, is_under_pressure: bool) -> Option<T> {
        let next = if is_under_pressure && self.is_vain { self.waiting.pop_back() } else { self.waiting.pop_front() };
        self.forget();
        next.map(|(_, item)| item)
    }

    /// Takes what has this number out of it, because it is given up; answers whether it was there.
    pub fn give_up(&mut self, number: u64) -> bool {
        let Some(at) = self.waiting.iter().position(|(other, _)| *other == number) else { return false };
        self.waiting.remove(at);
        self.is_vain = true;
        self.forget();
        true
    }

    /// Takes all.
    pub fn clear(&mut self) -> usize {
        let count = self.waiting.len();
        self.waiting.clear();
        self.forget();
        count
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn forget(&mut self) {
        self.is_vain &= !self.waiting.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(numbers: impl IntoIterator<Item = u64>) -> Line<u64> {
        let mut line = Line::default();
        numbers.into_iter().for_each(|number| line.join(number, number));
        line
    }

    #[test]
    fn the_newest_is_first_once_the_oldest_wait_in_vain_until_the_line_was_empty() {
        let mut of = line(1..=5);
        assert_eq!((of.next(true), of.next(true)), (Some(1), Some(2)), "nothing was given up");
        assert!(of.give_up(3) && !of.give_up(3));
        of.join(6, 6);
        assert_eq!((of.next(false), of.next(true), of.next(true)), (Some(4), Some(6), Some(5)));
        assert_eq!(of.next(true), None);
        (7..=8).for_each(|number| of.join(number, number));
        assert_eq!((of.next(true), of.next(true)), (Some(7), Some(8)));
    }

    proptest! {
        /// Whatever comes, begins and is given up: nothing is lost, and who is first follows from what was given up.
        #[test]
        fn nothing_is_lost_and_whoever_is_next_is_the_oldest_or_the_newest(
            steps in prop::collection::vec((0..4_u8, any::<bool>(), 0..300_u64), 1..300),
        ) {
            let (mut of, mut there, mut is_vain) = (Line::default(), Vec::new(), false);
            for (number, (kind, is_under_pressure, which)) in (0..).zip(steps) {
                match kind {
                    0 | 1 => { of.join(number, number); there.push(number); }
                    2 => {
                        let place = if is_under_pressure && is_vain { there.len().checked_sub(1) } else { Some(0) };
                        let expected = place.filter(|place| *place < there.len()).map(|place| there.remove(place));
                        prop_assert_eq!(of.next(is_under_pressure), expected);
                    }
                    _ => {
                        let was_there = there.contains(&which);
                        there.retain(|number| *number != which);
                        is_vain |= was_there;
                        prop_assert_eq!(of.give_up(which), was_there);
                    }
                }
                is_vain &= !there.is_empty();
                prop_assert_eq!(of.is_empty(), there.is_empty());
            }
            prop_assert_eq!(of.clear(), there.len());
        }
    }
}
