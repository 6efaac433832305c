//! Counting decisions: what is counted, how counts are merged, and which hours and days answer a question. Pure: where
//! counts are kept is in `store/counts`, and who hands them over in `engine/counting`.
//!
//! Counts are sums, and the last moment of something, so that they can be merged in any order and in any pieces.

mod counts;
mod health;
mod labels;
mod span;
mod tally;

pub use counts::Counts;
pub use health::{Finding, RuleCounts, RuleFinding, Thresholds, WindowCounts, Windows, findings};
pub use labels::{LABELS_MAX, Label, Labels, OTHER};
pub use span::{Hour, Interval, Kept, Span, Stretch};
pub use tally::{CountRow, EventEffect, Group, Slot, Tally, WHOLE};
