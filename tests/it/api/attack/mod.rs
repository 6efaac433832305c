//! An attacker with every kind of credential, at every route: what is answered is what the table of permissions says,
//! and nothing that belongs to another tenant is ever in it, nor in the log or the metrics.
//!
//! `operations.rs` is the oracle, `credentials.rs` what an attacker may hold, `target.rs` the two tenants and
//! `shot.rs` a single request.

mod credentials;
mod operations;
mod shot;
mod target;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method, Response},
    config::JwtAlgorithm,
};

use super::body;
use crate::support::{OPERATOR_KEY, TestDatabase, TestProcess, TokenIssuer, proof_size, within};
use credentials::{Credential, Locksmith, Principal, believing};
use operations::{Asks, Route, Scopes, routes, unknown_methods};
use shot::{Shot, Told};
use target::{Ids, Target};

/// What stands in every text of the tenant that attacks, of the one that is attacked, and of one that is deleted.
const CANARIES: [&str; 3] = ["acmewitness", "globexcanary", "gonecanary"];

/// Connections at once. No more than those who may wait for a change of one tenant.
const CONNECTIONS: usize = 8;

/// Who attacks whom with what.
struct Attack {
    client: Client,
    routes: Vec<Route>,
    unknown_methods: Vec<(Method, String)>,
    credentials: Vec<Credential>,
    own: Target,
    other: Target,
    /// Ids to ask with, after those of nobody, and whether they are as long as those.
    strange: Vec<(Ids, bool)>,
    /// Requests by kind of credential.
    sent: Mutex<BTreeMap<String, u64>>,
}

impl Attack {
    /// Every credential at every route, over several connections. Nothing of it changes anything.
    async fn run(self: &Arc<Self>) {
        let next = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (attack, next) = (Arc::clone(self), Arc::clone(&next));
                let client = self.client.clone().with_own_connections();
                tokio::spawn(async move {
                    loop {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        let (credential, target) = (job / (attack.routes.len() + 1), job % (attack.routes.len() + 1));
                        let Some(credential) = attack.credentials.get(credential) else { return };
                        let client = client.clone().with_key(credential.key.clone());
                        attack.with_all_ids(&client, credential, attack.routes.get(target)).await;
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    }

    /// One credential at one route, or at no route: whatever is asked with ids of others must be answered as it is
    /// with ids of nobody.
    async fn with_all_ids(&self, client: &Client, by: &Credential, route: Option<&Route>) {
        if let Some(route) = route {
            for shot in Shot::at_own(route, &self.own) {
                if !shot.would_change(route, by.principal) {
                    self.fire(client, by, Some(route), &shot).await;
                }
            }
        }
        let of_nobody = self.with_ids(client, by, route, &Ids::absent(&self.other.ids)).await;
        // Several scopes together are told apart from one alone by no spelling.
        let is_combined = matches!(by.principal, Principal::Tenant(scopes) if scopes.names().len() > 1);
        let strange = self.strange.iter().take(if is_combined { 2 } else { self.strange.len() });
        for (ids, have_same_length) in strange {
            let of_other = self.with_ids(client, by, route, ids).await;
            for ((shot, told), (expected_shot, expected)) in of_other.iter().zip(&of_nobody) {
                let is_same = told.text == expected.text && (!have_same_length || told.length == expected.length);
                assert!(is_same, "{shot:?}: {told:?}\nis told apart from {expected_shot:?}: {expected:?}");
            }
        }
    }

    async fn with_ids(&self, client: &Client, by: &Credential, route: Option<&Route>, ids: &Ids) -> Vec<(Shot, Told)> {
        let shots = match route {
            Some(route) => Shot::with_ids_of(route, &self.own, ids),
            None => {
                let shot = |(method, pattern): &(Method, String)| Shot::with_unknown_method(method, pattern, ids);
                self.unknown_methods.iter().map(shot).collect()
            }
        };
        let mut answered = Vec::with_capacity(shots.len());
        for shot in shots {
            let answer = self.fire(client, by, route, &shot).await;
            let mut told = Told::by(&answer, ids);
            // To HEAD they say how long they would be, and the time of a count is shorter now and then.
            if ["/analytics/", "/rules/health", "/events/stats"].iter().any(|part| shot.path.contains(part)) {
                told.length = None;
            }
            answered.push((shot, told));
        }
        answered
    }

    async fn fire(&self, client: &Client, by: &Credential, route: Option<&Route>, shot: &Shot) -> Response {
        let answer = shot.fire(client, by, route, &self.own, &self.other).await;
        *self.sent.lock().unwrap().entry(by.kind.clone()).or_default() += 1;
        answer
    }

    /// What changes the attacker's own, by everyone who may: it is done, to nothing but what is its own.
    async fn change_own(&self, operator: &Client) {
        let mut number = 0;
        for by in &self.credentials {
            let Principal::Tenant(scopes) = by.principal else { continue };
            for route in self.routes.iter().filter(|route| route.changes() && scopes.permit(route.operation.asks)) {
                number += 1;
                let own = self.spare(operator, route, number).await;
                let client = self.client.clone().with_key(by.key.clone());
                for shot in Shot::at_own(route, &own) {
                    let answer = self.fire(&client, by, Some(route), &shot).await;
                    if let Some(made) = answer.header("location").filter(|_| answer.status == 201) {
                        let gone = operator.delete(made).await.unwrap();
                        assert_eq!(gone.status, 204, "{made}: {}", gone.text());
                    }
                }
                if route.operation.name == "rotateApiKey" {
                    let old = own.ids.path("/api/v1/tenants/{tenantId}/api-keys/{keyId}");
                    assert_eq!(operator.delete(&old).await.unwrap().status, 204);
                }
            }
        }
    }

    /// The metrics tell nothing of a tenant but its id, and do not even count who asks for another's.
    async fn look_at_metrics(&self, before: &str) {
        let metrics = self.client.get("/metrics").await.unwrap().text();
        let lines_about = |metrics: &str| -> Vec<String> {
            metrics.lines().filter(|line| line.contains(&self.other.ids.tenant)).map(str::to_owned).collect()
        };
        assert_eq!(lines_about(&metrics), lines_about(before));
        let absent = Ids::absent(&self.other.ids).tenant;
        for secret in self.other.secrets.iter().map(String::as_str).chain(CANARIES).chain([&*absent]) {
            assert!(!metrics.contains(secret), "the metrics tell {secret}:\n{metrics}");
        }
    }

    /// The attacker's own audit log tells what it did, and nothing of the other tenant.
    async fn look_at_audit(&self, operator: &Client) {
        let path = format!("/api/v1/tenants/{}/audit?limit=200", self.own.ids.tenant);
        let (mut rows, mut cursor) = (0, String::new());
        loop {
            let answer = operator.get(&format!("{path}{cursor}")).await.unwrap();
            let page = body(&answer, 200);
            rows += page["items"].as_array().unwrap().len();
            let secrets = self.other.secrets.iter().map(String::as_str);
            for secret in secrets.chain([self.other.canary, self.other.ids.tenant.as_str()]) {
                assert!(!answer.text().contains(secret), "the audit log tells {secret}: {}", answer.text());
            }
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert!(rows > 20, "{rows} rows: what is its own was changed, and this is told");
    }

    /// The log has a line for each request, and no text of a tenant and no key in it.
    async fn look_at_log(&self, process: &TestProcess, from: usize) {
        let sent = usize::try_from(self.sent.lock().unwrap().values().sum::<u64>()).unwrap();
        let answered = || process.printed()[from..].matches("\"answered\"").count();
        within(Duration::from_secs(60), "the log comes", async || answered() >= sent).await;
        let log = process.printed().split_off(from);
        let secrets = self.credentials.iter().filter_map(Credential::secret);
        for secret in secrets.chain(CANARIES) {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "the log tells `{secret}`: {line:?}");
        }
    }

    /// The attacker's own tenant, with a thing to spare where the route would use it up.
    async fn spare(&self, operator: &Client, route: &Route, number: usize) -> Target {
        let mut own = self.own.clone();
        let uses_up = route.method == Method::DELETE || route.operation.name == "rotateApiKey";
        let name = format!("spare{number}");
        let id = |made: Value| made["id"].as_str().unwrap().to_owned();
        match route.not_found().filter(|_| uses_up) {
            Some("rule_not_found") => own.ids.rule = id(own.create(operator, "rules", &own.rule(&name)).await),
            Some("derived_field_not_found") => {
                own.ids.field = id(own.create(operator, "derived-fields", &own.derived_field(&name)).await);
            }
            Some("api_key_not_found") => {
                let draft = json!({"name": own.canary, "scopes": ["read"]});
                own.ids.key = id(own.create(operator, "api-keys", &draft).await);
            }
            Some("event_not_found") => {
                own.ids.event = own.send_event(operator).await;
            }
            // Stopped, it is there all the same.
            Some("redrive_not_found") => {}
            Some(other) => panic!("say here how to make what is then `{other}`"),
            None => {}
        }
        own
    }
}

/// Ids of `of` as they are, and as they could be written to get past a comparison; texts that are no ids.
fn strange(of: &Ids, all: bool) -> Vec<(Ids, bool)> {
    let mut strange = vec![(of.clone(), true)];
    if all {
        strange.push((of.spelled(|_| "no-id".to_owned()), false));
        strange.push((of.spelled(str::to_uppercase), true));
        strange.push((of.spelled(|id| id.replace('-', "")), false));
        strange.push((of.spelled(|id| format!("%7B{id}%7D")), false));
        strange.push((of.spelled(|id| format!("urn:uuid:{id}")), false));
        strange.push((of.spelled(|id| format!("{id}%20")), false));
        strange.push((of.spelled(|id| format!("x%2F..%2F{id}")), false));
    }
    strange
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attacker_with_every_credential_learns_and_changes_nothing_of_another_tenant() {
    let began = Instant::now();
    let is_full = proof_size(0, 1) == 1;
    let database = TestDatabase::fresh().await;
    let issuer = TokenIssuer::new(JwtAlgorithm::EdDsa);
    let believing = believing(&issuer);
    let mut variables = vec![
        ("TENET_LOG", "info,tenet=trace"),
        ("TENET_LOG_FORMAT", "json"),
        ("TENET_AUTH_FAILURES_PER_ADDRESS", "1000000000"),
        ("TENET_AUTH_FAILURES_PER_KEY", "1000000000"),
        // Its own decisions are counted, and no two answers would be alike.
        ("TENET_ANALYTICS_FLUSH", "300s"),
    ];
    variables.extend(believing.iter().map(|(name, value)| (*name, value.as_str())));
    let (process, operator) = TestProcess::serve_with(database.url(), &variables).await;
    let nobody = Client::new(operator.url()).unwrap();
    let document = nobody.get("/api-docs/openapi.json").await.unwrap().json::<Value>().unwrap();
    let mut own = Target::make(&operator, CANARIES[0], 2).await;
    let mut other = Target::make(&operator, CANARIES[1], 3).await;

    let [of_own, of_other] = [&own, &other].map(|target| Locksmith { operator: &operator, issuer: &issuer, target });
    let sets = || Scopes::all().filter(|set| is_full || set.names().len() == 1);
    let mut credentials = of_own.invalid(&of_other).await;
    credentials.extend(of_own.invalid_tokens(&of_other).await);
    if !is_full {
        credentials.dedup_by_key(|credential| credential.kind.clone());
    }
    credentials.extend(of_own.valid("scopes", sets()).await);
    let admin = Scopes::all().filter(|set| set.permit(Asks::Administer) && set.names().len() == 1);
    let mut others = of_other.valid("the other tenant's", admin).await;
    credentials.extend(of_own.roles("token"));
    others.extend(of_other.roles("the other tenant's token").into_iter().take(if is_full { usize::MAX } else { 1 }));
    let operators = vec![Credential::operator(OPERATOR_KEY), of_own.operators_token()];

    let lists = || routes(&document).into_iter().filter(|route| route.takes("cursor")).map(|route| route.pattern);
    let lists: Vec<String> = lists().collect();
    own.look(&operator, &lists).await;
    other.look(&operator, &lists).await;
    assert_ne!(own.ids.tag, other.ids.tag);
    let attack = |credentials: Vec<Credential>, own: &Target, other: &Target, strange| {
        let routes = routes(&document);
        let unknown_methods = unknown_methods(&routes);
        let (own, other) = (own.clone(), other.clone());
        let (client, sent) = (nobody.clone(), Mutex::default());
        Arc::new(Attack { client, routes, unknown_methods, credentials, own, other, strange, sent })
    };

    // Each tenant against the other; what the second has as its own must stay what it is.
    let everything = other.everything(&operator).await;
    let (metrics, logged) = (nobody.get("/metrics").await.unwrap().text(), process.printed().len());
    let by_own = attack(credentials, &own, &other, strange(&other.ids, is_full));
    by_own.run().await;
    by_own.change_own(&operator).await;
    by_own.look_at_metrics(&metrics).await;
    by_own.look_at_audit(&operator).await;
    by_own.look_at_log(&process, logged).await;
    assert_eq!(other.everything(&operator).await, everything, "something of the other tenant has changed");

    let everything = own.everything(&operator).await;
    own.look(&operator, &lists).await;
    // The attacker has a version of this number itself.
    let ids = Ids { version: "7".to_owned(), ..own.ids.clone() };
    let by_other = attack(others, &other, &own, strange(&ids, is_full));
    by_other.run().await;
    assert_eq!(own.everything(&operator).await, everything, "something of the tenant has changed");
    let by_operator =
        [(&own, &other), (&other, &own)].map(|(one, two)| attack(operators.clone(), one, two, Vec::new()));
    for attack in &by_operator {
        attack.run().await;
    }
    report([&*by_own, &*by_other, &*by_operator[0], &*by_operator[1]], is_full);
    println!("in {:.1} s", began.elapsed().as_secs_f64());
}

/// Prints how many requests each kind of credential has sent, and holds them to the number that is promised.
fn report<'a>(attacks: impl IntoIterator<Item = &'a Attack>, is_full: bool) {
    let mut sent = BTreeMap::new();
    for attack in attacks {
        for (kind, requests) in attack.sent.lock().unwrap().iter() {
            *sent.entry(kind.clone()).or_insert(0) += requests;
        }
    }
    for (kind, requests) in &sent {
        println!("{requests:>8} {kind}");
    }
    let (total, least) = (sent.values().sum::<u64>(), sent.values().min().copied().unwrap_or_default());
    println!("{total:>8} requests, {} kinds of credentials", sent.len());
    let total_min = if is_full { 100_000 } else { 10_000 };
    assert!(total >= total_min && least >= 500, "{total} requests, {least} with one kind of credential");
}
