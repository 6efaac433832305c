//! Redis, asked for a moment only. What does not come in time counts as not known, and a Redis that goes on like that is not
//! asked for a while.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    RedisError, RedisResult, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Metrics, UrlError};
use crate::{
    admission::{Block, Order},
    breakers::{Breakers, Dependency},
    client::Authorities,
    config::Secret,
    domain::TenantId,
};

/// How long Redis may take to answer.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// How long a connection may take to be made, and how long between two attempts at most.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Takes a block of a rate.
const TAKE_BLOCK: &str = include_str!("take_block.lua");

/// A connection to Redis that is made anew by itself. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    /// Reconnects: a bare connection would not.
    connection: ConnectionManager,
    breakers: Breakers,
    is_answering: Arc<AtomicBool>,
    metrics: Metrics,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub fn connect(
        url: &Secret,
        authorities: Option<&Authorities>,
        breakers: Breakers,
        metrics: Metrics,
    ) -> Result<Self, UrlError> {
        let client = match authorities.filter(|_| url.expose().starts_with("rediss://")) {
            Some(authorities) => {
                let root_cert = Some(authorities.pem().as_bytes().to_vec());
                redis::Client::build_with_tls(url.expose(), TlsCertificates { client_tls: None, root_cert })
            }
            None => redis::Client::open(url.expose()),
        };
        let client = client.map_err(|_| UrlError)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(CONNECT_MAX))
            .set_max_delay(CONNECT_MAX);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(|_| UrlError)?;
        let client = Self { connection, breakers, is_answering: Arc::new(AtomicBool::new(true)), metrics };
        // In the time that it takes; whoever asks meanwhile does not wait for it.
        let first = client.clone();
        tokio::spawn(async move {
            let mut connection = first.connection.clone();
            first.noted(redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(|error| error.to_string()));
        });
        Ok(client)
    }

    /// The values of a tenant's `names`, each `None` if it is not known.
    pub async fn get(&self, tenant: TenantId, names: &[String]) -> Vec<Option<Vec<u8>>> {
        let mut command = redis::cmd("MGET");
        command.arg(names);
        let mut connection = self.connection.clone();
        match self.ask(tenant, command.query_async::<Vec<Option<Vec<u8>>>>(&mut connection)).await {
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

    /// Sets values of a tenant, each for a time.
    pub async fn set(&self, tenant: TenantId, entries: &[(String, Vec<u8>, Duration)]) {
        let mut commands = redis::pipe();
        for (name, value, time) in entries {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
            commands.cmd("SET").arg(name).arg(value.as_slice()).arg("PX").arg(milliseconds).ignore();
        }
        let mut connection = self.connection.clone();
        self.ask(tenant, commands.query_async::<()>(&mut connection)).await;
    }

    /// Takes a block of the rate of a tenant that is called `name`.
    pub async fn take_block(&self, tenant: TenantId, name: &str, order: Order) -> Option<Block> {
        let Order { per_minute, owed, returned, wanted } = order;
        let mut command = redis::cmd("EVAL");
        command.arg(TAKE_BLOCK).arg(1).arg(name).arg(per_minute).arg(owed).arg(returned).arg(wanted);
        let mut connection = self.connection.clone();
        let answer = self.ask(tenant, command.query_async::<(u64, u64)>(&mut connection)).await;
        let block = answer.map(|(granted, ahead)| Block { granted, ahead: Duration::from_micros(ahead) });
        self.metrics.block(match block {
            Some(Block { granted: 0, .. }) => "empty",
            Some(_) => "taken",
            None => "unanswered",
        });
        block
    }

    /// What is answered in time, if the breaker of the tenant's tier lets it be asked.
    async fn ask<T>(&self, tenant: TenantId, asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let mut call = self.breakers.ask(Dependency::Redis, self.breakers.tier_of(tenant)).ok()?;
        let began = Instant::now();
        let answer = timeout(ANSWER_MAX, async {
            match call.suffer(ANSWER_MAX).await {
                Ok(()) => asked.await,
                Err(faulty) => Err(RedisError::from(std::io::Error::other(faulty))),
            }
        })
        .await;
        self.noted(match answer {
            Ok(Ok(answer)) => {
                call.answered(began);
                Ok(answer)
            }
            Ok(Err(error)) => {
                if error.is_connection_refusal() || error.is_connection_dropped() {
                    call.unconnected();
                } else {
                    call.failed();
                }
                Err(error.to_string())
            }
            Err(_) => {
                call.failed();
                Err("it did not answer in time".to_owned())
            }
        })
    }

    /// Remembers whether it answered, and says so where that is new.
    fn noted<T>(&self, answer: Result<T, String>) -> Option<T> {
        let was_answering = self.is_answering.swap(answer.is_ok(), Ordering::Relaxed);
        self.metrics.answers(answer.is_ok());
        match answer {
            Ok(answer) => {
                if !was_answering {
                    info!("Redis answers");
                }
                Some(answer)
            }
            Err(error) => {
                if was_answering {
                    warn!(error, "Redis does not answer; this node goes on without it");
                }
                None
            }
        }
    }
}
