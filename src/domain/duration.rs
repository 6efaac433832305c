//! Durations as text: a sign, then numbers with units, such as `1h30m` or `-2.5s`.
//!
//! The one reader of durations, for expressions and facts. The form is that of Go's `time.ParseDuration`, which CEL names as
//! its own; the range is that of CEL's specification (`google.protobuf.Duration`). What is below a nanosecond is cut off.
//! And times of this process as whole numbers, for what counts in them.

use std::{fmt, time::Duration};

use chrono::TimeDelta;

/// Seconds of the longest duration: ten thousand years.
const SECONDS_MAX: i64 = 315_576_000_000;
const NANOSECONDS: i128 = 1_000_000_000;

/// Whole microseconds.
#[inline]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whole nanoseconds.
#[inline]
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotADuration<'t> {
    /// It is written in another way.
    Form,
    /// There is no such unit.
    Unit(&'t str),
    /// It is longer than ten thousand years.
    Range,
}

impl fmt::Display for NotADuration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("is not a duration such as `1h30m` or `2.5s`"),
            Self::Unit(unit) => write!(f, "is not a duration: `{unit}` is not a unit, and `h` is the largest"),
            Self::Range => f.write_str("is out of range: a duration is within ±10,000 years"),
        }
    }
}

/// Reads a duration.
pub fn read_duration(text: &str) -> Result<TimeDelta, NotADuration<'_>> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(TimeDelta::zero());
    }
    if rest.is_empty() {
        return Err(NotADuration::Form);
    }
    let mut total: Option<i128> = Some(0);
    while !rest.is_empty() {
        let (nanoseconds, left) = read_part(rest)?;
        // What comes later may be wrong as well, and is more worth telling.
        total = total.zip(nanoseconds).and_then(|(total, nanoseconds)| total.checked_add(nanoseconds));
        rest = left;
    }
    let total = total.map(|total| if is_negative { -total } else { total }).ok_or(NotADuration::Range)?;
    let seconds = i64::try_from(total.div_euclid(NANOSECONDS)).ok();
    let fraction = u32::try_from(total.rem_euclid(NANOSECONDS)).ok();
    let length = seconds.zip(fraction).and_then(|(seconds, fraction)| TimeDelta::new(seconds, fraction));
    length.and_then(within_range).ok_or(NotADuration::Range)
}

/// The duration, if it is within the range.
pub fn within_range(length: TimeDelta) -> Option<TimeDelta> {
    let most = TimeDelta::seconds(SECONDS_MAX);
    (-most..=most).contains(&length).then_some(length)
}

/// One number with its unit, in nanoseconds unless they are too many, and what follows it.
fn read_part(text: &str) -> Result<(Option<i128>, &str), NotADuration<'_>> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(NotADuration::Form);
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end).ok_or(NotADuration::Form)?;
    let scale = match unit {
        "h" => 3_600 * NANOSECONDS,
        "m" => 60 * NANOSECONDS,
        "s" => NANOSECONDS,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        "" => return Err(NotADuration::Form),
        _ => return Err(NotADuration::Unit(unit)),
    };
    let whole: Option<i128> = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
    let whole = whole.and_then(|whole| whole.checked_mul(scale));
    Ok((whole.zip(part_of(fraction, scale)).and_then(|(whole, part)| whole.checked_add(part)), rest))
}

/// The leading digits, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Nanoseconds of a decimal fraction of a unit; below a nanosecond it is cut.
fn part_of(fraction: &str, unit: i128) -> Option<i128> {
    // No unit has more than thirteen digits of nanoseconds: further digits say nothing.
    let mut value: i128 = 0;
    let mut scale: i128 = 1;
    for digit in fraction.bytes().take(18) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0')?))?;
        scale = scale.checked_mul(10)?;
    }
    value.checked_mul(unit)?.checked_div(scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000_000_000),
            ("2.5s", 2_500_000_000),
            ("-15ms", -15_000_000),
            ("+1us", 1_000),
            ("1µs", 1_000),
            ("1μs", 1_000),
            ("1.s", 1_000_000_000),
            (".5s", 500_000_000),
            ("0.0000000019s", 1),
            ("1m1ms1ns", 60_001_000_001),
            ("00000000000000000000000000000000001s", 1_000_000_000),
            ("0.00000000000000000000000000000000001s", 0),
            ("2562047h47m16.854775807s", i64::MAX),
            ("-2562047h47m16.854775808s", i64::MIN),
        ] {
            assert_eq!(read_duration(text), Ok(TimeDelta::nanoseconds(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn durations_are_within_ten_thousand_years() {
        let most = TimeDelta::seconds(SECONDS_MAX);
        assert_eq!(read_duration("87660000h"), Ok(most));
        assert_eq!(read_duration("-315576000000s"), Ok(-most));
        for text in [
            "87660000h1ns",
            "-315576000000.000000001s",
            "99999999999999999999999999999999999999999999h",
            "170141183460469231731687303715884105727ns1ns",
        ] {
            assert_eq!(read_duration(text), Err(NotADuration::Range), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "-", "+", "1", "s", "--1s", ".s", "1..5s", "1.5.2s", "١s", "\0", "é"] {
            assert_eq!(read_duration(text), Err(NotADuration::Form), "{text}");
        }
        for (text, unit) in [("1 s", " s"), ("1d", "d"), ("1S", "S"), ("1s-1s", "s-"), ("1e3s", "e"), ("1h ", "h ")] {
            assert_eq!(read_duration(text), Err(NotADuration::Unit(unit)), "{text}");
        }
        let most = "99999999999999999999999999999999999999999999h1d";
        assert_eq!(read_duration(most), Err(NotADuration::Unit("d")));
    }

    proptest! {
        #[test]
        fn the_parts_add_up(hours in 0..80_000_000_i64, minutes in 0..60_i64, nanoseconds in 0..60_000_000_000_i64) {
            let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
            let text = format!("{hours}h{minutes}m{seconds}.{fraction:09}s");
            let expected = TimeDelta::hours(hours) + TimeDelta::minutes(minutes) + TimeDelta::nanoseconds(nanoseconds);
            prop_assert_eq!(read_duration(&text), Ok(expected));
            let negative = format!("-{text}");
            prop_assert_eq!(read_duration(&negative), Ok(-expected));
        }
    }
}
