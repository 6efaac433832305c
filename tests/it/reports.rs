//! Cases made from public reports of this field, one a line in `tests/cases/reports`: each through the command line and
//! through HTTP, which must agree.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tenet::client::Response;

use crate::support::TestApp;

/// Cases that there are at least.
const CASES_MIN: usize = 150;

/// What an expression comes to: `value`, `error` when it runs, `facts` that are refused, or `refused` as it is written.
#[derive(Debug, PartialEq)]
struct Outcome {
    kind: &'static str,
    what: Value,
}

fn outcome(kind: &'static str, what: impl Into<Value>) -> Outcome {
    Outcome { kind, what: what.into() }
}

fn expected(case: &Value) -> Outcome {
    let (kind, what) = case["expected"].as_object().unwrap().iter().next().unwrap();
    let kind = ["value", "error", "facts", "refused"].into_iter().find(|known| known == kind).unwrap();
    outcome(kind, what.clone())
}

/// The codes of what is wrong, as one text.
fn codes(errors: &Value) -> String {
    let codes: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect();
    codes.join(" ")
}

/// What the command writes, in JSON.
fn tenet(arguments: &[&str], input: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
    command.args(arguments).args(["--format", "json"]).env_clear();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap()
}

fn on_the_command_line(case: &Value) -> Outcome {
    let (schema, facts) = (case["schema"].to_string(), case["facts"].to_string());
    let expression = case["expression"].as_str().unwrap();
    let file = json!({"schema": case["schema"], "rules": [{"name": "rule", "expression": expression}]});
    let checked = tenet(&["check", "-"], &file.to_string());
    if let refused @ 1.. = checked["files"][0]["errors"].as_array().unwrap().len() {
        assert_eq!(refused, 1, "one mistake is told once: {checked}");
        return outcome("refused", codes(&checked["files"][0]["errors"]));
    }
    let evaluated = tenet(&["eval", "--schema", &schema, "--facts", &facts, expression], "");
    let Some(errors) = evaluated["errors"].as_array() else { return outcome("value", evaluated["value"].clone()) };
    let is_of_facts = errors.iter().any(|error| error["path"].as_str().is_some_and(|path| path.starts_with("facts")));
    outcome(if is_of_facts { "facts" } else { "error" }, codes(&evaluated["errors"]))
}

async fn over_http(app: &TestApp, number: usize, case: &Value) -> Outcome {
    let read = |answer: &Response| -> Value { answer.json().unwrap() };
    let post = async |path: &str, body: Value| app.client.post_json(path, &body).await.unwrap();
    let tenant = format!("/api/v1/tenants/{}", app.create_tenant(&format!("report {number}")).await);
    let schema = post(&format!("{tenant}/schema"), json!({ "definition": case["schema"] })).await;
    assert_eq!(schema.status, 201, "{}", schema.text());
    let rule = json!({"name": "rule", "expression": case["expression"]});
    let rule = post(&format!("{tenant}/rules"), rule).await;
    if rule.status != 201 {
        assert_eq!(rule.status, 422, "{}", rule.text());
        return outcome("refused", codes(&read(&rule)["errors"]));
    }
    let request = json!({"facts": case["facts"], "strictFacts": true});
    let decision = post(&format!("{tenant}/evaluate"), request).await;
    if decision.status != 200 {
        assert_eq!(decision.status, 422, "{}", decision.text());
        return outcome("facts", codes(&read(&decision)["errors"]));
    }
    let result = &read(&decision)["results"][0];
    match result["error"]["code"].as_str() {
        Some(code) => outcome("error", code),
        None => outcome("value", result["matched"].clone()),
    }
}

#[tokio::test]
async fn what_public_reports_tell_of_comes_out_right_on_the_command_line_and_over_http() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/reports");
    let app = TestApp::start().await;
    let (mut count, mut wrong) = (0, Vec::new());
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let (source, number) = case["source"].as_str().unwrap().split_once('#').unwrap();
            assert!(source.split('/').count() == 2 && number.parse::<u32>().is_ok(), "{line}");
            let expected = expected(&case);
            for (door, found) in
                [("command line", on_the_command_line(&case)), ("HTTP", over_http(&app, count, &case).await)]
            {
                if found != expected {
                    wrong.push(format!(
                        "{door}: {} {}: {found:?}, not {expected:?}",
                        case["source"], case["expression"]
                    ));
                }
            }
            count += 1;
        }
    }
    app.stop().await;
    println!("{count} cases, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= CASES_MIN, "{count}");
}
