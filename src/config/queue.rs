//! What the settings of the queue must satisfy together.

use std::net::IpAddr;

use super::{EventSettings, QueueKind, Secret};

/// Errors in the combination of settings that are each valid.
pub(super) fn contradictions(events: &EventSettings) -> Vec<String> {
    let mut mistakes = Vec::new();
    let is_rabbitmq = events.queue == QueueKind::RabbitMq;
    if is_rabbitmq && !cfg!(feature = "rabbitmq") {
        mistakes.push(
            "`TENET_QUEUE` is `rabbitmq`, but this program was built without the feature `rabbitmq`; build it with, or \
             set `postgres`"
                .to_owned(),
        );
    }
    if is_rabbitmq && events.rabbitmq_url.is_none() {
        mistakes.push(
            "`TENET_QUEUE` is `rabbitmq`, but `TENET_RABBITMQ_URL` is not set; set it, such as to \
             `amqps://user:password@host/vhost`"
                .to_owned(),
        );
    }
    if events.redis_url.is_some() && !cfg!(feature = "redis") {
        mistakes.push(
            "`TENET_REDIS_URL` is set, but this program was built without the feature `redis`; build it with, or leave \
             the setting out"
                .to_owned(),
        );
    }
    let urls = [
        ("TENET_RABBITMQ_URL", &events.rabbitmq_url, ["amqp", "amqps"]),
        ("TENET_REDIS_URL", &events.redis_url, ["redis", "rediss"]),
    ];
    for (variable, url, schemes) in urls {
        mistakes.extend(url.as_ref().and_then(|url| mistake_in(variable, url, schemes, events.plaintext)));
    }
    mistakes
}

/// What is wrong with a URL whose scheme is the first without TLS, and the second with.
fn mistake_in(variable: &str, url: &Secret, [plain, secure]: [&str; 2], plaintext: bool) -> Option<String> {
    let Some((scheme, rest)) = url.expose().split_once("://") else {
        return Some(format!("`{variable}` is not a URL; it must begin with `{secure}://`"));
    };
    if scheme == secure {
        return None;
    }
    if scheme != plain {
        return Some(format!("`{variable}` begins with `{scheme}://`; it must begin with `{secure}://`"));
    }
    (!plaintext && !is_loopback(rest)).then(|| {
        format!(
            "`{variable}` begins with `{plain}://`, which sends events and passwords over the network without TLS; use \
             `{secure}://`, or set `TENET_QUEUE_PLAINTEXT=on` where the network is your own"
        )
    })
}

/// Whether the host of what follows a URL's scheme is this machine.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, _)) => host,
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn mistakes(queue: QueueKind, rabbitmq: Option<&str>, redis: Option<&str>, plaintext: bool) -> Vec<String> {
        let (rabbitmq_url, redis_url) = (rabbitmq.map(Secret::new), redis.map(Secret::new));
        contradictions(&EventSettings { queue, rabbitmq_url, redis_url, plaintext, ..Settings::default().events })
    }

    #[test]
    fn a_broker_beyond_this_machine_needs_tls_unless_said_otherwise() {
        let of_url = |url: &str, plaintext| mistakes(QueueKind::RabbitMq, Some(url), None, plaintext).len();
        for fits in
            ["amqps://u:p@broker.example.org/v", "amqp://localhost", "amqp://u:p@127.0.0.1:5672/%2f", "amqp://[::1]:1"]
        {
            assert_eq!(of_url(fits, false), 0, "{fits}");
        }
        for wrong in
            ["amqp://broker.example.org", "amqp://127.0.0.1@broker/v", "amqp://localhost.example.org", "http://x", "x"]
        {
            assert_eq!(of_url(wrong, false), 1, "{wrong}");
        }
        assert_eq!(of_url("amqp://broker.example.org", true), 0);
        let redis = |url| mistakes(QueueKind::RabbitMq, Some("amqp://localhost"), Some(url), false).len();
        assert_eq!((redis("redis://cache"), redis("rediss://cache"), redis("redis://127.0.0.1:1/0")), (1, 0, 0));
    }

    #[test]
    fn what_belongs_together_is_asked_for_together() {
        assert!(mistakes(QueueKind::Postgres, None, None, false).is_empty());
        assert!(mistakes(QueueKind::RabbitMq, None, None, false)[0].contains("TENET_RABBITMQ_URL"));
        assert!(mistakes(QueueKind::Postgres, None, Some("redis://localhost"), false).is_empty(), "rates are shared");
    }
}
