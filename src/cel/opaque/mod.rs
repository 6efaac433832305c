//! Values that functions make and look into, and that nothing else knows the inside of: web addresses, quantities and
//! versions.

mod quantity;
mod semver;
mod url;

use std::{cmp::Ordering, fmt};

pub use quantity::Quantity;
pub use semver::Semver;
pub use url::Url;

/// A value whose inside only its functions know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opaque {
    /// A web address.
    Url(Url),
    /// A number with a unit.
    Quantity(Quantity),
    /// A version.
    Semver(Semver),
}

impl Opaque {
    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Quantity(_) => "quantity",
            Self::Semver(_) => "semver",
        }
    }

    /// The bytes that comparing it with one of its kind looks at, if it can have any number of them.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Url(url) => url.text().len(),
            Self::Quantity(_) | Self::Semver(_) => 0,
        }
    }

    /// The order of two of one kind that has one.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Quantity(left), Self::Quantity(right)) => Some(left.cmp(right)),
            (Self::Semver(left), Self::Semver(right)) => Some(left.order(right)),
            _ => None,
        }
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url.text()),
            Self::Quantity(quantity) => write!(f, "{quantity}"),
            Self::Semver(version) => write!(f, "{version}"),
        }
    }
}
