//! How a command that failed says so: one message for people, and an exit code for scripts.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anyhow::Error;

use crate::{client, cluster, config::Mistakes, load};

/// Prints why a command failed, and answers its exit code.
pub(super) fn report(error: &Error) -> ExitCode {
    // Standard error may be closed; the exit code is set all the same.
    let _ = writeln!(io::stderr(), "error: {}", message(error));
    ExitCode::from(code(error))
}

/// The error and its causes, from the outside in; a cause that the text before it already contains is left out.
fn message(error: &Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

fn code(error: &Error) -> u8 {
    if error.chain().any(is_usage) {
        2
    } else if error.chain().any(is_no_postgres) {
        3
    } else {
        1
    }
}

fn is_usage(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<Mistakes>()
        || matches!(cause.downcast_ref(), Some(client::Error::UrlInvalid { .. }))
        || matches!(
            cause.downcast_ref(),
            Some(load::Error::Unreadable { .. } | load::Error::Malformed { .. } | load::Error::Invalid(_))
        )
}

fn is_no_postgres(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(cluster::Error::NoBinaries { .. }))
}

/// Adds what to do if `error` is a port in use.
pub(super) fn port_in_use(error: Error, listen: SocketAddr) -> Error {
    let in_use = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    if !error.chain().any(in_use) {
        return error;
    }
    error.context(format!(
        "another program listens on `{listen}`: stop it, or choose another address with --listen or TENET_LISTEN"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_tell_failures_apart() {
        let mistakes = Error::new(Mistakes(vec!["`x` is wrong".to_owned()])).context("cannot serve");
        let no_postgres = Error::new(cluster::Error::NoBinaries { looked: Vec::new() });
        assert_eq!(code(&mistakes), 2);
        assert_eq!(code(&Error::new(load::Error::Invalid("no rules".to_owned()))), 2);
        assert_eq!(code(&no_postgres), 3);
        assert_eq!(code(&anyhow::anyhow!("other")), 1);
    }

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::from(io::ErrorKind::ConnectionRefused);
        let unreachable = client::Error::Unreachable { url: "http://127.0.0.1:1".to_owned(), source };
        let error = Error::new(unreachable).context("the service is not healthy");
        let expected = "the service is not healthy: `http://127.0.0.1:1` cannot be reached: connection refused";
        assert_eq!(message(&error), expected);
    }

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        let bind = || Error::new(io::Error::from(io::ErrorKind::AddrInUse)).context("cannot listen");
        let message = format!("{:#}", port_in_use(bind(), listen));
        assert!(message.starts_with("another program listens on `127.0.0.1:8080`: stop it, or"), "{message}");
        let other = port_in_use(Error::new(io::Error::from(io::ErrorKind::PermissionDenied)), listen);
        assert!(!format!("{other:#}").contains("another program"), "{other:#}");
    }
}
