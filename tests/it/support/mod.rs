//! What the tests stand on: a server shared by all processes of a run, a fresh database for each test, and the
//! application on top of it.
//!
//! The server is the one that `TEST_DATABASE_URL` names; else, with the feature `containers`, one in Docker; else a
//! private cluster that the first process of a run starts and that ends after the last.

#[cfg(feature = "containers")]
mod container;
mod database;
mod directory;
mod node;
mod run;
mod server;

pub use database::TestDatabase;
pub use directory::Directory;
pub use node::{Node, rule, within};
pub use run::Run;
