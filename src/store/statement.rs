//! Statements have names. Under its name each is timed, and blamed when it fails.

use std::{
    fmt,
    future::Future,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::Error;

type Callback = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// Who is told how long things took.
#[derive(Clone)]
pub struct Observer {
    statement: Callback,
    wait: Callback,
    answer_max: Duration,
}

impl Observer {
    /// `statement` is told each statement's name and time, `wait` each pool's name and the time that a connection of
    /// it was waited for.
    pub fn new(
        statement: impl Fn(&'static str, Duration) + Send + Sync + 'static,
        wait: impl Fn(&'static str, Duration) + Send + Sync + 'static,
    ) -> Self {
        Self { statement: Arc::new(statement), wait: Arc::new(wait), answer_max: Duration::MAX }
    }

    /// Gives up on answers that take longer than `answer_max`. The server ends statements that take too long; this is
    /// for a server that is not there any more, which nothing in a half-open connection tells.
    pub(super) fn giving_up_after(self, answer_max: Duration) -> Self {
        Self { answer_max, ..self }
    }

    /// Runs a statement, tells how long it took, and puts its name on its error.
    pub(super) async fn timed<T>(
        &self,
        operation: &'static str,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        self.answered(operation, statement).await.map_err(|error| Error::of(operation, error))
    }

    /// Runs a statement and tells how long it took.
    pub(super) async fn answered<T>(
        &self,
        operation: &'static str,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let began = Instant::now();
        let result = timeout(self.answer_max, statement).await;
        (self.statement)(operation, began.elapsed());
        result.unwrap_or_else(|_| {
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time")))
        })
    }

    /// Tells how long a connection was waited for.
    pub(super) fn waited(&self, pool: &'static str, time: Duration) {
        (self.wait)(pool, time);
    }
}

impl Default for Observer {
    /// Nobody.
    fn default() -> Self {
        Self::new(|_, _| (), |_, _| ())
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
