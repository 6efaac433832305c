//! Times as text: RFC 3339, and nothing else.
//!
//! The one reader of times, for expressions, facts and requests. Where RFC 3339 leaves a choice it does as CEL's
//! reference: `T` and `Z` are capitals, and what comes after nanoseconds is cut off.

use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// The first and the last second that a time may be: of year 1 and of year 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Why a text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotATimestamp {
    /// It is written in another way.
    Form,
    /// There is no such day, hour, minute, second or offset.
    Missing,
    /// A leap second, which no time of CEL is.
    LeapSecond,
    /// It is before year 1 or after year 9999, in UTC.
    Years,
}

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is not a timestamp such as `2026-01-31T12:00:00Z`",
            Self::Missing => "is not a timestamp: there is no such day, time or offset",
            Self::LeapSecond => "is not a timestamp: there are no leap seconds, write second 59",
            Self::Years => "is not within the years 1 to 9999",
        })
    }
}

/// Reads a time.
pub fn read_timestamp(text: &str) -> Result<DateTime<Utc>, NotATimestamp> {
    let mut reader = Reader { rest: text.as_bytes() };
    let date = [reader.number(4)?, reader.after(b'-')?.number(2)?, reader.after(b'-')?.number(2)?];
    let time = [reader.after(b'T')?.number(2)?, reader.after(b':')?.number(2)?, reader.after(b':')?.number(2)?];
    let nanos = reader.fraction()?;
    let offset = reader.offset()?;
    if !reader.rest.is_empty() {
        return Err(NotATimestamp::Form);
    }
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    if second == 60 {
        return Err(NotATimestamp::LeapSecond);
    }
    let local = i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .and_then(|date| date.and_hms_nano_opt(hour, minute, second, nanos))
        .ok_or(NotATimestamp::Missing)?;
    let time = local.checked_sub_signed(offset).ok_or(NotATimestamp::Years)?;
    within_years(time.and_utc()).ok_or(NotATimestamp::Years)
}

/// The time, if it is within the years 1 to 9999.
pub fn within_years(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    SECONDS.contains(&time.timestamp()).then_some(time)
}

struct Reader<'t> {
    rest: &'t [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Goes past `sign`.
    fn after(&mut self, sign: u8) -> Result<&mut Self, NotATimestamp> {
        match self.next() {
            Some(next) if next == sign => Ok(self),
            _ => Err(NotATimestamp::Form),
        }
    }

    /// A number of so many digits.
    fn number(&mut self, digits: usize) -> Result<u32, NotATimestamp> {
        (0..digits).try_fold(0, |number, _| match self.next() {
            Some(digit @ b'0'..=b'9') => Ok(number * 10 + u32::from(digit - b'0')),
            _ => Err(NotATimestamp::Form),
        })
    }

    /// The nanoseconds after a point, if there is one.
    fn fraction(&mut self) -> Result<u32, NotATimestamp> {
        if self.rest.first() != Some(&b'.') {
            return Ok(0);
        }
        self.next();
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return Err(NotATimestamp::Form);
        }
        let mut nanos = 0;
        for place in 0..length.max(9) {
            let digit = if place < length { self.number(1)? } else { 0 };
            if place < 9 {
                nanos = nanos * 10 + digit;
            }
        }
        Ok(nanos)
    }

    /// How far the clocks are before those of UTC.
    fn offset(&mut self) -> Result<TimeDelta, NotATimestamp> {
        let sign = match self.next() {
            Some(b'Z') => return Ok(TimeDelta::zero()),
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(NotATimestamp::Form),
        };
        let (hours, minutes) = (self.number(2)?, self.after(b':')?.number(2)?);
        if hours > 23 || minutes > 59 {
            return Err(NotATimestamp::Missing);
        }
        Ok(TimeDelta::minutes(sign * i64::from(hours * 60 + minutes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rfc_3339_and_nothing_else() {
        for (text, utc) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31T12:00:00.000000001+23:59", "2026-01-30T12:01:00.000000001+00:00"),
            ("2026-01-31T12:00:00.5-02:30", "2026-01-31T14:30:00.500+00:00"),
            ("2024-02-29T23:59:59.1234567899Z", "2024-02-29T23:59:59.123456789+00:00"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
            ("0000-12-31T23:59:59-00:01", "0001-01-01T00:00:59+00:00"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999+00:00"),
            ("2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00+00:00"),
        ] {
            assert_eq!(read_timestamp(text).map(|time| time.to_rfc3339()), Ok(utc.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_for_its_reason() {
        use NotATimestamp::{Form, LeapSecond, Missing, Years};
        for (text, reason) in [
            ("", Form),
            ("2026-01-31", Form),
            ("2026-01-31T12:00:00", Form),
            ("2026-01-31T12:00Z", Form),
            ("2026-01-31 12:00:00Z", Form),
            ("2026-01-31t12:00:00Z", Form),
            ("2026-01-31T12:00:00z", Form),
            ("2026-01-31T12:00:00\u{2212}02:00", Form),
            ("2026-01-31T12:00:00+0200", Form),
            ("2026-01-31T12:00:00+02", Form),
            ("2026-01-31T12:00:00.Z", Form),
            ("2026-01-31T12:00:00,5Z", Form),
            ("2026-1-31T12:00:00Z", Form),
            ("2026-01-31T3:00:00Z", Form),
            ("+2026-01-31T12:00:00Z", Form),
            ("12026-01-31T12:00:00Z", Form),
            (" 2026-01-31T12:00:00Z", Form),
            ("2026-01-31T12:00:00Z ", Form),
            ("٢٠٢٦-01-31T12:00:00Z", Form),
            ("2026-01-31T23:59:60Z", LeapSecond),
            ("2026-01-31T12:34:60.5Z", LeapSecond),
            ("2026-01-31T12:00:61Z", Missing),
            ("2026-01-31T24:00:00Z", Missing),
            ("2026-01-31T12:60:00Z", Missing),
            ("2026-02-29T12:00:00Z", Missing),
            ("2026-13-01T12:00:00Z", Missing),
            ("2026-00-01T12:00:00Z", Missing),
            ("2026-01-00T12:00:00Z", Missing),
            ("2026-01-31T12:00:00+24:00", Missing),
            ("2026-01-31T12:00:00+01:60", Missing),
            ("0001-01-01T00:00:00+00:01", Years),
            ("0000-06-01T00:00:00Z", Years),
            ("9999-12-31T23:59:59-00:01", Years),
        ] {
            assert_eq!(read_timestamp(text), Err(reason), "{text}");
        }
    }
}
