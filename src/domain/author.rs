//! Who makes a change, as the logs name them.

use std::net::IpAddr;

use super::{ApiKeyId, Principal};

/// Who makes a change, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who it is: `operator`, `operator:<key>`, `key:<key>`, or the command that was run.
    pub actor: String,
    /// The stored key that was shown, if it was one.
    pub key: Option<ApiKeyId>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Where the request came from: the nearest hop, since headers about further ones can be invented.
    pub address: Option<IpAddr>,
}

impl Author {
    /// Whoever runs a command on the database itself.
    pub fn command(name: &str) -> Self {
        Self { actor: name.to_owned(), key: None, request_id: None, address: None }
    }

    /// Who was let in with a request.
    pub fn of_request(principal: &Principal, request_id: Option<String>, address: Option<IpAddr>) -> Self {
        Self { actor: principal.actor(), key: principal.key(), request_id, address }
    }
}

impl Default for Author {
    /// The service itself.
    fn default() -> Self {
        Self::command("tenet")
    }
}
