//! The commands of the `tenet` binary, one a file: each reads its flags and settings, and calls what does the work.
//!
//! Exit codes: 0 done; 1 failed; 2 the command line or the settings are wrong; 3 no PostgreSQL was found.

mod audit;
mod check;
mod demo;
mod dev;
mod eval;
mod exit;
mod health;
mod input;
mod keys;
mod load;
mod migrate;
mod output;
mod own_key;
mod report;
mod rule_file;
mod serve;
mod top;
mod verify;
mod yaml;

use std::{future::Future, process::ExitCode};

use clap::{Parser, Subcommand};

/// A multi-tenant rules engine: typed facts, CEL rules, live in milliseconds.
#[derive(Parser)]
#[command(name = "tenet", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong command line or settings, 3 no PostgreSQL found.\n\
                          Settings: docs/configuration.md";

#[derive(Subcommand)]
enum Command {
    /// Serve on this machine with a private PostgreSQL, for development
    Dev(dev::Flags),
    /// Serve in production, on the database that `DATABASE_URL` names
    Serve(serve::Flags),
    /// Migrate a database
    Migrate(migrate::Flags),
    /// Create, list and revoke keys, directly in the database
    Keys(keys::Flags),
    /// Verify that the audit logs were not altered by hand
    Audit(audit::Flags),
    /// Check whether a running service is healthy
    Health(health::Flags),
    /// Watch the tenants and nodes of a running service
    Top(top::Flags),
    /// Generate load on a service and measure it
    Load(load::Flags),
    /// Check rule files and run the tests in them; needs no service
    Check(check::Flags),
    /// Evaluate one expression on facts; needs no service
    Eval(eval::Flags),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    execute(Arguments::parse().command)
}

/// Runs the command that a process would run if it were started with these arguments, the first of which names it. Ends
/// the process if they are wrong.
pub fn run_as(arguments: &[&str]) -> ExitCode {
    execute(Arguments::parse_from(arguments).command)
}

fn execute(command: Command) -> ExitCode {
    let result = match command {
        Command::Dev(flags) => dev::run(flags),
        Command::Serve(flags) => serve::run(flags),
        Command::Migrate(flags) => migrate::run(flags),
        Command::Keys(flags) => keys::run(flags),
        Command::Audit(flags) => audit::run(flags),
        Command::Health(flags) => health::run(&flags),
        Command::Top(flags) => top::run(flags),
        Command::Load(flags) => load::run(flags),
        Command::Check(flags) => check::run(&flags),
        Command::Eval(flags) => eval::run(&flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

/// Runs `work` on a runtime of its own.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Does not wait for blocking tasks: the work itself has waited for what matters.
    runtime.shutdown_background();
    result
}
