//! Formats of texts: e-mail addresses, names of hosts, IP addresses, URIs. Whether a text has one, as protovalidate says.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Characters of a host's name.
const HOSTNAME_BYTES_MAX: usize = 253;
/// Characters of a part of it.
const LABEL_BYTES_MAX: usize = 63;

/// An e-mail address as the HTML standard takes it, which is less than RFC 5322 does.
pub(super) fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let may_be_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !name.is_empty() && name.bytes().all(may_be_in_name) && domain.split('.').all(is_label)
}

/// A part of a host's name.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A host's name, perhaps with a point at the end; the last part has something beside digits.
pub(super) fn is_hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    text.len() <= HOSTNAME_BYTES_MAX && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// An IP address, of this version if one is given. One of version 6 may have a zone.
pub(super) fn is_ip(text: &str, version: Option<i64>) -> bool {
    match version {
        None => is_v4(text) || is_v6(text),
        Some(4) => is_v4(text),
        Some(6) => is_v6(text),
        Some(_) => false,
    }
}

fn is_v4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(|zone| !zone.is_empty() && !zone.contains('\0'))
}

/// A range of addresses; a strict one has zeros behind its length.
pub(super) fn is_ip_prefix(text: &str, version: Option<i64>, strict: bool) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let is_number = length.len() <= 3 && !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let Some(length) = length.parse::<u32>().ok().filter(|_| is_number && (length == "0" || !length.starts_with('0')))
    else {
        return false;
    };
    let (bits, width, found): (u128, u32, i64) = if let Ok(address) = address.parse::<Ipv4Addr>() {
        (u128::from(address.to_bits()), 32, 4)
    } else if let Ok(address) = address.parse::<Ipv6Addr>() {
        (address.to_bits(), 128, 6)
    } else {
        return false;
    };
    let Some(host_bits) = width.checked_sub(length) else { return false };
    let host = bits & 1_u128.checked_shl(host_bits).map_or(u128::MAX, |end| end - 1);
    version.is_none_or(|version| version == found) && (!strict || host == 0)
}

/// A host's name or address, and a port, which may be left out unless it is required.
pub(super) fn is_host_and_port(text: &str, requires_port: bool) -> bool {
    if let Some(inside) = text.strip_prefix('[') {
        let Some((address, behind)) = inside.rsplit_once(']') else { return false };
        let has_port = match behind.strip_prefix(':') {
            Some(port) => is_port(port),
            None => behind.is_empty() && !requires_port,
        };
        return has_port && is_v6(address);
    }
    match text.rsplit_once(':') {
        None => !requires_port && (is_hostname(text) || is_v4(text)),
        Some((host, port)) => (is_hostname(host) || is_v4(host)) && is_port(port),
    }
}

fn is_port(text: &str) -> bool {
    let is_number = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

/// Nothing, or a colon and any number of digits.
pub(super) fn is_port_or_empty(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A URI of RFC 3986.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && is_rest_of_uri(rest, true)
}

/// A URI of RFC 3986, or a reference relative to one.
pub(super) fn is_uri_reference(text: &str) -> bool {
    is_uri(text) || is_rest_of_uri(text, false)
}

/// What stands behind a scheme. Without one, the first part of a path that does not begin with `/` has no colon.
fn is_rest_of_uri(text: &str, has_scheme: bool) -> bool {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !has_characters(fragment, b":@/?") || !has_characters(query, b":@/?") {
        return false;
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => {
            let first = rest.split('/').next().unwrap_or_default();
            if !has_scheme && first.contains(':') {
                return false;
            }
            rest
        }
    };
    has_characters(path, b":@/")
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.split_once('@').unwrap_or(("", authority));
    if !has_characters(user, b":") {
        return false;
    }
    if let Some(inside) = host.strip_prefix('[') {
        let Some((literal, port)) = inside.split_once(']') else { return false };
        return is_port_or_empty(port) && is_ip_literal(literal);
    }
    let (name, port) = host.split_at_checked(host.find(':').unwrap_or(host.len())).unwrap_or((host, ""));
    is_port_or_empty(port) && has_characters(name, b"") && is_text_when_decoded(name)
}

/// An IPv6 address, perhaps with a zone behind `%25`, or one of a version to come.
fn is_ip_literal(literal: &str) -> bool {
    if let Some(future) = literal.strip_prefix(['v', 'V']) {
        let Some((version, address)) = future.split_once('.') else { return false };
        return !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !address.is_empty()
            && !address.contains('%')
            && has_characters(address, b":");
    }
    match literal.split_once('%') {
        None => literal.parse::<Ipv6Addr>().is_ok(),
        Some((address, zone)) => {
            let zone = zone.strip_prefix("25").unwrap_or_default();
            let is_zone = zone.bytes().all(|byte| is_unreserved(byte) || byte == b'%');
            address.parse::<Ipv6Addr>().is_ok()
                && !zone.is_empty()
                && is_zone
                && has_characters(zone, b"")
                && is_text_when_decoded(zone)
        }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether the text has nothing but unreserved characters, those that divide parts, `more`, and `%` with two digits.
fn has_characters(text: &str, more: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let is_right = match byte {
            b'%' => is_digit(bytes.next()) && is_digit(bytes.next()),
            _ => is_unreserved(byte) || b"!$&'()*+,;=".contains(&byte) || more.contains(&byte),
        };
        if !is_right {
            return false;
        }
    }
    true
}

/// Whether what stands behind the `%` is UTF-8.
fn is_text_when_decoded(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or_default();
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next()) * 16 + digit(bytes.next())).unwrap_or_default(),
            other => other,
        });
    }
    std::str::from_utf8(&decoded).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accepts: fn(&str) -> bool, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert!(accepts(text), "{text}");
        }
        for text in wrong {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn addresses_and_names_are_told_from_what_is_none() {
        let long = format!("{}.example", "a".repeat(64));
        check(
            is_email,
            &["foo@example.com", "a.b+c@x", "!@x.y", ".a..b.@x"],
            &["", "foo", "@x", "foo@", "foo@-x", "foo@x-", "foo@x..y", "a b@x", "ü@x", "foo@x\n", "a@b@c", "a@x."],
        );
        check(
            is_hostname,
            &["example.com", "a", "A-1.b", "example.com.", "1.com", "xn--bcher-kva"],
            &["", ".", "a..b", "-a", "a-", "a_b", "127.0.0.1", "a.1", "ü.com", &long, "a.com..", " a"],
        );
        check(
            |text| is_ip(text, None),
            &["1.2.3.4", "::", "::1", "fe80::a%en1", "::ffff:1.2.3.4"],
            &["", "1.2.3", "1.2.3.04", "256.0.0.1", "::%", "g::", "1.2.3.4%x", "1:2:3:4:5:6:7"],
        );
        assert!(is_ip("::1", Some(6)) && !is_ip("::1", Some(4)) && !is_ip("1.2.3.4", Some(5)));
        check(
            |text| is_ip_prefix(text, None, false),
            &["10.0.0.1/8", "::/0", "::1/128", "1.2.3.4/32"],
            &["", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/", "::/129", "fe80::a%en1/64", "1.2.3.4/+8", "a/8"],
        );
        check(
            |text| is_ip_prefix(text, None, true),
            &["10.0.0.0/8", "::/0", "::1/128", "0.0.0.0/0"],
            &["10.0.0.1/8", "::1/64"],
        );
        assert!(is_ip_prefix("10.0.0.0/8", Some(4), true) && !is_ip_prefix("10.0.0.0/8", Some(6), true));
        check(
            |text| is_host_and_port(text, false),
            &["a.b", "a.b:80", "1.2.3.4:0", "[::1]", "[::1]:65535"],
            &["", ":80", "a:", "a:080", "a:65536", "::1", "[::1]x", "[1.2.3.4]:1", "a:b", "[::1", "a:123456"],
        );
        check(|text| is_host_and_port(text, true), &["a:1", "[::1]:1"], &["a", "[::1]"]);
    }

    #[test]
    fn uris_are_those_of_the_standard() {
        check(
            is_uri,
            &[
                "ftp://example.com/a;b?c=d#e",
                "mailto:a@b.c",
                "https://u:p@[2001:db8::1]:80/",
                "a:",
                "urn:x:y",
                "a:/b//c",
                "https://%c3%bc.de",
                "http://[v1.a:b]",
                "http://[fe80::1%25en0]",
                "http://a:/",
                "a:?",
                "file:///x",
                "http://h:99999999999",
            ],
            &[
                "",
                "a",
                "/a",
                "1a:b",
                ":a",
                "a b:c",
                "http://a b",
                "http://%zz",
                "http://[::1",
                "http://a:b",
                "a:#b#c",
                "http://[1.2.3.4]",
                "http://a@b@c",
                "a:ü",
                "http://%ff",
                "a:<",
                "http://[fe80::1%en0]",
                "a:^",
            ],
        );
        check(
            is_uri_reference,
            &["", "a", "/a", "./b:c", "?q", "#f", "//host/x", "../a", "http://a", "a/b:c"],
            &["a b", "1:2", "%", "#a#b", "//h:x", "\\", ":a"],
        );
    }
}
