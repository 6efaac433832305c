//! Parts of timestamps, in UTC or a time zone, and of durations.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{Declaration, Fault, Outcome, Value, invalid, no_overload};

macro_rules! part {
    ($name:literal, $part:expr) => {
        (
            $name,
            &[concat!("timestamp.", $name, "(): int"), concat!("timestamp.", $name, "(string): int")],
            |_, arguments| of_timestamp($name, arguments, $part),
        )
    };
}

macro_rules! part_of_both {
    ($name:literal, $part:expr, $whole:expr) => {
        (
            $name,
            &[
                concat!("timestamp.", $name, "(): int"),
                concat!("timestamp.", $name, "(string): int"),
                concat!("duration.", $name, "(): int"),
            ],
            |_, arguments| match arguments {
                [Value::Duration(length)] => Ok(Value::Int($whole(length))),
                _ => of_timestamp($name, arguments, $part),
            },
        )
    };
}

pub(super) const FUNCTIONS: &[Declaration] = &[
    part!("getFullYear", |time| i64::from(time.year())),
    part!("getMonth", |time| i64::from(time.month0())),
    part!("getDate", |time| i64::from(time.day())),
    part!("getDayOfMonth", |time| i64::from(time.day0())),
    part!("getDayOfYear", |time| i64::from(time.ordinal0())),
    part!("getDayOfWeek", |time| i64::from(time.weekday().num_days_from_sunday())),
    part_of_both!("getHours", |time| i64::from(time.hour()), chrono::TimeDelta::num_hours),
    part_of_both!("getMinutes", |time| i64::from(time.minute()), chrono::TimeDelta::num_minutes),
    part_of_both!("getSeconds", |time| i64::from(time.second()), chrono::TimeDelta::num_seconds),
    part_of_both!("getMilliseconds", |time| i64::from(time.nanosecond() / 1_000_000), |length: &chrono::TimeDelta| {
        i64::from(length.subsec_nanos() / 1_000_000)
    }),
];

fn of_timestamp(name: &str, arguments: &[Value], part: fn(NaiveDateTime) -> i64) -> Outcome {
    match arguments {
        [Value::Timestamp(time)] => Ok(Value::Int(part(time.naive_utc()))),
        [Value::Timestamp(time), Value::String(zone)] => Ok(Value::Int(part(local(*time, zone)?))),
        _ => Err(no_overload(name, arguments)),
    }
}

/// The time on the clocks of `zone`: a name such as `Europe/Berlin`, or an offset such as `-02:30`.
fn local(time: DateTime<Utc>, zone: &str) -> Result<NaiveDateTime, Fault> {
    let offset = match fixed_offset(zone) {
        Some(offset) => offset,
        None => {
            let zone: Tz = zone
                .parse()
                .map_err(|_| invalid(format!("`{zone}` is not a time zone such as `Europe/Berlin` or `+02:00`")))?;
            zone.offset_from_utc_datetime(&time.naive_utc()).fix()
        }
    };
    time.naive_utc().checked_add_offset(offset).ok_or_else(|| super::overflow("the local time"))
}

/// Whether `text` names a time zone, or is an offset.
pub(in crate::cel) fn is_zone(text: &str) -> bool {
    fixed_offset(text).is_some() || text.parse::<Tz>().is_ok()
}

/// The names of all time zones.
pub(in crate::cel) fn zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

fn fixed_offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}
