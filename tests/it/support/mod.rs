//! What the tests stand on: a server shared by all processes of a run, a fresh database for each test, and the
//! application on top of it.
//!
//! The server is the one that `TEST_DATABASE_URL` names; else, with the feature `containers`, one in Docker; else a
//! private cluster that the first process of a run starts and that ends after the last.

mod app;
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "few tests are left that use it"))]
mod broker;
#[cfg(feature = "containers")]
mod container;
mod certificates;
mod conversation;
mod database;
mod directory;
mod faults;
mod issuer;
mod lifeline;
mod node;
mod private;
mod process;
mod proxy;
mod run;
mod server;

pub use app::{OPERATOR_KEY, TestApp};
#[cfg_attr(not(feature = "redis"), allow(unused_imports, reason = "few tests are left that use it"))]
pub use broker::{PrivateBroker, PrivateRedis, broker, redis};
pub use certificates::Certificates;
pub use conversation::{converse, read_until, send_line};
pub use database::TestDatabase;
pub use directory::Directory;
pub use faults::{TRAP, cannot_load_traps, kill_listeners, panic_on_log_line, stop_panicking_on_log_lines};
pub use issuer::{AUDIENCE, ISSUER, Key, TokenIssuer, base64, forge_hmac, now};
pub use node::{Node, proof_size, rule, scope, within};
pub use private::PrivateServer;
pub use process::{TestProcess, free_address};
pub use proxy::{Flow, Proxy};
pub use run::Run;
