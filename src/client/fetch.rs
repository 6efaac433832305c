//! One GET over TLS of what somebody publishes: no redirects, no cookies, no proxies.

use std::{io, path::Path, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Authorities, Error};

/// A document at an `https://` address, and who is believed to be there.
pub struct Published {
    url: String,
    uri: Uri,
    tls: TlsConnector,
}

impl Published {
    /// The document at `url`, whose certificate must lead to one of `authorities`, a PEM file; without it to one of
    /// those that browsers trust.
    pub fn new(url: &str, authorities: Option<&Path>) -> Result<Self, Error> {
        let invalid = |reason| Error::UrlInvalid { url: url.to_owned(), reason };
        let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(invalid("it must begin with `https://`"));
        }
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("it must not carry a user or a password"));
        }
        let roots = match authorities {
            Some(file) => Authorities::read(file)?.roots(),
            None => browsers_roots(),
        };
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|_| invalid("this system has no TLS"))?;
        let tls = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { url: url.to_owned(), uri, tls: TlsConnector::from(tls) })
    }

    /// What is there: `most` bytes, `within` this time, and with status 200, or an error.
    pub async fn fetch(&self, most: usize, within: Duration) -> Result<Bytes, Error> {
        match timeout(within, self.get(most)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { url: self.url.clone(), after: within }),
        }
    }

    async fn get(&self, most: usize) -> Result<Bytes, Error> {
        let unreachable = |source| Error::Unreachable { url: self.url.clone(), source };
        let host = self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| unreachable(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = TcpStream::connect((host, self.uri.port_u16().unwrap_or(443))).await.map_err(unreachable)?;
        let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
        // It ends when the sender is dropped, at the end of this function at the latest.
        tokio::spawn(connection);
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(self.uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::<Bytes>::default())
            .map_err(Error::RequestInvalid)?;
        let answer = sender.send_request(request).await.map_err(Error::Broken)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(Error::Refused { url: self.url.clone(), status });
        }
        Ok(Limited::new(answer.into_body(), most).collect().await.map_err(Error::BodyUnreadable)?.to_bytes())
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn browsers_roots() -> Arc<RootCertStore> {
    Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}
