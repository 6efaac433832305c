//! What the OpenAPI document says of every operation: path parameters, preconditions, problems. It is added here by
//! rule, so that no handler can forget it.

use utoipa::{
    Modify,
    openapi::{
        self, Content, HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Required, ResponseBuilder, SchemaFormat,
        Type,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::Schema,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{body::JSON, error::PROBLEM_JSON};

/// Adds what holds for all operations.
pub struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut openapi::OpenApi) {
        document.servers = None;
        let components = document.components.get_or_insert_default();
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("A tenant's key, an operator's key, or a token (JWT) of the trusted issuer. A service in development on loopback requires none.".to_owned());
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
        split_evaluate_body(components);
        for (path, item) in &mut document.paths.paths {
            let operations = [
                (HttpMethod::Get, &mut item.get),
                (HttpMethod::Post, &mut item.post),
                (HttpMethod::Put, &mut item.put),
                (HttpMethod::Patch, &mut item.patch),
                (HttpMethod::Delete, &mut item.delete),
            ];
            for (method, operation) in operations {
                if let Some(operation) = operation.as_mut().filter(|_| path.starts_with("/api/v1/")) {
                    complete(path, &method, operation);
                }
            }
        }
    }
}

/// The body may name the tenant only where the path does not: two schemas of one body.
fn split_evaluate_body(components: &mut openapi::Components) {
    let Some(RefOr::T(Schema::Object(body))) = components.schemas.get("EvaluateBody") else { return };
    let mut of_tenant = body.clone();
    of_tenant.properties.remove("tenantId");
    components.schemas.insert("TenantEvaluateBody".to_owned(), RefOr::T(Schema::Object(of_tenant)));
}

fn complete(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let evaluates = path.contains("/evaluate");
    let checks = ["/check", "/try", "/replay"].iter().any(|end| path.ends_with(end));
    let has_body = operation.request_body.is_some();
    let of_tenant = path.contains("{tenantId}");
    let reads = *method == HttpMethod::Get;
    // It shows the state of this node, which has no revision.
    let of_node = path.contains("/runtime");
    // The log also has entries that are not changes, and use is partly that of this node: neither has a revision.
    let of_events = ["/events", "/dead-letters", "/redrives", "/consumer"].iter().any(|part| path.contains(part));
    let is_untagged =
        of_node || of_events || path.contains("/decisions") || path.ends_with("/audit") || path.ends_with("/quotas");
    let of_keys = path.contains("/api-keys");
    let changes = !reads && !evaluates && !checks && !of_node;
    let is_conditional = changes && of_tenant && !of_keys && !of_events;
    let parameters = operation.parameters.get_or_insert_default();
    parameters.splice(0..0, path.split('/').filter_map(path_parameter).map(RefOr::T));
    let problems = [
        (400, "The request cannot be read.", has_body || changes),
        (401, "The key is missing or invalid.", true),
        (403, "The key lacks the permission, or the tenant is suspended.", true),
        (404, "It does not exist.", of_tenant || evaluates),
        (408, "The body did not arrive in time.", has_body),
        (409, "The state of the tenant does not allow it.", changes || evaluates || checks || (of_node && !reads)),
        (412, "The tenant is at another revision.", is_conditional),
        (413, "The body is too large.", has_body),
        (415, "The resource does not accept the body's media type.", has_body),
        (422, "The request is well-formed, but not valid.", true),
        (429, "Too many invalid credentials, or too many waiting changes of the tenant.", true),
        (500, "The service failed.", true),
        (503, "Something that the service needs is unavailable.", true),
    ];
    for (status, description, _) in problems.into_iter().filter(|(_, _, applies)| *applies) {
        operation.responses.responses.insert(status.to_string(), RefOr::T(problem(status, description)));
    }
    if reads && of_tenant && !is_untagged {
        parameters
            .push(RefOr::T(header_parameter("If-None-Match", "Answer 304 if the tenant's revision is this one.")));
        let unchanged =
            ResponseBuilder::new().description("The tenant's revision is the one in `If-None-Match`.").build();
        operation.responses.responses.insert("304".to_owned(), RefOr::T(unchanged));
    }
    if is_conditional {
        parameters.push(RefOr::T(header_parameter("If-Match", "Change only if the tenant's revision is this one.")));
    }
    if (of_tenant || evaluates) && !is_untagged {
        tag_answers(operation);
    }
    if path == "/api/v1/tenants/{tenantId}/evaluate"
        && let Some(RefOr::T(body)) = &mut operation.request_body
        && let Some(RefOr::T(content)) = body.content.get_mut(JSON)
    {
        content.schema = Some(Ref::from_schema_name("TenantEvaluateBody").into());
    }
}

/// A problem, as an answer.
fn problem(status: u16, description: &str) -> openapi::Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, content);
    if status == 401 {
        response = response.header("WWW-Authenticate", answer_header("How to authenticate."));
    }
    if matches!(status, 429 | 503) {
        response = response.header("Retry-After", answer_header("Seconds to wait before a retry."));
    }
    response.build()
}

/// Adds `ETag` to answers about a tenant, and `Location` to those for a new resource.
fn tag_answers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if matches!(status.as_str(), "200" | "201" | "204" | "304") {
            response.headers.insert("ETag".to_owned(), RefOr::T(answer_header("The tenant's revision.")));
        }
        if status == "201" {
            response.headers.insert("Location".to_owned(), RefOr::T(answer_header("The path of the new resource.")));
        }
    }
}

fn answer_header(description: &str) -> openapi::Header {
    openapi::HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .build()
}

fn path_parameter(segment: &str) -> Option<Parameter> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let (schema, description) = match name {
        "version" => (ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)), "The version's number."),
        "ruleId" => (uuid(), "The rule's id."),
        "keyId" => (uuid(), "The key's id."),
        "eventId" => (uuid(), "The event's id."),
        "redriveId" => (uuid(), "The redrive's id."),
        "fieldId" => (uuid(), "The derived field's id."),
        _ => (uuid(), "The tenant's id."),
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    Some(parameter.description(Some(description)).schema(Some(schema)).build())
}

fn uuid() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

fn header_parameter(name: &str, description: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).examples([serde_json::json!("\"7\"")]);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    parameter.description(Some(description)).schema(Some(schema)).build()
}
