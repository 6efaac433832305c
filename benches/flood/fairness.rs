//! Tenants that all want more than there is: how the time of evaluation is shared out among them, as the service counts it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tenet::{
    domain::{Quota, Tier},
    load::Group,
};

use super::service::{Bed, Running, group};

const TENANTS: usize = 10;
/// Connections of each tenant, so that it always has something waiting.
const CONNECTIONS: usize = 4;

pub fn run(bed: &Bed, service: &Running, round: Duration) {
    println!("\nfairness: tenants that always have something waiting, by microseconds of evaluation");
    let one = |name: &str, tier: Tier, file: &str| Group {
        tier,
        tenants: 1,
        connections: CONNECTIONS,
        duration: round,
        quotas: [(Quota::RequestsPerMinute, 10_000_000)].into(),
        ..group(name, file, "evaluate")
    };
    let file = |number: usize| if number.is_multiple_of(2) { "heavy" } else { "middling" };
    let mixed: Vec<Group> =
        (0..TENANTS).map(|number| one(&format!("fair-{number}"), Tier::Enterprise, file(number))).collect();
    let tiers: Vec<Group> = Tier::ALL.map(|tier| one(&format!("fair-{}", tier.name()), tier, "heavy")).into();
    let alone = [one("fair-alone", Tier::Enterprise, "heavy")];
    let micros = measure(bed, service, &mixed);
    let squares: f64 = micros.iter().map(|used| used * used).sum();
    let jain = micros.iter().sum::<f64>().powi(2) / (micros.len() as f64 * squares);
    println!("  ten of one tier, costs mixed: Jain's index {jain:.3}, aimed at 0.98 or more: {}", holds(jain >= 0.98));
    let used = measure(bed, service, &tiers);
    let [pro, enterprise] = [used[1] / used[0], used[2] / used[0]];
    let is_near = |part: f64, weight: f64| (part - weight).abs() <= weight * 0.1;
    println!(
        "  free : pro : enterprise = 1 : {pro:.2} : {enterprise:.2}, aimed at 1 : 3 : 6, 10 % off at most: {}",
        holds(is_near(pro, 3.0) && is_near(enterprise, 6.0))
    );
    let threads = load_of(bed, service)["evaluationThreads"].as_f64().unwrap();
    let share = measure(bed, service, &alone)[0] / (round.as_secs_f64() * 1e6 * threads);
    let percent = share * 100.0;
    println!("  one alone: {percent:.0} % of {threads} threads, aimed at 95 or more: {}", holds(share >= 0.95));
}

fn holds(does: bool) -> &'static str {
    if does { "holds" } else { "broken" }
}

/// The microseconds of evaluation that each group's only tenant used during the load.
fn measure(bed: &Bed, service: &Running, groups: &[Group]) -> Vec<f64> {
    let before = used(bed, service);
    service.load(bed, groups);
    let after = used(bed, service);
    let micros = |group: &Group| {
        let path = format!("/api/v1/tenants?namePrefix=load-{}-", group.name);
        let page: Value = bed.runtime.block_on(service.client().get(&path)).unwrap().json().unwrap();
        let id = page["items"][0]["id"].as_str().unwrap();
        after[id] - before.get(id).copied().unwrap_or(0.0)
    };
    groups.iter().map(micros).collect()
}

/// What the busiest tenants have used until now.
fn used(bed: &Bed, service: &Running) -> BTreeMap<String, f64> {
    let load = load_of(bed, service);
    let tenant = |tenant: &Value| {
        (tenant["tenantId"].as_str().unwrap().to_owned(), tenant["evaluationMicros"].as_f64().unwrap())
    };
    load["tenants"].as_array().unwrap().iter().map(tenant).collect()
}

fn load_of(bed: &Bed, service: &Running) -> Value {
    bed.runtime.block_on(service.client().get("/api/v1/runtime/admission")).unwrap().json().unwrap()
}
