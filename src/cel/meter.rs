//! What an evaluation may still take: cost, memory, and its part of the work of a decision.

use std::cell::{Cell, OnceCell};

use super::{
    account::{Account, Computed, Marks},
    memo::{Kept, Memo},
    run::{Fault, Limits},
};

/// More than any evaluation may do.
pub(super) const WORK_UNLIMITED: u64 = 1 << 62;

/// What an evaluation may still take.
#[derive(Debug)]
pub struct Meter<'a> {
    /// What may still be spent: the lesser of what is left to the evaluation, and to the work of the whole decision.
    cost_left: Cell<u64>,
    /// What the greater of the two has above that: more is left to the work than to the evaluation where positive.
    work_ahead: Cell<i64>,
    memory_left: Cell<u64>,
    cost_max: u64,
    /// What was charged for deferred values, once one is read.
    account: OnceCell<Box<Account>>,
    /// What others have computed, for evaluations that share it.
    memo: Option<&'a Memo<'a>>,
}

/// What an evaluation had spent at some time.
pub(super) struct Expenses {
    own_cost: u64,
    memory_left: u64,
    seen: Marks,
}

impl<'a> Meter<'a> {
    /// For an evaluation within `limits`, which may do so much work for itself and for the deferred values that it is the
    /// first to read.
    #[inline]
    pub fn new(limits: Limits, work_max: u64) -> Self {
        let (cost_max, work_max) = (limits.cost_max.min(WORK_UNLIMITED), work_max.min(WORK_UNLIMITED));
        Self {
            cost_left: Cell::new(cost_max.min(work_max)),
            work_ahead: Cell::new(work_max.cast_signed() - cost_max.cast_signed()),
            memory_left: Cell::new(limits.memory_bytes_max),
            cost_max,
            account: OnceCell::new(),
            memo: None,
        }
    }

    /// The same, for an evaluation that shares what it computes with others.
    #[inline]
    pub(super) fn sharing(self, memo: Option<&'a Memo<'a>>) -> Self {
        Self { memo, ..self }
    }

    #[inline]
    pub(super) fn memo(&self) -> Option<&'a Memo<'a>> {
        self.memo
    }

    /// For an evaluation within `limits` alone.
    #[inline]
    pub fn of(limits: Limits) -> Self {
        Self::new(limits, WORK_UNLIMITED)
    }

    /// What is left of the cost.
    #[inline]
    pub(super) fn cost_left(&self) -> u64 {
        self.cost_left.get()
    }

    /// What is left to the evaluation, and to the work of the whole decision.
    fn left(&self) -> (u64, u64) {
        let (least, ahead) = (self.cost_left.get(), self.work_ahead.get());
        let most = least.saturating_add(ahead.unsigned_abs());
        if ahead < 0 { (most, least) } else { (least, most) }
    }

    /// What is left to the work of the whole decision.
    pub(super) fn work_left(&self) -> u64 {
        self.left().1
    }

    /// Units charged.
    pub(super) fn cost(&self) -> u64 {
        self.cost_max - self.left().0
    }

    /// Units charged for anything but deferred values.
    pub(super) fn own_cost(&self) -> u64 {
        let charged = self.account.get().map_or(0, |account| account.charged.get());
        self.cost().saturating_sub(charged)
    }

    /// The deferred values that were read.
    pub(super) fn into_reads(self) -> Marks {
        self.account.into_inner().map(|account| account.into_reads()).unwrap_or_default()
    }

    /// Takes `units` from what may still be spent.
    #[inline]
    pub(super) fn charge(&self, units: u64) -> Result<(), Fault> {
        match self.cost_left.get().checked_sub(units) {
            Some(left) => {
                self.cost_left.set(left);
                Ok(())
            }
            None => Err(self.cost_exceeded()),
        }
    }

    /// Takes what a deferred value costs, and the work that was done for it now.
    pub(super) fn charge_computed<'c>(
        &self,
        number: u32,
        computed: &'c Computed,
        work: u64,
        known: impl Fn(u32) -> Option<&'c Computed>,
    ) -> Result<(), Fault> {
        let account = self.account.get_or_init(Box::default);
        let units = account.enter(number, computed, known);
        let (cost_left, work_left) = self.left();
        account.charged.set(account.charged.get().saturating_add(units.min(cost_left)));
        let is_exceeded = units > cost_left;
        self.leave(cost_left.saturating_sub(units), work_left.saturating_sub(work));
        if is_exceeded && computed.outcome.is_ok() { Err(self.cost_exceeded()) } else { Ok(()) }
    }

    /// Leaves so much to the evaluation, and to the work of the whole decision.
    fn leave(&self, cost_left: u64, work_left: u64) {
        self.cost_left.set(cost_left.min(work_left));
        self.work_ahead.set(work_left.cast_signed() - cost_left.cast_signed());
    }

    /// What has been spent by now, for [`Self::spent_since`].
    pub(super) fn expenses(&self) -> Expenses {
        let seen = self.account.get().map(|account| account.take_seen()).unwrap_or_default();
        Expenses { own_cost: self.own_cost(), memory_left: self.memory_left.get(), seen }
    }

    /// What has been spent since, on a value that is to be kept.
    pub(super) fn spent_since<'c>(&self, before: Expenses, known: impl Fn(u32) -> Option<&'c Computed>) -> Kept {
        let cost = self.own_cost().saturating_sub(before.own_cost);
        let memory = before.memory_left.saturating_sub(self.memory_left.get());
        let Some(account) = self.account.get() else { return Kept::spent(cost, memory, Marks::default(), 0) };
        let reads = account.take_seen();
        account.see(&before.seen);
        account.see(&reads);
        let own_cost = |number: u32| known(number).map_or(0, |computed| computed.own_cost);
        let with_reads = |number: u32| {
            let reads = known(number).map_or(0, |computed| computed.reads.iter().map(own_cost).sum());
            own_cost(number).saturating_add(reads)
        };
        let reads_cost_max = reads.iter().map(with_reads).fold(0, u64::saturating_add);
        Kept::spent(cost, memory, reads, reads_cost_max)
    }

    /// Takes what a value cost that others have computed, as if it were computed again, but for the work; whether there
    /// was enough.
    pub(super) fn repay<'c>(&self, kept: &Kept, known: impl Fn(u32) -> Option<&'c Computed>) -> bool {
        let (cost_left, work_left) = self.left();
        let Some(memory_left) = self.memory_left.get().checked_sub(kept.memory) else { return false };
        if kept.cost.saturating_add(kept.reads_cost_max) > cost_left {
            return false;
        }
        self.memory_left.set(memory_left);
        self.leave(cost_left - kept.cost, work_left);
        let mut reads = kept.reads.iter().filter_map(|number| Some((number, known(number)?)));
        reads.all(|(number, computed)| self.charge_computed(number, computed, 0, &known).is_ok())
    }

    /// Takes memory.
    pub(super) fn take_memory(&self, bytes: usize) -> Result<(), Fault> {
        match self.memory_left.get().checked_sub(bytes as u64) {
            Some(left) => {
                self.memory_left.set(left);
                Ok(())
            }
            None => Err(Fault::new("memory_exceeded", "the evaluation makes more values than it may hold")),
        }
    }

    /// Ends the evaluation: nothing is left to it.
    #[cold]
    fn cost_exceeded(&self) -> Fault {
        let used = self.cost();
        let message = match self.work_ahead.get() {
            0.. => format!("stopped after {used} of the {} units of cost that an evaluation may take", self.cost_max),
            _ => format!("stopped after {used} units of cost: the decision has used up what all its rules may take"),
        };
        self.cost_left.set(0);
        Fault::new("cost_exceeded", message)
    }
}
