//! The connections that send requests, each a task.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::errors::CreationError;
use tokio::{task::JoinSet, time::interval};

use crate::client::{Bytes, Client, Method};

use super::{
    Options,
    events::{EventWriter, Sent},
    generator::Generator,
    operation::{Mix, Operation},
    pace::Pace,
    prepare::{Tenant, evaluation_by_path},
    random::Random,
    tally::{Results, Tally},
};

/// Between two reports of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Pause after a request without an answer, so that an absent service is not retried in a hot loop.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What all connections do.
pub(super) struct Plan {
    pub tenants: Vec<Tenant>,
    pub mix: Mix,
    pub generator: Generator,
    /// Results that an evaluation must answer.
    pub results: usize,
    /// Events of a batch.
    pub batch: usize,
    pub duration: Duration,
    pub pace: Option<Pace>,
}

/// What came of it.
pub(super) struct LoadOutcome {
    pub tally: Tally,
    pub began: Instant,
    pub elapsed: Duration,
    /// Requests of an open loop that were due and never sent.
    pub missed: u64,
}

/// Runs the load.
pub(super) async fn drive(
    plan: &Arc<Plan>,
    options: &Options,
    progress: impl Fn(Duration, u64),
) -> Result<LoadOutcome, CreationError> {
    let start = Instant::now();
    let answered = Arc::new(AtomicU64::new(0));
    let mut connections = JoinSet::new();
    for number in 0..options.connections {
        let connection = Connection {
            plan: Arc::clone(plan),
            client: options.client.clone().with_own_connections(),
            events: EventWriter::new(number),
            random: Random::new(u64::try_from(number).unwrap_or(0).wrapping_mul(0x1000_0001)),
            tally: Tally::new()?,
            answered: Arc::clone(&answered),
        };
        connections.spawn(connection.run(start));
    }
    if let Some(pace) = &plan.pace {
        pace.begin(start);
    }
    let mut total = Tally::new()?;
    let mut ticks = interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => progress(start.elapsed(), answered.load(Ordering::Relaxed)),
            ended = connections.join_next() => match ended {
                Some(Ok(tally)) => total.add(&tally),
                Some(Err(error)) => total.count(Err(format!("a connection's task ended: {error}")), Duration::ZERO),
                None => break,
            },
        }
    }
    let missed = plan.pace.as_ref().map_or(0, Pace::missed);
    Ok(LoadOutcome { tally: total, began: start, elapsed: start.elapsed(), missed })
}

/// One connection, with one request at a time.
struct Connection {
    plan: Arc<Plan>,
    client: Client,
    events: EventWriter,
    random: Random,
    tally: Tally,
    answered: Arc<AtomicU64>,
}

impl Connection {
    async fn run(mut self, start: Instant) -> Tally {
        while let Some(due) = self.next(start).await {
            let outcome = self.request().await;
            self.tally.count(outcome, due.elapsed());
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        self.tally
    }

    /// When the next request is due: now, or as the pace says. `None` at the end.
    async fn next(&self, start: Instant) -> Option<Instant> {
        match &self.plan.pace {
            Some(pace) => pace.next(start).await,
            None => Some(Instant::now()).filter(|now| *now < start + self.plan.duration),
        }
    }

    /// Sends one request; answers what is wrong with its answer, if anything is.
    async fn request(&mut self) -> Result<(), String> {
        let plan = Arc::clone(&self.plan);
        let operation = plan.mix.pick(&mut self.random);
        let index = self.random.below(u64::try_from(plan.tenants.len()).unwrap_or(0));
        let tenant = usize::try_from(index).ok().and_then(|index| plan.tenants.get(index));
        let Some(tenant) = tenant else { return Err("no tenant".to_owned()) };
        match operation {
            Operation::Evaluate => {
                let body = tenant.evaluation(&plan.generator, &mut self.random);
                self.decide("/api/v1/evaluate", body).await
            }
            Operation::EvaluateByPath => {
                let body = evaluation_by_path(&plan.generator, &mut self.random);
                self.decide(&tenant.evaluate_path, body).await
            }
            Operation::EvaluateWithTenantKey => {
                let body = evaluation_by_path(&plan.generator, &mut self.random);
                let key = tenant.key.as_ref().map(|key| key.secret.clone());
                let holder = self.client.clone().with_key(key);
                let operator = mem::replace(&mut self.client, holder);
                let decided = self.decide(&tenant.evaluate_path, body).await;
                self.client = operator;
                decided
            }
            Operation::ListRules => self.send(Method::GET, &tenant.rules_path, String::new()).await.map(drop),
            Operation::SendEvent => {
                let mut body = String::with_capacity(256);
                self.events.write(&plan.generator, &mut self.random, &mut body);
                let answer = self.send(Method::POST, &tenant.events_path, body).await?;
                self.sent(Sent::one(&answer))
            }
            Operation::SendEvents => {
                let body = self.events.batch(plan.batch, &plan.generator, &mut self.random);
                let answer = self.send(Method::POST, &format!("{}/batch", tenant.events_path), body).await?;
                self.sent(Sent::batch(&answer, plan.batch))
            }
            Operation::Health => self.send(Method::GET, "/healthz", String::new()).await.map(drop),
        }
    }

    /// Asks for a decision, and checks it.
    async fn decide(&mut self, path: &str, body: String) -> Result<(), String> {
        let answer = self.send(Method::POST, path, body).await?;
        Results::check(&answer, self.plan.results).map_err(str::to_owned)
    }

    /// Counts events by what became of them.
    fn sent(&mut self, sent: Option<Sent>) -> Result<(), String> {
        self.tally.events.add(&sent.ok_or("the answer does not tell what became of the events")?);
        Ok(())
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Result<Bytes, String> {
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let sent = body.len();
        match self.client.request(method, path, headers, body).await {
            Ok(response) => {
                self.tally.bytes(sent, response.body.len());
                if response.is_success() { Ok(response.body) } else { Err(format!("status {}", response.status)) }
            }
            Err(error) => {
                tokio::time::sleep(RETRY_PAUSE).await;
                Err(error.to_string())
            }
        }
    }
}
