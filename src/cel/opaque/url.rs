//! Web addresses: an absolute one, or a path that begins with `/`, as Go's `url.ParseRequestURI` reads them for Kubernetes.

use super::super::text_format::is_port_or_empty;

/// A web address, and where its parts stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    text: Box<str>,
    scheme: Box<str>,
    host: Box<str>,
    path: Box<str>,
    query: Box<str>,
}

impl Url {
    /// Reads an address.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return None;
        }
        let (rest, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = match scheme_end(rest) {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
            None => ("", rest),
        };
        if scheme.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let (host, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            Some(rest) => {
                let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
                let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
                if !user.bytes().all(may_be_in_user) || !is_host(host) {
                    return None;
                }
                (host, path)
            }
            // One that has no place on a server, such as `mailto:`, has no path.
            None if !rest.starts_with('/') => ("", ""),
            None => ("", rest),
        };
        let path = escaped_path(path)?;
        let lower = scheme.to_ascii_lowercase();
        Some(Self { text: text.into(), scheme: lower.into(), host: host.into(), path, query: query.into() })
    }

    /// What was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scheme in lower case; empty for a path.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host, with its port if there is one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host without its port, and an IPv6 address without its brackets.
    pub fn hostname(&self) -> &str {
        match self.host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => self.host.split_once(':').map_or(&self.host, |(name, _)| name),
        }
    }

    /// The port, or nothing.
    pub fn port(&self) -> &str {
        let behind = self.host.rfind(']').map_or(&*self.host, |end| self.host.get(end..).unwrap_or_default());
        behind.split_once(':').map_or("", |(_, port)| port)
    }

    /// The path, with `%` and two digits for what cannot stand in one.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names and values behind the question mark, in their order. What cannot be read is left out.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> {
        self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name, true)?, decoded(value, true)?))
        })
    }

    /// Bytes of what stands behind the question mark, and how many names there can be.
    pub fn query_extent(&self) -> (usize, usize) {
        (self.query.len(), self.query.matches('&').count() + 1)
    }
}

/// Where the colon behind a scheme stands.
fn scheme_end(text: &str) -> Option<usize> {
    let end =
        text.find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '+' | '-' | '.'))?;
    let is_scheme = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.get(end..)?.starts_with(':');
    is_scheme.then_some(end)
}

fn may_be_in_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

/// A host with a port or without: a name, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    let (name, port) = if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return false };
        host.split_at_checked(end + 1).unwrap_or((host, ""))
    } else {
        host.split_at_checked(host.find(':').unwrap_or(host.len())).unwrap_or((host, ""))
    };
    let may_be_in_name =
        |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_.~!$&'()*+,;=:[]%<>\"".contains(&byte);
    is_port_or_empty(port) && name.bytes().all(may_be_in_name) && decoded(name, false).is_some()
}

/// The path as it is written if it can be written so, else with `%` and two digits for what cannot; `None` if it has a `%`
/// without them.
fn escaped_path(path: &str) -> Option<Box<str>> {
    let plain = decoded_bytes(path, false)?;
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    if path.bytes().all(|byte| stays(byte) || b"!'()*[]%".contains(&byte)) {
        return Some(path.into());
    }
    let mut escaped = String::with_capacity(path.len() * 3);
    for byte in plain {
        if stays(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(escaped.into())
}

/// The bytes that a text with `%` and two digits stands for.
fn decoded_bytes(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Some(decoded)
}

fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    decoded_bytes(text, plus_is_space).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_addresses_are_found() {
        for (text, parts) in [
            ("https://user:pass@Example.com:80/a/b?q=1", ["https", "Example.com:80", "Example.com", "80", "/a/b"]),
            ("HTTP://example.com", ["http", "example.com", "example.com", "", ""]),
            ("https://[::1]:8080/x", ["https", "[::1]:8080", "::1", "8080", "/x"]),
            ("https://[::1]/x", ["https", "[::1]", "::1", "", "/x"]),
            ("/absolute/path", ["", "", "", "", "/absolute/path"]),
            ("//host/path", ["", "", "", "", "//host/path"]),
            (
                "https://example.com/path with spaces/",
                ["https", "example.com", "example.com", "", "/path%20with%20spaces/"],
            ),
            ("https://example.com/%41?x#y", ["https", "example.com", "example.com", "", "/%41"]),
            ("mailto:a@b.c", ["mailto", "", "", "", ""]),
            ("https://example.com:/", ["https", "example.com:", "example.com", "", "/"]),
        ] {
            let url = Url::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!([url.scheme(), url.host(), url.hostname(), url.port(), url.path()], parts, "{text}");
        }
        for text in
            ["", "example.com", "../relative", "://x", "http://a b/", "http://h:port/", "http://[::1", "/%zz", "a\n"]
        {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_in_its_order() {
        let url = Url::parse("/p?k1=a&k2=b+c&k1=%64&&bad=%zz&x;y=1&flag").unwrap();
        let pairs: Vec<_> = url.query().collect();
        let expected = [("k1", "a"), ("k2", "b c"), ("k1", "d"), ("flag", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
