//! Where a decision came from.

/// Where the facts of a decision came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DecisionSource {
    /// An event.
    Event,
    /// A request to evaluate.
    #[default]
    Evaluate,
}

impl DecisionSource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Event, Self::Evaluate];

    /// What it is called outside, and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Evaluate => "evaluate",
        }
    }

    /// The source of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}
