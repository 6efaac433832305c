//! The accepted names in the header `Host`, against DNS rebinding: a web page can make its own name resolve to the
//! address of this service, but it cannot change the name that the browser sends in `Host`.

use std::net::IpAddr;

use actix_web::{HttpRequest, http::header};

use super::Error;

/// The accepted names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any, since callers need a key.
    Any,
    /// Only names and addresses of this machine, since callers need no key.
    Loopback,
    /// These, without ports, in lower case.
    Named(Vec<String>),
}

impl Hosts {
    /// Rejects a request for another name: 421.
    pub fn admit(&self, request: &HttpRequest) -> Result<(), Error> {
        if *self == Self::Any {
            return Ok(());
        }
        // A request line with an absolute URI has the name there.
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let header = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let named = authority.or_else(header).unwrap_or_default();
        if self.has(named) { Ok(()) } else { Err(Error::misdirected()) }
    }

    fn has(&self, authority: &str) -> bool {
        let host = without_port(authority).trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Any => true,
            Self::Named(names) => names.contains(&host),
            Self::Loopback => {
                let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
                host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_only_names_of_this_machine_are_served() {
        for host in ["localhost", "LOCALHOST:8080", "a.localhost:1", "127.0.0.1:80", "127.9.9.9", "[::1]:8080", "[::1]"]
        {
            assert!(Hosts::Loopback.has(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:8080", "192.0.2.1:8080", "[2001:db8::1]", "127.0.0.1.x"]
        {
            assert!(!Hosts::Loopback.has(host), "{host}");
        }
    }

    #[test]
    fn named_hosts_are_served_on_any_port() {
        let hosts = Hosts::Named(vec!["api.example.org".to_owned(), "[2001:db8::1]".to_owned()]);
        for host in ["api.example.org", "API.example.org:443", "api.example.org.", "[2001:db8::1]:443"] {
            assert!(hosts.has(host), "{host}");
        }
        for host in ["", "example.org", "xapi.example.org", "api.example.org.evil.test", "localhost"] {
            assert!(!hosts.has(host), "{host}");
        }
    }
}
