//! Settings as operators write them, right and wrong.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use super::*;

const URL: &str = "postgresql://tenet:hush@localhost/tenet";
const KEY: &str = "0123456789abcdef";

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What an operator must set, and these.
fn served(pairs: &[(&str, &str)]) -> Sources {
    let mut all = environment(&[("DATABASE_URL", URL), ("TENET_OPERATOR_KEY", KEY)]);
    all.extend(environment(pairs));
    Sources { environment: all, ..Sources::default() }
}

fn file(content: &str) -> Sources {
    Sources { file: Some((PathBuf::from("tenet.toml"), content.to_owned())), ..served(&[]) }
}

fn mistakes(sources: &Sources, purpose: Purpose) -> Vec<String> {
    match Settings::read(sources, purpose) {
        Ok(_) => Vec::new(),
        Err(Mistakes(mistakes)) => mistakes,
    }
}

#[track_caller]
fn refused(sources: &Sources, parts: &[&str]) {
    let found = mistakes(sources, Purpose::Serve);
    let [mistake] = found.as_slice() else { panic!("one mistake expected: {found:#?}") };
    for part in parts {
        assert!(mistake.contains(part), "`{part}` expected in: {mistake}");
    }
}

#[test]
fn a_flag_outranks_the_environment_and_that_the_file() {
    let mut sources =
        file("[http]\nlisten = '0.0.0.0:1'\nworkers = 1\nbody_limit = '1MiB'\n[engine]\nidle_stop = '1m'");
    sources.environment.extend(environment(&[("TENET_LISTEN", "0.0.0.0:2"), ("TENET_HTTP_WORKERS", "2")]));
    sources.flags.push(("http.listen", "0.0.0.0:3".to_owned()));
    let settings = Settings::read(&sources, Purpose::Serve).ok().unwrap();
    assert_eq!(settings.http.listen.port(), 3);
    assert_eq!(settings.http.workers, 2);
    assert_eq!(settings.http.body_limit, ByteSize(1 << 20));
    assert_eq!(settings.engine.idle_stop, Duration::from_secs(60));
    assert_eq!(settings.engine.stale_after, Settings::default().engine.stale_after);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let sources = Sources {
        environment: environment(&[
            ("TENET_OPERATOR_KEY", "short"),
            ("TENET_LISEN", "127.0.0.1:1"),
            ("TENET_IDLE_STOP", "soon"),
        ]),
        file: Some((
            PathBuf::from("tenet.toml"),
            "[http]\nworker = 1\nlisten = true\n[engin]\nidle_stop = 1".to_owned(),
        )),
        flags: vec![("http.listen", "nowhere".to_owned())],
    };
    let found = mistakes(&sources, Purpose::Serve);
    let expected = [
        "tenet.toml, line 5: unknown setting `engin.idle_stop`; did you mean `engine.idle_stop`?",
        "tenet.toml, line 3: `http.listen` must be a string or a whole number",
        "tenet.toml, line 2: unknown setting `http.worker`; did you mean `http.workers`?",
        "environment: unknown setting `TENET_LISEN`; did you mean `TENET_LISTEN`?",
        "environment: `soon` of `TENET_IDLE_STOP` is invalid; it must be a time such as",
        "command line: `nowhere` of `http.listen` is invalid; it must be an IP address and a port",
        "`DATABASE_URL` is not set",
        "`TENET_OPERATOR_KEY` has 5 characters; it needs 16 or more",
    ];
    for part in expected {
        assert!(found.iter().any(|mistake| mistake.contains(part)), "`{part}` expected in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_secret_is_never_shown() {
    let sources = Sources {
        environment: environment(&[("DATABASE_URL", "mysql://tenet:hush@localhost"), ("TENET_OPERATOR_KEY", "hush")]),
        file: Some((PathBuf::from("tenet.toml"), "[http]\noperator_key = \"hush\" hush\n".to_owned())),
        ..Sources::default()
    };
    let found = mistakes(&sources, Purpose::Serve);
    assert!(found.len() >= 3, "{found:#?}");
    assert!(!found.join("\n").contains("hush"), "{found:#?}");
    let settings = Settings::read(&served(&[]), Purpose::Serve).ok().unwrap();
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        assert!(["", "(secret)"].contains(&setting.show(&settings).as_str()), "{}", setting.key);
    }
}

#[test]
fn a_password_that_must_be_encoded_is_named_as_such_and_not_shown() {
    for password in ["hu@sh", "hu/sh", "hu#sh", "h@u/sh"] {
        let url = format!("postgresql://tenet:{password}@localhost/tenet");
        let found = mistakes(&served(&[("DATABASE_URL", &url)]), Purpose::Serve);
        assert!(found.iter().any(|mistake| mistake.contains("`%40`") && mistake.contains("PGPASSWORD")), "{found:#?}");
        assert!(!found.join("\n").contains(password), "{found:#?}");
    }
    for url in [
        "postgresql://tenet:hu%40s%2Fh%23@localhost:5432/tenet?sslmode=require",
        "postgresql://tenet@localhost/tenet",
        "postgresql:///tenet?host=/run/postgresql&user=me@example.org",
    ] {
        assert_eq!(mistakes(&served(&[("DATABASE_URL", url)]), Purpose::Serve), Vec::<String>::new());
    }
}

#[test]
fn a_variable_of_somebody_else_is_left_alone() {
    let sources = served(&[
        ("PATH", "/bin"),
        ("TENET_PG_BIN", "/usr/lib/postgresql/15/bin"),
        ("TENET_SERVICE_HOST", "10.0.0.1"),
        ("TENET_SERVICE_PORT_HTTP", "8080"),
        ("TENET_PORT", "tcp://10.0.0.1:8080"),
        ("TENET_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TENET_LISTEN", ""),
    ]);
    assert_eq!(mistakes(&sources, Purpose::Serve), Vec::<String>::new());
    refused(&served(&[("TENET_PORT", "8080")]), &["unknown setting `TENET_PORT`"]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(&served(&[("TENET_STALE_AFTER", "500ms")]), &["TENET_STALE_AFTER", "TENET_RECONCILE_INTERVAL"]);
    refused(&served(&[("TENET_LOCK_TIMEOUT", "5s")]), &["TENET_LOCK_TIMEOUT", "TENET_STATEMENT_TIMEOUT"]);
    refused(&served(&[("TENET_RULES_BODY_LIMIT", "1KiB")]), &["TENET_RULES_BODY_LIMIT", "TENET_BODY_LIMIT"]);
    refused(&served(&[("TENET_BATCH_BODY_LIMIT", "1KiB")]), &["TENET_BATCH_BODY_LIMIT", "TENET_BODY_LIMIT"]);
}

#[test]
fn an_issuer_of_tokens_needs_its_audience_algorithm_and_keys() {
    let whole = [
        ("TENET_JWT_ISSUER", "https://issuer.example"),
        ("TENET_JWT_AUDIENCE", "tenet"),
        ("TENET_JWT_ALGORITHM", "EdDSA"),
        ("TENET_JWT_JWKS", "/etc/tenet/jwks.json"),
    ];
    assert_eq!(mistakes(&served(&whole), Purpose::Serve), Vec::<String>::new());
    for missing in 1..whole.len() {
        let rest: Vec<_> = whole.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, pair)| *pair).collect();
        refused(&served(&rest), &["`TENET_JWT_ISSUER` is set", whole[missing].0]);
        refused(&served(&[whole[missing]]), &["`TENET_JWT_ISSUER` is not", whole[missing].0]);
    }
    let with = |more| served(&[&whole[..], &[more]].concat());
    assert_eq!(mistakes(&with(("TENET_JWT_ROLES", "cn=a=owner,b=operator")), Purpose::Serve), Vec::<String>::new());
    for wrong in ["root", "=owner", "a=root", "a=Owner"] {
        refused(&with(("TENET_JWT_ROLES", wrong)), &["TENET_JWT_ROLES", wrong, "`operator`"]);
    }
    for wrong in ["http://issuer.example/jwks", "file:///jwks.json", "HTTPS://issuer.example/jwks"] {
        refused(&served(&[whole[0], whole[1], whole[2], ("TENET_JWT_JWKS", wrong)]), &["TENET_JWT_JWKS", "`https://`"]);
    }
    refused(&with(("TENET_JWT_AUTHORITIES", "/etc/ca.pem")), &["TENET_JWT_AUTHORITIES", "not an `https://` address"]);
    for wrong in ["HS256", "none", "rs256", "RS512"] {
        let sources = served(&[whole[0], whole[1], whole[3], ("TENET_JWT_ALGORITHM", wrong)]);
        let found = mistakes(&sources, Purpose::Serve);
        assert!(found.iter().any(|mistake| mistake.contains("`RS256`, `ES256` or `EdDSA`")), "{found:#?}");
    }
}

#[test]
fn a_value_out_of_bounds_or_form_is_refused() {
    refused(&served(&[("TENET_POOL_SIZE", "0")]), &["out of range", "from 1 to 1000"]);
    refused(&served(&[("TENET_BODY_LIMIT", "1B")]), &["out of range", "from 1024 bytes to"]);
    refused(&served(&[("TENET_ACQUIRE_TIMEOUT", "1h")]), &["out of range", "from 10ms to 60000ms"]);
    refused(&served(&[("TENET_DATABASE_ROLE", "app; drop")]), &["TENET_DATABASE_ROLE", "app; drop"]);
    refused(&served(&[("TENET_DATABASE_ROLE", "pg_app")]), &["TENET_DATABASE_ROLE"]);
    for host in ["a b", "http://x", "*.example.org", "192.0.2.1:80", "[2001:db8::1"] {
        refused(&served(&[("TENET_HOSTS", &format!("api.example.org,{host}"))]), &["TENET_HOSTS", host]);
    }
    let hosts = "api.example.org,192.0.2.1,[2001:db8::1],localhost";
    assert_eq!(mistakes(&served(&[("TENET_HOSTS", hosts)]), Purpose::Serve), Vec::<String>::new());
    refused(&served(&[("TENET_LOG", "tenet=loud")]), &["TENET_LOG", "tenet=loud"]);
    refused(&file("[http\n"), &["tenet.toml, line 1"]);
}

#[test]
fn development_is_open_on_this_machine_only() {
    let sources = |pairs: &[(&str, &str)]| Sources { environment: environment(pairs), ..Sources::default() };
    let develop = |pairs: &[(&str, &str)]| mistakes(&sources(pairs), Purpose::Develop);
    assert_eq!(develop(&[]), Vec::<String>::new());
    assert_eq!(develop(&[("TENET_LISTEN", "[::1]:8080")]), Vec::<String>::new());
    assert_eq!(develop(&[("TENET_LISTEN", "0.0.0.0:8080"), ("TENET_OPERATOR_KEY", KEY)]), Vec::<String>::new());
    let open = develop(&[("TENET_LISTEN", "0.0.0.0:8080")]);
    assert!(open.iter().any(|mistake| mistake.contains("`TENET_OPERATOR_KEY` is not set")), "{open:#?}");
    let orphan = develop(&[("DATABASE_MIGRATION_URL", URL)]);
    assert!(orphan.iter().any(|mistake| mistake.contains("`DATABASE_URL` is not")), "{orphan:#?}");
}

#[test]
fn migrating_needs_a_database_and_no_key() {
    let sources = Sources { environment: environment(&[("DATABASE_URL", URL)]), ..Sources::default() };
    assert_eq!(mistakes(&sources, Purpose::Migrate), Vec::<String>::new());
    assert_eq!(mistakes(&Sources::default(), Purpose::Migrate).len(), 1);
}

#[test]
fn names_are_unique_and_defaults_are_values() {
    let keys: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    let variables: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.variable).collect();
    assert_eq!((keys.len(), variables.len()), (SETTINGS.len(), SETTINGS.len()));
    for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
        let text = setting.default_text();
        let sources = served(&[(setting.variable, text.as_str())]);
        assert_eq!(mistakes(&sources, Purpose::Serve), Vec::<String>::new(), "{} = {text}", setting.variable);
        let settings = Settings::read(&sources, Purpose::Serve).ok().unwrap();
        assert_eq!(setting.show(&settings), text);
    }
}

/// A row of the tables of `docs/configuration.md`, as it must be.
fn documented(setting: &Setting) -> String {
    let default = match setting.default_text() {
        text if text.is_empty() => "none".to_owned(),
        text => format!("`{text}`"),
    };
    format!("| `{}` | `{}` | {default} | {} |", setting.variable, setting.key, setting.meaning)
}

#[test]
fn the_documentation_lists_every_setting_and_no_other() {
    let page = include_str!("../../docs/configuration.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = SETTINGS.iter().map(documented).collect();
    for row in &expected {
        assert!(rows.contains(&row.as_str()), "docs/configuration.md lacks this row, or has it otherwise:\n{row}");
    }
    for row in rows {
        assert!(expected.iter().any(|other| other == row), "docs/configuration.md has a row of no setting:\n{row}");
    }
}
