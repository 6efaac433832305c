//! What settings must satisfy together. Each alone is checked where it is read.

use std::net::Ipv6Addr;

use super::{Secret, Settings, jwt, queue};

/// Characters of an operator key at least: at 16 random characters guessing is hopeless even without a limit on tries.
const OPERATOR_KEY_CHARS_MIN: usize = 16;

/// What the settings are for; it decides which of them must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `tenet serve`: a database must be there; a key of an operator is asked for once that is read.
    Serve,
    /// `tenet dev`: nothing must be there, as long as only this machine can reach it.
    Develop,
    /// `tenet migrate`: a database must be there.
    Migrate,
    /// Only single settings are read, as in `tenet health`: combinations are not checked.
    Look,
}

/// Errors in the combination of settings that are each valid.
pub(super) fn contradictions(settings: &Settings, purpose: Purpose) -> Vec<String> {
    let mut mistakes = Vec::new();
    match purpose {
        Purpose::Serve => mistakes.extend(required_url(settings)),
        Purpose::Develop => mistakes.extend([open_key(settings), orphan_migration_url(settings)].into_iter().flatten()),
        Purpose::Migrate => {
            let none = settings.database.url.is_none() && settings.database.migration_url.is_none();
            mistakes.extend(none.then(|| MISSING_URL.to_owned()));
        }
        Purpose::Look => return mistakes,
    }
    mistakes.extend(key_length(settings));
    mistakes.extend(faults_on_loopback(settings));
    mistakes.extend(tls_pair(settings));
    mistakes.extend(jwt::contradictions(&settings.jwt));
    mistakes.extend(host_forms(&settings.http.hosts));
    mistakes.extend(origin_forms(&settings.http.cors_origins));
    mistakes.extend(url_form("DATABASE_URL", settings.database.url.as_ref()));
    mistakes.extend(url_form("DATABASE_MIGRATION_URL", settings.database.migration_url.as_ref()));
    mistakes.extend(role_form(&settings.database.role));
    mistakes.extend(filter_form(&settings.telemetry.log_filter));
    mistakes.extend(orders(settings));
    mistakes.extend(queue::contradictions(&settings.events));
    mistakes
}

const MISSING_URL: &str = "`DATABASE_URL` is not set; set it to the PostgreSQL database to use, \
                           such as `postgresql://user:password@host/database`";

fn required_url(settings: &Settings) -> Option<String> {
    settings.database.url.is_none().then(|| MISSING_URL.to_owned())
}

fn open_key(settings: &Settings) -> Option<String> {
    let http = &settings.http;
    (http.operator_key.is_none() && !http.listen.ip().is_loopback()).then(|| {
        format!(
            "`TENET_LISTEN` is `{}`, which other machines can reach, but `TENET_OPERATOR_KEY` is not set; \
             set a key, or listen on `127.0.0.1`",
            http.listen
        )
    })
}

fn orphan_migration_url(settings: &Settings) -> Option<String> {
    (settings.database.url.is_none() && settings.database.migration_url.is_some()).then(|| {
        "`DATABASE_MIGRATION_URL` is set, but `DATABASE_URL` is not; \
         set both to use that database, or neither to use a private one"
            .to_owned()
    })
}

fn faults_on_loopback(settings: &Settings) -> Option<String> {
    let addresses = [Some(settings.http.listen), settings.http.admin_listen];
    let open = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback());
    open.filter(|_| settings.http.faults).map(|address| {
        format!("`TENET_FAULTS` is on, and other machines can reach `{address}`; turn it off, or listen on `127.0.0.1`")
    })
}

fn key_length(settings: &Settings) -> Option<String> {
    let chars = settings.http.operator_key.as_ref()?.expose().chars().count();
    (chars < OPERATOR_KEY_CHARS_MIN).then(|| {
        format!(
            "`TENET_OPERATOR_KEY` has {chars} characters; it needs {OPERATOR_KEY_CHARS_MIN} or more random characters"
        )
    })
}

fn tls_pair(settings: &Settings) -> Option<String> {
    let http = &settings.http;
    (http.tls_certificate.is_some() != http.tls_key.is_some())
        .then(|| "only one of `TENET_TLS_CERTIFICATE` and `TENET_TLS_KEY` is set; set both, or neither".to_owned())
}

fn host_forms(hosts: &[String]) -> Vec<String> {
    let is_host = |host: &str| {
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match address {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        }
    };
    let wrong = hosts.iter().filter(|host| !is_host(host));
    wrong
        .map(|host| {
            format!(
                "`TENET_HOSTS` has `{host}`, which is not a host; write a name or an address without scheme, port and `*`, \
                 such as `api.example.org` or `[2001:db8::1]`"
            )
        })
        .collect()
}

fn origin_forms(origins: &[String]) -> Vec<String> {
    let is_origin = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', '?', '#', '@', ' ']))
    };
    let wrong = origins.iter().filter(|origin| !is_origin(origin));
    wrong
        .map(|origin| {
            format!(
                "`TENET_CORS_ORIGINS` has `{origin}`, which is not an origin; write a scheme, a host and, if needed, a port, \
                 such as `https://console.example.org`"
            )
        })
        .collect()
}

fn url_form(variable: &str, url: Option<&Secret>) -> Option<String> {
    let url = url?.expose();
    let Some(rest) = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://")) else {
        return Some(format!(
            "`{variable}` is not the address of a PostgreSQL database; it must begin with `postgresql://`"
        ));
    };
    // One `@` ends the user and password. A second one, or one after a `/`, belongs to a password that is not encoded.
    let before_query = rest.split('?').next().unwrap_or(rest);
    let after_authority = before_query.split_once('/').is_some_and(|(_, path)| path.contains('@'));
    (after_authority || before_query.matches('@').count() > 1 || before_query.contains('#')).then(|| {
        format!(
            "`{variable}` has a character in its password that ends a part of the address; write `@` as `%40`, `/` as \
             `%2F`, `#` as `%23` and `%` as `%25`, or leave the password out and set `PGPASSWORD`"
        )
    })
}

/// The role's name goes into statements that take no parameters, so that it is kept to what needs no quoting.
fn role_form(role: &str) -> Option<String> {
    let plain = role.len() <= 63
        && role.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && role.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !role.starts_with("pg_");
    (!plain).then(|| {
        format!(
            "`TENET_DATABASE_ROLE` is `{role}`; use up to 63 of `a-z`, `0-9` and `_`, \
             beginning neither with a digit nor with `pg_`"
        )
    })
}

fn filter_form(filter: &str) -> Option<String> {
    let mistake = tracing_subscriber::EnvFilter::try_new(filter).err()?;
    Some(format!("`TENET_LOG` is `{filter}`, which is not a valid log filter: {mistake}; a valid one is `info`"))
}

/// Pairs of settings of which the one must not exceed the other.
fn orders(settings: &Settings) -> Vec<String> {
    let Settings { http, database, engine, .. } = settings;
    let mut mistakes = Vec::new();
    if engine.stale_after < engine.reconcile_interval {
        mistakes.push(
            "`TENET_STALE_AFTER` is less than `TENET_RECONCILE_INTERVAL`, so every decision would be marked stale; \
             raise the former or lower the latter"
                .to_owned(),
        );
    }
    if database.lock_timeout >= database.statement_timeout {
        mistakes.push(
            "`TENET_LOCK_TIMEOUT` is not less than `TENET_STATEMENT_TIMEOUT`, so a statement would time out \
             before its wait for a lock does; lower the former or raise the latter"
                .to_owned(),
        );
    }
    for (variable, limit) in
        [("TENET_RULES_BODY_LIMIT", http.rules_body_limit), ("TENET_BATCH_BODY_LIMIT", http.batch_body_limit)]
    {
        if limit < http.body_limit {
            mistakes
                .push(format!("`{variable}` is less than `TENET_BODY_LIMIT`, but it is for larger bodies; raise it"));
        }
    }
    mistakes
}
