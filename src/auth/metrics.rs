//! What is counted of authentication.

use crate::telemetry::{Counter, EncodeLabelSet, Family, MetricRegistry};

/// The metrics of authentication.
#[derive(Debug, Clone)]
pub struct Metrics {
    invalid_credentials: Family<AnswerLabels, Counter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    status: &'static str,
}

impl Metrics {
    /// All at zero, and registered.
    pub fn register(registry: &mut MetricRegistry) -> Self {
        let help = "Invalid credentials, by status of the answer: 401, or 429 beyond the limit";
        Self { invalid_credentials: registry.register("invalid_credentials", help, Family::default()) }
    }

    /// A credential was not valid, and is answered with 401.
    pub fn refused(&self) {
        self.invalid_credentials.get_or_create(&AnswerLabels { status: "401" }).inc();
    }

    /// A credential was not valid, and is answered with 429, because its sender sent too many.
    pub fn limited(&self) {
        self.invalid_credentials.get_or_create(&AnswerLabels { status: "429" }).inc();
    }
}
