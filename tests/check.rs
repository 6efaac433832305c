//! `tenet check` and `tenet eval` as they are typed. They need no service, and so these tests need none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const EXAMPLE: &str = "docs/examples/acme.yaml";
const SCHEMA: &str = r#"{"facts": {"age": "int", "name": "string", "vip": "bool"}}"#;

/// Runs the binary at the root of the sources: its exit code, and what it wrote.
fn tenet(arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn checked(text: impl AsRef<[u8]>) -> (i32, String) {
    let (code, stdout, _) = tenet(&["check", "-"], text.as_ref());
    (code, stdout)
}

/// The mistakes of a file: code, line, column, end column, text under the mark.
fn mistakes(text: &str) -> Vec<(String, u64, u64, String)> {
    let (_, stdout, _) = tenet(&["check", "-", "--format", "json"], text.as_bytes());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mistake = |row: &Value| {
        let number = |key: &str| row[key].as_u64().unwrap_or(0);
        let (line, column, end) = (number("line"), number("column"), number("endColumn"));
        let part = lines.get((line as usize).wrapping_sub(1)).map(|line| line.trim_start_matches('\u{feff}'));
        let part = part.unwrap_or_default().chars().skip(column.saturating_sub(1) as usize);
        let part: String = part.take(end.saturating_sub(column) as usize).collect();
        (row["code"].as_str().unwrap().to_owned(), line, column, part)
    };
    answer["files"][0]["errors"].as_array().unwrap().iter().map(mistake).collect()
}

fn temporary(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_example_is_right_and_its_tests_pass() {
    let (code, stdout, stderr) = tenet(&["check", EXAMPLE], b"");
    let summary = "docs/examples/acme.yaml:29:29: the rule `discount` has the highest worst-case cost, 408 of 1000000 units; \
                   its most expensive part is `facts.tags.exists(tag, tag == 'welcome')`\n1 file: 3 rules, 2 derived fields, 3 tests passed, no errors\n";
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, summary, ""));
}

#[test]
fn every_example_is_right_and_has_tests_that_pass() {
    let mut files = 0;
    for entry in fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        let (code, stdout, stderr) = tenet(&["check", "--format", "json", path.to_str().unwrap()], b"");
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
        assert!(answer["files"][0]["testsPassed"].as_u64().unwrap() >= 3, "{} has too few tests", path.display());
        files += 1;
    }
    assert!(files >= 4, "acme, flags, fraud and loans");
}

#[test]
fn a_reader_that_has_closed_its_end_breaks_no_command() {
    for arguments in [&["check", EXAMPLE][..], &["eval", "--schema", SCHEMA, "1 + 1"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
        command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
        let ended = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap()), (Some(0), String::new()));
    }
}

#[test]
fn a_warning_is_shown_and_is_no_mistake() {
    let text = "schema: {facts: {any: dyn}}\nrules:\n  - name: twice\n    expression: 'facts.any.exists(a, facts.any.exists(b, a == b))'\n";
    let (code, stdout) = checked(text);
    assert!(code == 0 && stdout.starts_with("standard input:4:18: warning: the expression can cost "), "{stdout}");
    assert!(stdout.contains("[cost_uncertain]") && stdout.contains("`maxDepth`: `facts.any`"), "{stdout}");
    let (_, stdout, _) = tenet(&["check", "-", "--format", "json"], text.as_bytes());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let warning = &answer["files"][0]["warnings"][0];
    assert_eq!(
        (&answer["ok"], &warning["code"], &warning["line"]),
        (&json!(true), &json!("cost_uncertain"), &json!(4))
    );
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_mark_under_it() {
    let text = "schema: {facts: {age: int}}\nrules:\n  - name: adult\n    expression: 'facts.agee >= 18'\n";
    let expected = "standard input:4:18: error: ";
    let (code, stdout) = checked(text);
    assert_eq!(code, 1);
    assert!(stdout.starts_with(expected), "{stdout}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(
        lines[1..4],
        ["  |", "4 |     expression: 'facts.agee >= 18'", "  |                  ^^^^^^^^^^"],
        "{stdout}"
    );
    assert!(lines[4].starts_with("  = ") && lines[4].contains("facts.age"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn every_mistake_of_a_file_is_told_at_its_place() {
    let text = "schema:\n  facts:\n    age: int\nderivedFields:\n  - {name: twice, expression: facts.age * 2.0}\n\
                rules:\n  - name: a\n    expression: facts.age >= 18 &&\n      facts.nam == 'x'\n  - name: b\n    \
                expresion: 'true'\n    expression: 1 + 1\n";
    let found = mistakes(text);
    let places: Vec<_> = found.iter().map(|(_, line, _, part)| (*line, part.as_str())).collect();
    assert!(places.contains(&(9, "facts.nam")), "{found:?}");
    assert!(places.contains(&(11, "expresion")), "{found:?}");
    assert!(places.contains(&(12, "1 + 1")), "{found:?}");
    assert_eq!(places[0].0, 5, "{found:?}");
}

#[test]
fn a_wrong_schema_is_told_at_the_field() {
    let found = mistakes("schema:\n  facts:\n    age: itn\n    9in: int\n");
    let found: Vec<_> = found.iter().map(|(_, line, column, part)| (*line, *column, part.as_str())).collect();
    assert_eq!(found, [(3, 10, "itn"), (4, 5, "9in")]);
}

#[test]
fn columns_are_characters_and_windows_line_ends_do_not_matter() {
    let text = "\u{feff}schema: {facts: {name: string}}\r\nrules:\r\n  - name: été\r\n    \
                expression: facts.name == '日本' && facts.x\r\n";
    let found = mistakes(text);
    assert_eq!(found[0].1, 4, "{found:?}");
    assert_eq!((found[0].2, found[0].3.as_str()), (39, "facts.x"));
    let block = text.replace("expression: facts", "expression: |\r\n      facts");
    let found = mistakes(&block);
    assert_eq!((found[0].1, found[0].3.as_str()), (5, "facts.x"), "{found:?}");
}

#[test]
fn broken_yaml_is_told_where_it_breaks() {
    for (text, code, line, part) in [
        ("schema: {\nrules: [", "malformed_yaml", 2, ""),
        ("schema: {}\nrules: []\nschema: {}\n", "key_duplicate", 3, "schema"),
        ("schema: {facts: {1: int}}", "key_invalid", 1, "1"),
        ("schema: !odd {}", "tag_unknown", 1, "!odd {"),
        ("schema: {}\n--- \nrules: []", "malformed_yaml", 0, ""),
        ("tests: [.nan]", "value_invalid", 1, ".nan"),
        ("a: *nothing", "malformed_yaml", 1, "*nothing"),
    ] {
        let found = mistakes(text);
        assert_eq!((found.len(), found[0].0.as_str()), (1, code), "{text}: {found:?}");
        if !part.is_empty() {
            assert_eq!((found[0].1, found[0].3.as_str()), (line, part), "{text}");
        }
    }
}

#[test]
fn what_is_no_rule_file_is_refused() {
    for empty in ["", "\n\n", "# nothing\n", "~"] {
        let (code, stdout) = checked(empty);
        assert_eq!(code, 1);
        assert!(stdout.contains("the file is empty [file_invalid]"), "{empty:?}: {stdout}");
    }
    let (code, stdout) = checked(b"schema: {}\n# caf\xe9\n");
    assert_eq!(code, 1);
    assert!(stdout.starts_with("standard input:2:6: error: it is not UTF-8"), "{stdout}");
    let (code, stdout) = checked(vec![b' '; 8 * 1024 * 1024 + 1]);
    assert_eq!(code, 1);
    assert!(stdout.contains("[too_large]"), "{stdout}");
}

#[test]
fn a_missing_file_does_not_keep_the_others_from_being_checked() {
    let wrong = temporary("wrong.yaml", b"schema: {facts: {age: itn}}");
    let (code, stdout, stderr) = tenet(&["check", "no/such.yaml", EXAMPLE, wrong.to_str().unwrap()], b"");
    assert_eq!((code, stderr.as_str()), (1, "error: 2 errors in 2 of 3 files\n"));
    assert!(stdout.starts_with("no/such.yaml: error: it cannot be read: no such file [unreadable]"));
    assert!(stdout.contains("wrong.yaml:1:23: error: "), "{stdout}");
    assert_eq!(tenet(&["check"], b"").0, 2);
}

#[test]
fn a_test_that_fails_says_which_rule_and_why() {
    let text = "schema: {facts: {age: int, vip: bool}}\nrules:\n  - {name: adult, expression: facts.age >= 18}\n  \
                - {name: vip, expression: facts.vip}\ntests:\n  - name: t\n    facts: {age: 20}\n    matches: [vip]\n";
    let (code, stdout) = checked(text);
    assert_eq!(code, 1);
    assert!(
        stdout.contains("8:5: error: test `t`: `adult` matches, but is not listed in `matches` [test_failed]"),
        "{stdout}"
    );
    assert!(stdout.contains("8:15: error: test `t`: `vip` does not match: `facts.vip` is missing"), "{stdout}");
    let unknown = text.replace("[vip]", "[adlt]").replace("age: 20", "age: x, agee: 1");
    let found = mistakes(&unknown);
    let found: Vec<_> = found.iter().map(|(_, line, _, part)| (*line, part.as_str())).collect();
    assert_eq!(found, [(7, "x"), (7, "agee"), (8, "adlt")]);
}

#[test]
fn an_expression_is_evaluated_on_facts() {
    let eval = |more: &[&str]| tenet(&[&["eval", "--schema", SCHEMA, "--facts", r#"{"age": 20}"#], more].concat(), b"");
    assert_eq!(eval(&["facts.age + 1"]).1, "21\n");
    let (code, stdout, _) = eval(&["facts.age >= 18 && facts.age < 65", "--trace"]);
    let lines: Vec<String> = stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!((code, lines[0].as_str()), (0, "true"));
    for line in ["facts.age >= 18 true", "facts.age 20", "facts.age < 65 true"] {
        assert!(lines.iter().any(|shown| shown == line), "{stdout}");
    }
    let (_, stdout, _) = eval(&["facts.age", "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), json!({"type": "int", "value": 20}));
}

#[test]
fn check_and_eval_refuse_the_same_expressions() {
    let schema =
        r#"{"facts": {"plan": {"type": "string", "enum": ["free", "full"]}, "age": {"type": "int", "maximum": 9}}}"#;
    for expression in ["facts.plan == 'fulll'", "facts.age == 1 / 0", "lists.range(200000).all(x, x + 1 > 0)"] {
        let file = format!("schema: {schema}\nrules: [{{name: a, expression: \"{expression}\"}}]\n");
        let (_, checked, _) = tenet(&["check", "-", "--format", "json"], file.as_bytes());
        let (code, evaluated, _) = tenet(&["eval", "--schema", schema, expression, "--format", "json"], b"");
        let [checked, evaluated]: [Value; 2] = [checked, evaluated].map(|text| serde_json::from_str(&text).unwrap());
        let (refused, mistake) = (&checked["files"][0]["errors"][0], &evaluated["errors"][0]);
        assert!(refused["code"].is_string() && code == 1, "{checked}");
        assert_eq!((&refused["code"], &refused["message"]), (&mistake["code"], &mistake["message"]), "{expression}");
    }
}

#[test]
fn a_field_of_its_objects_name_is_a_warning() {
    let text = "schema:\n  facts:\n    age: int\n    facts: int\n";
    let (code, stdout) = checked(text);
    assert!(stdout.contains("standard input:4:5: warning: `facts` has a field `facts`"), "{stdout}");
    assert_eq!(code, 0, "{stdout}");
}

#[test]
fn an_expression_without_a_value_is_shown_with_a_mark() {
    let (code, stdout, _) = tenet(&["eval", "--schema", SCHEMA, "1 + facts.agee"], b"");
    assert_eq!(code, 1);
    assert!(stdout.starts_with("expression:1:5: error: "), "{stdout}");
    assert!(stdout.contains("1 | 1 + facts.agee\n  |     ^^^^^^^^^^\n"), "{stdout}");
    let (code, stdout, _) =
        tenet(&["eval", "--schema", "-", "facts.age / 0", "--facts", r#"{"age": 1}"#], SCHEMA.as_bytes());
    assert_eq!(code, 1);
    assert!(stdout.contains("[division_by_zero]"), "{stdout}");
    let (code, stdout, _) = tenet(&["eval", "--schema", SCHEMA, "--facts", r#"{"age": "x"}"#, "true"], b"");
    assert_eq!(code, 1);
    assert!(stdout.starts_with("facts:1:10: error: "), "{stdout}");
    assert_eq!(tenet(&["eval", "--schema", "-", "--facts", "-", "1"], b"").0, 2);
}

#[test]
fn what_rules_cost_is_told_and_too_much_is_a_mistake() {
    let file = |rule: &str| {
        let schema = "schema: {facts: {age: int, tags: 'list<string>'}}\nderivedFields:\n";
        format!(
            "{schema}  - {{name: adult, expression: facts.age > 17}}\nrules:\n  - {{name: one, expression: \"{rule}\"}}\n"
        )
    };
    let (code, stdout, _) = tenet(&["check", "-", "--format", "json"], file("derived.adult").as_bytes());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let costs = &answer["files"][0]["costs"];
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(
        costs[0],
        json!({"kind": "derived field", "name": "adult", "units": 3, "limit": 1_000_000, "text": "facts.age > 17",
               "line": 3, "column": 31, "endLine": 3, "endColumn": 45})
    );
    assert_eq!(
        (&costs[1]["name"], &costs[1]["units"], &costs[1]["text"]),
        (&json!("one"), &json!(4), &json!("derived.adult"))
    );
    let rule = "facts.tags.all(a, facts.tags.all(b, facts.tags.all(c, a == b || b == c)))";
    let text = file(rule);
    assert_eq!(mistakes(&text), [("cost_too_high".to_owned(), 5, 30, rule.to_owned())]);
    let (_, stdout) = checked(&text);
    assert!(stdout.contains("= set a smaller limit in the schema: `maxItems` of `facts.tags` (now 100)"), "{stdout}");
}

#[test]
fn what_other_dialects_of_patterns_read_otherwise_is_a_warning() {
    let text = format!(
        "schema: {SCHEMA}\nrules:\n- {{name: a, expression: \"facts.name.matches(r'^\\\\d+$')\"}}\n- {{name: b, expression: \
         \"facts.name.matches(r'^\\\\d*[a-z&&b]$')\"}}\n"
    );
    let (code, stdout, _) = tenet(&["check", "-", "--format", "json"], text.as_bytes());
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let warnings = answer["files"][0]["warnings"].as_array().unwrap();
    let codes: Vec<_> =
        warnings.iter().map(|row| (row["code"].as_str().unwrap(), row["text"].as_str().unwrap())).collect();
    assert_eq!((code, codes), (0, vec![("pattern_ascii", r"\d"), ("pattern_dialect", "&&")]), "{stdout}");
}
