//! What of a tenant's evaluations is recorded. Decisions of events always are.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which evaluations are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogMode {
    /// None.
    #[default]
    Off,
    /// A share of them.
    Sample,
    /// All of them.
    All,
}

/// A share, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct SampleRate(u32);

const MILLION: f64 = 1_000_000.0;

/// No share that can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sample rate is a number from 0.000001 to 1")]
pub struct NotASampleRate;

impl TryFrom<f64> for SampleRate {
    type Error = NotASampleRate;

    fn try_from(share: f64) -> Result<Self, NotASampleRate> {
        let millionths = (share * MILLION).round();
        if !(1.0..=MILLION).contains(&millionths) {
            return Err(NotASampleRate);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to a million")]
        Ok(Self(millionths as u32))
    }
}

impl From<SampleRate> for f64 {
    fn from(SampleRate(millionths): SampleRate) -> Self {
        Self::from(millionths) / MILLION
    }
}

/// What of a tenant's evaluations is recorded, and how. A tenant's row stores it as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DecisionLog {
    /// Which evaluations.
    pub mode: LogMode,
    /// Which share of them, in the mode `sample`.
    pub sample_rate: SampleRate,
    /// Whether their facts are kept, but for sensitive ones.
    pub facts: bool,
    /// Whether, in the mode `sample`, those in which a rule ended with an error are all recorded.
    pub errors_always: bool,
}

impl Default for DecisionLog {
    fn default() -> Self {
        Self { mode: LogMode::Off, sample_rate: SampleRate(10_000), facts: true, errors_always: true }
    }
}

impl DecisionLog {
    /// Whether the decision of this id is recorded. What a rate takes, every higher one takes as well.
    pub fn takes(&self, id: Uuid, has_error: bool) -> bool {
        match self.mode {
            LogMode::Off => false,
            LogMode::All => true,
            LogMode::Sample => (has_error && self.errors_always) || share_of(id) < u64::from(self.sample_rate.0),
        }
    }
}

/// A number below a million that follows from an id and looks like chance.
fn share_of(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    // The finalizer of SplitMix64: ids of one moment differ in few bits.
    let mut hash = high ^ low;
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    ((hash >> 32) * 1_000_000) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(rate: f64) -> DecisionLog {
        DecisionLog { mode: LogMode::Sample, sample_rate: rate.try_into().unwrap(), ..DecisionLog::default() }
    }

    #[test]
    fn a_sample_is_as_large_as_its_rate_and_a_higher_rate_keeps_what_a_lower_one_kept() {
        let ids: Vec<Uuid> = (0..100_000).map(|_| Uuid::now_v7()).collect();
        let taken = |rate| ids.iter().filter(|id| sampling(rate).takes(**id, false)).copied().collect::<Vec<_>>();
        let (few, more) = (taken(0.01), taken(0.1));
        assert!((800..1_200).contains(&few.len()), "{}", few.len());
        assert!((9_500..10_500).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|id| more.contains(id)));
        assert_eq!(taken(1.0).len(), ids.len());
    }

    #[test]
    fn errors_are_always_taken_if_so_set_and_nothing_is_where_the_log_is_off() {
        let id = (0..).map(|_| Uuid::now_v7()).find(|id| !sampling(0.01).takes(*id, false)).unwrap();
        assert!(sampling(0.01).takes(id, true));
        assert!(!DecisionLog { errors_always: false, ..sampling(0.01) }.takes(id, true));
        assert!(!DecisionLog::default().takes(id, true));
        assert!(DecisionLog { mode: LogMode::All, ..DecisionLog::default() }.takes(id, false));
    }

    #[test]
    fn it_is_stored_as_it_is_sent() {
        let text = r#"{"mode":"sample","sampleRate":0.25,"facts":false,"errorsAlways":true}"#;
        let log: DecisionLog = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&log).unwrap(), text);
        assert_eq!(serde_json::from_str::<DecisionLog>("{}").unwrap(), DecisionLog::default());
        for rate in ["0", "1.1", "-1", "0.0000001", "1e400"] {
            assert!(serde_json::from_str::<DecisionLog>(&format!(r#"{{"sampleRate":{rate}}}"#)).is_err(), "{rate}");
        }
    }
}
