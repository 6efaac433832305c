//! The `tenet` binary: the commands stand in `tenet::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenet::cli::run()
}
