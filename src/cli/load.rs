//! `tenet load`: puts a running service under load and prints what it measured.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    client::Client,
    config::{Purpose, Secret, Settings, Sources},
    load::{self, Options, Workload},
};

use super::{block_on, health, output::say};

/// Flags of `tenet load`.
#[derive(Args)]
pub(super) struct Flags {
    /// Workload file, such as benches/workloads/ten_rules.json
    #[arg(long, value_name = "FILE")]
    workload: PathBuf,
    /// URL of the service [default: this machine, at TENET_LISTEN]
    #[arg(long)]
    url: Option<String>,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Seconds to run
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration: u64,
    /// Requests a second, at a fixed rate (open loop) [default: each connection waits for its answer (closed loop)]
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    rate: Option<f64>,
    /// Mix of the workload
    #[arg(long, default_value = "evaluate", value_name = "NAME")]
    mix: String,
    /// Number of tenants [default: as the workload says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tenants: Option<u32>,
    /// Operator key [default: TENET_OPERATOR_KEY, which other users of this machine cannot see]
    #[arg(long)]
    key: Option<String>,
    /// Process id of the service, to measure its CPU time [default: the process that listens on the port]
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the load and prints its report; fails if any request did.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let settings = Settings::read(&Sources::of_process(Vec::new(), None)?, Purpose::Look)?;
    let workload = Workload::read(&flags.workload)?;
    let url = flags.url.unwrap_or_else(|| health::local_url(settings.http.listen));
    let key = flags.key.map(Secret::new).or(settings.http.operator_key);
    let options = Options {
        client: Client::new(&url)?.with_key(key),
        connections: usize::from(flags.connections),
        duration: Duration::from_secs(flags.duration),
        rate: flags.rate,
        mix: flags.mix,
        tenants: flags.tenants.map(usize::try_from).transpose()?,
        server_pid: flags.server_pid,
    };
    let bar = progress_bar(flags.duration)?;
    let report = block_on(async {
        let progress = |elapsed: Duration, answered: u64| {
            bar.set_position(elapsed.as_secs().min(flags.duration));
            bar.set_message(format!("{answered} requests"));
        };
        Ok(load::run(&workload, &options, progress).await?)
    })?;
    bar.finish_and_clear();
    if flags.json {
        say!("{}", serde_json::to_string_pretty(&report)?)?
    } else {
        say!("{report}")?
    }
    if !report.is_clean() {
        bail!("some requests failed or were answered wrongly");
    }
    Ok(())
}

/// Shown on standard error, and only on a terminal.
fn progress_bar(seconds: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}")?;
    Ok(ProgressBar::new(seconds).with_style(style))
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e7 => Ok(number),
        _ => Err("it must be a number above 0".to_owned()),
    }
}
