//! A rate that nodes share: each takes blocks of it ahead, from a count that all of them reach, and gives out of its own.
//!
//! What a node holds may go below zero while it waits for a block, by no more than its part of one: so much, and no more,
//! can all nodes together give out beyond the rate. What it was granted and did not give out is returned after the time in
//! which a block is earned: a count that is full again would let it be given out twice.

use std::time::Duration;

use super::{Rate, Standing};

/// So many blocks make a rate,
const BLOCKS: u64 = 20;
/// and a block is at least so many.
const BLOCK_MIN: u64 = 5;

/// A rate that is given out in blocks, as one node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRate {
    whole: Rate,
    block: u64,
    /// This node's part of a block.
    part: u64,
}

/// What a node holds of a rate. Fits into one word, so that it can be kept in an atomic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// What it may give out; below zero: what it gave out already.
    balance: i32,
    /// What it has returned, and may owe until that is answered.
    lent: u32,
}

/// What a node asks of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The rate.
    pub per_minute: u64,
    /// What was given out while the count could not be asked.
    pub owed: u64,
    /// What was not given out.
    pub returned: u64,
    /// How many are wanted.
    pub wanted: u64,
}

/// What the count answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// How many are granted.
    pub granted: u64,
    /// In how long all that nodes have taken is earned.
    pub ahead: Duration,
}

impl BlockRate {
    /// Blocks of a rate, for a node whose part of it is `rate`.
    pub fn of(rate: Rate) -> Self {
        let quota = rate.quota();
        let block = (quota / BLOCKS).max(BLOCK_MIN).min(quota);
        let part = block.saturating_mul(rate.limit()) / quota.max(1);
        Self { whole: Rate::per_minute(quota), block, part: part.max(1) }
    }

    /// The rate of all nodes.
    pub fn whole(self) -> Rate {
        self.whole
    }

    /// How long what was granted may be held.
    pub fn fresh_for(self) -> Duration {
        self.whole.time_of(self.block)
    }

    /// Gives out up to `wanted`; answers how many. `taken`: the state of the whole rate, as far as is known. One ask of many
    /// is not cut short for being larger than a block.
    #[inline]
    pub fn give(self, stock: Stock, taken: u64, now: u64, wanted: u64) -> (u64, Stock) {
        let large = if stock.balance >= 0 { wanted } else { 0 };
        let large = if large > self.block { large } else { 0 };
        let owed_max = self.part.max(u64::from(stock.lent)).max(large).min(self.whole.standing(taken, now).left);
        let most = i64::from(stock.balance).saturating_add(i64::try_from(owed_max).unwrap_or(i64::MAX));
        let granted = wanted.min(u64::try_from(most).unwrap_or(0)).min(u64::from(i32::MAX.unsigned_abs()));
        (granted, stock.less(granted))
    }

    /// What to ask of the count now, if anything, and what is held from then on. `fresh_until`: how long what is held may be.
    pub fn order(self, stock: Stock, taken: u64, fresh_until: u64, now: u64) -> Option<(Order, Stock)> {
        if self.whole.standing(taken, now).left == 0 {
            return None;
        }
        let order = |returned, wanted| Order { per_minute: self.whole.quota(), owed: 0, returned, wanted };
        let (held, block) = (i64::from(stock.balance), i64::try_from(self.block).unwrap_or(i64::MAX));
        if held > 0 && now >= fresh_until {
            let lent = stock.balance.unsigned_abs();
            return Some((order(u64::from(lent), self.block), Stock { balance: 0, lent }));
        }
        let wanted = u64::try_from(block - held).unwrap_or_default();
        (held.saturating_mul(2) < block).then(|| (order(0, wanted), stock))
    }

    /// How the rate of all nodes stands, as far as is known.
    pub fn standing(self, stock: Stock, taken: u64, now: u64) -> Standing {
        let standing = self.whole.standing(taken, now);
        if stock.balance <= 0 {
            return standing;
        }
        let left = standing.left.saturating_add(u64::from(stock.held())).min(self.whole.limit());
        Standing { left, reset: Duration::from_nanos(taken.saturating_sub(now)) }
    }
}

impl Stock {
    /// What may be given out of it.
    pub fn held(self) -> u32 {
        u32::try_from(self.balance).unwrap_or(0)
    }

    /// The same without so many.
    #[must_use]
    pub fn less(self, count: u64) -> Self {
        Self { balance: self.balance.saturating_sub(i32::try_from(count).unwrap_or(i32::MAX)), ..self }
    }

    /// The same after an order was answered, with so many.
    #[must_use]
    pub fn with(self, count: u64) -> Self {
        Self { balance: self.balance.saturating_add(i32::try_from(count).unwrap_or(i32::MAX)), lent: 0 }
    }

    /// As a word.
    pub fn to_word(self) -> u64 {
        u64::from(self.balance.cast_unsigned()) << 32 | u64::from(self.lent)
    }

    /// Of a word.
    pub fn of_word(word: u64) -> Self {
        let half = |half: u64| u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0);
        Self { balance: half(word >> 32).cast_signed(), lent: half(word) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn stock(balance: i32) -> Stock {
        Stock { balance, lent: 0 }
    }

    #[test]
    fn a_block_is_a_twentieth_and_at_least_five_and_never_more_than_the_rate() {
        for (quota, nodes, block, part) in
            [(100, 1, 5, 5), (100, 2, 5, 2), (1_000, 2, 50, 25), (60, 10, 5, 1), (3, 2, 3, 1), (1, 1, 1, 1)]
        {
            let rate = BlockRate::of(Rate::per_minute(quota).shared_by(nodes));
            assert_eq!((rate.block, rate.part), (block, part), "{quota}");
        }
        assert_eq!(BlockRate::of(Rate::per_minute(100)).fresh_for(), Duration::from_secs(3));
    }

    #[test]
    fn what_is_held_is_given_out_and_then_a_part_of_a_block_that_is_not_granted_yet() {
        let rate = BlockRate::of(Rate::per_minute(100).shared_by(2));
        assert_eq!(rate.give(stock(3), 0, 0, 4), (4, stock(-1)));
        assert_eq!(rate.give(stock(-1), 0, 0, 4), (1, stock(-2)));
        assert_eq!(rate.give(stock(-2), 0, 0, 1), (0, stock(-2)));
        // Nothing more, once the count has said that nothing is left.
        let used_up = 60 * SECOND;
        assert_eq!(rate.give(stock(1), used_up, 0, 4), (1, stock(0)));
        // It is not cut short where so many are left, but only once.
        assert_eq!(rate.give(stock(0), 0, 0, 80), (80, stock(-80)));
        assert_eq!(rate.give(stock(-80), 0, 0, 80).0, 0);
        assert_eq!(rate.give(stock(0), used_up / 2, 0, 80), (50, stock(-50)));
    }

    #[test]
    fn a_block_is_asked_for_before_the_last_is_used_up_and_what_is_old_is_returned() {
        let rate = BlockRate::of(Rate::per_minute(100));
        let order = |balance, taken, fresh_until| rate.order(stock(balance), taken, fresh_until, SECOND);
        let of = |returned, wanted| Order { per_minute: 100, owed: 0, returned, wanted };
        assert_eq!(order(3, 0, 2 * SECOND), None);
        assert_eq!(order(2, 0, 2 * SECOND), Some((of(0, 3), stock(2))));
        assert_eq!(order(-4, 0, 0), Some((of(0, 9), stock(-4))));
        assert_eq!(order(-4, 61 * SECOND, 0), None, "nothing is left");
        let old = Stock { balance: 0, lent: 4 };
        assert_eq!(order(4, 0, SECOND), Some((of(4, 5), old)));
        // Meanwhile as many are given out as before, or as ever.
        let (given, owing) = rate.give(old, 0, SECOND, 5);
        assert_eq!((given, owing.with(5)), (5, stock(0)));
        assert_eq!(rate.give(Stock { balance: -1, lent: 4 }, 0, SECOND, 5).0, 4);
    }

    #[test]
    fn what_is_held_counts_as_left() {
        let rate = BlockRate::of(Rate::per_minute(100));
        let taken = 60 * SECOND;
        let standing = |balance, taken| rate.standing(stock(balance), taken, 0);
        assert_eq!(standing(2, taken), Standing { left: 2, reset: Duration::from_secs(60) });
        assert_eq!(standing(0, taken), Standing { left: 0, reset: Duration::from_millis(600) });
        assert_eq!(standing(5, 0), Standing { left: 100, reset: Duration::ZERO });
    }

    proptest! {
        #[test]
        fn a_word_is_what_it_was_made_of(balance: i32, lent: u32) {
            let stock = Stock { balance, lent };
            prop_assert_eq!(Stock::of_word(stock.to_word()), stock);
        }
    }
}
