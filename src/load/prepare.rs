//! The tenants of a workload: made, or found again from an earlier run, and tried once each before the load.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use crate::{
    client::{Client, Method, Response},
    config::Secret,
    domain::{Quota, Scope, Tier},
};

use super::{Error, Group, Workload, generator::Generator, random::Random, tally::Results};

/// A tenant under load.
pub(super) struct Tenant {
    /// Its id.
    pub id: String,
    /// Where its rules are listed.
    pub rules_path: String,
    /// Where it asks for decisions.
    pub evaluate_path: String,
    /// Where it sends events.
    pub events_path: String,
    /// A key of its own, if one is needed.
    pub key: Option<Key>,
}

/// A tenant's key, made for one load.
pub(super) struct Key {
    /// What is shown.
    pub secret: Secret,
    path: String,
}

/// The body of an evaluation by a tenant's path, on facts just made.
pub(super) fn evaluation_by_path(facts: &Generator, random: &mut Random) -> String {
    let mut body = String::with_capacity(256);
    body.push_str("{\"facts\":");
    facts.write(random, &mut body);
    body.push('}');
    body
}

/// The body of a batch of evaluations, on facts just made. The answer shows what matches or fails.
pub(super) fn batch(items: usize, facts: &Generator, random: &mut Random) -> String {
    let mut body = String::with_capacity(items * 128);
    body.push_str("{\"return\":\"matched\",\"items\":[");
    for number in 0..items {
        if number > 0 {
            body.push(',');
        }
        body.push_str("{\"facts\":");
        facts.write(random, &mut body);
        body.push('}');
    }
    body.push_str("]}");
    body
}

impl Tenant {
    /// The body of an evaluation of this tenant, on facts just made.
    pub fn evaluation(&self, facts: &Generator, random: &mut Random) -> String {
        let mut body = String::with_capacity(256);
        body.push_str("{\"tenantId\":\"");
        body.push_str(&self.id);
        body.push_str("\",\"facts\":");
        facts.write(random, &mut body);
        body.push('}');
        body
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
    tier: Tier,
    /// Its own quotas, if it has any.
    #[serde(default)]
    quotas: BTreeMap<Quota, u64>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Named>,
}

/// The tenants of a group, ready to decide; their rule sets are in memory afterwards.
pub(super) async fn tenants(group: &Group, client: &Client) -> Result<Vec<Tenant>, Error> {
    let prefix = group.workload.tenant_prefix(&group.name);
    let mut tenants = Vec::new();
    for number in 1..=group.tenants {
        let tenant = tenant(client, &format!("{prefix}{number}"), group).await?;
        fill(client, &tenant, &group.workload).await?;
        attempt(client, &tenant, &group.workload).await?;
        tenants.push(tenant);
    }
    Ok(tenants)
}

/// Makes a tenant, or finds it again, with the group's tier and quotas.
async fn tenant(client: &Client, name: &str, group: &Group) -> Result<Tenant, Error> {
    let created = client.post_json("/api/v1/tenants", &json!({ "name": name, "tier": group.tier })).await?;
    let found = if created.status == 409 {
        let listed = client.get(&format!("/api/v1/tenants?namePrefix={}", in_query(name))).await?;
        let page: Page = accepted("finding a tenant again", &listed)?.json()?;
        let found = page.items.into_iter().find(|tenant| tenant.name == name);
        found.ok_or_else(|| Error::Invalid(format!("the tenant `{name}` can neither be created nor found")))?
    } else {
        accepted("creating a tenant", &created)?.json::<Named>()?
    };
    let id = found.id;
    if found.tier != group.tier || found.quotas != group.quotas {
        let mut quotas: BTreeMap<Quota, Option<u64>> = found.quotas.into_keys().map(|quota| (quota, None)).collect();
        quotas.extend(group.quotas.iter().map(|(quota, limit)| (*quota, Some(*limit))));
        let patch = json!({ "tier": group.tier, "quotas": quotas });
        let patched = client.patch_json(&format!("/api/v1/tenants/{id}"), &patch).await?;
        accepted("setting a tenant's tier and quotas", &patched)?;
    }
    let path = |resource: &str| format!("/api/v1/tenants/{id}/{resource}");
    Ok(Tenant {
        rules_path: path("rules"),
        evaluate_path: path("evaluate"),
        events_path: path("events"),
        key: None,
        id,
    })
}

/// Makes a key for each tenant. [`delete_keys`] deletes them again, so that loads can be repeated: a tenant has few keys.
pub(super) async fn make_keys(tenants: &mut [Tenant], scopes: &BTreeSet<Scope>, client: &Client) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
        key: String,
    }
    for tenant in tenants {
        let path = format!("/api/v1/tenants/{}/api-keys", tenant.id);
        let made = client.post_json(&path, &json!({ "name": "load", "scopes": scopes })).await?;
        let Made { id, key } = accepted("making a key", &made)?.json()?;
        tenant.key = Some(Key { secret: Secret::new(key), path: format!("{path}/{id}") });
    }
    Ok(())
}

/// Deletes the keys that [`make_keys`] made.
pub(super) async fn delete_keys(tenants: &[Tenant], client: &Client) -> Result<(), Error> {
    for key in tenants.iter().filter_map(|tenant| tenant.key.as_ref()) {
        accepted("deleting a key", &client.request(Method::DELETE, &key.path, &[], "").await?)?;
    }
    Ok(())
}

/// Gives the tenant its schema and rules; nothing changes if it has them.
async fn fill(client: &Client, tenant: &Tenant, workload: &Workload) -> Result<(), Error> {
    let path = format!("/api/v1/tenants/{}/schema", tenant.id);
    let schema = client.put_json(&path, &json!({ "definition": workload.schema })).await?;
    accepted("writing a schema", &schema)?;
    let rules = client.put_json(&tenant.rules_path, &json!({ "rules": workload.rules })).await?;
    accepted("writing rules", &rules)?;
    Ok(())
}

/// Evaluates once, so that a workload that the service does not understand ends here.
async fn attempt(client: &Client, tenant: &Tenant, workload: &Workload) -> Result<(), Error> {
    let body = tenant.evaluation(&workload.facts, &mut Random::new(0));
    let answer =
        client.request(Method::POST, "/api/v1/evaluate", &[("content-type", "application/json")], body).await?;
    accepted("evaluating", &answer)?;
    Results::check(&answer.body, workload.rules.len()).map_err(|reason| Error::WrongDecision {
        reason,
        rules: workload.rules.len(),
        body: answer.text(),
    })
}

/// The answer, if it is a good one.
pub(super) fn accepted<'a>(doing: &str, response: &'a Response) -> Result<&'a Response, Error> {
    if response.is_success() {
        return Ok(response);
    }
    Err(Error::Refused { doing: doing.to_owned(), status: response.status, body: response.text() })
}

/// `text` as part of a query.
fn in_query(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_whole_in_a_query() {
        assert_eq!(in_query("load-ten_rules-1"), "load-ten_rules-1");
        assert_eq!(in_query("a&b=ü"), "a%26b%3D%C3%BC");
    }
}
