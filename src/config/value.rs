//! How a setting is written as text, and read back.
//!
//! Knows single values only; `table` lists the settings.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::Secret;

/// A type of setting.
pub(super) trait Value: Sized {
    /// What a value looks like, for the message that refuses another.
    const EXPECTS: &'static str;

    /// What [`Value::measure`] counts.
    const UNIT: &'static str = "";

    /// The value that `text` writes.
    fn parse(text: &str) -> Option<Self>;

    /// The value as text that [`Value::parse`] reads; a secret shows nothing of itself.
    fn show(&self) -> String;

    /// The value as a number, if bounds are to hold: milliseconds, bytes, or the count itself.
    fn measure(&self) -> Option<u64> {
        None
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Where events wait until they are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// In PostgreSQL.
    Postgres,
    /// In RabbitMQ.
    RabbitMq,
}

impl QueueKind {
    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::RabbitMq => "rabbitmq",
        }
    }

    /// The one that is called so.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Postgres, Self::RabbitMq].into_iter().find(|kind| kind.name() == name)
    }
}

impl Value for QueueKind {
    const EXPECTS: &'static str = "`postgres` or `rabbitmq`";

    fn parse(text: &str) -> Option<Self> {
        Self::of_name(text)
    }

    fn show(&self) -> String {
        self.name().to_owned()
    }
}

/// The name of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierName(pub &'static str);

impl Default for TierName {
    fn default() -> Self {
        Self("free")
    }
}

impl Value for TierName {
    const EXPECTS: &'static str = "`free`, `pro` or `enterprise`";

    fn parse(text: &str) -> Option<Self> {
        ["free", "pro", "enterprise"].into_iter().find(|name| *name == text).map(Self)
    }

    fn show(&self) -> String {
        self.0.to_owned()
    }
}

impl Value for SocketAddr {
    const EXPECTS: &'static str = "an IP address and a port, such as `127.0.0.1:8080`";

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("localhost:") {
            Some(port) => Some(Self::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))),
            None => text.parse().ok(),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<SocketAddr> {
    const EXPECTS: &'static str = SocketAddr::EXPECTS;

    fn parse(text: &str) -> Option<Self> {
        SocketAddr::parse(text).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Value::show)
    }
}

impl Value for Option<PathBuf> {
    const EXPECTS: &'static str = "the path of a file";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Some(PathBuf::from(text)))
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Value for Vec<String> {
    const EXPECTS: &'static str = "values separated by commas";

    fn parse(text: &str) -> Option<Self> {
        let parts: Self = text.split(',').map(|part| part.trim().to_owned()).collect();
        parts.iter().all(|part| !part.is_empty()).then_some(parts)
    }

    fn show(&self) -> String {
        self.join(",")
    }
}

impl Value for usize {
    const EXPECTS: &'static str = "a whole number";

    fn parse(text: &str) -> Option<Self> {
        text.replace('_', "").parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn measure(&self) -> Option<u64> {
        u64::try_from(*self).ok()
    }
}

impl Value for ByteSize {
    const EXPECTS: &'static str = "a size such as `256KiB`, `16MiB` or a number of bytes";
    const UNIT: &'static str = " bytes";

    fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = split_number(text);
        let factor: usize = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        digits.parse::<usize>().ok()?.checked_mul(factor).map(Self)
    }

    fn show(&self) -> String {
        let Self(bytes) = *self;
        match bytes {
            0 => "0".to_owned(),
            _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
            _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
            _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
            _ => bytes.to_string(),
        }
    }

    fn measure(&self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl Value for Duration {
    const EXPECTS: &'static str = "a time such as `500ms`, `10s`, `15m` or `1h`";
    const UNIT: &'static str = "ms";

    fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = split_number(text);
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self::from_millis)
    }

    fn show(&self) -> String {
        let millis = self.as_millis();
        match millis {
            0 => "0s".to_owned(),
            _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
            _ => format!("{millis}ms"),
        }
    }

    fn measure(&self) -> Option<u64> {
        u64::try_from(self.as_millis()).ok()
    }
}

impl Value for bool {
    const EXPECTS: &'static str = "`on` or `off`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "on" | "true" => Some(true),
            "off" | "false" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        if *self { "on".to_owned() } else { "off".to_owned() }
    }
}

/// Values that may be left out, and are then shown as nothing.
macro_rules! optional {
    ($($type:ty),*) => {$(
        impl Value for Option<$type> {
            const EXPECTS: &'static str = <$type>::EXPECTS;
            const UNIT: &'static str = <$type>::UNIT;

            fn parse(text: &str) -> Option<Self> {
                <$type>::parse(text).map(Some)
            }

            fn show(&self) -> String {
                self.as_ref().map_or_else(String::new, Value::show)
            }

            fn measure(&self) -> Option<u64> {
                self.as_ref().and_then(Value::measure)
            }
        }
    )*};
}

optional!(bool, usize, String);

impl Value for LogFormat {
    const EXPECTS: &'static str = "`pretty` or `json`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Pretty => "pretty".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}

impl Value for String {
    const EXPECTS: &'static str = "a string that is not empty";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for Option<Secret> {
    const EXPECTS: &'static str = "a string that is not empty";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Some(Secret::new(text)))
    }

    fn show(&self) -> String {
        if self.is_some() { "(secret)".to_owned() } else { String::new() }
    }
}

/// The leading digits (underscores left out), and what follows them.
fn split_number(text: &str) -> (String, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits.replace('_', ""), unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_back_what_they_show() {
        for bytes in [0, 1, 1_000, 1_024, 256 * 1_024, 16 << 20, 3 << 30] {
            assert_eq!(ByteSize::parse(&ByteSize(bytes).show()), Some(ByteSize(bytes)));
        }
        for millis in [0, 1, 500, 1_000, 1_500, 60_000, 900_000, 3_600_000] {
            let time = Duration::from_millis(millis);
            assert_eq!(Duration::parse(&time.show()), Some(time));
        }
    }

    #[test]
    fn a_time_without_a_unit_and_a_size_of_another_base_are_refused() {
        for text in ["10", "", "s", "-1s", "1 week", "99999999999999999999h", "18446744073709551615h"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
        for text in ["", "KiB", "1KB", "-1", "1.5MiB", "99999999999999999999GiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn localhost_is_an_address_and_other_names_are_not() {
        assert_eq!(SocketAddr::parse("localhost:80"), SocketAddr::parse("127.0.0.1:80"));
        assert_eq!(SocketAddr::parse("[::1]:80").map(|address| address.show()), Some("[::1]:80".to_owned()));
        for text in ["8080", ":8080", "example.org:80", "127.0.0.1", "127.0.0.1:65536"] {
            assert_eq!(SocketAddr::parse(text), None, "{text}");
        }
    }
}
