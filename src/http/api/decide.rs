//! How a decision is written, for one set of facts, a batch and a stream alike.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    engine::{Decided, Served},
    json::Writer,
};

/// Milliseconds with the precision of a microsecond.
pub fn milliseconds(time: Duration) -> f64 {
    f64::from(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

/// Writes where something was decided: members of an object.
pub fn write_origin(writer: &mut Writer, served: &Served) {
    writer.member("tenantId", &served.set.tenant().id);
    writer.member("revision", &served.set.revision());
    writer.member("schemaVersion", &served.set.schema_version());
    writer.member("stale", &served.stale);
}

/// Writes the time of a decision: a member of an object.
pub fn write_time(writer: &mut Writer, time: DateTime<Utc>) {
    writer.key("evaluatedAt");
    writer.time(time);
}

/// Writes what was decided: members of an object. Answers are mostly this.
pub fn write_decided(writer: &mut Writer, decided: &Decided<'_>) {
    if let Some(recorded) = &decided.recorded {
        writer.member("decisionId", &recorded.id);
    }
    writer.key("results");
    writer.raw(|bytes| decided.results.write_json(bytes));
    if let Some((evaluated, matched_count)) = decided.counts {
        writer.member("evaluated", &evaluated);
        writer.member("matchedCount", &matched_count);
    }
    if let Some(warnings) = &decided.warnings {
        writer.member("warnings", warnings);
    }
}
