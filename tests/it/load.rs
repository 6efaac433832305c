//! Several loads at once on a service that holds tenants to their limits.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tenet::{
    domain::{Quota, Tier},
    load::{self, Group, Service, Workload},
};

use crate::support::{Directory, OPERATOR_KEY, TestDatabase, TestProcess, proof_size};

/// How a request beyond a tenant's rate is refused.
const OVER_RATE: &str = "429 rate_limited";
const WORKLOADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/workloads");

fn workload(file: &str) -> Workload {
    Workload::read(&Path::new(WORKLOADS).join(file)).unwrap()
}

#[tokio::test]
async fn groups_are_loaded_at_once_and_each_within_its_own_limits() {
    let database = TestDatabase::fresh().await;
    let (process, client) = TestProcess::serve_with(database.url(), &[("TENET_RATE_LIMITS", "on")]).await;
    let service = Service { client: client.clone(), server_pid: Some(process.id()) };
    // All may be refused for the load of the machine, but only the aggressor for its rate.
    let victim = Group {
        name: "victim".to_owned(),
        tier: Tier::Pro,
        tenants: 2,
        rate: Some(20.0),
        duration: Duration::from_secs(2),
        has_tenant_keys: true,
        expects_refusals: true,
        ..Group::new(workload("ten_rules.json"))
    };
    let aggressor = Group {
        name: "aggressor".to_owned(),
        tier: Tier::Free,
        quotas: BTreeMap::from([(Quota::RequestsPerMinute, 10)]),
        tenants: 1,
        starts_after: Duration::from_millis(200),
        rate: Some(50.0),
        ..victim.clone()
    };
    let reports = load::run(&service, &[victim.clone(), aggressor.clone()], |_, _| {}).await.unwrap();
    assert!(reports.is_clean(), "{reports}");
    let (one, other) = (reports.group("victim").unwrap(), reports.group("aggressor").unwrap());
    assert_eq!(one.sent + one.not_sent, 40, "{reports}");
    assert!(one.requests > 0 && !one.refused.contains_key(OVER_RATE), "{reports}");
    assert!((1..=14).contains(&other.requests), "ten, and what a minute's rate gives meanwhile: {reports}");
    assert!(other.refused.get(OVER_RATE) > Some(&0), "{reports}");
    assert_eq!(other.refused.values().sum::<u64>(), other.sent - other.requests, "{reports}");
    assert_eq!(other.sent + other.not_sent, 100, "{reports}");
    assert!(other.refused_latency_ms.p50 > 0.0 && other.success < 0.2, "{reports}");
    assert!(reports.server_cpu_seconds.is_some() && one.server_cpu_us_per_request.is_none());

    // The same tenants, found again, with the tier's quotas and another tier.
    let aggressor = Group { quotas: BTreeMap::new(), tier: Tier::Enterprise, ..aggressor };
    let reports = load::run(&service, &[aggressor], |_, _| {}).await.unwrap();
    assert!(reports.is_clean() && reports.groups[0].requests > 0, "{reports}");
    assert!(!reports.groups[0].refused.contains_key(OVER_RATE), "{reports}");
    let listed: Value = client.get("/api/v1/tenants?namePrefix=load-aggressor-").await.unwrap().json().unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["tier"], "enterprise");
    let id = listed["items"][0]["id"].as_str().unwrap();
    let keys: Value = client.get(&format!("/api/v1/tenants/{id}/api-keys")).await.unwrap().json().unwrap();
    assert_eq!(keys["items"], json!([]), "keys are made for one load");
}

#[tokio::test]
async fn every_kind_of_flood_is_answered_rightly() {
    let database = TestDatabase::fresh().await;
    let (process, client) = TestProcess::serve(database.url()).await;
    let service = Service { client, server_pid: Some(process.id()) };
    let flood = |file: &str, mix: &str| Group {
        name: format!("{mix}-{}", file.len()),
        mix: mix.to_owned(),
        has_tenant_keys: true,
        connections: 1,
        duration: Duration::from_secs(1),
        ..Group::new(workload(file))
    };
    let cheap = ["evaluate", "batches", "slowBodies", "writes", "events"].map(|mix| flood("floods/cheap.json", mix));
    // Without optimisation the heavy ones take long.
    let costly = ["middling", "heavy"].map(|file| flood(&format!("floods/{file}.json"), "evaluate"));
    let groups: Vec<Group> = cheap.into_iter().chain(costly.into_iter().take(proof_size(1, 2))).collect();
    let reports = load::run(&service, &groups, |_, _| {}).await.unwrap();
    assert!(reports.is_clean(), "{reports}");
    let slow = reports.groups.iter().find(|report| report.mix == "slowBodies").unwrap();
    assert!(slow.latency_ms.p50 >= 1_500.0, "{slow}");
}

#[tokio::test]
async fn a_file_of_groups_is_run_as_it_is_typed() {
    let directory = Directory::new();
    let database = TestDatabase::fresh().await;
    let (process, client) = TestProcess::serve_with(database.url(), &[("TENET_RATE_LIMITS", "on")]).await;
    let run = async |expect_refusals: bool| {
        let quotas = json!({"requestsPerMinute": 2});
        let group = |name: &str| {
            json!({
                "name": name, "workload": format!("{WORKLOADS}/ten_rules.json"), "tier": "free", "tenants": 1,
                "tenantKeys": true, "rate": 20, "duration": 3, "expectRefusals": true
            })
        };
        let mut limited = group("limited");
        limited["quotas"] = quotas;
        limited["expectRefusals"] = expect_refusals.into();
        let file = directory.path().join("groups.json");
        fs::write(&file, json!({"groups": [group("free"), limited]}).to_string()).unwrap();
        let arguments = ["load", "--groups", file.to_str().unwrap(), "--url", client.url(), "--json"];
        let mut load = TestProcess::run(&arguments, &[("TENET_OPERATOR_KEY", OPERATOR_KEY)]);
        let code = load.end().await;
        (code, load.printed())
    };
    let (code, printed) = run(true).await;
    assert_eq!(code, Some(0), "{printed}");
    let reports: Value = serde_json::from_str(&printed).unwrap();
    let [free, limited] = &reports["groups"].as_array().unwrap()[..] else { panic!("{reports:#}") };
    assert_eq!((&free["group"], &free["refused"][OVER_RATE]), (&"free".into(), &Value::Null), "{reports:#}");
    assert!(free["requests"].as_u64().unwrap() > 0, "{reports:#}");
    assert_eq!(limited["tier"], "free");
    assert!(limited["refused"][OVER_RATE].as_u64() > Some(0), "{reports:#}");
    let (code, printed) = run(false).await;
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("some requests failed"), "{printed}");
    drop(process);
}
