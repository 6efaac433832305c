//! Who sends events, and the operator: each a task, which draws what it does.

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout};

use super::{
    ledger::Fate,
    run::{QUIET, Run, scope},
    tables::number_in,
};
use crate::{
    domain::{Accepted, Author, EventDraft, TenantId},
    store::{LetterFilter, RedriveOrder},
};

/// How long a sender waits for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

impl Run {
    pub async fn send(self: Arc<Self>, sender: u64, ends_at: Instant) {
        let mut number = sender * 1_000;
        while Instant::now() < ends_at {
            let pause = if self.draws(100) { self.draw(1_000, 4_000) } else { self.draw(1, 300) };
            sleep(Duration::from_millis(pause)).await;
            let tenant = self.tenants[self.draw(0, self.tenants.len() as u64 - 1) as usize];
            let mut drafts = Vec::new();
            for _ in 0..self.draw(1, 5) {
                number += 1;
                drafts.push(self.draft(number));
            }
            self.send_until_answered(tenant, drafts, ends_at).await;
        }
    }

    fn draft(&self, number: u64) -> EventDraft {
        let mut state = self.state();
        let fate = match state.random.range(0, 999) {
            0..=39 => Fate::Panics(u32::try_from(state.random.range(1, 3)).unwrap()),
            40..=54 => Fate::Panics(u32::try_from(state.random.range(5, 6)).unwrap()),
            55..=64 => Fate::Invalid,
            65..=89 => Fate::Changing,
            90 => Fate::Kills,
            _ => Fate::Fine,
        };
        state.ledger.fates.insert(number, fate);
        EventDraft {
            facts: RawValue::from_string(format!("{{\"n\":{number}}}")).unwrap(),
            kind: None,
            project: None,
            idempotency_key: state.random.permille(700).then(|| number.to_string()),
            occurred_at: None,
            at_occurrence: false,
            ordering_key: state.random.permille(600).then(|| format!("key {}", state.random.range(1, 2))),
        }
    }

    /// Sends events, and those with an idempotency key again while they are not answered; now and then though they are.
    async fn send_until_answered(&self, tenant: TenantId, mut drafts: Vec<EventDraft>, ends_at: Instant) {
        let tries_until = ends_at + QUIET / 3;
        while !drafts.is_empty() && Instant::now() < tries_until {
            let answers = match self.any_ingest() {
                Some(ingest) => timeout(ANSWER_WAIT, ingest.accept(scope(tenant), drafts.clone())).await,
                None => Ok(Err(crate::ingest::Error::Stopping)),
            };
            let mut again = Vec::new();
            let answers = match answers {
                Ok(Ok(answers)) => answers.into_iter().map(Result::ok).collect(),
                Ok(Err(_)) | Err(_) => vec![None; drafts.len()],
            };
            for (draft, answer) in drafts.into_iter().zip(answers) {
                let number = number_in(draft.facts.get());
                let is_again = match answer {
                    Some(Accepted::New(id) | Accepted::Duplicate(id)) => {
                        self.state().ledger.answered.insert(number, id);
                        self.draws(30)
                    }
                    _ => true,
                };
                if is_again && draft.idempotency_key.is_some() {
                    again.push(draft);
                }
            }
            drafts = again;
            let pause = self.draw(1, 500);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Pauses queues and lets them go on, and brings dead letters back.
    pub async fn operate(self: Arc<Self>, ends_at: Instant) {
        let author = Author::command("a test");
        loop {
            let pause = self.draw(500, 8_000);
            sleep(Duration::from_millis(pause)).await;
            if Instant::now() >= ends_at {
                return;
            }
            let tenant = self.tenants[self.draw(0, self.tenants.len() as u64 - 1) as usize];
            let Some(ingest) = self.any_ingest() else { continue };
            if self.draws(400) {
                let filter = LetterFilter::default();
                let order = RedriveOrder { filter, max: 10_000, rate_per_second: self.draw(1, 3) as i32 };
                let _ = timeout(ANSWER_WAIT, ingest.redrive(scope(tenant), &order, &author)).await;
                continue;
            }
            self.set_paused(tenant, true);
            ingest.pause(scope(tenant));
            let pause = self.draw(10, 4_000);
            sleep(Duration::from_millis(pause)).await;
            self.set_paused(tenant, false);
            ingest.wake(scope(tenant));
        }
    }

    fn set_paused(&self, tenant: TenantId, is_paused: bool) {
        let mut state = self.state();
        state.note("pauses", u64::from(is_paused));
        let now = state.database_time();
        state.tables.get_mut(&tenant).unwrap().pause(is_paused, now);
    }
}
