//! A rule that facts can match, and whether they are known to.

/// A rule by its place, and whether it is true for certain. One number, so that they are sorted as such: by rule, and
/// what is certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ruleset) struct Candidate(pub(super) u32);

impl Candidate {
    /// The greatest rule there can be.
    const RULE_MAX: u32 = u32::MAX >> 1;

    pub(super) fn new(rule: u32, is_true: bool) -> Self {
        Self(rule.min(Self::RULE_MAX) << 1 | u32::from(!is_true))
    }

    /// The rule's place.
    #[inline]
    pub fn rule(self) -> u32 {
        self.0 >> 1
    }

    /// Whether the way to it has shown that the rule is true; if not, it must be evaluated.
    #[inline]
    pub fn is_true(self) -> bool {
        self.0 & 1 == 0
    }

    /// The same rule, of which nothing is known.
    pub(super) fn unknown(self) -> Self {
        Self(self.0 | 1)
    }
}
