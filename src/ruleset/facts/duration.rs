//! Durations as text: a sign, then numbers with units, such as `1h30m` or `-2.5s`.
//!
//! The form is that of Go's `time.ParseDuration`, which CEL names as its own; so is the range, 64 bits of nanoseconds.

use chrono::TimeDelta;

/// Nanoseconds of each unit. A unit that begins another one comes after it.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration; `None` if it is none, or out of range.
pub(super) fn parse_duration(text: &str) -> Option<TimeDelta> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanoseconds, left) = parse_part(rest)?;
        total = total.checked_add(nanoseconds)?;
        rest = left;
    }
    let total = i64::try_from(if negative { -total } else { total }).ok()?;
    Some(TimeDelta::nanoseconds(total))
}

/// One number with its unit, in nanoseconds, and what follows it.
fn parse_part(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = UNITS.iter().find_map(|(name, unit)| Some((i128::from(*unit), rest.strip_prefix(name)?)))?;
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole.checked_mul(unit)?.checked_add(part_of(fraction, unit)?)?, rest))
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
            ("2562047h47m16.854775807s", i64::MAX),
            ("-2562047h47m16.854775808s", i64::MIN),
        ] {
            assert_eq!(parse_duration(text), Some(TimeDelta::nanoseconds(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "1",
            "s",
            "1 s",
            "1d",
            "1S",
            "--1s",
            "1s-1s",
            ".s",
            "1..5s",
            "1e3s",
            "١s",
            "1h ",
            "\0",
            "é",
            "2562047h47m16.854775808s",
            "99999999999999999999999999999999999999999999h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
