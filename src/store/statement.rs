//! Statements have names. Under its name each is timed, and blamed when it fails.

use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Error;

type Callback = Arc<dyn Fn(&'static str, Duration) + Send + Sync>;

/// Who is told how long things took.
#[derive(Clone)]
pub struct Observer {
    statement: Callback,
    wait: Callback,
}

impl Observer {
    /// `statement` is told each statement's name and time, `wait` each pool's name and the time that a connection of
    /// it was waited for.
    pub fn new(
        statement: impl Fn(&'static str, Duration) + Send + Sync + 'static,
        wait: impl Fn(&'static str, Duration) + Send + Sync + 'static,
    ) -> Self {
        Self { statement: Arc::new(statement), wait: Arc::new(wait) }
    }

    /// Runs a statement, tells how long it took, and puts its name on its error.
    pub(super) async fn timed<T>(
        &self,
        operation: &'static str,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let result = statement.await;
        self.told(operation, began.elapsed());
        result.map_err(|error| Error::of(operation, error))
    }

    /// Tells how long a statement took.
    pub(super) fn told(&self, operation: &'static str, time: Duration) {
        (self.statement)(operation, time);
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
