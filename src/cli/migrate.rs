//! `tenet migrate`: brings the database to a version.

use crate::config::Settings;

/// Brings the database that `settings` name to the newest version.
#[expect(clippy::todo, clippy::unused_async, reason = "the signature that `serve` and `dev` build on")]
pub(super) async fn up(settings: &Settings) -> anyhow::Result<()> {
    let _ = settings;
    todo!("store helper")
}
