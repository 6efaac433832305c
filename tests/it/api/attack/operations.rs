//! The oracle: what each operation of the API asks of its caller, what whoever may do it is answered, and a body that
//! it accepts. Written by hand, apart from the service's own table; an operation that is not here fails the test.

use serde_json::{Value, json};
use tenet::client::Method;

use super::target::Target;

/// What an operation asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    Nothing,
    Evaluate,
    Ingest,
    Read,
    Audit,
    Write,
    Administer,
    Operate,
}

/// The scopes, in the order of the bits of a [`Scopes`].
pub const SCOPES: [&str; 6] = ["evaluate", "ingest", "read", "audit", "write", "admin"];

/// A set of scopes: a bit for each of [`SCOPES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(pub u8);

impl Scopes {
    /// All sets that are not empty.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..1 << SCOPES.len()).map(Self)
    }

    /// The set of those of these names.
    pub fn named(names: &[&str]) -> Self {
        let bit = |name: &&str| 1 << SCOPES.iter().position(|scope| scope == name).unwrap();
        Self(names.iter().map(bit).sum())
    }

    pub fn names(self) -> Vec<&'static str> {
        SCOPES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, name)| *name).collect()
    }

    /// Whether one of them permits it.
    pub fn permit(self, asks: Asks) -> bool {
        self.names().iter().any(|scope| match *scope {
            "evaluate" => asks == Asks::Evaluate,
            "ingest" => asks == Asks::Ingest,
            "read" => asks == Asks::Read,
            "audit" => asks == Asks::Audit,
            "write" => matches!(asks, Asks::Read | Asks::Write),
            "admin" => asks != Asks::Operate,
            _ => false,
        })
    }
}

/// The roles that a token may name, and the scopes that each has.
pub const ROLES: [(&str, &[&str]); 6] = [
    ("owner", &["admin"]),
    ("admin", &["admin"]),
    ("editor", &["write", "evaluate"]),
    ("evaluator", &["evaluate"]),
    ("ingester", &["ingest"]),
    ("auditor", &["read", "audit"]),
];

type Sample = fn(&Target) -> Value;

/// An operation, and what is expected of it.
pub struct Operation {
    pub name: &'static str,
    pub asks: Asks,
    /// The answer to whoever may do it to a tenant of its own.
    pub answer: u16,
    pub body: Sample,
}

const NO_BODY: Sample = |_| Value::Null;
const FACTS: Sample = |target| json!({"facts": target.facts()});

const fn operation(name: &'static str, asks: Asks, answer: u16, body: Sample) -> Operation {
    Operation { name, asks, answer, body }
}

/// Every operation of the OpenAPI document.
pub const OPERATIONS: &[Operation] = &[
    operation("health", Asks::Nothing, 200, NO_BODY),
    operation("readiness", Asks::Nothing, 200, NO_BODY),
    operation("metrics", Asks::Nothing, 200, NO_BODY),
    operation("bulkheads", Asks::Nothing, 200, NO_BODY),
    operation("evaluate", Asks::Evaluate, 200, FACTS),
    operation("evaluateForTenant", Asks::Evaluate, 200, FACTS),
    operation("evaluateBatch", Asks::Evaluate, 200, |target| json!({"items": [{"facts": target.facts()}]})),
    operation("createTenant", Asks::Operate, 201, |target| json!({"name": format!("{}-more", target.canary)})),
    operation("listAudit", Asks::Audit, 200, NO_BODY),
    operation("getQuotas", Asks::Read, 200, NO_BODY),
    operation("listTenants", Asks::Read, 200, NO_BODY),
    operation("getTenant", Asks::Read, 200, NO_BODY),
    operation("changeTenant", Asks::Operate, 200, |_| json!({"tier": "enterprise"})),
    operation("deleteTenant", Asks::Operate, 204, NO_BODY),
    operation("createSchema", Asks::Write, 409, |target| json!({"definition": target.schema()})),
    operation("putSchema", Asks::Write, 200, |target| json!({"definition": target.schema()})),
    operation("getSchema", Asks::Read, 200, NO_BODY),
    operation("checkSchema", Asks::Read, 200, |target| json!({"definition": target.schema()})),
    operation("listSchemaChanges", Asks::Read, 200, NO_BODY),
    operation("listSchemaVersions", Asks::Read, 200, NO_BODY),
    operation("getSchemaVersion", Asks::Read, 200, NO_BODY),
    operation("activateSchemaVersion", Asks::Write, 200, NO_BODY),
    operation("createDerivedField", Asks::Write, 201, |target| target.derived_field("more")),
    operation("listDerivedFields", Asks::Read, 200, NO_BODY),
    operation("getDerivedField", Asks::Read, 200, NO_BODY),
    operation("changeDerivedField", Asks::Write, 200, |target| json!({"description": target.canary})),
    operation("deleteDerivedField", Asks::Write, 204, NO_BODY),
    operation("createRule", Asks::Write, 201, |target| target.rule("more")),
    operation("listRules", Asks::Read, 200, NO_BODY),
    operation("replaceRules", Asks::Write, 200, |target| json!({"rules": [target.rule("one"), target.rule("two")]})),
    operation("checkRule", Asks::Read, 200, |target| json!({"expression": target.expression()})),
    operation(
        "tryRule",
        Asks::Read,
        200,
        |target| json!({"expression": target.expression(), "items": [{"facts": target.facts()}]}),
    ),
    operation("getRule", Asks::Read, 200, NO_BODY),
    operation("changeRule", Asks::Write, 200, |target| json!({"tags": [target.canary, "twin"]})),
    operation("replaceRule", Asks::Write, 200, |target| target.rule("one")),
    operation("deleteRule", Asks::Write, 204, NO_BODY),
    operation("createApiKey", Asks::Administer, 201, |target| json!({"name": target.canary, "scopes": ["ingest"]})),
    operation("listApiKeys", Asks::Administer, 200, NO_BODY),
    operation("deleteApiKey", Asks::Administer, 204, NO_BODY),
    operation("rotateApiKey", Asks::Administer, 201, |_| json!({"overlapSeconds": 0})),
    operation("sendEvent", Asks::Ingest, 202, FACTS),
    operation("sendEvents", Asks::Ingest, 202, |target| json!({"events": [{"facts": target.facts()}]})),
    operation("listEvents", Asks::Read, 200, NO_BODY),
    operation("getEvent", Asks::Read, 200, NO_BODY),
    operation("deleteEvent", Asks::Administer, 204, NO_BODY),
    operation("countEvents", Asks::Read, 200, NO_BODY),
    operation("listDecisions", Asks::Read, 200, NO_BODY),
    operation("exportDecisions", Asks::Read, 200, NO_BODY),
    operation("getDecision", Asks::Read, 200, NO_BODY),
    operation("replayDecision", Asks::Read, 200, |_| json!({})),
    operation("getDecisionLog", Asks::Read, 200, NO_BODY),
    operation("setDecisionLog", Asks::Administer, 200, |_| json!({"mode": "off"})),
    operation("getConcurrency", Asks::Read, 200, NO_BODY),
    operation("setConcurrency", Asks::Administer, 200, |_| json!({"workers": 2})),
    operation("getConsumer", Asks::Read, 200, NO_BODY),
    operation("pauseConsumer", Asks::Administer, 200, NO_BODY),
    operation("resumeConsumer", Asks::Administer, 200, NO_BODY),
    operation("listDeadLetters", Asks::Read, 200, NO_BODY),
    operation("getDeadLetter", Asks::Read, 200, NO_BODY),
    operation("redriveDeadLetters", Asks::Administer, 202, |target| json!({"eventIds": [target.ids.event]})),
    operation("getRedrive", Asks::Read, 200, NO_BODY),
    operation("stopRedrive", Asks::Administer, 204, NO_BODY),
    operation("discardDeadLetters", Asks::Administer, 200, |target| json!({"eventIds": [target.ids.event]})),
    operation("summarizeCounts", Asks::Read, 200, NO_BODY),
    operation("listCounts", Asks::Read, 200, NO_BODY),
    operation("listRuleCounts", Asks::Read, 200, NO_BODY),
    operation("checkRuleHealth", Asks::Read, 200, NO_BODY),
    operation("getTenantRuntime", Asks::Read, 200, NO_BODY),
    operation("loadTenant", Asks::Operate, 200, NO_BODY),
    operation("stopTenant", Asks::Operate, 200, NO_BODY),
    operation("reloadTenant", Asks::Operate, 200, NO_BODY),
    operation("releaseTenant", Asks::Operate, 200, NO_BODY),
    operation("listTenantRuntimes", Asks::Operate, 200, NO_BODY),
    operation("listNodes", Asks::Operate, 200, NO_BODY),
    operation("getAdmission", Asks::Operate, 200, NO_BODY),
    // Nobody has faults where `TENET_FAULTS` is off.
    operation(
        "addFault",
        Asks::Operate,
        404,
        |_| json!({"tier": "free", "dependency": "postgresRead", "kind": "error", "count": 1}),
    ),
    operation("endFaults", Asks::Operate, 404, NO_BODY),
];

/// Operations that change nothing of a tenant, though they are no GET.
const HARMLESS: [&str; 7] =
    ["evaluate", "evaluateForTenant", "evaluateBatch", "checkRule", "tryRule", "checkSchema", "replayDecision"];

/// A method at a path, as the OpenAPI document has it.
pub struct Route {
    pub method: Method,
    pub pattern: String,
    pub operation: &'static Operation,
    /// The parameters beside those of the path.
    parameters: Vec<String>,
}

impl Route {
    pub fn takes(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|known| known == parameter)
    }

    /// Whether it could change what is stored.
    pub fn changes(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD) && !HARMLESS.contains(&self.operation.name)
    }

    pub fn is_of_tenant(&self) -> bool {
        self.pattern.contains("{tenantId}")
    }

    /// What is said when the thing in the path is none of the tenant's; `None` if the path names no thing.
    pub fn not_found(&self) -> Option<&'static str> {
        let kinds = [
            ("/dead-letters/{eventId}", "dead_letter_not_found"),
            ("{redriveId}", "redrive_not_found"),
            ("{eventId}", "event_not_found"),
            ("{decisionId}", "decision_not_found"),
            ("{ruleId}", "rule_not_found"),
            ("{fieldId}", "derived_field_not_found"),
            ("{keyId}", "api_key_not_found"),
            ("{version}", "schema_version_not_found"),
        ];
        kinds.iter().find(|(name, _)| self.pattern.contains(name)).map(|(_, code)| *code)
    }
}

/// Every route of the document, HEAD beside each GET.
pub fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        assert!(
            pattern.split('/').all(|part| {
                let known = [
                    "{tenantId}",
                    "{ruleId}",
                    "{fieldId}",
                    "{keyId}",
                    "{version}",
                    "{eventId}",
                    "{redriveId}",
                    "{decisionId}",
                ];
                !part.starts_with('{') || known.contains(&part)
            }),
            "`{pattern}` names what no attacker has an id for: add it to `Ids`"
        );
        for (method, described) in item.as_object().unwrap() {
            let name = described["operationId"].as_str().unwrap();
            let operation = OPERATIONS.iter().find(|operation| operation.name == name);
            let operation = operation.unwrap_or_else(|| panic!("`{name}` is not covered: add it to `OPERATIONS`"));
            let parameters = described["parameters"].as_array().into_iter().flatten();
            let parameters: Vec<String> = parameters
                .filter(|parameter| parameter["in"] != "path")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            let method: Method = method.to_uppercase().parse().unwrap();
            let methods = if method == Method::GET { vec![Method::GET, Method::HEAD] } else { vec![method] };
            for method in methods {
                routes.push(Route { method, pattern: pattern.clone(), operation, parameters: parameters.clone() });
            }
        }
    }
    let unknown = OPERATIONS.iter().find(|known| !routes.iter().any(|route| route.operation.name == known.name));
    assert!(unknown.is_none(), "`{}` is in no document any more", unknown.unwrap().name);
    routes
}

/// Methods that a path of the document does not know.
pub fn unknown_methods(routes: &[Route]) -> Vec<(Method, String)> {
    let mut patterns: Vec<&String> = routes.iter().map(|route| &route.pattern).collect();
    patterns.dedup();
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let unknown = |pattern: &String, method: &Method| {
        !routes.iter().any(|route| route.pattern == *pattern && route.method == *method)
    };
    let pairs = patterns.iter().flat_map(|pattern| methods.iter().map(move |method| (method, *pattern)));
    pairs
        .filter(|(method, pattern)| unknown(pattern, method))
        .map(|(method, path)| (method.clone(), path.clone()))
        .collect()
}
