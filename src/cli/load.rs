//! `tenet load`: puts a running service under load and prints what it measured.

use std::{path::PathBuf, time::Duration};

use anyhow::{bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    client::Client,
    config::{Purpose, Secret, Settings, Sources},
    domain::Tier,
    load::{self, Group, Service, Workload},
};

use super::{block_on, health, output::say};

/// Flags of `tenet load`.
#[derive(Args)]
pub(super) struct Flags {
    /// Workload file, such as benches/workloads/ten_rules.json
    #[arg(long, value_name = "FILE", required_unless_present = "groups")]
    workload: Option<PathBuf>,
    /// File of several workloads to run at once, each with its own load and report
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["workload", "connections", "rate", "mix", "tenants", "tier", "tenant_keys"]
    )]
    groups: Option<PathBuf>,
    /// URL of the service [default: this machine, at TENET_LISTEN]
    #[arg(long)]
    url: Option<String>,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Seconds to run; with --groups, those of each group that does not say
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
    /// Tier of the tenants: free, pro or enterprise
    #[arg(long, default_value = "enterprise", value_parser = tier)]
    tier: Tier,
    /// Let each tenant ask with a key of its own, so that its limits hold [default: with the operator's key]
    #[arg(long)]
    tenant_keys: bool,
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

impl Flags {
    /// What is to be sent.
    fn groups(&self) -> anyhow::Result<Vec<Group>> {
        let duration = Duration::from_secs(self.duration);
        match (&self.groups, &self.workload) {
            (Some(file), _) => Ok(Group::read_all(file, duration)?),
            (None, Some(file)) => Ok(vec![self.group(Workload::read(file)?)?]),
            (None, None) => bail!("give `--workload` or `--groups`"),
        }
    }

    fn group(&self, workload: Workload) -> anyhow::Result<Group> {
        let mut group = Group::new(workload);
        group.tenants = self.tenants.map(usize::try_from).transpose()?.unwrap_or(group.tenants);
        group.mix.clone_from(&self.mix);
        group.tier = self.tier;
        group.has_tenant_keys = self.tenant_keys;
        group.connections = usize::from(self.connections);
        group.rate = self.rate;
        group.duration = Duration::from_secs(self.duration);
        Ok(group)
    }
}

/// Runs the load and prints its report; fails if any request did.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let settings = Settings::read(&Sources::of_process(Vec::new(), None)?, Purpose::Look)?;
    let groups = flags.groups()?;
    let is_plain = flags.groups.is_none();
    let url = flags.url.unwrap_or_else(|| health::local_url(settings.http.listen));
    let key = flags.key.map(Secret::new).or(settings.http.operator_key);
    let service = Service { client: Client::new(&url)?.with_key(key), server_pid: flags.server_pid };
    let seconds = groups.iter().map(Group::ends_after).max().unwrap_or_default().as_secs();
    let bar = progress_bar(seconds)?;
    let reports = block_on(async {
        let progress = |elapsed: Duration, answered: u64| {
            bar.set_position(elapsed.as_secs().min(seconds));
            bar.set_message(format!("{answered} requests"));
        };
        Ok(load::run(&service, &groups, progress).await?)
    })?;
    bar.finish_and_clear();
    match reports.groups.first().filter(|_| is_plain) {
        _ if !flags.json => say!("{reports}")?,
        Some(report) => say!("{}", serde_json::to_string_pretty(report)?)?,
        None => say!("{}", serde_json::to_string_pretty(&reports)?)?,
    }
    ensure!(reports.is_clean(), "some requests failed or were answered wrongly");
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

fn tier(text: &str) -> Result<Tier, String> {
    Tier::named(text).ok_or_else(|| "it must be `free`, `pro` or `enterprise`".to_owned())
}
