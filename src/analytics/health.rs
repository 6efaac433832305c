//! Health of rules: counts and spans in, findings out. Every finding has the numbers that it follows from; too little data
//! is a finding, too, and not silence.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Hour, Kept, Span, Stretch};
use crate::domain::RuleId;

/// Hours of a week.
const WEEK: i64 = 7 * 24;
/// Days before the last seven in which a rule has to have matched to have stopped.
const BEFORE_DAYS: i64 = 30;

/// What became of a rule in a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Decisions for which it was evaluated.
    pub evaluated: i64,
    /// Those that it matched.
    pub matched: i64,
    /// Those in which it failed.
    pub errors: i64,
    /// Of these, those for want of a fact.
    pub missing: i64,
}

/// What became of a rule in several windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCounts {
    /// The rule.
    pub rule: RuleId,
    /// Its name; `None` once it is deleted.
    pub name: Option<String>,
    /// Whether it is active.
    pub active: bool,
    /// Since when, if it is.
    pub active_since: Option<DateTime<Utc>>,
    /// When it last matched, in any of the windows.
    pub last_matched: Option<DateTime<Utc>>,
    /// Its counts, window by window.
    pub windows: Vec<WindowCounts>,
}

/// What can be wrong with a rule, or worth knowing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It does not compile.
    Broken,
    /// It fails too often.
    Failing,
    /// It fails too often for want of a fact.
    MissingFacts,
    /// It matched, and does not any more.
    StoppedMatching,
    /// It has never matched.
    NeverMatched,
    /// It matches whatever the facts are.
    AlwaysMatched,
    /// It matches more or less often than a week ago.
    Drifted,
    /// It was evaluated too seldom to tell.
    InsufficientData,
}

/// From where on something is a finding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Days that a rule has to be active before it is said that it has never matched.
    pub active_days: i64,
    /// Evaluations without which nothing is said of matches.
    pub evaluated: i64,
    /// Matches in a thousand evaluations from which on a rule always matches.
    pub always_permille: i64,
    /// Errors, and errors in a thousand evaluations, from which on a rule is failing.
    pub errors: (i64, i64),
    /// Errors for want of a fact in a thousand evaluations.
    pub missing_permille: i64,
    /// How many standard deviations, and points of a hundred, a rate has to be away from that of a week ago.
    pub drift: (f64, f64),
    /// Evaluations in each of the two hours that are compared.
    pub drift_evaluated: i64,
}

/// The windows that findings follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// The days that are looked at, the last seven days, and the 30 before these.
    pub days: [Span; 3],
    /// The last hour that is over, and the same one a week before.
    pub hours: [Span; 2],
}

/// Something found of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFinding {
    /// What.
    pub finding: Finding,
    /// Of which rule.
    pub rule: RuleId,
    /// Its name.
    pub name: Option<String>,
    /// Since when it is so, or is looked at.
    pub since: Option<DateTime<Utc>>,
    /// The numbers that it follows from.
    pub evidence: WindowCounts,
    /// Those that they are compared with.
    pub before: Option<WindowCounts>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            active_days: 7,
            evaluated: 1_000,
            always_permille: 999,
            errors: (20, 10),
            missing_permille: 50,
            drift: (4.0, 5.0),
            drift_evaluated: 500,
        }
    }
}

impl Finding {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 8] = [
        Self::Broken,
        Self::Failing,
        Self::MissingFacts,
        Self::StoppedMatching,
        Self::NeverMatched,
        Self::AlwaysMatched,
        Self::Drifted,
        Self::InsufficientData,
    ];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Failing => "failing",
            Self::MissingFacts => "missing_facts",
            Self::StoppedMatching => "stopped_matching",
            Self::NeverMatched => "never_matched",
            Self::AlwaysMatched => "always_matched",
            Self::Drifted => "drifted",
            Self::InsufficientData => "insufficient_data",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Broken => "open the rule: the checker says what is wrong with it",
            Self::Failing => "evaluate it with `trace` on facts for which it fails",
            Self::MissingFacts => "send the facts that it reads, or test for them with `has()` or a default",
            Self::StoppedMatching => {
                "compare the facts of now with those that it matched, and look at what was changed since"
            }
            Self::NeverMatched => "try it on facts that it should match; delete it if there are none",
            Self::AlwaysMatched => "it decides nothing; test for less, or do without it",
            Self::Drifted => "compare the facts of this hour with those of a week ago",
            Self::InsufficientData => "look again when it has been evaluated more often",
        }
    }
}

impl Windows {
    /// Those for looking at so many days until now.
    pub fn until(now: DateTime<Utc>, days: i64) -> Self {
        let (end, today) = (Hour(Hour::of(now).0 + 1), Hour::of(now).day());
        let week = Hour(today.0 - WEEK);
        let span = |from: i64, to: i64| Span { from: Hour(from), to: Hour(to) };
        let hour = Hour::of(now).0 - 1;
        Self {
            days: [span(today.0 - days * 24, end.0), span(week.0, end.0), span(week.0 - BEFORE_DAYS * 24, week.0)],
            hours: [span(hour, hour + 1), span(hour - WEEK, hour - WEEK + 1)],
        }
    }

    /// What the windows of days are made of: whole days, and the hours of today.
    pub fn stretch(&self, kept: Kept) -> Stretch {
        let from = self.days.iter().map(|span| span.from).min().unwrap_or(Hour(0));
        let to = self.days.iter().map(|span| span.to).max().unwrap_or(Hour(0));
        Span { from, to }.stretch(kept)
    }

    /// What the windows of hours are made of.
    pub fn stretch_of_hours(&self) -> Stretch {
        let [last, before] = self.hours;
        Stretch { span: Span { from: before.from, to: last.to }, days: Vec::new(), hours: vec![before.from, last.from] }
    }
}

/// How many of a thousand.
fn permille(part: i64, whole: i64) -> i64 {
    if whole == 0 { 0 } else { part.saturating_mul(1_000) / whole }
}

/// Whether two rates differ by more than chance and by enough to matter: the test of two proportions with a common one.
fn has_drifted(now: WindowCounts, before: WindowCounts, thresholds: &Thresholds) -> bool {
    let least = thresholds.drift_evaluated;
    if now.evaluated < least || before.evaluated < least {
        return false;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of an hour are far below 2^52")]
    let [matched, evaluated, matched_before, evaluated_before] =
        [now.matched, now.evaluated, before.matched, before.evaluated].map(|count| count as f64);
    let (rate, rate_before) = (matched / evaluated, matched_before / evaluated_before);
    let common = (matched + matched_before) / (evaluated + evaluated_before);
    let deviation = (common * (1.0 - common) * (1.0 / evaluated + 1.0 / evaluated_before)).sqrt();
    let difference = (rate - rate_before).abs();
    let (deviations, points) = thresholds.drift;
    difference * 100.0 >= points && difference > deviations * deviation
}

/// What is found of the rules that are active. `days` has the windows [`Windows::days`], `hours` those of
/// [`Windows::hours`]; `broken` are the rules that do not compile.
pub fn findings(
    days: &[RuleCounts],
    hours: &[RuleCounts],
    broken: &[RuleId],
    windows: &Windows,
    thresholds: &Thresholds,
    now: DateTime<Utc>,
) -> Vec<RuleFinding> {
    let mut found = Vec::new();
    for counts in days.iter().filter(|counts| counts.active) {
        let of_hours = hours.iter().find(|other| other.rule == counts.rule);
        let mut of_rule = Vec::new();
        let told = |finding, since, evidence, before| {
            let (rule, name) = (counts.rule, counts.name.clone());
            RuleFinding { finding, rule, name, since, evidence, before }
        };
        let [all, week, month] = window_counts(counts);
        let from = Some(windows.days[0].from.begins());
        if broken.contains(&counts.rule) {
            of_rule.push(told(Finding::Broken, None, all, None));
        }
        let (errors, errors_permille) = thresholds.errors;
        if all.errors >= errors && permille(all.errors, all.evaluated) >= errors_permille {
            of_rule.push(told(Finding::Failing, from, all, None));
        }
        if all.missing > 0 && permille(all.missing, all.evaluated) >= thresholds.missing_permille {
            of_rule.push(told(Finding::MissingFacts, from, all, None));
        }
        if month.matched > 0 && week.matched == 0 && week.evaluated >= thresholds.evaluated {
            of_rule.push(told(Finding::StoppedMatching, counts.last_matched, week, Some(month)));
        }
        let is_old = counts.active_since.is_some_and(|since| since <= now - TimeDelta::days(thresholds.active_days));
        if is_old && all.evaluated >= thresholds.evaluated && all.matched == 0 && counts.last_matched.is_none() {
            of_rule.push(told(Finding::NeverMatched, counts.active_since, all, None));
        }
        if all.evaluated >= thresholds.evaluated && permille(all.matched, all.evaluated) >= thresholds.always_permille {
            of_rule.push(told(Finding::AlwaysMatched, from, all, None));
        }
        if let Some([last, before]) = of_hours.and_then(|of| <[WindowCounts; 2]>::try_from(of.windows.clone()).ok())
            && has_drifted(last, before, thresholds)
        {
            of_rule.push(told(Finding::Drifted, Some(windows.hours[0].from.begins()), last, Some(before)));
        }
        if of_rule.is_empty() && all.evaluated < thresholds.evaluated {
            of_rule.push(told(Finding::InsufficientData, counts.active_since, all, None));
        }
        found.append(&mut of_rule);
    }
    found.sort_by_key(|finding| (finding.finding, finding.rule));
    found
}

fn window_counts(counts: &RuleCounts) -> [WindowCounts; 3] {
    <[WindowCounts; 3]>::try_from(counts.windows.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-30T10:30:00Z".parse().unwrap()
    }

    fn window(evaluated: i64, matched: i64, errors: i64, missing: i64) -> WindowCounts {
        WindowCounts { evaluated, matched, errors, missing }
    }

    /// What is found of a rule that was active for so many days and last matched so many days ago.
    fn found(days: [WindowCounts; 3], hours: [WindowCounts; 2], active: i64, matched: Option<i64>) -> Vec<Finding> {
        let rule = RuleId::generate();
        let ago = |days: i64| now() - TimeDelta::days(days);
        let counts = |windows: Vec<WindowCounts>| RuleCounts {
            rule,
            name: Some("rule".to_owned()),
            active: true,
            active_since: Some(ago(active)),
            last_matched: matched.map(ago),
            windows,
        };
        let windows = Windows::until(now(), 30);
        let thresholds = Thresholds::default();
        let (days, hours) = ([counts(days.to_vec())], [counts(hours.to_vec())]);
        let found = findings(&days, &hours, &[], &windows, &thresholds, now());
        found.into_iter().map(|finding| finding.finding).collect()
    }

    const QUIET: [WindowCounts; 2] = [WindowCounts { evaluated: 0, matched: 0, errors: 0, missing: 0 }; 2];

    /// A name; the counts of the days and of the hours; since when it is active, and when it last matched; what is found.
    type Case<'c> = (&'c str, [WindowCounts; 3], [WindowCounts; 2], (i64, Option<i64>), &'c [Finding]);

    fn check(cases: &[Case<'_>]) {
        for (name, days, hours, (active, matched), expected) in cases {
            assert_eq!(found(*days, *hours, *active, *matched), *expected, "{name}");
        }
    }

    #[test]
    fn each_finding_begins_at_its_threshold_and_not_before() {
        let month = |all: WindowCounts| [all, window(1_000, 10, 0, 0), window(1_000, 10, 0, 0)];
        check(&[
            ("healthy", month(window(5_000, 100, 0, 0)), QUIET, (30, Some(1)), &[]),
            ("never", [window(1_000, 0, 0, 0); 3], QUIET, (7, None), &[Finding::NeverMatched]),
            ("too young", [window(1_000, 0, 0, 0); 3], QUIET, (6, None), &[]),
            ("too few", [window(999, 0, 0, 0); 3], QUIET, (7, None), &[Finding::InsufficientData]),
            (
                "stopped",
                [window(9_000, 5, 0, 0), window(1_000, 0, 0, 0), window(8_000, 5, 0, 0)],
                QUIET,
                (60, Some(8)),
                &[Finding::StoppedMatching],
            ),
            (
                "still",
                [window(9_000, 5, 0, 0), window(1_000, 1, 0, 0), window(8_000, 5, 0, 0)],
                QUIET,
                (60, Some(2)),
                &[],
            ),
            (
                "few of late",
                [window(9_000, 5, 0, 0), window(999, 0, 0, 0), window(8_000, 5, 0, 0)],
                QUIET,
                (60, Some(8)),
                &[],
            ),
            ("always", month(window(1_000, 999, 0, 0)), QUIET, (30, Some(0)), &[Finding::AlwaysMatched]),
            ("nearly always", month(window(1_000, 998, 0, 0)), QUIET, (30, Some(0)), &[]),
            ("failing", month(window(2_000, 10, 20, 0)), QUIET, (30, Some(0)), &[Finding::Failing]),
            ("19 errors", month(window(1_900, 10, 19, 0)), QUIET, (30, Some(0)), &[]),
            ("below 1 %", month(window(2_001, 10, 20, 0)), QUIET, (30, Some(0)), &[]),
            (
                "missing",
                month(window(1_000, 10, 50, 50)),
                QUIET,
                (30, Some(0)),
                &[Finding::Failing, Finding::MissingFacts],
            ),
            ("missing below 5 %", month(window(1_000, 10, 49, 49)), QUIET, (30, Some(0)), &[Finding::Failing]),
        ]);
    }

    #[test]
    fn a_rate_drifts_by_more_than_chance_and_by_enough_to_matter() {
        let month = |all: WindowCounts| [all, window(1_000, 10, 0, 0), window(1_000, 10, 0, 0)];
        check(&[
            (
                "drifted",
                month(window(5_000, 500, 0, 0)),
                [window(500, 150, 0, 0), window(500, 50, 0, 0)],
                (30, Some(0)),
                &[Finding::Drifted],
            ),
            (
                "4.8 points",
                month(window(5_000, 500, 0, 0)),
                [window(100_000, 14_800, 0, 0), window(100_000, 10_000, 0, 0)],
                (30, Some(0)),
                &[],
            ),
            (
                "by chance",
                month(window(5_000, 500, 0, 0)),
                [window(500, 90, 0, 0), window(500, 50, 0, 0)],
                (30, Some(0)),
                &[],
            ),
            (
                "too few to compare",
                month(window(5_000, 500, 0, 0)),
                [window(499, 150, 0, 0), window(500, 50, 0, 0)],
                (30, Some(0)),
                &[],
            ),
        ]);
    }

    #[test]
    fn windows_are_whole_days_and_the_hours_that_are_over() {
        let windows = Windows::until(now(), 30);
        let at = |text: &str| Hour::of(text.parse().unwrap());
        let [all, week, before] = windows.days;
        assert_eq!((all.from, all.to), (at("2026-10-31T00:00:00Z"), at("2026-11-30T11:00:00Z")));
        assert_eq!((week.from, before.to), (at("2026-11-23T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(before.from, at("2026-10-24T00:00:00Z"));
        assert_eq!(windows.hours[0].from, at("2026-11-30T09:00:00Z"));
        assert_eq!(windows.hours[1].from, at("2026-11-23T09:00:00Z"));
    }
}
