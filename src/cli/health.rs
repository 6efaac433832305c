//! `tenet health`: checks whether a running service is healthy; the health check of the container image.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;

use crate::{
    client::Client,
    config::{HttpSettings, Purpose, Settings, Sources},
};

use super::{block_on, output::say};

/// How long the service may take to answer: less than those who ask through us wait, which is 3 s in the image.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Flags of `tenet health`.
#[derive(Args)]
pub(super) struct Flags {
    /// URL of the service [default: this machine, at TENET_ADMIN_LISTEN or TENET_LISTEN]
    #[arg(long)]
    url: Option<String>,
    /// Ask whether it is ready for requests, not only whether it runs
    #[arg(long)]
    ready: bool,
}

/// Ends well if the service is.
pub(super) fn run(flags: &Flags) -> anyhow::Result<()> {
    let url = match &flags.url {
        Some(url) => url.clone(),
        None => {
            let sources = Sources::of_process(Vec::new(), None)?;
            own_url(&Settings::read(&sources, Purpose::Look)?.http)?
        }
    };
    let path = if flags.ready { "/readyz" } else { "/healthz" };
    block_on(async {
        let client = Client::new(&url)?.with_timeout(TIMEOUT);
        let response = client.get(path).await.context("the service is not healthy")?;
        if !response.is_success() {
            bail!("the service is not healthy: `{path}` answers {}: {}", response.status, response.text());
        }
        say!("{}", response.text())?;
        Ok(())
    })
}

/// The operators' URL of the service with these settings, from this machine.
pub(super) fn own_url(http: &HttpSettings) -> anyhow::Result<String> {
    if http.tls_certificate.is_some() && http.admin_listen.is_none() {
        bail!("`TENET_LISTEN` serves TLS only: set `TENET_ADMIN_LISTEN`, such as `127.0.0.1:8081`, or give `--url`");
    }
    Ok(local_url(http.admin_listen.unwrap_or(http.listen)))
}

/// How this machine reaches a service that listens on `address`.
pub(super) fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_reached_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("10.1.2.3:80", "http://10.1.2.3:80"),
        ] {
            assert_eq!(local_url(listen.parse().unwrap()), url);
        }
    }
}
