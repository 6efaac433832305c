//! Settings and limits. No other module reads the environment.
//!
//! [`SETTINGS`] is the table of everything that can be set; [`Settings::read`] makes values of it from flags,
//! environment, file and defaults, in this order, and reports every mistake at once.

pub mod environment;
pub mod limits;

mod check;
mod file;
mod jwt;
mod nearest;
mod queue;
mod secret;
mod setting;
mod settings;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use check::Purpose;
pub use jwt::{JWT_ROLES, JwtAlgorithm, JwtSettings};
pub use nearest::nearest;
pub use secret::Secret;
pub use setting::Setting;
pub use settings::{DatabaseSettings, EngineSettings, EventSettings, HttpSettings, Settings, TelemetrySettings};
pub use sources::{Mistakes, Sources};
pub use table::SETTINGS;
pub use value::{ByteSize, LogFormat, QueueKind, TierName};
