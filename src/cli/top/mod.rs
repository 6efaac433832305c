//! `tenet top`: the state of the nodes and of the tenants in a node's memory, redrawn every few seconds.
//!
//! It shows only what the HTTP API answers.

mod sample;
mod view;

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::{
    sample::Sample,
    view::{View, draw},
};
use super::{block_on, health, output};
use crate::{
    client::Client,
    config::{Purpose, Secret, Settings, Sources},
};

/// Flags of `tenet top`.
#[derive(Args)]
pub(super) struct Flags {
    /// URL of the service [default: this machine, at TENET_ADMIN_LISTEN or TENET_LISTEN]
    #[arg(long)]
    url: Option<String>,
    /// Operator key [default: TENET_OPERATOR_KEY, which other users of this machine cannot see]
    #[arg(long)]
    key: Option<String>,
    /// Print once and end, without rates
    #[arg(long)]
    once: bool,
    /// Sort order
    #[arg(long, value_enum, default_value_t = Sort::Rate)]
    sort: Sort,
    /// Tenants to show
    #[arg(long, default_value_t = 30, value_name = "N")]
    rows: usize,
    /// Seconds between two updates
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
}

/// What tenants are sorted by: the largest value first, names from A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Decisions a second; with --once, the number of decisions
    Rate,
    /// Cost of decisions
    Cost,
    /// Time spent deciding
    Time,
    /// Memory
    Memory,
    /// Lag behind the database
    Lag,
    /// Restarts of failed actors
    Restarts,
    /// Name
    Name,
}

/// Draws until it is interrupted, or once.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let settings = Settings::read(&Sources::of_process(Vec::new(), None)?, Purpose::Look)?;
    let url = flags.url.map_or_else(|| health::own_url(&settings.http), Ok)?;
    let key = flags.key.map(Secret::new).or(settings.http.operator_key);
    let client = Client::new(&url)?.with_key(key);
    let view = View { url, sort: flags.sort, rows: flags.rows };
    block_on(async {
        if flags.once {
            let sample = Sample::take(&client).await?;
            return Ok(output::text(&draw(&view, &sample, None))?);
        }
        watch(&client, &view, Duration::from_secs(flags.interval)).await
    })
}

async fn watch(client: &Client, view: &View, interval: Duration) -> anyhow::Result<()> {
    const CLEAR: &str = "\u{1b}[2J";
    let mut ticks = tokio::time::interval(interval);
    let mut before: Option<Sample> = None;
    io::stdout().write_all(CLEAR.as_bytes())?;
    loop {
        ticks.tick().await;
        let text = match Sample::take(client).await {
            Ok(sample) => {
                let text = draw(view, &sample, before.as_ref());
                before = Some(sample);
                text
            }
            // A service that starts again is worth waiting for.
            Err(error) => format!("{}: {error:#}\n", view.url),
        };
        redraw(&text)?;
    }
}

/// From the top left, each line up to its end, and nothing below.
fn redraw(text: &str) -> io::Result<()> {
    let mut screen = String::from("\u{1b}[H");
    for line in text.lines() {
        screen.push_str(line);
        screen.push_str("\u{1b}[K\n");
    }
    screen.push_str("\u{1b}[J");
    let mut stdout = io::stdout();
    stdout.write_all(screen.as_bytes())?;
    stdout.flush()
}
