//! One request of an attack, and what is to be answered to it.

use serde_json::{Value, json};
use tenet::client::{Client, Method, Response};

use super::{
    CANARIES,
    credentials::{Credential, Principal},
    operations::{Asks, Route},
    target::{Ids, Target, opened_cursors},
};

/// Each request carries the same id, so that not even that tells answers apart.
const REQUEST_ID: &str = "attack";

/// What whoever may do the operation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// What the operation answers.
    Done,
    /// The same, of the tenant that the key is of; an operator has none.
    DoneUnnamed,
    /// The path names a tenant that is not the caller's: said before it is asked what the caller may.
    NoTenant,
    /// The body names one.
    NoTenantInBody,
    /// The path names a thing that is none of the tenant's.
    NoThing(&'static str),
    /// The body names rules that are none of the tenant's.
    NoRules,
    /// An item of the body names a tenant: items have none.
    NoItem,
    /// The tenant does not stand at that revision.
    OtherRevision,
    /// The request has something that it must not have.
    Refused,
    /// The path does not know the method, whoever asks.
    NoMethod,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Shot {
    pub method: Method,
    pub path: String,
    pub header: Option<(&'static str, String)>,
    pub content_type: &'static str,
    pub body: Value,
    pub expected: Expected,
}

impl Shot {
    fn new(route: &Route, ids: &Ids, body: Value, expected: Expected) -> Self {
        Self {
            method: route.method.clone(),
            path: ids.path(&route.pattern),
            header: None,
            content_type: "application/json",
            body,
            expected,
        }
    }

    /// A method that the path does not know.
    pub fn with_unknown_method(method: &Method, pattern: &str, ids: &Ids) -> Self {
        Self {
            method: method.clone(),
            path: ids.path(pattern),
            header: None,
            content_type: "application/json",
            body: Value::Null,
            expected: Expected::NoMethod,
        }
    }

    /// What the attacker asks of its own.
    pub fn at_own(route: &Route, own: &Target) -> Vec<Self> {
        let sample = (route.operation.body)(own);
        if route.operation.name != "evaluate" {
            return vec![Self::new(route, &own.ids, sample, Expected::Done)];
        }
        let named = with(&sample, "tenantId", &own.ids.tenant);
        let unnamed = Self::new(route, &own.ids, sample, Expected::DoneUnnamed);
        vec![Self::new(route, &own.ids, named, Expected::Done), unnamed]
    }

    /// What the attacker asks with the ids of `x` at every place that takes one: in the path, the query, the body, as
    /// a cursor and as a tag.
    pub fn with_ids_of(route: &Route, own: &Target, x: &Ids) -> Vec<Self> {
        let mut shots = Vec::new();
        let sample = (route.operation.body)(own);
        if route.is_of_tenant() {
            shots.extend(Self::at_tenant(route, own, x, &sample));
        }
        let shot = |expected| Self::new(route, &own.ids, sample.clone(), expected);
        if route.operation.asks == Asks::Nothing {
            return shots;
        }
        shots.push(shot(Expected::Refused).query("tenantId", &x.tenant));
        if route.takes("cursor") {
            shots.push(shot(Expected::Done).query("cursor", &x.cursors[&route.pattern]));
        }
        if route.takes("If-None-Match") {
            shots.push(shot(Expected::Done).header("if-none-match", &x.tag));
        }
        if route.takes("If-Match") {
            shots.push(shot(Expected::OtherRevision).header("if-match", &x.tag));
        }
        if sample.is_object() {
            let with_body = |body: Value, expected| Self::new(route, &own.ids, body, expected);
            let named = route.operation.name == "evaluate";
            let expected = if named { Expected::NoTenantInBody } else { Expected::Refused };
            shots.push(with_body(with(&sample, "tenantId", &x.tenant), expected));
            shots.push(with_body(with(&sample, "id", &x.rule), Expected::Refused));
            if route.operation.asks == Asks::Evaluate {
                let sample = if named { with(&sample, "tenantId", &own.ids.tenant) } else { sample.clone() };
                let mut body = sample.clone();
                body["rules"] = json!([x.rule, x.field, x.key]);
                shots.push(with_body(body, Expected::NoRules));
            }
        }
        match route.operation.name {
            "evaluateBatch" => {
                let ndjson = |shot: Self, body| Self { content_type: "application/x-ndjson", body, ..shot };
                let item = json!({"facts": own.facts()});
                let of_tenant = with(&item, "tenantId", &x.tenant);
                shots.push(ndjson(shot(Expected::NoRules).query("rules", &x.rule), item));
                shots.push(ndjson(shot(Expected::NoItem), of_tenant.clone()));
                shots.push(Self { body: json!({"items": [of_tenant]}), ..shot(Expected::NoItem) });
            }
            "replaceRules" => {
                let rules = json!({"rules": [with(&own.rule("one"), "id", &x.rule)]});
                shots.push(Self { body: rules, ..shot(Expected::Refused) });
            }
            _ => {}
        }
        shots
    }

    /// What names a tenant in its path.
    fn at_tenant(route: &Route, own: &Target, x: &Ids, sample: &Value) -> Vec<Self> {
        let shot = |ids: &Ids, expected| Self::new(route, ids, sample.clone(), expected);
        let mut shots = vec![shot(x, Expected::NoTenant)];
        if let Some(code) = route.not_found() {
            shots.push(shot(&Ids { tenant: x.tenant.clone(), ..own.ids.clone() }, Expected::NoTenant));
            shots.push(shot(&Ids { tenant: own.ids.tenant.clone(), ..x.clone() }, Expected::NoThing(code)));
        }
        for (header, name) in [("If-None-Match", "if-none-match"), ("If-Match", "if-match")] {
            if route.takes(header) {
                shots.extend([&x.tag, "*"].map(|tag| shot(x, Expected::NoTenant).header(name, tag)));
            }
        }
        if route.takes("cursor") {
            shots.push(shot(x, Expected::NoTenant).query("cursor", &x.cursors[&route.pattern]));
        }
        if sample.is_object() {
            let body = with(sample, "tenantId", &own.ids.tenant);
            shots.push(Self::new(route, x, body, Expected::NoTenant));
        }
        shots
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.path = format!("{}?{name}={value}", self.path);
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.header = Some((name, value.to_owned()));
        self
    }

    /// The status and, in an answer that has a body, the code that the answer must have.
    fn outcome(&self, route: Option<&Route>, principal: Principal) -> (Vec<u16>, Option<&'static str>) {
        let one = |status: u16, code| (vec![status], Some(code));
        let Some(operation) = route.map(|route| route.operation) else { return one(405, "method_not_allowed") };
        if operation.asks == Asks::Nothing {
            return (vec![operation.answer], None);
        }
        match (principal, self.expected) {
            (Principal::Nobody, _) => return one(401, "unauthenticated"),
            (Principal::Tenant(_), Expected::NoTenant) => return one(404, "tenant_not_found"),
            (Principal::Tenant(scopes), _) if !scopes.permit(operation.asks) => return one(403, "forbidden"),
            (Principal::Operator, Expected::DoneUnnamed) => return (vec![422], None),
            // Every tenant could be the operator's: the body may be looked at first.
            (Principal::Operator, Expected::NoTenant) => return (vec![404, 422], None),
            _ => {}
        }
        match self.expected {
            Expected::Done | Expected::DoneUnnamed => (vec![operation.answer], None),
            Expected::NoTenant | Expected::NoTenantInBody => one(404, "tenant_not_found"),
            Expected::NoThing(code) => one(404, code),
            Expected::NoRules | Expected::NoItem => (vec![200], None),
            Expected::OtherRevision => (vec![412], None),
            Expected::Refused => (vec![422], None),
            Expected::NoMethod => one(405, "method_not_allowed"),
        }
    }

    /// Whether it is let in and would change what is the caller's own.
    pub fn would_change(&self, route: &Route, principal: Principal) -> bool {
        let may = match principal {
            Principal::Nobody => false,
            Principal::Tenant(scopes) => scopes.permit(route.operation.asks),
            Principal::Operator => true,
        };
        may && route.changes() && self.expected == Expected::Done
    }

    /// Sends it, looks whether the answer is the right one and tells nothing that is not `own`, and answers it.
    pub async fn fire(
        &self,
        client: &Client,
        by: &Credential,
        route: Option<&Route>,
        own: &Target,
        other: &Target,
    ) -> Response {
        let mut headers = vec![("x-request-id", REQUEST_ID)];
        headers.extend(self.header.iter().map(|(name, value)| (*name, value.as_str())));
        let mut body = String::new();
        if !self.body.is_null() {
            headers.push(("content-type", self.content_type));
            body = self.body.to_string();
        }
        let sent = format!("{} {} {:?} {body}", self.method, self.path, self.header);
        let answer = client.request(self.method.clone(), &self.path, &headers, body).await.unwrap();
        let text = answer.text();
        let about = || format!("{sent} with {:?}: {} {:?} {text}", by.kind, answer.status, answer.headers);
        let (statuses, code) = self.outcome(route, by.principal);
        assert!(statuses.contains(&answer.status), "{statuses:?} {code:?} is due: {}", about());
        if let Some(code) = code.filter(|_| !text.is_empty()) {
            assert_eq!(answer.json::<Value>().unwrap()["code"], code, "{}", about());
        }
        let refusal = match self.expected {
            Expected::NoRules => Some("rule_not_found"),
            Expected::NoItem => Some("unknown_field"),
            _ => None,
        };
        if let Some(refusal) = refusal.filter(|_| answer.status == 200) {
            assert!(text.contains(refusal) && !text.contains("\"matched\":true"), "{}", about());
        }
        if by.principal != Principal::Operator {
            let headers = answer.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()));
            let mut told = headers.collect::<Vec<_>>().join("\n");
            told.push_str(&text);
            told.push_str(&opened_cursors(&text));
            let canary = CANARIES.iter().find(|canary| **canary != own.canary && told.contains(**canary));
            assert!(canary.is_none(), "it tells {canary:?}, a text of another tenant: {}", about());
            let leaked = other.secrets.iter().find(|secret| told.contains(*secret) && !sent.contains(*secret));
            assert!(leaked.is_none(), "it tells {leaked:?}: {}", about());
        }
        answer
    }
}

fn with(body: &Value, member: &str, value: &str) -> Value {
    let mut body = body.clone();
    body[member] = value.into();
    body
}

/// What of an answer may tell the asker something, with one word for the ids that were asked with.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    /// How long the answer is said to be. `None` where that differs from one time to the next.
    pub length: Option<String>,
}

impl Told {
    pub fn by(answer: &Response, asked: &Ids) -> Self {
        let body = answer.text();
        // When a key was used last is written once a minute, and no decision takes as long as the one before
        // or is taken at its time; nor are two counts, whose hours go on, too.
        let members = ["evaluationTimeMs", "evaluatedAt", "lastUsedAt", "asOf", "from", "to", "at"];
        let text = members.iter().fold(body.clone(), |text, name| without(&text, &format!("\"{name}\":")));
        // A connection is closed if a refused body has not arrived by then: that is a matter of packets, not of ids.
        let untold = ["date", "content-length", "connection"];
        let headers = answer.headers.iter().filter(|(name, _)| !untold.contains(&name.as_str()));
        let mut lines: Vec<String> =
            headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        let length = answer.header("content-length").filter(|_| text == body).map(str::to_owned);
        Self { text: asked.hide(&format!("{}\n{}\n{text}", answer.status, lines.join("\n"))), length }
    }
}

/// A text without the values of this member.
fn without(text: &str, member: &str) -> String {
    let mut parts = text.split(member);
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left.push_str(&part[part.find([',', '}', ']']).unwrap_or(part.len())..]);
    }
    left
}
