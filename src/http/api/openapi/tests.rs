//! The document against the routes, against what is sent, and against its copy in `docs/`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::*;
use crate::{
    error::{Detail, Span, Subject},
    http::{api::routes, door::Error},
};

fn parsed() -> Value {
    serde_json::from_str(document()).unwrap()
}

#[test]
fn the_document_names_every_route_and_no_other() {
    let documentation = ["/api-docs/openapi.json", "/swagger", "/swagger/", "/swagger/{*file}"];
    let entries = routes::table();
    let served: BTreeSet<(String, String)> = entries
        .iter()
        .filter(|entry| !documentation.contains(&entry.path()))
        .flat_map(|entry| entry.methods().map(|method| (entry.path(), method)))
        .filter(|(_, method)| *method != "HEAD")
        .map(|(path, method)| (path.to_owned(), method.to_lowercase()))
        .collect();
    let document = parsed();
    let paths = document["paths"].as_object().unwrap();
    let documented = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(served, documented);
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, member)| match member {
                Value::String(target) if key == "$ref" => found.push(target),
                _ => references(member, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = parsed();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn every_schema_has_a_title_and_an_example_with_what_it_requires() {
    let document = parsed();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.len() > 70, "{}", schemas.len());
    let mut titles = BTreeSet::new();
    for (name, schema) in schemas {
        assert!(titles.insert(schema["title"].as_str().unwrap()), "the title of {name} is another's, too");
        let example = &schema["examples"][0];
        assert!(!example.is_null(), "{name}: {schema}");
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(
                example.get(required.as_str().unwrap()).is_some(),
                "{required} in the example of {name}: {example}"
            );
        }
    }
}

#[test]
fn generated_clients_can_use_every_object() {
    fn objects<'a>(value: &'a Value, path: String, found: &mut Vec<(String, &'a Value)>) {
        if value.get("type").is_some_and(|name| name == "object") {
            found.push((path.clone(), value));
        }
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| objects(member, format!("{path}/{key}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| objects(item, format!("{path}/_"), found)),
            _ => {}
        }
    }
    let document = parsed();
    let mut found = Vec::new();
    objects(&document["components"]["schemas"], String::new(), &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for (path, object) in found {
        let is_closed = object.get("properties").is_none() && object.get("additionalProperties").is_none();
        assert!(!is_closed, "{path} has no members: {object}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| name.contains("List_")) {
        let items = &schema["properties"]["items"]["items"];
        assert!(items["$ref"].is_string(), "the items of {name} are a copy: {items}");
    }
    let definition = &schemas["SchemaBody"]["properties"]["definition"]["$ref"];
    assert_eq!(definition, "#/components/schemas/SchemaDefinition");
}

#[test]
fn what_must_be_several_things_at_once_can_be() {
    fn conjunctions<'a>(value: &'a Value, found: &mut Vec<&'a Vec<Value>>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, member)| {
                found.extend(member.as_array().filter(|_| key == "allOf"));
                conjunctions(member, found);
            }),
            Value::Array(items) => items.iter().for_each(|item| conjunctions(item, found)),
            _ => {}
        }
    }
    let document = parsed();
    let mut found = Vec::new();
    conjunctions(&document, &mut found);
    assert!(!found.is_empty());
    for parts in found {
        let resolved = parts.iter().map(|part| match part["$ref"].as_str() {
            Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
            None => part,
        });
        let types: BTreeSet<_> = resolved.filter_map(|part| part.get("type")).map(Value::to_string).collect();
        assert!(types.len() <= 1, "nothing is of all these types: {types:?} in {parts:?}");
    }
}

#[actix_web::test]
async fn a_problem_looks_as_the_document_says() {
    let subject = Subject::Rule { rule_id: uuid::Uuid::now_v7(), rule_name: "adult".to_owned() };
    let mut detail = Detail::new("wrong_type", "not this").at("expression").hint("that").about(subject);
    detail.span = Some(Span { line: 1, column: 2, end_line: 1, end_column: 3 });
    detail.text = Some("x".to_owned());
    let error = Error::invalid_one(detail).extend("currentRevision", 7);
    let answer = error.extend("quota", "rules").extend("limit", 7).extend("used", 8).answer("r-1");
    let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let document = parsed();
    let schemas = &document["components"]["schemas"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&body), keys(&schemas["Problem"]["properties"]));
    let mut known = keys(&schemas["ErrorSubject"]["properties"]);
    let parts = schemas["ErrorDetail"]["allOf"].as_array().unwrap();
    known.extend(parts.iter().filter_map(|part| part.get("properties")).flat_map(keys));
    let unknown: Vec<_> = keys(&body["errors"][0]).difference(&known).cloned().collect();
    assert_eq!(unknown, Vec::<String>::new());
    assert_eq!(keys(&body["errors"][0]).len(), 11);
}

#[test]
fn a_dry_run_of_a_discard_is_described_beside_a_real_one() {
    let document = parsed();
    let answers = &document["paths"]["/api/v1/tenants/{tenantId}/dead-letters/discard"]["post"]["responses"];
    let reference = answers["200"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    let answer = document.pointer(reference.trim_start_matches('#')).unwrap();
    let one_of: Vec<_> = answer["oneOf"].as_array().unwrap().iter().map(Value::to_string).collect();
    for name in ["DiscardAnswer", "MatchedLetters"] {
        assert!(one_of.iter().any(|choice| choice.contains(name)), "{name}: {answer}");
    }
}

fn copy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

#[test]
fn the_copy_in_docs_is_the_document() {
    let copy = fs::read_to_string(copy()).unwrap_or_default();
    let command = "cargo test --lib write_the_copy_in_docs -- --ignored";
    assert!(copy == format!("{}\n", document()), "docs/openapi.json differs; if the change is meant: {command}");
}

#[test]
#[ignore = "writes docs/openapi.json: run it when the API is meant to change"]
fn write_the_copy_in_docs() {
    fs::write(copy(), format!("{}\n", document())).unwrap();
}
