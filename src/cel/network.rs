//! Addresses and ranges of addresses: the values of the network extension.

use std::{fmt, net::IpAddr};

/// An address or a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// An address.
    Address(IpAddr),
    /// An address and how many of its leading bits name the network.
    Range(IpAddr, u8),
}

impl Network {
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Address(_) => "net.IP",
            Self::Range(..) => "net.CIDR",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Range(address, length) => write!(f, "{address}/{length}"),
        }
    }
}
