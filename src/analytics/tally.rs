//! A tally: counts of one tenant by what they are counted by, in memory, and as rows.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use uuid::Uuid;

use super::{Counts, Hour};
use crate::domain::{DecisionSource, EventOutcome, Revision, RuleId};

/// In the place of a rule: the whole decision.
pub const WHOLE: RuleId = RuleId(Uuid::nil());
/// The code of an error for want of a fact.
const MISSING: &str = "no_such_field";

/// What decisions are counted by, beside their rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// When.
    pub hour: Hour,
    /// The revision that decided; 0 where none did.
    pub revision: Revision,
    /// Where the facts came from.
    pub source: DecisionSource,
    /// The event's project; empty for none.
    pub project: Box<str>,
    /// The event's type; empty for none.
    pub kind: Box<str>,
}

/// Counts of one slot.
#[derive(Debug, Default)]
pub struct Group {
    whole: Counts,
    rules: HashMap<RuleId, Counts, RandomState>,
}

/// Counts of one tenant.
#[derive(Debug, Default)]
pub struct Tally {
    groups: HashMap<Slot, Group, RandomState>,
}

/// Counts as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRow {
    /// What they are counted by.
    pub slot: Slot,
    /// The rule, or [`WHOLE`].
    pub rule: RuleId,
    /// The counts.
    pub counts: Counts,
}

/// An event that has had an effect.
#[derive(Debug, Clone, Copy)]
pub struct EventEffect<'e> {
    /// When it occurred, or else was received.
    pub at: DateTime<Utc>,
    /// Its project, as it is counted; empty for none.
    pub project: &'e str,
    /// Its type, as it is counted; empty for none.
    pub kind: &'e str,
    /// Its effect.
    pub outcome: &'e EventOutcome,
    /// Whether it has had none before: one that was given up may be decided later.
    pub is_first: bool,
}

impl Group {
    /// Adds to the counts of whole decisions.
    pub fn add(&mut self, counts: &Counts) {
        self.whole.add(counts);
    }

    /// Adds to the counts of a rule.
    pub fn add_rule(&mut self, rule: RuleId, counts: &Counts) {
        self.rules.entry(rule).or_default().add(counts);
    }
}

impl Tally {
    /// How many counts there are.
    pub fn len(&self) -> usize {
        self.groups.values().map(|group| 1 + group.rules.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The counts of a slot.
    pub fn group(&mut self, slot: Slot) -> &mut Group {
        self.groups.entry(slot).or_default()
    }

    /// Adds counts, of a rule or [`WHOLE`].
    pub fn add(&mut self, slot: &Slot, rule: RuleId, counts: &Counts) {
        if !self.groups.contains_key(slot) {
            self.groups.insert(slot.clone(), Group::default());
        }
        let Some(group) = self.groups.get_mut(slot) else { return };
        if rule == WHOLE { group.add(counts) } else { group.add_rule(rule, counts) }
    }

    /// Counts an event. One that is to be tried again has had no effect.
    pub fn add_event(&mut self, effect: &EventEffect<'_>) {
        let slot = |revision| Slot {
            hour: Hour::of(effect.at),
            revision,
            source: DecisionSource::Event,
            project: effect.project.into(),
            kind: effect.kind.into(),
        };
        let events = i64::from(effect.is_first);
        match effect.outcome {
            EventOutcome::Decided { revision, matched, errors, cost, micros, .. } => {
                let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                let group = self.group(slot(*revision));
                let mut whole = Counts {
                    decisions: 1,
                    matched: i64::from(!matched.is_empty()),
                    events,
                    micros: number(*micros),
                    cost: number(*cost),
                    ..Counts::default()
                };
                let once = Counts { matched: 1, last_matched: effect.at.timestamp(), ..Counts::default() };
                matched.iter().for_each(|rule| group.add_rule(*rule, &once));
                for error in errors.as_array().into_iter().flatten() {
                    let missing = i64::from(error["code"] == MISSING);
                    let failed = Counts { errors: 1, missing, ..Counts::default() };
                    whole.add(&failed);
                    if let Some(rule) = error["ruleId"].as_str().and_then(|id| id.parse().ok()) {
                        group.add_rule(rule, &failed);
                    }
                }
                if !matched.is_empty() {
                    whole.last_matched = effect.at.timestamp();
                }
                group.add(&whole);
            }
            EventOutcome::Dead { revision, .. } => {
                // One that was brought back in vain was given up before.
                let given_up = Counts { events, dead_letters: events, ..Counts::default() };
                if effect.is_first {
                    self.group(slot(revision.unwrap_or(Revision(0)))).add(&given_up);
                }
            }
            EventOutcome::Retry { .. } => {}
        }
    }

    /// Counts an event that was sent again.
    pub fn add_duplicate(&mut self, at: DateTime<Utc>, project: &str, kind: &str) {
        let slot = Slot {
            hour: Hour::of(at),
            revision: Revision(0),
            source: DecisionSource::Event,
            project: project.into(),
            kind: kind.into(),
        };
        self.group(slot).add(&Counts { duplicates: 1, ..Counts::default() });
    }

    /// Adds all of another tally, of which so many counts may be new here; the others that would be are left out. Answers
    /// how many are new, and how many are left out.
    pub fn merge(&mut self, other: Self, room: usize) -> (usize, usize) {
        let (mut added, mut left_out) = (0, 0);
        for (slot, group) in other.groups {
            if !self.groups.contains_key(&slot) {
                if added >= room {
                    left_out += 1 + group.rules.len();
                    continue;
                }
                added += 1;
            }
            let into = self.groups.entry(slot).or_default();
            into.whole.add(&group.whole);
            for (rule, counts) in group.rules {
                if !into.rules.contains_key(&rule) {
                    if added >= room {
                        left_out += 1;
                        continue;
                    }
                    added += 1;
                }
                into.add_rule(rule, &counts);
            }
        }
        (added, left_out)
    }

    /// The counts as rows, in the order of what they are counted by; no row of nothing.
    pub fn rows(self) -> Vec<CountRow> {
        let mut rows = Vec::with_capacity(self.len());
        for (slot, group) in self.groups {
            let whole = (WHOLE, group.whole);
            for (rule, counts) in std::iter::once(whole).chain(group.rules) {
                if counts != Counts::default() {
                    rows.push(CountRow { slot: slot.clone(), rule, counts });
                }
            }
        }
        rows.sort_unstable_by(|one, other| (&one.slot, one.rule).cmp(&(&other.slot, other.rule)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::{EventFailure, SchemaVersion};

    fn slot(hour: i64, kind: &str) -> Slot {
        Slot {
            hour: Hour(hour),
            revision: Revision(1),
            source: DecisionSource::Event,
            project: Box::default(),
            kind: kind.into(),
        }
    }

    fn row(hour: i64, rule: u128, matched: i64) -> CountRow {
        let counts = Counts { matched, last_matched: hour * matched, ..Counts::default() };
        CountRow { slot: slot(hour, ""), rule: RuleId(Uuid::from_u128(rule)), counts }
    }

    fn tally(rows: &[CountRow]) -> Tally {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(&row.slot, row.rule, &row.counts));
        tally
    }

    proptest! {
        #[test]
        fn pieces_merged_in_any_order_are_the_whole(
            rows in prop::collection::vec((0..3_i64, 0..3_u128, 1..5_i64), 0..40),
            cuts in prop::collection::vec(0..40_usize, 0..5),
            is_reversed: bool,
        ) {
            let rows: Vec<CountRow> = rows.into_iter().map(|(hour, rule, matched)| row(hour, rule, matched)).collect();
            let mut expected: BTreeMap<(i64, RuleId), (i64, i64)> = BTreeMap::new();
            for row in &rows {
                let (sum, last) = expected.entry((row.slot.hour.0, row.rule)).or_default();
                *sum += row.counts.matched;
                *last = (*last).max(row.counts.last_matched);
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let mut pieces: Vec<Tally> = cuts.windows(2).map(|cut| tally(&rows[cut[0]..cut[1]])).collect();
            if is_reversed {
                pieces.reverse();
            }
            let (mut merged, mut added) = (Tally::default(), 0);
            for piece in pieces {
                let (new, left_out) = merged.merge(piece, usize::MAX);
                added += new;
                prop_assert_eq!(left_out, 0);
            }
            prop_assert_eq!(merged.len(), added);
            let found: BTreeMap<_, _> = merged
                .rows()
                .into_iter()
                .map(|row| ((row.slot.hour.0, row.rule), (row.counts.matched, row.counts.last_matched)))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn without_room_only_what_is_known_is_counted() {
        let mut known = tally(&[row(1, 0, 1), row(1, 7, 1)]);
        let more = tally(&[row(1, 0, 2), row(1, 7, 2), row(1, 8, 2), row(2, 0, 2)]);
        assert_eq!(known.merge(more, 0), (0, 2));
        let counted: Vec<_> = known.rows().iter().map(|row| (row.rule.0.as_u128(), row.counts.matched)).collect();
        assert_eq!(counted, [(0, 3), (7, 3)]);
    }

    #[test]
    fn an_event_is_counted_by_what_became_of_it() {
        let (one, other) = (RuleId::generate(), RuleId::generate());
        let decided = EventOutcome::Decided {
            rule_set_hash: [0; 32],
            evaluated_at: DateTime::UNIX_EPOCH,
            revision: Revision(1),
            schema_version: SchemaVersion(1),
            matched: vec![one],
            errors: json!([{"ruleId": other, "code": "no_such_field", "message": "m"}, {"code": "overflow"}]),
            cost: 5,
            micros: 7,
        };
        let failure = EventFailure::FactsInvalid;
        let dead = EventOutcome::Dead { failure, detail: json!({}), revision: Some(Revision(1)) };
        let at = DateTime::from_timestamp(3_600, 0).unwrap();
        let effect = |outcome, is_first| EventEffect { at, project: "", kind: "visit", outcome, is_first };
        let mut tally = Tally::default();
        tally.add_event(&effect(&dead, true));
        tally.add_event(&effect(&dead, false));
        tally.add_event(&effect(&decided, false));
        tally.add_event(&effect(&EventOutcome::behind(), true));
        let rows = tally.rows();
        assert!(rows.iter().all(|row| row.slot == slot(1, "visit")), "{rows:?}");
        let of = |rule| rows.iter().find(|row| row.rule == rule).unwrap().counts;
        let whole = Counts {
            decisions: 1,
            matched: 1,
            errors: 2,
            missing: 1,
            events: 1,
            dead_letters: 1,
            micros: 7,
            cost: 5,
            last_matched: 3_600,
            ..Counts::default()
        };
        assert_eq!(of(WHOLE), whole);
        assert_eq!(of(one), Counts { matched: 1, last_matched: 3_600, ..Counts::default() });
        assert_eq!(of(other), Counts { errors: 1, missing: 1, ..Counts::default() });
        assert_eq!(rows.len(), 3);
    }
}
