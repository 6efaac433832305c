//! The numbers that are counted together.

/// What is counted of whole decisions, or of one rule in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decisions made; of a rule none: which rules a revision had is known.
    pub decisions: i64,
    /// Of these, those whose callers named rules or tags.
    pub partial: i64,
    /// Decisions in which a rule matched, or this one.
    pub matched: i64,
    /// Errors of rules.
    pub errors: i64,
    /// Of these, those for want of a fact.
    pub missing: i64,
    /// Of a rule: decisions whose callers named it.
    pub selected: i64,
    /// Events that were decided or given up, once each.
    pub events: i64,
    /// Events that were sent again.
    pub duplicates: i64,
    /// Events given up, once each.
    pub dead_letters: i64,
    /// Time, in microseconds.
    pub micros: i64,
    /// Units of cost.
    pub cost: i64,
    /// When it last matched, in seconds of the epoch; 0 for never.
    pub last_matched: i64,
}

impl Counts {
    /// Adds other counts of the same thing.
    pub fn add(&mut self, other: &Self) {
        let Self {
            decisions,
            partial,
            matched,
            errors,
            missing,
            selected,
            events,
            duplicates,
            dead_letters,
            micros,
            cost,
            last_matched,
        } = other;
        for (sum, more) in [
            (&mut self.decisions, decisions),
            (&mut self.partial, partial),
            (&mut self.matched, matched),
            (&mut self.errors, errors),
            (&mut self.missing, missing),
            (&mut self.selected, selected),
            (&mut self.events, events),
            (&mut self.duplicates, duplicates),
            (&mut self.dead_letters, dead_letters),
            (&mut self.micros, micros),
            (&mut self.cost, cost),
        ] {
            *sum = sum.saturating_add(*more);
        }
        self.last_matched = self.last_matched.max(*last_matched);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_added_and_of_moments_the_last_is_kept() {
        let mut counts = Counts { decisions: 1, matched: 2, micros: i64::MAX, last_matched: 7, ..Counts::default() };
        counts.add(&Counts { decisions: 3, errors: 4, micros: 5, last_matched: 6, ..Counts::default() });
        let sums =
            Counts { decisions: 4, matched: 2, errors: 4, micros: i64::MAX, last_matched: 7, ..Counts::default() };
        assert_eq!(counts, sums);
    }
}
