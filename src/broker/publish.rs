//! Publishing: persistent, mandatory, confirmed, and a window of messages at once.

use std::time::Duration;

use lapin::{BasicProperties, Confirmation, PublisherConfirm, options::BasicPublishOptions};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    ANSWER_MAX, Broker, Error, Message,
    connection::{Live, WINDOW},
    consume::PREFETCH,
    queue_of,
    queues::look,
};
use crate::{breakers::Dependency, domain::TenantId};

/// On disk before it is confirmed.
const PERSISTENT: u8 = 2;
/// How long a queue that is not ready is left alone.
const PROVE_INTERVAL: Duration = Duration::from_millis(20);

impl Broker {
    /// Publishes messages of one tenant, in their order, to a queue that holds `limit` messages if it is new; answers
    /// what became of each. At most a window of them.
    pub async fn publish(&self, messages: Vec<Message>, limit: Option<u64>) -> Result<Vec<Result<(), Error>>, Error> {
        let Some(scope) = messages.first().map(|message| message.scope) else { return Ok(Vec::new()) };
        let mut call = self.breakers.ask(Dependency::Broker, self.breakers.tier_of(scope.id()))?;
        let began = std::time::Instant::now();
        let answers = match call.suffer(ANSWER_MAX).await {
            Ok(()) => self.publish_for(scope.id(), messages, limit).await,
            Err(_) => Err(Error::NoAnswer),
        };
        let all = match &answers {
            Ok(answers) => answers.iter().map(|answer| answer.as_ref().err()).collect(),
            Err(error) => vec![Some(error)],
        };
        for error in all {
            match error {
                Some(error) if error.is_unconnected() => call.unconnected(),
                Some(error) if error.is_failure() => call.failed(),
                // Its queue alone is not ready.
                Some(Error::NotReady) => {}
                _ => call.answered(began),
            }
        }
        answers
    }

    async fn publish_for(
        &self,
        tenant: TenantId,
        messages: Vec<Message>,
        limit: Option<u64>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let deadline = Instant::now() + ANSWER_MAX;
        let live = self.live()?;
        if live.is_blocked() {
            return Err(Error::Blocked);
        }
        match timeout_at(deadline, live.ensure_queue(tenant, limit)).await {
            Ok(ensured) => ensured?,
            Err(_) => return Err(Error::NoAnswer),
        }
        // By itself: who asked may go away, and what was sent is confirmed all the same.
        let sent = tokio::spawn(async move { send_all(&live, &messages, limit, deadline).await });
        sent.await.map_err(|_| Error::NoAnswer)?
    }
}

async fn send_all(
    live: &Live,
    messages: &[Message],
    limit: Option<u64>,
    deadline: Instant,
) -> Result<Vec<Result<(), Error>>, Error> {
    let Some((first, rest)) = messages.split_first() else { return Ok(Vec::new()) };
    let places = u32::try_from(messages.len().min(WINDOW)).unwrap_or(u32::MAX);
    // Never closed.
    let window = timeout_at(deadline, live.window.acquire_many(places)).await;
    let Ok(_window) = window else { return Err(Error::NoAnswer) };
    let tenant = first.scope.id();
    let mut answers = Vec::with_capacity(messages.len());
    let rest = if live.proven.contains(&tenant) {
        messages
    } else {
        noted(live, tenant, prove(live, first, limit, deadline).await)?;
        live.proven.insert(tenant);
        answers.push(Ok(()));
        rest
    };
    let mut sent = Vec::with_capacity(rest.len());
    for message in rest {
        sent.push(timeout_at(deadline, send(live, message)).await.unwrap_or(Err(Error::NoAnswer)));
    }
    for confirm in sent {
        let answer = match confirm {
            Ok(confirm) => confirmed(confirm, deadline).await,
            Err(error) => Err(error),
        };
        answers.push(noted(live, tenant, answer));
    }
    if answers.iter().any(|answer| matches!(answer, Err(Error::Full))) && !is_full(live, tenant, limit).await {
        let refused = |answer| if matches!(answer, Err(Error::Full)) { Err(Error::NotReady) } else { answer };
        answers = answers.into_iter().map(refused).collect();
    }
    Ok(answers)
}

/// Remembers what an answer says of the queue or the connection.
fn noted(live: &Live, tenant: TenantId, answer: Result<(), Error>) -> Result<(), Error> {
    match &answer {
        Err(Error::NoQueue) => {
            live.declared.remove(&tenant);
            live.proven.remove(&tenant);
        }
        // A broker that is blocked says nothing, and is sound.
        Err(Error::NoAnswer) if !live.is_blocked() => live.distrust(),
        _ => {}
    }
    answer
}

/// The first message to a queue goes alone: a queue that has only been made refuses what comes before it has a leader,
/// and those that follow must not get ahead of it.
async fn prove(live: &Live, message: &Message, limit: Option<u64>, deadline: Instant) -> Result<(), Error> {
    loop {
        let confirm = timeout_at(deadline, send(live, message)).await.unwrap_or(Err(Error::NoAnswer))?;
        match confirmed(confirm, deadline).await {
            Err(Error::Full) if is_full(live, message.scope.id(), limit).await => return Err(Error::Full),
            Err(Error::Full) if Instant::now() + PROVE_INTERVAL < deadline => sleep(PROVE_INTERVAL).await,
            Err(Error::Full) => return Err(Error::NotReady),
            answer => return answer,
        }
    }
}

/// Whether a queue that refuses a message does so because it is full. The broker counts those with a consumer, too.
async fn is_full(live: &Live, tenant: TenantId, limit: Option<u64>) -> bool {
    let Ok(counts) = look(live, tenant).await else { return false };
    limit.is_none_or(|limit| u64::from(counts.messages) + 2 * u64::from(PREFETCH) >= limit)
}

async fn send(live: &Live, message: &Message) -> Result<PublisherConfirm, Error> {
    let body = message.encode().map_err(|_| Error::NotConnected)?;
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(message.id.to_string().into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let queue = queue_of(message.scope.id());
    Ok(live.publisher.basic_publish("".into(), queue.into(), options, &body, properties).await?)
}

async fn confirmed(confirm: PublisherConfirm, deadline: Instant) -> Result<(), Error> {
    match timeout_at(deadline, confirm).await {
        Ok(Ok(Confirmation::Ack(None))) => Ok(()),
        // Mandatory, and no queue took it.
        Ok(Ok(Confirmation::Ack(Some(_)))) => Err(Error::NoQueue),
        Ok(Ok(Confirmation::Nack(_))) => Err(Error::Full),
        Ok(Ok(Confirmation::NotRequested)) | Err(_) => Err(Error::NoAnswer),
        Ok(Err(error)) => Err(Error::OutcomeUnknown(error.into())),
    }
}
