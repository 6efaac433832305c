//! `/api/v1/tenants/{tenantId}/analytics`: how many decisions were made, and what came of them. Hours and days are those
//! of UTC.

pub mod health;
pub mod rules;
pub mod series;
pub mod summary;

use chrono::{DateTime, TimeDelta, Utc};
use utoipa::IntoParams;

use crate::{
    analytics::{Kept, Span},
    error::Detail,
    http::door::{
        Error,
        query::{Given, Parameters},
    },
};

/// What is told if it is not said from when on.
const SPAN_DEFAULT: TimeDelta = TimeDelta::hours(24);

/// Which time.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SpanQuery {
    /// From this time on, as whole hours of UTC; 24 hours before `to` if it is left out. What is kept no longer is left
    /// out, and the answer's `from` says so.
    from: Option<DateTime<Utc>>,
    /// Until before this time; now if it is left out.
    to: Option<DateTime<Utc>>,
}

impl Parameters for SpanQuery {
    fn take(given: &mut Given) -> Self {
        Self { from: given.time("from"), to: given.time("to") }
    }
}

impl SpanQuery {
    /// The hours that are touched.
    fn span(&self, now: DateTime<Utc>) -> Result<Span, Error> {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or(to - SPAN_DEFAULT);
        if from > to {
            let detail = Detail::new("invalid_value", "`from` must not be later than `to`").at("from");
            return Err(Error::invalid_one(detail));
        }
        Ok(Span::touched(from, to))
    }
}

/// What is kept of a tenant's counts.
async fn kept(
    state: &crate::http::door::AppState,
    tenant: crate::domain::TenantScope,
    now: DateTime<Utc>,
) -> Result<Kept, Error> {
    Ok(Kept::of(state.tenant(tenant).await?.tier, now))
}
