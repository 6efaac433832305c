//! The whole: store, engine and doors, wired together and stopped in order.

use std::net::SocketAddr;

use crate::config::Settings;

/// A service that runs.
pub struct App {}

#[expect(clippy::todo, clippy::unused_async, reason = "the signatures that `serve` and `dev` build on")]
impl App {
    /// Starts the service: when this answers, it accepts requests.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let _ = settings;
        todo!()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until a signal ends it, and stops gracefully.
    pub async fn run_until_signal(self) -> anyhow::Result<()> {
        todo!()
    }
}
