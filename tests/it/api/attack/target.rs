//! The two tenants: twins, but for the canary that stands in every text of each, and their ids.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tenet::client::{Client, Method};
use uuid::Uuid;

use super::super::{NOBODY, body, send};
use crate::support::within;

/// Ids of a tenant and of what it has, or such ids that nobody has.
#[derive(Debug, Clone)]
pub struct Ids {
    pub tenant: String,
    pub rule: String,
    pub field: String,
    pub key: String,
    /// A dead letter.
    pub event: String,
    pub redrive: String,
    pub decision: String,
    pub version: String,
    /// The tag of its revision.
    pub tag: String,
    /// Where the second page of each of its lists begins, by the path of the list.
    pub cursors: BTreeMap<String, String>,
}

/// A tenant with two of everything.
#[derive(Debug, Clone)]
pub struct Target {
    pub canary: &'static str,
    pub ids: Ids,
    /// Ids that are in nothing that is answered to others.
    pub secrets: Vec<String>,
}

impl Ids {
    /// Ids of nobody, that look like these.
    pub fn absent(like: &Self) -> Self {
        let id = |number: u8| format!("{}{number:02}", &NOBODY[..NOBODY.len() - 2]);
        let cursors = like.cursors.iter().map(|(list, cursor)| (list.clone(), absent_cursor(cursor))).collect();
        Self {
            tenant: id(1),
            rule: id(2),
            field: id(3),
            key: id(4),
            event: id(5),
            redrive: id(6),
            decision: id(7),
            version: "8".to_owned(),
            tag: "\"987654\"".to_owned(),
            cursors,
        }
    }

    /// The same, each id written by `spell`.
    pub fn spelled(&self, spell: impl Fn(&str) -> String) -> Self {
        Self {
            tenant: spell(&self.tenant),
            rule: spell(&self.rule),
            field: spell(&self.field),
            key: spell(&self.key),
            event: spell(&self.event),
            redrive: spell(&self.redrive),
            decision: spell(&self.decision),
            ..self.clone()
        }
    }

    /// Its path.
    pub fn path(&self, pattern: &str) -> String {
        pattern
            .replace("{tenantId}", &self.tenant)
            .replace("{ruleId}", &self.rule)
            .replace("{fieldId}", &self.field)
            .replace("{keyId}", &self.key)
            .replace("{eventId}", &self.event)
            .replace("{redriveId}", &self.redrive)
            .replace("{decisionId}", &self.decision)
            .replace("{version}", &self.version)
    }

    /// `text`, with one word for all that names these.
    pub fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for id in
            [&self.tenant, &self.rule, &self.field, &self.key, &self.event, &self.redrive, &self.decision, &self.tag]
        {
            // As it was sent, and as it was read if it was sent in a URL.
            let read = [("%7B", "{"), ("%7D", "}"), ("%2F", "/"), ("%20", " ")];
            let read = read.iter().fold(id.clone(), |id, (sent, read)| id.replace(sent, read));
            text = text.replace(id, "<id>").replace(&read, "<id>");
        }
        // An export that has nothing more to send says again where it was asked to go on.
        for cursor in self.cursors.values() {
            text = text.replace(cursor, "<cursor>");
        }
        text
    }
}

/// A cursor like this, whose place is that of nobody's row.
fn absent_cursor(cursor: &str) -> String {
    let mut value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    fn replace(value: &mut Value) {
        match value {
            // Of the same moment: lists of events go by time.
            Value::String(text) if Uuid::try_parse(text).is_ok() => text.replace_range(24.., &NOBODY[24..]),
            Value::Array(items) => items.iter_mut().for_each(replace),
            _ => {}
        }
    }
    replace(&mut value);
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// What the cursors in an answer say.
pub fn opened_cursors(text: &str) -> String {
    let parts = text.split("\"nextCursor\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    parts.map(|cursor| String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap()).collect()
}

impl Target {
    /// A tenant whose schema has this many versions.
    pub async fn make(operator: &Client, canary: &'static str, versions: usize) -> Self {
        let ids = Ids {
            tenant: String::new(),
            rule: String::new(),
            field: String::new(),
            key: String::new(),
            event: String::new(),
            redrive: String::new(),
            decision: String::new(),
            version: versions.to_string(),
            tag: String::new(),
            cursors: BTreeMap::new(),
        };
        let mut target = Self { canary, ids, secrets: Vec::new() };
        let answer = operator.post_json("/api/v1/tenants", &json!({"name": canary})).await.unwrap();
        target.ids.tenant = body(&answer, 201)["id"].as_str().unwrap().to_owned();
        for version in 1..=versions {
            let mut schema = target.schema();
            if version < versions {
                schema[canary]["later"]["description"] = format!("{canary} {version}").into();
            }
            if version == 1 {
                schema[canary]["later"]["type"] = "string".into();
            }
            let answer = operator.put_json(&target.path("schema"), &json!({"definition": schema})).await.unwrap();
            body(&answer, 200);
            if version == 1 {
                target.send_what_the_next_schema_refuses(operator).await;
            }
        }
        body(&send(operator, Method::POST, &target.path("consumer/resume"), &[], &Value::Null).await, 200);
        target.have_no_pending_events(operator).await;
        let redrive = operator.post_json(&target.path("dead-letters/redrive"), &json!({"eventIds": []})).await.unwrap();
        target.ids.redrive = body(&redrive, 202)["redriveId"].as_str().unwrap().to_owned();
        target.secrets.push(target.ids.redrive.clone());
        // The first of each is the one that is asked for; the second makes a second page.
        for (part, bodies) in [
            ("rules", [target.rule("one"), target.rule("two")]),
            ("derived-fields", [target.derived_field("one"), target.derived_field("two")]),
            ("api-keys", [json!({"name": canary, "scopes": ["read"]}), json!({"name": canary, "scopes": ["read"]})]),
        ] {
            for (index, body) in bodies.iter().enumerate() {
                let made = target.create(operator, part, body).await;
                let id = made["id"].as_str().unwrap().to_owned();
                target.secrets.extend(made["publicId"].as_str().map(str::to_owned));
                target.secrets.push(id.clone());
                match (index, part) {
                    (0, "rules") => target.ids.rule = id,
                    (0, "derived-fields") => target.ids.field = id,
                    (0, _) => target.ids.key = id,
                    _ => {}
                }
            }
        }
        // Two, so that there is a second page.
        for _ in 0..2 {
            let asked = json!({"facts": target.facts(), "record": "durable"});
            let decided = operator.post_json(&target.path("evaluate"), &asked).await.unwrap();
            let answer = body(&decided, 200);
            assert_eq!(answer["results"][0]["matched"], true, "{}", decided.text());
            answer["decisionId"].as_str().unwrap().clone_into(&mut target.ids.decision);
            target.secrets.push(target.ids.decision.clone());
        }
        target
    }

    /// Notes where its lists go on and at which revision it stands: when nothing more of it is made.
    pub async fn look(&mut self, operator: &Client, lists: &[String]) {
        let answer = operator.get(&format!("/api/v1/tenants/{}", self.ids.tenant)).await.unwrap();
        answer.header("etag").unwrap().clone_into(&mut self.ids.tag);
        for list in lists {
            let path = self.ids.path(list);
            let cursor = if list.ends_with("/export") {
                let answer = operator.get(&path).await.unwrap().text().to_string();
                let first: Value = serde_json::from_str(answer.lines().next().unwrap()).unwrap();
                first["cursor"].as_str().map(str::to_owned)
            } else {
                let answer = operator.get(&format!("{path}?limit=1")).await.unwrap();
                body(&answer, 200)["nextCursor"].as_str().map(str::to_owned)
            };
            let cursor = cursor.unwrap_or_else(|| panic!("`{list}` has no second page: let `Target::make` make two"));
            self.ids.cursors.insert(list.clone(), cursor);
        }
    }

    /// Makes a part of it; answers it.
    pub async fn create(&self, operator: &Client, part: &str, draft: &Value) -> Value {
        body(&operator.post_json(&self.path(part), draft).await.unwrap(), 201)
    }

    fn path(&self, part: &str) -> String {
        format!("/api/v1/tenants/{}/{part}", self.ids.tenant)
    }

    /// Two events, which are not decided yet.
    async fn send_what_the_next_schema_refuses(&mut self, operator: &Client) {
        body(&send(operator, Method::POST, &self.path("consumer/pause"), &[], &Value::Null).await, 200);
        // Until it has ended it may decide what comes.
        within(Duration::from_secs(60), "paused", async || {
            body(&operator.get(&self.path("consumer")).await.unwrap(), 200)["state"] == "paused"
        })
        .await;
        for _ in 0..2 {
            let facts = json!({"facts": {self.canary: {"later": self.canary}}, "orderingKey": self.canary});
            let answer = operator.post_json(&self.path("events"), &facts).await.unwrap();
            let id = body(&answer, 202)["id"].as_str().unwrap().to_owned();
            self.secrets.push(id.clone());
            self.ids.event = id;
        }
    }

    /// Sends an event; answers its id.
    pub async fn send_event(&self, operator: &Client) -> String {
        let answer = operator.post_json(&self.path("events"), &json!({"facts": self.facts()})).await.unwrap();
        body(&answer, 202)["id"].as_str().unwrap().to_owned()
    }

    /// Waits until all its events are decided or given up.
    async fn have_no_pending_events(&self, operator: &Client) {
        within(Duration::from_secs(60), "events are decided", async || {
            let counts = body(&operator.get(&self.path("events/stats")).await.unwrap(), 200);
            counts["pending"] == 0 && counts["retrying"] == 0
        })
        .await;
    }

    /// Everything of it, as the operator sees it.
    pub async fn everything(&self, operator: &Client) -> Vec<Value> {
        self.have_no_pending_events(operator).await;
        let mut all = Vec::new();
        let lists = [
            "/schema/changelog",
            "/schema/versions",
            "/rules",
            "/derived-fields",
            "/api-keys",
            "/audit",
            "/events",
            "/dead-letters",
        ];
        for part in ["", "/schema", "/quotas"].into_iter().chain(lists) {
            let path = format!("/api/v1/tenants/{}{part}", self.ids.tenant);
            let mut read = body(&send(operator, Method::GET, &path, &[], &Value::Null).await, 200);
            // Written when a key is used, and once a minute.
            for item in read["items"].as_array_mut().into_iter().flatten() {
                item.as_object_mut().unwrap().remove("lastUsedAt");
            }
            all.push(read);
        }
        all
    }

    pub fn facts(&self) -> Value {
        json!({self.canary: {"age": 20, self.field_name(): self.canary}})
    }

    pub fn schema(&self) -> Value {
        let canary = self.canary;
        json!({canary: {
            "age": {"type": "int", "description": canary},
            self.field_name(): {"type": "string", "description": canary},
            "later": {"type": "int", "description": canary},
        }})
    }

    pub fn expression(&self) -> String {
        let (canary, field) = (self.canary, self.field_name());
        format!("{canary}.age >= 18 && {canary}.{field} == '{canary}'")
    }

    /// A field of the schema.
    fn field_name(&self) -> String {
        format!("{}_text", self.canary)
    }

    pub fn rule(&self, which: &str) -> Value {
        let (canary, expression) = (self.canary, self.expression());
        json!({
            "name": format!("{canary} {which}"), "expression": expression, "description": canary,
            "tags": [canary, "twin"],
        })
    }

    pub fn derived_field(&self, which: &str) -> Value {
        let (canary, expression) = (self.canary, self.expression());
        json!({"name": format!("{canary}_{which}"), "expression": expression, "description": canary})
    }
}
