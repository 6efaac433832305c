//! What keeps the house in order: who may import whom, which crate belongs where, how a file begins and how long it
//! is, and that each requirement names tests that exist.
//!
//! Needs no service. What the compiler and clippy can check is not repeated here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Crates and parts of the standard library that belong to some modules alone.
const CRATES: [(&str, &[&str]); 14] = [
    ("sqlx", &["store"]),
    ("ractor", &["engine"]),
    ("lapin", &["broker"]),
    ("redis", &["shared"]),
    ("actix_web", &["http"]),
    ("matchit", &["http"]),
    ("utoipa", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("hyper", &["client"]),
    ("jsonwebtoken", &["auth"]),
    ("prometheus_client", &["telemetry"]),
    ("clap", &["cli"]),
    ("std::env", &["config"]),
    ("std::process::Command", &["cluster"]),
];

/// Folders of `src` in which, and in whose folders, a module imports only modules listed above it in their `mod.rs`.
const ROOMS: [&str; 4] = ["engine", "http", "ruleset/change", "ruleset/set"];

/// Lines of a file, without its tests.
const FILE_LINES_MAX: usize = 400;

/// A file of the tree, by its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module of `src` that it belongs to: `store` for `src/store/rules.rs`.
    fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap();
        path.split_once('/').map_or(path.strip_suffix(".rs").unwrap(), |(module, _)| module)
    }

    /// Whether a file of `src` holds nothing but tests.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The module that its tests are in, as the test runner prints it: `store::rules::tests` for those in
    /// `src/store/rules.rs`, `engine::reload` for those in `tests/it/engine/reload.rs`.
    fn test_path(&self) -> String {
        let path = self.path.strip_suffix(".rs").unwrap();
        if let Some(path) = path.strip_prefix("src/") {
            let module = path.trim_end_matches("/mod").replace('/', "::");
            return if self.is_test() { module } else { format!("{module}::tests") };
        }
        let path = path.strip_prefix("tests/it/").or(path.strip_prefix("tests/"));
        path.unwrap().trim_end_matches("/mod").replace('/', "::")
    }
}

fn sources(directory: &str, extension: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(&root.join(directory), &mut found);
    found.sort();
    found
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    // What a crate of its own below one of ours has built is not written by us.
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("target")) {
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The code as words and signs, without comments, strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let characters: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let rest = &characters[at..];
        let next = rest.get(1).copied().unwrap_or(' ');
        at += match rest[0] {
            '/' if next == '/' => length_until(rest, "\n"),
            '/' if next == '*' => length_until(rest, "*/"),
            'r' if next == '"' || next == '#' => raw_string_length(rest),
            '"' => quoted_length(rest, '"'),
            '\'' if next == '\\' || rest.get(2) == Some(&'\'') => quoted_length(rest, '\''),
            character if character.is_alphanumeric() || character == '_' => {
                let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                tokens.push(word);
                length
            }
            ':' if next == ':' => {
                tokens.push("::".to_owned());
                2
            }
            character => {
                if !character.is_whitespace() {
                    tokens.push(character.to_string());
                }
                1
            }
        };
    }
    tokens
}

fn length_until(rest: &[char], end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    rest.windows(end.len()).position(|window| window == end).map_or(rest.len(), |start| start + end.len())
}

fn raw_string_length(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 1;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    2 + hashes + length_until(&rest[2 + hashes..], &end)
}

fn quoted_length(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Every path in the code that has more than one part, groups of `use` taken apart: `std::{env, fs}` is `std::env`
/// and `std::fs`.
fn paths(tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = is_word(&tokens[at]) && tokens.get(at + 1).is_some_and(|token| token == "::");
        if begins && (at == 0 || tokens[at - 1] != "::") {
            at = expand(tokens, at, "", &mut found);
        } else {
            at += 1;
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

/// Reads the path at `at`, which `prefix` leads to; answers where it ends.
fn expand(tokens: &[String], mut at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_owned();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                let before = at;
                at = expand(tokens, at, &path, found);
                // A sign that is no path, such as a comma or an asterisk.
                at += usize::from(at == before);
            }
            return at + 1;
        }
        if !is_word(token) {
            break;
        }
        path = if path.is_empty() { token.clone() } else { format!("{path}::{token}") };
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    if path != prefix {
        found.push(path);
    }
    at
}

fn begins_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn paths_are_found_in_groups_and_not_in_comments_or_strings() {
    let code = r##"
        use std::{env, path::{Path, PathBuf as Buffer}, fs::*};
        // crate::comment::x
        fn f<'a>(x: &'a str) { let y = 'q'; crate::store::Store::new("crate::string::x", r#"crate::"raw"#, '\''); }
    "##;
    let found = paths(&tokens(code));
    let expected = ["std::env", "std::path::Path", "std::path::PathBuf", "std::fs", "crate::store::Store::new"];
    for path in expected {
        assert!(found.iter().any(|found| found == path), "{path} is not in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("comment") || path.contains("string") || path.contains("raw")));
}

#[test]
fn a_module_imports_only_modules_that_stand_above_it() {
    let library = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let order: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 10, "the list of modules was not found: {order:?}");
    let rank = |module: &str| order.iter().position(|listed| *listed == module);
    let mut wrong = Vec::new();
    for source in sources("src", "rs").iter().filter(|source| source.path.contains('/')) {
        let Some(own) = rank(source.module()) else { continue };
        for path in paths(&tokens(&source.text)) {
            let Some(imported) = path.strip_prefix("crate::").and_then(|path| path.split("::").next()) else {
                continue;
            };
            // What is no module is a macro at the root.
            if rank(imported).is_some_and(|imported| imported > own) {
                wrong.push(format!("{}: {path}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point upwards:\n{}", wrong.join("\n"));
}

/// The modules that a `mod.rs` lists, in its order, without those for tests.
fn modules_of(head: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in head.lines() {
        let name = line.trim_start_matches("pub ").trim_start_matches("pub(super) ").strip_prefix("mod ");
        if let Some(name) = name.and_then(|name| name.strip_suffix(';')).filter(|_| !is_test) {
            found.push(name.to_owned());
        }
        is_test = line == "#[cfg(test)]";
    }
    found
}

/// The names that a `mod.rs` takes from the modules it lists, with the module of each.
fn taken(head: &str, listed: &[String]) -> BTreeMap<String, String> {
    let parts = |path: String| path.trim_start_matches("self::").split("::").map(str::to_owned).collect::<Vec<_>>();
    let found = paths(&tokens(head)).into_iter().map(parts);
    let of_listed = found.filter(|parts| parts.len() > 1 && listed.contains(&parts[0]));
    of_listed.map(|parts| (parts[parts.len() - 1].clone(), parts[0].clone())).collect()
}

/// A path of `file` from the root of the crate, if it says where it begins: `crate::engine::clock::Clock` for
/// `super::clock::Clock` in `src/engine/freshness.rs`.
fn absolute(file: &str, path: &str) -> Option<Vec<String>> {
    let module = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = module.strip_suffix("/mod").unwrap_or(module);
    let mut parts = path.split("::").peekable();
    let mut from: Vec<String> = match parts.next()? {
        "crate" => Vec::new(),
        "self" => module.split('/').map(str::to_owned).collect(),
        "super" => module.rsplit_once('/')?.0.split('/').map(str::to_owned).collect(),
        _ => return None,
    };
    while parts.next_if_eq(&"super").is_some() {
        from.pop();
    }
    from.extend(parts.map(str::to_owned));
    Some(from)
}

/// Imports of a room, and of the rooms in it, that point to a module listed below the importing one.
fn upward_imports(room: &str, sources: &[Source], wrong: &mut Vec<String>) {
    let head = sources.iter().find(|source| source.path == format!("src/{room}/mod.rs"));
    let head = head.unwrap_or_else(|| panic!("{room} has no mod.rs"));
    let listed = modules_of(&head.text);
    assert!(listed.len() > 1, "the modules of {room} were not found: {listed:?}");
    let taken = taken(&head.text, &listed);
    let rank = |name: &String| listed.iter().position(|listed| listed == name);
    let here: Vec<&str> = room.split('/').collect();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let Some(inner) = source.path.strip_prefix(&format!("src/{room}/")) else { continue };
        let own = inner.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        let Some(own_rank) = rank(&own) else { continue };
        let code = source.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        for path in paths(&tokens(code)) {
            let Some(parts) = absolute(&source.path, &path) else { continue };
            if parts.len() <= here.len() || parts[..here.len()] != here[..] {
                continue;
            }
            let name = &parts[here.len()];
            // What is neither listed nor taken is defined in the head itself.
            if rank(taken.get(name).unwrap_or(name)).is_some_and(|rank| rank > own_rank) {
                wrong.push(format!("{}: {path}", source.path));
            }
        }
    }
    for inner in listed.iter().map(|module| format!("{room}/{module}")) {
        let path = format!("src/{inner}/mod.rs");
        if sources.iter().any(|source| source.path == path && modules_of(&source.text).len() > 1) {
            upward_imports(&inner, sources, wrong);
        }
    }
}

#[test]
fn within_a_room_a_module_imports_only_modules_listed_above_it() {
    let sources = sources("src", "rs");
    let mut wrong = Vec::new();
    for room in ROOMS {
        upward_imports(room, &sources, &mut wrong);
    }
    assert!(wrong.is_empty(), "imports that point upwards:\n{}", wrong.join("\n"));
}

#[test]
fn an_import_of_a_module_listed_below_is_found() {
    let file = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let sources = [
        file("src/a/mod.rs", "mod low;\nmod high;\n#[cfg(test)]\nmod tests;\npub use self::high::High;"),
        file(
            "src/a/low.rs",
            "use super::{High, Head};\nuse crate::a::high::x;\n#[cfg(test)]\nmod tests { use super::super::high; }",
        ),
        file("src/a/high/mod.rs", "mod one;\nmod two;"),
        file("src/a/high/one.rs", "use crate::a::low::y; use super::super::high::two::z;"),
        file("src/a/high/two.rs", "use super::one; use crate::b::c;"),
    ];
    let mut wrong = Vec::new();
    upward_imports("a", &sources, &mut wrong);
    let expected = [
        "src/a/low.rs: super::High",
        "src/a/low.rs: crate::a::high::x",
        "src/a/high/one.rs: super::super::high::two::z",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn a_crate_is_named_only_in_the_modules_it_belongs_to() {
    let mut wrong = Vec::new();
    let in_modules = |source: &Source| source.path.matches('/').count() > 1;
    // Tests in a file of their own may look at the environment.
    for source in sources("src", "rs").iter().filter(|source| in_modules(source) && !source.is_test()) {
        for path in paths(&tokens(&source.text)) {
            for (name, modules) in CRATES {
                if begins_with(&path, name) && !modules.contains(&source.module()) {
                    wrong.push(format!("{}: {path} belongs to {}", source.path, modules.join(" and ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates in the wrong place:\n{}", wrong.join("\n"));
}

/// Who may make the right to reach a tenant's data ([`tenet::domain::TenantScope`]), and how: from a caller that was
/// authenticated, or for the service itself with one of the reasons in `System`. The field is private, so that there
/// is no third way.
const SCOPES: [(&str, &str); 11] = [
    ("app", "System::Consumer"),
    ("cli", "System::Command"),
    ("auth", "System::Credentials"),
    ("broker", "TenantScope::of_message"),
    ("engine", "System::Counts"),
    ("engine", "System::Loader"),
    ("engine", "System::Retention"),
    ("http", "TenantScope::of_principal"),
    ("ingest", "System::Consumer"),
    ("store", "System::Creation"),
    ("store", "System::Operators"),
];

#[test]
fn a_scope_is_made_only_where_a_caller_is_authenticated_or_the_service_acts_for_itself() {
    let mut found = BTreeSet::new();
    for source in sources("src", "rs").iter().filter(|source| source.path.matches('/').count() > 1) {
        if source.is_test() || source.path == "src/domain/scope.rs" {
            continue;
        }
        let code = source.text.split("#[cfg(test)]").next().unwrap();
        for path in paths(&tokens(code)) {
            let made =
                path.split("::").skip_while(|part| !["System", "TenantScope"].contains(part)).collect::<Vec<_>>();
            if made.len() > 1 && made[1] != "of_system" {
                found.insert((source.module().to_owned(), made[..2].join("::")));
            }
        }
    }
    let listed = SCOPES.map(|(module, made)| (module.to_owned(), made.to_owned()));
    assert_eq!(found, BTreeSet::from(listed));
}

#[test]
fn a_principal_is_made_only_by_authentication() {
    let made = ["Principal::Operator", "Principal::Tenant", "Principal::Subject"];
    let mut wrong = Vec::new();
    for source in sources("src", "rs").iter().filter(|source| !source.is_test()) {
        let code = source.text.split("#[cfg(test)]").next().unwrap();
        let names = |path: &String| made.iter().any(|name| path.ends_with(name));
        if !source.path.starts_with("src/auth/") && !source.path.starts_with("src/domain/") {
            wrong.extend(paths(&tokens(code)).into_iter().filter(names).map(|path| format!("{}: {path}", source.path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_says_first_what_it_is() {
    let code = ["src", "tests", "benches"].map(|directory| sources(directory, "rs")).into_iter().flatten();
    let silent: Vec<String> = code.filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    assert!(silent.is_empty(), "files without `//!` on top: {silent:?}");
}

#[test]
fn a_file_is_short_and_named_for_what_it_holds() {
    let mut wrong = Vec::new();
    for file in sources("src", "rs") {
        let lines = file.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{} has {lines} lines", file.path));
        }
    }
    for file in ["src", "tests", "benches"].map(|directory| sources(directory, "rs")).into_iter().flatten() {
        let name = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
        for empty in ["utils", "util", "helpers", "helper", "common", "manager", "misc"] {
            if name.split(['/', '_']).any(|word| word == empty) {
                wrong.push(format!("{}: `{empty}` says nothing", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done_in_a_comment() {
    let mut wrong = Vec::new();
    for file in sources("src", "rs").into_iter().chain(sources("migrations", "sql")) {
        for (number, line) in file.text.lines().enumerate() {
            if ["TODO", "FIXME", "XXX"].iter().any(|mark| line.contains(mark)) {
                wrong.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Workspaces beside ours that build with us are not built by every change; their locks must follow ours all the same.
#[test]
fn the_other_lock_files_name_the_dependencies_that_we_have() {
    let read = |path: &str| fs::read_to_string(path).unwrap().parse::<toml::Table>().unwrap();
    let ours = read("Cargo.toml");
    let is_always = |value: &toml::Value| value.get("optional").is_none();
    let ours = ours["dependencies"].as_table().unwrap().iter().filter(|(_, value)| is_always(value));
    let ours: BTreeSet<&str> = ours.map(|(name, _)| name.as_str()).collect();
    for place in ["benches/peers", "tests/fuzz"] {
        let lock = read(&format!("{place}/Cargo.lock"));
        let package =
            lock["package"].as_array().unwrap().iter().find(|it| it["name"].as_str() == Some("tenet")).unwrap();
        let locked = package["dependencies"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
        // Where there are two versions of one, the version is behind the name.
        let locked: BTreeSet<&str> = locked.filter_map(|name| name.split_whitespace().next()).collect();
        assert_eq!(locked, ours, "run `cargo update -p tenet` in {place}");
    }
}

#[test]
fn migrations_come_in_numbered_pairs() {
    let mut pairs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in sources("migrations", "sql") {
        let name = file.path.strip_prefix("migrations/").unwrap().strip_suffix(".sql").unwrap();
        let (name, direction) = name.rsplit_once('.').unwrap();
        assert!(name.len() > 7 && name[..6].bytes().all(|b| b.is_ascii_digit()) && &name[6..7] == "_", "{}", file.path);
        pairs.entry(name.to_owned()).or_default().push(if direction == "up" { "up" } else { "down" });
    }
    assert!(!pairs.is_empty());
    assert!(pairs.values().all(|directions| directions == &["down", "up"]), "{pairs:?}");
}

/// The requirements by their ids, with the tests that show them.
fn requirements() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/requirements.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| REQ-"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let tests = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].to_owned(), tests)
    })
    .collect()
}

/// The tests of the tree, as `module::name`.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources("src", "rs").into_iter().chain(sources("tests", "rs")) {
        let mut marked = false;
        for line in source.text.lines().map(str::trim) {
            let attribute = line.starts_with("#[");
            if attribute
                && line.trim_end_matches(')').trim_end_matches(']').split('(').next().unwrap().ends_with("test")
            {
                marked = true;
            } else if let Some(name) = line.trim_start_matches("async ").strip_prefix("fn ").filter(|_| marked) {
                found.insert(format!("{}::{}", source.test_path(), name.split(['(', '<']).next().unwrap()));
                marked = false;
            } else if !attribute && !line.starts_with("//") {
                marked = false;
            }
        }
    }
    found
}

#[test]
fn every_requirement_is_listed_once() {
    let groups = [
        ("PERSIST", 8),
        ("SCHEMA", 10),
        ("TENANT", 7),
        ("MIGRATION", 9),
        ("INTEG", 9),
        ("SECURITY", 13),
        ("PERF-PERSIST", 3),
        ("RELOAD", 8),
        ("ACTOR", 13),
        ("CEL", 12),
    ];
    let numbers = groups.iter().flat_map(|(group, count)| (1..=*count).map(move |n| format!("REQ-{group}-{n:03}")));
    let listed: Vec<String> = requirements().into_iter().map(|(id, _)| id).collect();
    assert_eq!(listed, numbers.collect::<Vec<_>>());
}

#[test]
fn every_requirement_names_tests_and_they_exist() {
    let tests = tests();
    assert!(tests.contains("tidy::every_requirement_is_listed_once"), "the tests were not found: {tests:?}");
    let mut wrong = Vec::new();
    for (id, named) in requirements() {
        if named.is_empty() {
            wrong.push(format!("{id} names no test"));
        }
        wrong.extend(named.iter().filter(|name| !tests.contains(*name)).map(|name| format!("{id}: no test `{name}`")));
    }
    assert!(wrong.is_empty(), "docs/requirements.md:\n{}", wrong.join("\n"));
}

#[test]
fn only_integration_tests_reach_a_database() {
    let reaching = ["PgConnection::connect(", "TestDatabase::", "Cluster::start("];
    let others = sources("tests", "rs").into_iter().filter(|source| !source.path.starts_with("tests/it/"));
    let in_units = sources("src", "rs").into_iter().map(|mut source| {
        source.text = source.text.split_off(source.text.find("#[cfg(test)]").unwrap_or(source.text.len()));
        source
    });
    let found: Vec<String> = others
        .chain(in_units)
        .filter(|source| source.path != "tests/tidy.rs" && reaching.iter().any(|word| source.text.contains(word)))
        .map(|source| source.path)
        .collect();
    assert_eq!(found, [""; 0], "tests that need a service belong in tests/it");
}
