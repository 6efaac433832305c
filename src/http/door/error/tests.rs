//! What a problem says.

use actix_web::body::to_bytes;

use super::*;
use crate::{domain::Revision, error::Subject};

async fn body(error: Error) -> Value {
    let body = to_bytes(error.answer("r-1").into_body()).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn a_refusal_says_how_to_go_on() {
    for (error, step) in [
        (engine::Error::SchemaMissing, "POST /api/v1/tenants/{tenantId}/schema"),
        (engine::Error::SchemaExists, "PUT"),
        (engine::Error::Breaks(Vec::new()), "?onBroken=deactivate"),
        (engine::Error::BreaksFlatCallers, "?acceptBreaking=true"),
        (engine::Error::BreaksNamedCallers, "?acceptBreaking=true"),
    ] {
        let detail = Error::from(error).detail;
        assert!(detail.contains(step), "{detail}");
    }
}

#[actix_web::test]
async fn a_problem_names_its_code_and_the_request() {
    let error = Error::from(engine::Error::RevisionNotReached { current: Revision(7) });
    let answer = error.answer("r-1");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers().get(header::RETRY_AFTER).unwrap(), "1");
    assert_eq!(answer.headers().get(header::CONTENT_TYPE).unwrap(), PROBLEM_JSON);
    let body = body(error).await;
    assert_eq!(body["type"], "urn:tenet:problem:revision_not_reached");
    assert_eq!(body["title"], "Revision not reached");
    assert_eq!(body["requestId"], "r-1");
    assert_eq!(body["currentRevision"], 7);
}

#[actix_web::test]
async fn what_would_break_is_listed_with_its_name_and_position() {
    let id = uuid::Uuid::now_v7();
    let subject = Subject::Rule { rule_id: id, rule_name: "adult".to_owned() };
    let details = vec![Detail::new("undeclared_reference", "no such field"), Detail::new("wrong_type", "not this")];
    let error = Error::from(engine::Error::Breaks(vec![Broken { subject, details }]));
    assert_eq!(error.status_code(), StatusCode::CONFLICT);
    let body = body(error).await;
    assert_eq!(body["code"], "would_break");
    assert_eq!(body["errors"].as_array().unwrap().len(), 2);
    assert_eq!(body["errors"][1]["ruleName"], "adult");
    assert_eq!(body["errors"][1]["ruleId"], id.to_string());
}

#[actix_web::test]
async fn a_defect_of_ours_keeps_its_cause_to_the_log() {
    let error = Error::from(engine::Error::Internal("the actor is gone"));
    assert_eq!(error.cause(), Some("the actor is gone"));
    let body = body(error).await;
    assert_eq!(body["code"], "internal");
    assert!(!body.to_string().contains("actor"));
}
