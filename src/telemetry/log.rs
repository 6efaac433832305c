//! Log lines: set up once, when a command starts. Tests set up none.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
};

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::{LogFormat, TelemetrySettings};

/// The target of the lines that tell of each request.
pub const ACCESS: &str = "tenet::access";

/// Sends log lines to standard error, in the form and of the levels that `settings` name.
///
/// # Errors
///
/// The filter cannot be read. `config` has refused such a one before.
pub fn start_logging(settings: &TelemetrySettings) -> Result<(), ParseError> {
    let access = format!("{ACCESS}={}", if settings.access_log { "info" } else { "off" });
    let filter = EnvFilter::try_new(&settings.log_filter)?.add_directive(access.parse()?);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Told on standard error as well, so that whoever logs would panic if nobody reads that any more.
    let lines = lines.log_internal_errors(false);
    // A second set-up in one process changes nothing.
    let _ = match settings.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
    };
    panic::set_hook(Box::new(tell_of_panic));
    Ok(())
}

/// Says where a panic arose. Its message is told if it is a literal: any other may quote facts.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown: it may quote facts)");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(place, message, %backtrace, "a panic: this is a defect of the service");
    } else {
        tracing::error!(place, message, "a panic: this is a defect of the service");
    }
}
