//! The `tenet` binary; its commands are in `tenet::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenet::cli::run()
}
