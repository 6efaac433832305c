//! Load on a running service: tenants and rules as a workload file describes them, many connections, honest times.
//!
//! With a rate the loop is open: requests are due at fixed times whatever the service does, and a latency is counted
//! from the time a request was due, so that a service that stalls cannot hide the requests it held up. Without a rate
//! each connection sends its next request when it has its answer.
//!
//! Where events are sent, the load ends when all are decided, and what was accepted is held against that.

mod drive;
mod error;
mod events;
mod generator;
mod operation;
mod pace;
mod prepare;
mod process;
mod random;
mod report;
mod tally;
mod workload;

use std::{sync::Arc, time::Duration};

use crate::client::Client;

pub use error::Error;
pub use report::{EventAges, EventReport, Latency, Report};
pub use workload::Workload;

use process::CpuTime;

/// How to load a service.
pub struct Options {
    /// The service.
    pub client: Client,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long.
    pub duration: Duration,
    /// Requests a second, all connections together; as many as there are answers if `None`.
    pub rate: Option<f64>,
    /// Which mix of the workload.
    pub mix: String,
    /// How many tenants, if not as many as the workload says.
    pub tenants: Option<usize>,
    /// The service's process, if it is not found by its port.
    pub server_pid: Option<u32>,
}

/// Creates or finds the tenants of `workload`, runs the load and returns the report. `progress` is called from time to
/// time with the elapsed time and the number of answered requests.
///
/// # Errors
///
/// The service refuses the workload, or answers it wrongly, before the load begins. What fails under load
/// is counted in the report.
pub async fn run(workload: &Workload, options: &Options, progress: impl Fn(Duration, u64)) -> Result<Report, Error> {
    let mix = workload.mix(&options.mix)?;
    let mut tenants = prepare::tenants(workload, options).await?;
    if mix.needs_tenant_keys() {
        prepare::make_keys(&mut tenants, &options.client).await?;
    }
    let before = if mix.sends_events() { Some(events::before(&options.client, &tenants).await?) } else { None };
    let cpu = CpuTime::of(options);
    let plan = Arc::new(drive::Plan {
        tenants,
        mix,
        generator: workload.facts.clone(),
        results: workload.rules.len(),
        batch: workload.batch,
        duration: options.duration,
        pace: options.rate.map(|rate| pace::Pace::new(rate, options.duration)),
    });
    let outcome = drive::drive(&plan, options, progress).await?;
    let decided = match &before {
        Some(before) => {
            let accepted = outcome.tally.events.accepted;
            Some(events::after(&options.client, &plan.tenants, before, accepted, outcome.began).await?)
        }
        None => None,
    };
    let spent = cpu.and_then(|cpu| cpu.spent());
    prepare::delete_keys(&plan.tenants, &options.client).await?;
    Ok(Report::new(workload, options, outcome, decided.as_ref(), spent))
}
