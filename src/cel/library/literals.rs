//! Texts that stand for times and durations.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{domain::read_timestamp, error::shortened};

/// Seconds of the longest duration: ten thousand years.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// Reads RFC 3339.
pub(in crate::cel) fn timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    read_timestamp(text).map_err(|reason| format!("`{}` {reason}", shortened(text)))
}

/// The duration, if it is within CEL's range.
pub(in crate::cel) fn check_duration(value: TimeDelta) -> Option<TimeDelta> {
    (value.num_seconds().abs() <= DURATION_SECONDS_MAX).then_some(value)
}

/// Reads numbers with units: `1h30m`, `-2.5s`, `15ms`.
pub(in crate::cel) fn duration(text: &str) -> Result<TimeDelta, String> {
    let bad = || format!("`{text}` is no duration such as `1h30m` or `2.5s`");
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(TimeDelta::zero());
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at_checked(end).ok_or_else(bad)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(bad)?;
        let scale: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            "" => return Err(bad()),
            _ => return Err(format!("`{text}` is no duration: `{unit}` is no unit, and `h` is the largest")),
        };
        nanos = scaled(number, scale).and_then(|part| nanos.checked_add(part)).ok_or_else(bad)?;
        rest = after;
    }
    let nanos = if is_negative { -nanos } else { nanos };
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok();
    let fraction = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok();
    seconds
        .zip(fraction)
        .and_then(|(seconds, fraction)| TimeDelta::new(seconds, fraction))
        .and_then(check_duration)
        .ok_or_else(|| format!("`{text}` is out of range: more than ten thousand years"))
}

/// A decimal number times `scale`, without the part below one.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.get(..fraction.len().min(18)).unwrap_or(fraction);
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / divisor)
}
