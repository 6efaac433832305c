//! Texts that stand for times and durations.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    domain::{read_duration, read_timestamp},
    error::shortened,
};

/// Reads RFC 3339.
pub(in crate::cel) fn timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    read_timestamp(text).map_err(|reason| format!("`{}` {reason}", shortened(text)))
}

/// Reads numbers with units: `1h30m`, `-2.5s`, `15ms`.
pub(in crate::cel) fn duration(text: &str) -> Result<TimeDelta, String> {
    read_duration(text).map_err(|reason| format!("`{}` {reason}", shortened(text)))
}
