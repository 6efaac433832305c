//! One connection, with one request at a time: what it sends, and what it makes of the answers.

use std::{mem, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::json;

use crate::client::{Bytes, Client, Drops, Method, Response};

use super::{
    drive::Plan,
    events::{EventWriter, Sent},
    operation::Operation,
    prepare::{Tenant, batch, evaluation_by_path},
    random::Random,
    tally::{BatchResults, Failure, Results, Tally},
};

/// Pause after a request without an answer, so that an absent service is not retried in a hot loop.
const RETRY_PAUSE: Duration = Duration::from_millis(10);
/// How a slow sender sends a body: within two seconds.
const DROPS: Drops = Drops { count: 20, pause: Duration::from_millis(100) };

/// A connection.
pub(super) struct Connection {
    plan: Arc<Plan>,
    client: Client,
    events: EventWriter,
    random: Random,
    /// The batch of evaluations, written once: making facts would take this machine longer than deciding them.
    batch: Bytes,
    /// Rules that were put.
    puts: u64,
}

impl Connection {
    pub fn new(plan: &Arc<Plan>, client: &Client, number: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            client: client.clone().with_own_connections(),
            events: EventWriter::new(number),
            random: Random::new(u64::try_from(number).unwrap_or(0).wrapping_mul(0x1000_0001)),
            batch: Bytes::new(),
            puts: u64::try_from(number).unwrap_or(0) << 32,
        }
    }

    /// Sends one request, and counts its bytes and events.
    pub async fn request(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let plan = Arc::clone(&self.plan);
        let operation = plan.mix.pick(&mut self.random);
        let index = self.random.below(u64::try_from(plan.tenants.len()).unwrap_or(0));
        let tenant = usize::try_from(index).ok().and_then(|index| plan.tenants.get(index));
        let Some(tenant) = tenant else { return Err(Failure::Unanswered("no tenant".to_owned())) };
        let mut asking = self.client.clone();
        if plan.has_tenant_keys || operation == Operation::EvaluateWithTenantKey {
            asking = asking.with_key(tenant.key.as_ref().map(|key| key.secret.clone()));
        }
        if operation == Operation::EvaluateSlowly {
            asking = asking.with_drops(DROPS);
        }
        let operator = mem::replace(&mut self.client, asking);
        let outcome = self.perform(operation, tenant, &plan, tally).await;
        self.client = operator;
        outcome
    }

    async fn perform(
        &mut self,
        operation: Operation,
        tenant: &Tenant,
        plan: &Plan,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let facts = &plan.workload.facts;
        match operation {
            Operation::Evaluate => {
                let body = tenant.evaluation(facts, &mut self.random);
                self.decide("/api/v1/evaluate", body, tally).await
            }
            Operation::EvaluateByPath | Operation::EvaluateWithTenantKey | Operation::EvaluateSlowly => {
                let body = evaluation_by_path(facts, &mut self.random);
                self.decide(&tenant.evaluate_path, body, tally).await
            }
            Operation::EvaluateBatch => {
                if self.batch.is_empty() {
                    self.batch = batch(plan.workload.items, facts, &mut self.random).into();
                }
                let path = format!("{}/batch", tenant.evaluate_path);
                let answer = self.send(Method::POST, &path, self.batch.clone(), tally).await?;
                BatchResults::check(&answer, plan.workload.items, plan.workload.rules.len()).map_err(wrong)
            }
            Operation::ListRules => self.send(Method::GET, &tenant.rules_path, "", tally).await.map(drop),
            Operation::PutRules => {
                self.puts += 1;
                let body = json!({ "rules": plan.workload.rules_changed(self.puts) }).to_string();
                self.send(Method::PUT, &tenant.rules_path, body, tally).await.map(drop)
            }
            Operation::SendEvent => {
                let mut body = String::with_capacity(256);
                self.events.write(facts, &mut self.random, &mut body);
                let answer = self.send(Method::POST, &tenant.events_path, body, tally).await?;
                tally.events.add(&Sent::one(&answer).ok_or_else(untold)?);
                Ok(())
            }
            Operation::SendEvents => {
                let body = self.events.batch(plan.workload.batch, facts, &mut self.random);
                let answer = self.send(Method::POST, &format!("{}/batch", tenant.events_path), body, tally).await?;
                tally.events.add(&Sent::batch(&answer, plan.workload.batch).ok_or_else(untold)?);
                Ok(())
            }
            Operation::Health => self.send(Method::GET, "/healthz", "", tally).await.map(drop),
        }
    }

    /// Asks for a decision, and checks it.
    async fn decide(&mut self, path: &str, body: String, tally: &mut Tally) -> Result<(), Failure> {
        let answer = self.send(Method::POST, path, body, tally).await?;
        Results::check(&answer, self.plan.workload.rules.len()).map_err(wrong)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        tally: &mut Tally,
    ) -> Result<Bytes, Failure> {
        let body = body.into();
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let sent = body.len();
        match self.client.request(method, path, headers, body).await {
            Ok(response) => {
                tally.bytes(sent, response.body.len());
                if response.is_success() { Ok(response.body) } else { Err(refused_or_wrong(&response)) }
            }
            Err(error) => {
                tokio::time::sleep(RETRY_PAUSE).await;
                Err(Failure::Unanswered(error.to_string()))
            }
        }
    }
}

/// What an answer says that is not one of success: 429 and 503 with a code are how a service refuses what is too much.
fn refused_or_wrong(response: &Response) -> Failure {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let status = response.status;
    match response.json::<Problem>() {
        Ok(Problem { code }) if matches!(status, 429 | 503) => Failure::Refused(format!("{status} {code}")),
        Ok(Problem { code }) => Failure::Wrong(format!("status {status} {code}")),
        Err(_) => Failure::Wrong(format!("status {status}")),
    }
}

fn wrong(reason: &str) -> Failure {
    Failure::Wrong(reason.to_owned())
}

fn untold() -> Failure {
    wrong("the answer does not tell what became of the events")
}
