//! The commands as they are typed: the binary itself, its output and its exit codes.

use std::{
    env,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Directory, TestDatabase};

const KEY: &str = "an-operator-key-for-tests";
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workloads/events.json");
const WORKLOAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workloads/ten_rules.json");

/// The binary, with nothing set but what programs and temporary files need.
fn tenet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenet"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "TENET_PG_BIN"] {
        command.envs(env::var_os(name).map(|value| (name, value)));
    }
    command
}

fn ended(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A service that was started as a process of its own; killed if a test fails before it has stopped it.
struct Service {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Service {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: BufReader::new(stdout), stderr: BufReader::new(stderr) }
    }

    /// `tenet serve` on a free port, and where it serves.
    fn serve(database: &TestDatabase, arguments: &[&str]) -> (Self, String) {
        let mut command = tenet(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        command.env("DATABASE_URL", database.url()).env("TENET_OPERATOR_KEY", KEY).env("TENET_LOG_FORMAT", "json");
        // A machine that is busy with other tests is no fault of those who ask.
        command.env("TENET_RATE_LIMITS", "off");
        let mut service = Self::start(command);
        let lines = until(&mut service.stderr, |line| line.contains("\"serving\""));
        let line: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
        let url = format!("http://{}", line["address"].as_str().unwrap());
        (service, url)
    }

    /// Sends SIGTERM; answers the exit code, and how long it took.
    fn stop(mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        (self.child.wait().unwrap().code(), start.elapsed())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines up to the first that is `wanted`; fails at the end of the stream.
fn until(stream: &mut impl BufRead, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| wanted(line)) {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the command ended:\n{}", lines.concat());
        lines.push(line);
    }
    lines
}

#[test]
fn wrong_settings_are_all_told_and_end_with_2() {
    let mut command = tenet(&["serve"]);
    command.env("TENET_LISEN", "127.0.0.1:1").env("TENET_OPERATOR_KEY", "short");
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(2), "{stderr}");
    for part in ["did you mean `TENET_LISTEN`?", "`DATABASE_URL` is not set", "`TENET_OPERATOR_KEY` has 5 characters"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(ended(tenet(&["no-such-command"])).0, Some(2));
    assert_eq!(ended(tenet(&["load", "--workload", "/no/such/file"])).0, Some(2));
    let (code, stdout, _) = ended(tenet(&["--version"]));
    assert_eq!((code, stdout), (Some(0), format!("tenet {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn a_service_is_started_asked_put_under_load_and_stopped() {
    let database = TestDatabase::empty().await;
    let (service, url) = Service::serve(&database, &["--migrate"]);
    assert_eq!(ended(tenet(&["health", "--url", &url])).0, Some(0));

    let load = ["load", "--workload", WORKLOAD, "--url", &url, "--duration", "1", "--json"];
    let at_100 = ["--rate", "100"];
    for (mix, rate) in [("load", &[][..]), ("load", &at_100), ("byPath", &at_100), ("tenantKey", &at_100)] {
        let mut command = tenet(&[&load[..], &["--mix", mix], rate].concat());
        command.env("TENET_OPERATOR_KEY", KEY);
        let (code, stdout, stderr) = ended(command);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let requests = report["requests"].as_u64().unwrap();
        assert!(if rate.is_empty() { requests > 0 } else { requests == 100 }, "{report:#}");
        assert!(report["latencyMs"]["max"].as_f64().unwrap() >= report["latencyMs"]["p50"].as_f64().unwrap());
        assert!(report["serverCpuUsPerRequest"].is_number(), "{report:#}");
        assert_eq!(report["errors"], serde_json::json!({}));
    }
    let load_events = ["load", "--workload", EVENTS, "--url", &url, "--duration", "1", "--json"];
    for (mix, rate) in [("single", &at_100[..]), ("batch", &[])] {
        let mut command = tenet(&[&load_events[..], &["--mix", mix], rate].concat());
        command.env("TENET_OPERATOR_KEY", KEY);
        let (code, stdout, stderr) = ended(command);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let (events, batch) = (&report["events"], if rate.is_empty() { 500 } else { 1 });
        assert_eq!(events["accepted"].as_u64().unwrap(), batch * report["requests"].as_u64().unwrap(), "{report:#}");
        assert_eq!(events["decided"], events["accepted"], "{report:#}");
        assert_eq!((&events["lost"], &events["refused"]), (&0.into(), &serde_json::json!({})), "{report:#}");
        assert!(events["ageMs"]["p99"].as_f64().unwrap() > 0.0, "{report:#}");
    }
    let (code, _, stderr) = ended(tenet(&load));
    assert_eq!(code, Some(1), "without the key the service refuses: {stderr}");
    assert!(stderr.contains("the service answered 401"), "{stderr}");

    let (code, took) = service.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let (code, _, stderr) = ended(tenet(&["health", "--url", &url]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the service is not healthy"), "{stderr}");
}

#[tokio::test]
async fn a_port_in_use_is_named_and_what_to_do() {
    let database = TestDatabase::fresh().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = tenet(&["serve", "--listen", &address]);
    command.env("DATABASE_URL", database.url()).env("TENET_OPERATOR_KEY", KEY);
    let (code, _, stderr) = ended(command);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("another program listens on `{address}`: stop it, or choose")), "{stderr}");
}

#[tokio::test]
async fn the_demonstration_plays_the_first_example_and_again_on_what_is_there() {
    let directory = Directory::new();
    let data_dir = directory.path().join("data");
    let arguments = ["dev", "--demo", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()];
    for run in ["first", "second"] {
        let mut service = Service::start(tenet(&arguments));
        let shown = until(&mut service.stdout, |line| line.starts_with("serving on http://127.0.0.1:")).concat();
        for part in [
            "-d '{\"name\": \"acme-corp-demo\"}'",
            "\"expression\": \"facts.age >= 18\"",
            "\"ruleName\": \"adult\"",
            "\"matched\": true",
        ] {
            assert!(shown.contains(part), "{run} run: `{part}` is not in\n{shown}");
        }
        assert_eq!(shown.contains("from an earlier run"), run == "second", "{shown}");
        let (code, took) = service.stop();
        assert_eq!(code, Some(0), "{run} run");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn a_key_lasts_for_a_day_at_least_and_a_hundred_years_at_most() {
    let create = ["keys", "create", "--tenant", "01890000-0000-7000-8000-000000000000", "--scopes", "read", "--days"];
    for days in ["0", "-1", "36501", "99999999", "4294967296", "soon"] {
        let (code, stdout, stderr) = ended(tenet(&[&create[..], &[days]].concat()));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{days}: {stderr}");
        assert!(days == "-1" || stderr.contains("--days"), "{days}: {stderr}");
    }
    // The number is right; that there is no database is what is wrong with this.
    let (_, _, stderr) = ended(tenet(&[&create[..], &["36500"]].concat()));
    assert!(stderr.contains("DATABASE_URL") && !stderr.contains("--days"), "{stderr}");
}

#[tokio::test]
async fn an_operators_key_is_made_in_the_database_and_serves_until_it_is_revoked() {
    use tenet::{client::Client, config::Secret};
    let database = TestDatabase::fresh().await;
    let on_database = |arguments: &[&str]| {
        let mut command = tenet(arguments);
        command.env("DATABASE_URL", database.url()).env("TENET_LOG_FORMAT", "json");
        command
    };
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let (code, stdout, stderr) = ended(on_database(&serve));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("`tenet keys create --operator`"), "{stderr}");

    let (code, key, stderr) = ended(on_database(&["keys", "create", "--operator", "--name", "night shift"]));
    assert_eq!(code, Some(0), "{stderr}");
    let mut service = Service::start(on_database(&serve));
    let line = until(&mut service.stderr, |line| line.contains("\"serving\"")).pop().unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = format!("http://{}", line["address"].as_str().unwrap());
    let nobody = Client::new(&url).unwrap();
    assert_eq!(nobody.get("/api/v1/tenants").await.unwrap().status, 401);
    let operator = nobody.clone().with_key(Some(Secret::new(key.trim())));
    assert_eq!(operator.get("/api/v1/tenants").await.unwrap().status, 200);

    let log = async || {
        let answer = operator.get("/api/v1/tenants/00000000-0000-0000-0000-000000000000/audit").await.unwrap();
        answer.json::<serde_json::Value>().unwrap()["items"].clone()
    };
    let told = log().await;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    let row = &told[0];
    let made = [&row["action"], &row["actor"], &row["after"], &row["before"]];
    let name = serde_json::json!({"name": "night shift"});
    assert_eq!(made, [&"operator_key.create".into(), &"tenet keys".into(), &name, &serde_json::Value::Null]);

    let (_, listed, _) = ended(on_database(&["keys", "list", "--operator"]));
    assert!(listed.contains("night shift") && !listed.contains(key.trim()), "{listed}");
    let id = listed.split_whitespace().next().unwrap();
    assert_eq!(row["resource"], format!("operator-keys/{id}"));
    assert_eq!(ended(on_database(&["keys", "revoke", "--operator", id])).0, Some(0));
    let revoked = Instant::now();
    while operator.get("/api/v1/tenants").await.unwrap().status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(2), "the key is still good");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What is no key changes nothing, and nothing is told of it.
    assert_eq!(ended(on_database(&["keys", "revoke", "--operator", id])).0, Some(1));
    let (code, verified, stderr) = ended(on_database(&["audit", "verify"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(verified.starts_with("operators  2 rows  "), "{verified}");
    assert_eq!(service.stop().0, Some(0));
}

#[tokio::test]
async fn a_log_changed_by_hand_is_told_and_ends_with_1() {
    use sqlx::Connection;
    let database = TestDatabase::fresh().await;
    let mut owner = sqlx::PgConnection::connect(database.url()).await.unwrap();
    let (service, url) = Service::serve(&database, &[]);
    let client = tenet::client::Client::new(&url).unwrap().with_key(Some(tenet::config::Secret::new(KEY)));
    let mut tenants = Vec::new();
    for name in ["acme", "globex"] {
        let made = client.post_json("/api/v1/tenants", &serde_json::json!({ "name": name })).await.unwrap();
        let made: serde_json::Value = made.json().unwrap();
        tenants.push(made["id"].as_str().unwrap().to_owned());
    }
    service.stop();
    let verify = |tenant: &[&str]| ended(tenet(&[&["audit", "verify", "--database", database.url()], tenant].concat()));
    let (code, stdout, stderr) = verify(&[]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("{}  1 row  ", tenants[0])), "{stdout}");
    assert!(stdout.ends_with("2 audit logs verified, none altered\n"), "{stdout}");
    sqlx::query("update audit_log set actor = 'nobody' where tenant_id = $1::uuid")
        .bind(&tenants[1])
        .execute(&mut owner)
        .await
        .unwrap();
    let (code, stdout, stderr) = verify(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.contains(&format!("{}  row 1 was changed", tenants[1])), "{stdout}");
    assert!(stderr.contains("1 audit log altered by hand, of 2 verified"), "{stderr}");
    assert_eq!(verify(&[&tenants[0]]).0, Some(0));
    assert_eq!(verify(&[&tenants[1]]).0, Some(1));
    assert_eq!(verify(&["01890000-0000-7000-8000-000000000000"]).0, Some(1));
    assert_eq!(verify(&["no-id"]).0, Some(1));
}
