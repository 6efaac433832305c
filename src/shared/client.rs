//! Redis, asked for a moment only. What does not come in time counts as not known, and then it is left alone for a while.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Metrics, UrlError};
use crate::config::Secret;

/// How long Redis may take to answer.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// How long it is left alone after it did not.
const REST: Duration = Duration::from_secs(1);
/// How long a connection may take to be made, and how long between two attempts at most.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// A connection to Redis that is made anew by itself. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    /// Reconnects: a bare connection would not.
    connection: ConnectionManager,
    state: Arc<State>,
    metrics: Metrics,
}

struct State {
    began: Instant,
    /// It is left alone until so many milliseconds after the beginning.
    rests_until: AtomicU64,
    is_answering: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub fn connect(url: &Secret, metrics: Metrics) -> Result<Self, UrlError> {
        let client = redis::Client::open(url.expose()).map_err(|_| UrlError)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(CONNECT_MAX))
            .set_max_delay(CONNECT_MAX);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(|_| UrlError)?;
        let state =
            State { began: Instant::now(), rests_until: AtomicU64::new(0), is_answering: AtomicBool::new(true) };
        let client = Self { connection, state: Arc::new(state), metrics };
        // In the time that it takes; whoever asks meanwhile does not wait for it.
        let first = client.clone();
        tokio::spawn(async move {
            let mut connection = first.connection.clone();
            first.noted(redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(|error| error.to_string()));
        });
        Ok(client)
    }

    /// The values of `names`, each `None` if it is not known.
    pub async fn get(&self, names: &[String]) -> Vec<Option<Vec<u8>>> {
        let mut command = redis::cmd("MGET");
        command.arg(names);
        let mut connection = self.connection.clone();
        match self.ask(command.query_async::<Vec<Option<Vec<u8>>>>(&mut connection)).await {
            Some(values) => {
                let known = values.iter().flatten().count();
                self.metrics.looked_up("known", known);
                self.metrics.looked_up("unknown", names.len() - known.min(names.len()));
                values
            }
            None => {
                self.metrics.looked_up("unanswered", names.len());
                Vec::new()
            }
        }
    }

    /// Sets values, each for a time.
    pub async fn set(&self, entries: &[(String, Vec<u8>, Duration)]) {
        let mut commands = redis::pipe();
        for (name, value, time) in entries {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
            commands.cmd("SET").arg(name).arg(value.as_slice()).arg("PX").arg(milliseconds).ignore();
        }
        let mut connection = self.connection.clone();
        self.ask(commands.query_async::<()>(&mut connection)).await;
    }

    /// What is answered in time.
    async fn ask<T>(&self, asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let now = u64::try_from(self.state.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.state.rests_until.load(Ordering::Relaxed) {
            return None;
        }
        self.noted(match timeout(ANSWER_MAX, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("it did not answer in time".to_owned()),
        })
    }

    /// Remembers whether it answered, and says so where that is new.
    fn noted<T>(&self, answer: Result<T, String>) -> Option<T> {
        let was_answering = self.state.is_answering.swap(answer.is_ok(), Ordering::Relaxed);
        self.metrics.answers(answer.is_ok());
        match answer {
            Ok(answer) => {
                if !was_answering {
                    info!("Redis answers");
                }
                Some(answer)
            }
            Err(error) => {
                let until = self.state.began.elapsed() + REST;
                self.state.rests_until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
                if was_answering {
                    warn!(error, "Redis does not answer; duplicates are found when they are decided");
                }
                None
            }
        }
    }
}
