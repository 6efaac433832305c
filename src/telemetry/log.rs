//! Log lines: set up once, when a command starts. Tests set up none.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{LogFormat, TelemetrySettings};

/// Sends log lines to standard error, in the form and of the levels that `settings` name.
///
/// # Errors
///
/// The filter cannot be read. `config` has refused such a one before.
pub fn start_logging(settings: &TelemetrySettings) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(&settings.log_filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Told on standard error as well, so that whoever logs would panic if nobody reads that any more.
    let lines = lines.log_internal_errors(false);
    // A second set-up in one process changes nothing.
    let _ = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
    };
    Ok(())
}
