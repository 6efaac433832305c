//! Load on a running service: tenants and rules as a workload file describes them, many connections, honest times.
//!
//! With a rate the loop is open: requests are due at fixed times whatever the service does, and a latency is counted
//! from the time a request was due, so that a service that stalls cannot hide the requests it held up. Without a rate
//! each connection sends its next request when it has its answer.
//!
//! Several groups load a service at once, each with its workload, its tenants and its report. A plain load is one group.
//!
//! Where events are sent, the load ends when all are decided, and what was accepted is held against that.

mod connection;
mod drive;
mod error;
mod events;
mod generator;
mod group;
mod groups_file;
mod operation;
mod pace;
mod prepare;
mod process;
mod random;
mod report;
mod reports;
mod tally;
mod workload;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::time::interval;

use crate::client::Client;

pub use error::Error;
pub use group::Group;
pub use report::{EventAges, EventReport, Latency, Report};
pub use reports::Reports;
pub use workload::Workload;

use drive::{LoadOutcome, Plan};
use events::Before;
use pace::Pace;
use process::CpuTime;

/// Between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// A service to put under load.
pub struct Service {
    /// A client of it, with the operator's key.
    pub client: Client,
    /// Its process, if it is not found by its port.
    pub server_pid: Option<u32>,
}

/// Creates or finds the tenants of all groups, loads the service with all groups at once and returns their reports, in
/// order. `progress` is called from time to time with the elapsed time and the number of answered requests.
///
/// # Errors
///
/// The service refuses a workload, or answers it wrongly, before the load begins. What fails under load
/// is counted in the reports.
pub async fn run(service: &Service, groups: &[Group], progress: impl Fn(Duration, u64)) -> Result<Reports, Error> {
    let client = &service.client;
    let mut prepared = Vec::new();
    for group in groups {
        prepared.push(prepare(group, client).await?);
    }
    let cpu = CpuTime::of(service);
    let answered = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let loads = groups.iter().zip(&prepared).map(|(group, (plan, _))| {
        let begin = start + group.starts_after;
        drive::drive(plan, client, begin, &answered)
    });
    let mut loads = Box::pin(try_join_all(loads));
    let mut ticks = interval(PROGRESS_INTERVAL);
    let outcomes = loop {
        tokio::select! {
            _ = ticks.tick() => progress(start.elapsed(), answered.load(Ordering::Relaxed)),
            outcomes = &mut loads => break outcomes?,
        }
    };
    let mut reports = Vec::new();
    for ((group, (plan, before)), outcome) in groups.iter().zip(&prepared).zip(outcomes) {
        reports.push(settle(group, plan, before.as_ref(), outcome, client).await?);
    }
    let spent = cpu.and_then(|cpu| cpu.spent());
    for (plan, _) in &prepared {
        prepare::delete_keys(&plan.tenants, client).await?;
    }
    Ok(Reports::new(reports, spent))
}

/// What a group will do, and what there was of its events before.
async fn prepare(group: &Group, client: &Client) -> Result<(Arc<Plan>, Option<Before>), Error> {
    let mix = group.workload.mix(&group.mix)?;
    let mut tenants = prepare::tenants(group, client).await?;
    let scopes = mix.scopes();
    if mix.needs_tenant_keys() || (group.has_tenant_keys && !scopes.is_empty()) {
        prepare::make_keys(&mut tenants, &scopes, client).await?;
    }
    let before = if mix.sends_events() { Some(events::before(client, &tenants).await?) } else { None };
    let plan = Plan {
        tenants,
        mix,
        workload: group.workload.clone(),
        connections: group.connections,
        duration: group.duration,
        pace: group.rate.map(|rate| Pace::new(rate, group.duration, group.grace())),
        has_tenant_keys: group.has_tenant_keys,
    };
    Ok((Arc::new(plan), before))
}

/// The report of a group, once its events are decided.
async fn settle(
    group: &Group,
    plan: &Plan,
    before: Option<&Before>,
    outcome: LoadOutcome,
    client: &Client,
) -> Result<Report, Error> {
    let decided = match before {
        Some(before) => {
            let accepted = outcome.tally.events.accepted;
            Some(events::after(client, &plan.tenants, before, accepted, outcome.began).await?)
        }
        None => None,
    };
    Ok(Report::new(group, client.url(), outcome, decided.as_ref()))
}
