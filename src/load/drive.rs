//! The load of one group: its connections, each a task, on threads of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, sync::oneshot, task::JoinSet};

use crate::client::Client;

use super::{
    Error,
    connection::Connection,
    operation::Mix,
    pace::Pace,
    prepare::Tenant,
    tally::{Failure, Tally},
    workload::Workload,
};

/// What all connections of a group do.
pub(super) struct Plan {
    pub tenants: Vec<Tenant>,
    pub mix: Mix,
    pub workload: Workload,
    pub connections: usize,
    pub duration: Duration,
    pub pace: Option<Pace>,
    /// Whether each tenant asks with its own key.
    pub has_tenant_keys: bool,
}

/// What came of it.
pub(super) struct LoadOutcome {
    pub tally: Tally,
    pub began: Instant,
    pub elapsed: Duration,
    /// Requests of an open loop that were due and never sent.
    pub missed: u64,
}

/// Runs the load of a group from `start` on, on threads of its own: what one group takes to write and read must not be in
/// the latencies of another. `answered` counts the requests that are over.
pub(super) async fn drive(
    plan: &Arc<Plan>,
    client: &Client,
    start: Instant,
    answered: &Arc<AtomicU64>,
) -> Result<LoadOutcome, Error> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Error::Threads)?;
    let load = run_all(Arc::clone(plan), client.clone(), start, Arc::clone(answered));
    let (ended, outcome) = oneshot::channel();
    thread::spawn(move || {
        // Nobody waits for it any more if the whole load was given up.
        let _ = ended.send(runtime.block_on(load));
    });
    outcome.await.map_err(|_| Error::Ended)?
}

async fn run_all(
    plan: Arc<Plan>,
    client: Client,
    start: Instant,
    answered: Arc<AtomicU64>,
) -> Result<LoadOutcome, Error> {
    let mut connections = JoinSet::new();
    for number in 0..plan.connections {
        let connection = Connection::new(&plan, &client, number);
        let (plan, tally, answered) = (Arc::clone(&plan), Tally::new()?, Arc::clone(&answered));
        connections.spawn(run(connection, plan, tally, start, answered));
    }
    if let Some(pace) = &plan.pace {
        pace.begin(start);
    }
    let mut total = Tally::new()?;
    while let Some(ended) = connections.join_next().await {
        match ended {
            Ok(tally) => total.add(&tally),
            Err(error) => total.fail(Failure::Unanswered(format!("a connection's task ended: {error}"))),
        }
    }
    let missed = plan.pace.as_ref().map_or(0, Pace::missed);
    Ok(LoadOutcome { tally: total, began: start, elapsed: start.elapsed(), missed })
}

async fn run(
    mut connection: Connection,
    plan: Arc<Plan>,
    mut tally: Tally,
    start: Instant,
    answered: Arc<AtomicU64>,
) -> Tally {
    tokio::time::sleep_until(start.into()).await;
    while let Some(due) = next(&plan, start).await {
        let sent = Instant::now();
        match connection.request(&mut tally).await {
            Ok(()) => tally.succeed(due.elapsed()),
            Err(Failure::Refused(what)) => tally.refuse(what, sent.elapsed()),
            Err(failure) => tally.fail(failure),
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    tally
}

/// When the next request is due: now, or as the pace says. `None` at the end.
async fn next(plan: &Plan, start: Instant) -> Option<Instant> {
    match &plan.pace {
        Some(pace) => pace.next(start).await,
        None => Some(Instant::now()).filter(|now| *now < start + plan.duration),
    }
}
