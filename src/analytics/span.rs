//! Hours and days of UTC, and which of them answer a question about a span of time.

use chrono::{DateTime, Utc};

use crate::domain::Tier;

/// Days for which hours are kept, and for the tenants of the tier that has the least.
const HOURS_KEPT_DAYS: i64 = 35;
const HOURS_KEPT_DAYS_FREE: i64 = 8;
/// Days for which days are kept.
const DAYS_KEPT_DAYS: i64 = 400;

/// An hour of UTC, since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

/// What the points of a series are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// From when on counts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The first hour that is kept.
    pub hours: Hour,
    /// The first day that is kept.
    pub days: Hour,
    /// The first hour in which nothing can be counted yet.
    pub until: Hour,
}

/// Whole hours, from one until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub from: Hour,
    /// The first that is no longer meant.
    pub to: Hour,
}

/// The hours and days whose counts make up a span: none is counted twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// What is answered: no more than is kept.
    pub span: Span,
    /// Whole days, by their first hours.
    pub days: Vec<Hour>,
    /// What is left of it.
    pub hours: Vec<Hour>,
}

impl Hour {
    /// The one that a moment is in.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self(at.timestamp().div_euclid(3_600))
    }

    /// The first one that begins at a moment or later.
    fn from(at: DateTime<Utc>) -> Self {
        let hour = Self::of(at);
        if hour.begins() < at { Self(hour.0 + 1) } else { hour }
    }

    /// When it begins.
    pub fn begins(self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.saturating_mul(3_600), 0).unwrap_or_default()
    }

    /// The first of its day.
    pub fn day(self) -> Self {
        Self(self.0.div_euclid(24) * 24)
    }

    /// Its day, since the epoch.
    pub fn day_number(self) -> i64 {
        self.0.div_euclid(24)
    }

    /// The first of the first day that begins with it or later.
    fn day_from(self) -> Self {
        if self.day() == self { self } else { Self(self.day().0 + 24) }
    }
}

impl Interval {
    /// How many hours it has.
    pub fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl Kept {
    /// What is kept of a tenant.
    pub fn of(tier: Tier, now: DateTime<Utc>) -> Self {
        let today = Hour::of(now).day();
        let days = if tier == Tier::Free { HOURS_KEPT_DAYS_FREE } else { HOURS_KEPT_DAYS };
        // An event may say that it occurred a day from now.
        let until = Hour(Hour::of(now).0 + 26);
        Self { hours: Hour(today.0 - days * 24), days: Hour(today.0 - DAYS_KEPT_DAYS * 24), until }
    }
}

impl Span {
    /// The hours that are touched by the time from one moment until before another.
    pub fn touched(from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        Self { from: Hour::of(from), to: Hour::from(to) }
    }

    /// How many points there are in it.
    pub fn points(self, interval: Interval) -> i64 {
        let span = self.in_whole(interval);
        (span.to.0 - span.from.0).max(0) / interval.hours()
    }

    /// The whole hours or days that it touches.
    pub fn in_whole(self, interval: Interval) -> Self {
        match interval {
            Interval::Hour => self,
            Interval::Day => Self { from: self.from.day(), to: self.to.day_from() },
        }
    }

    /// What makes it up, as far as it is kept: days where they are whole, or where their hours are gone.
    pub fn stretch(self, kept: Kept) -> Stretch {
        let mut span = self.until(kept.until);
        if span.from < kept.hours {
            span.from = span.from.day();
        }
        if span.to < kept.hours {
            span.to = span.to.day_from();
        }
        span.from = span.from.max(kept.days);
        span.to = span.to.max(span.from);
        let (first, end) = (span.from.day_from(), span.to.day());
        if first >= end {
            let hours = (span.from.0..span.to.0).map(Hour).collect();
            return Stretch { span, days: Vec::new(), hours };
        }
        let hours = (span.from.0..first.0).chain(end.0..span.to.0).map(Hour).collect();
        let days = (first.0..end.0).step_by(24).map(Hour).collect();
        Stretch { span, days, hours }
    }

    fn until(self, end: Hour) -> Self {
        let to = self.to.min(end);
        Self { from: self.from.min(to), to }
    }

    /// The same of hours alone.
    pub fn stretch_of_hours(self, kept: Kept) -> Stretch {
        let Self { from, to } = self.until(kept.until);
        let span = Self { from: from.max(kept.hours), to: to.max(kept.hours) };
        Stretch { span, days: Vec::new(), hours: (span.from.0..span.to.0).map(Hour).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept() -> Kept {
        Kept { hours: Hour(100 * 24), days: Hour(10 * 24), until: Hour(7_000) }
    }

    proptest! {
        #[test]
        fn each_kept_hour_of_a_span_is_counted_once(from in 0..4_000_i64, length in 0..2_000_i64) {
            let asked = Span { from: Hour(from), to: Hour(from + length) };
            let Stretch { span, days, hours } = asked.stretch(kept());
            let mut covered: Vec<i64> = hours.iter().map(|hour| hour.0).collect();
            covered.extend(days.iter().flat_map(|day| day.0..day.0 + 24));
            covered.sort_unstable();
            let all: Vec<i64> = (span.from.0..span.to.0).collect();
            prop_assert_eq!(&covered, &all, "what is told is what is counted");
            prop_assert!(days.iter().all(|day| *day == day.day()));
            prop_assert!(hours.iter().all(|hour| *hour >= kept().hours), "an hour that is gone is asked for");
            let is_told = |hour: i64| span.from.0 <= hour && hour < span.to.0;
            prop_assert!((asked.from.0..asked.to.0).all(|hour| hour < kept().days.0 || is_told(hour)));
            prop_assert!(span.from.0 > asked.from.0 - 24 && span.to.0 < (asked.to.0 + 24).max(kept().days.0 + 1));
        }
    }

    #[test]
    fn a_span_is_the_hours_that_it_touches() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let span = Span::touched(at("2026-11-30T10:59:59Z"), at("2026-11-30T12:00:00Z"));
        assert_eq!((span.from.begins(), span.to.begins()), (at("2026-11-30T10:00:00Z"), at("2026-11-30T12:00:00Z")));
        assert_eq!(span.points(Interval::Hour), 2);
        assert_eq!(span.points(Interval::Day), 1);
        let span = Span::touched(at("2026-11-30T10:00:00Z"), at("2026-11-30T12:00:01Z"));
        assert_eq!(span.to.begins(), at("2026-11-30T13:00:00Z"));
        let before_the_epoch = Span::touched(at("1969-12-31T23:30:00Z"), at("1970-01-01T00:00:00Z"));
        assert_eq!(before_the_epoch, Span { from: Hour(-1), to: Hour(0) });
        assert_eq!(before_the_epoch.in_whole(Interval::Day), Span { from: Hour(-24), to: Hour(0) });
    }

    #[test]
    fn hours_of_the_free_tier_are_kept_for_less_time() {
        let now = "2026-11-30T10:59:59Z".parse().unwrap();
        let today = Hour::of(now).day().0;
        assert_eq!(Kept::of(Tier::Free, now).hours, Hour(today - 8 * 24));
        let until = Hour(today + 10 + 26);
        let kept = Kept { hours: Hour(today - 35 * 24), days: Hour(today - 400 * 24), until };
        assert_eq!(Kept::of(Tier::Pro, now), kept);
        let endless = Span { from: Hour(i64::MIN / 2), to: Hour(i64::MAX / 2) };
        assert_eq!(endless.stretch(kept).span, Span { from: kept.days, to: until });
        let to_come = Span { from: Hour(i64::MAX / 4), to: Hour(i64::MAX / 2) };
        assert_eq!(to_come.stretch(kept).hours, [] as [Hour; 0]);
        let span = Span { from: Hour(today - 20 * 24), to: Hour(today) };
        assert_eq!(span.stretch_of_hours(Kept::of(Tier::Free, now)).span.from, Hour(today - 8 * 24));
    }
}
