//! Where a client sends to.

use hyper::Uri;

use super::Error;

/// A service: its URL, taken apart.
pub(super) struct Target {
    url: String,
    host: String,
    port: u16,
    authority: String,
    prefix: String,
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, Error> {
        let invalid = |reason: &'static str| Error::UrlInvalid { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(invalid("this client speaks no TLS; use the service's own `http://` address"));
            }
            _ => return Err(invalid("it must begin with `http://`")),
        }
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it must not carry a user or a password; give the key on its own"));
        }
        if uri.query().is_some() {
            return Err(invalid("it must end before the query"));
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What the `Host` header says.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path to ask for.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("http://[::1]:8080/tenet/").unwrap();
        assert_eq!(target.address(), ("::1", 8080));
        assert_eq!(target.authority(), "[::1]:8080");
        assert_eq!(target.path("/healthz?deep"), "/tenet/healthz?deep");
        assert_eq!(Target::parse("http://tenet").unwrap().address(), ("tenet", 80));
    }

    #[test]
    fn a_url_that_cannot_be_used_says_why() {
        for (url, reason) in [
            ("https://example.org", "no TLS"),
            ("example.org:80", "`http://`"),
            ("localhost", "`http://`"),
            ("http://user:password@example.org", "password"),
            ("http://example.org/?a", "query"),
            ("", "not a URL"),
        ] {
            let Err(error) = Target::parse(url) else { panic!("{url} was accepted") };
            assert!(error.to_string().contains(reason), "{url}: {error}");
        }
    }
}
