//! The network extension: addresses and ranges of addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::{Declaration, Fault, Outcome, Value, no_overload};
use crate::cel::network::Network;

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("ip", &["ip(string): net.IP", "net.CIDR.ip(): net.IP"], |_, arguments| match arguments {
        [Value::String(text)] => address(text).map(|found| network(Network::Address(found))).map_err(conversion),
        [Value::Network(found)] => match **found {
            Network::Range(address, _) => Ok(network(Network::Address(address))),
            Network::Address(_) => Err(no_overload("ip", arguments)),
        },
        _ => Err(no_overload("ip", arguments)),
    }),
    ("isIP", &["isIP(string): bool"], |_, arguments| match arguments {
        [Value::String(text)] => Ok(Value::Bool(address(text).is_ok())),
        _ => Err(no_overload("isIP", arguments)),
    }),
    ("isCIDR", &["isCIDR(string): bool"], |_, arguments| match arguments {
        [Value::String(text)] => Ok(Value::Bool(range(text).is_ok())),
        _ => Err(no_overload("isCIDR", arguments)),
    }),
    ("ip.isCanonical", &["ip.isCanonical(string): bool"], |_, arguments| match arguments {
        [Value::String(text)] => {
            let found = address(text).map_err(conversion)?;
            Ok(Value::Bool(found.to_string() == **text))
        }
        _ => Err(no_overload("ip.isCanonical", arguments)),
    }),
    ("cidr", &["cidr(string): net.CIDR"], |_, arguments| match arguments {
        [Value::String(text)] => {
            range(text).map(|(found, length)| network(Network::Range(found, length))).map_err(conversion)
        }
        _ => Err(no_overload("cidr", arguments)),
    }),
    ("family", &["net.IP.family(): int"], |_, arguments| match as_address(arguments) {
        Some(found) => Ok(Value::Int(if found.is_ipv4() { 4 } else { 6 })),
        None => Err(no_overload("family", arguments)),
    }),
    ("isUnspecified", &["net.IP.isUnspecified(): bool"], |_, arguments| {
        test("isUnspecified", arguments, |found| found.is_unspecified())
    }),
    ("isLoopback", &["net.IP.isLoopback(): bool"], |_, arguments| {
        test("isLoopback", arguments, |found| found.is_loopback())
    }),
];

pub(super) const MORE: &[Declaration] = &[
    ("isGlobalUnicast", &["net.IP.isGlobalUnicast(): bool"], |_, arguments| {
        test("isGlobalUnicast", arguments, |found| {
            !found.is_unspecified()
                && !found.is_loopback()
                && !found.is_multicast()
                && !is_link_local(found)
                && *found != IpAddr::V4(Ipv4Addr::BROADCAST)
        })
    }),
    ("isLinkLocalUnicast", &["net.IP.isLinkLocalUnicast(): bool"], |_, arguments| {
        test("isLinkLocalUnicast", arguments, is_link_local)
    }),
    ("isLinkLocalMulticast", &["net.IP.isLinkLocalMulticast(): bool"], |_, arguments| {
        test("isLinkLocalMulticast", arguments, |found| match found {
            IpAddr::V4(found) => matches!(found.octets(), [224, 0, 0, _]),
            IpAddr::V6(found) => matches!(found.octets(), [0xff, second, ..] if second & 0x0f == 2),
        })
    }),
    ("containsIP", &["net.CIDR.containsIP(net.IP): bool", "net.CIDR.containsIP(string): bool"], |_, arguments| {
        let (Some((outer, length)), Some(inner)) = (as_range(arguments), arguments.get(1)) else {
            return Err(no_overload("containsIP", arguments));
        };
        let inner = match inner {
            Value::String(text) => address(text).map_err(conversion)?,
            Value::Network(found) => match **found {
                Network::Address(found) => found,
                Network::Range(..) => return Err(no_overload("containsIP", arguments)),
            },
            _ => return Err(no_overload("containsIP", arguments)),
        };
        Ok(Value::Bool(contains(outer, length, inner)))
    }),
    (
        "containsCIDR",
        &["net.CIDR.containsCIDR(net.CIDR): bool", "net.CIDR.containsCIDR(string): bool"],
        |_, arguments| {
            let (Some((outer, length)), Some(inner)) = (as_range(arguments), arguments.get(1)) else {
                return Err(no_overload("containsCIDR", arguments));
            };
            let (inner, inner_length) = match inner {
                Value::String(text) => range(text).map_err(conversion)?,
                Value::Network(found) => match **found {
                    Network::Range(found, length) => (found, length),
                    Network::Address(_) => return Err(no_overload("containsCIDR", arguments)),
                },
                _ => return Err(no_overload("containsCIDR", arguments)),
            };
            Ok(Value::Bool(length <= inner_length && contains(outer, length, inner)))
        },
    ),
    ("inIPAddrRange", &["string.inIPAddrRange(string): bool", "net.IP.inIPAddrRange(string): bool"], |_, arguments| {
        let (inner, outer) = match arguments {
            [Value::String(inner), Value::String(outer)] => (address(inner).map_err(conversion)?, outer),
            [Value::Network(inner), Value::String(outer)] => match **inner {
                Network::Address(inner) => (inner, outer),
                Network::Range(..) => return Err(no_overload("inIPAddrRange", arguments)),
            },
            _ => return Err(no_overload("inIPAddrRange", arguments)),
        };
        let (outer, length) = range(outer).map_err(conversion)?;
        Ok(Value::Bool(contains(outer, length, inner)))
    }),
    ("masked", &["net.CIDR.masked(): net.CIDR"], |_, arguments| match as_range(arguments) {
        Some((found, length)) => Ok(network(Network::Range(masked(found, length), length))),
        None => Err(no_overload("masked", arguments)),
    }),
    ("prefixLength", &["net.CIDR.prefixLength(): int"], |_, arguments| match as_range(arguments) {
        Some((_, length)) => Ok(Value::Int(i64::from(length))),
        None => Err(no_overload("prefixLength", arguments)),
    }),
];

fn network(network: Network) -> Value {
    Value::Network(Arc::new(network))
}

#[cold]
fn conversion(message: String) -> Fault {
    Fault::new("invalid_conversion", message)
}

fn as_address(arguments: &[Value]) -> Option<&IpAddr> {
    match arguments.first() {
        Some(Value::Network(found)) => match &**found {
            Network::Address(found) => Some(found),
            Network::Range(..) => None,
        },
        _ => None,
    }
}

fn as_range(arguments: &[Value]) -> Option<(IpAddr, u8)> {
    match arguments.first() {
        Some(Value::Network(found)) => match **found {
            Network::Range(found, length) => Some((found, length)),
            Network::Address(_) => None,
        },
        _ => None,
    }
}

fn test(name: &str, arguments: &[Value], accepts: fn(&IpAddr) -> bool) -> Outcome {
    as_address(arguments).map(|found| Value::Bool(accepts(found))).ok_or_else(|| no_overload(name, arguments))
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => matches!(address.octets(), [0xfe, second, ..] if second & 0xc0 == 0x80),
    }
}

/// Reads an address. An IPv4 address inside an IPv6 one is refused where it is written with points, and is the IPv4
/// address where it is not.
fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("the address `{text}` has a zone, which is not allowed"));
    }
    if text.contains(':') && text.contains('.') {
        return Err(format!("`{text}` is an IPv4 address written as an IPv6 one, which is not allowed"));
    }
    let found: IpAddr = text.parse().map_err(|_| format!("`{text}` is not an IP address"))?;
    Ok(found.to_canonical())
}

fn range(text: &str) -> Result<(IpAddr, u8), String> {
    let bad = || format!("`{text}` is not an address range such as `192.168.0.0/24`");
    let (network, length) = text.split_once('/').ok_or_else(bad)?;
    if length.len() > 1 && length.starts_with(['0', '+']) {
        return Err(bad());
    }
    let length: u8 = length.parse().map_err(|_| bad())?;
    let network = address(network)?;
    let bits = if network.is_ipv4() { 32 } else { 128 };
    if length > bits { Err(bad()) } else { Ok((network, length)) }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

fn contains(outer: IpAddr, length: u8, inner: IpAddr) -> bool {
    outer.is_ipv4() == inner.is_ipv4() && masked(outer, length) == masked(inner, length)
}
