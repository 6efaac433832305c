//! What the service is compared with: an actix handler written by hand for one schema and its ten rules. It parses the
//! same facts, tests the same ten predicates and answers the same JSON, and knows nothing else.

use actix_web::{App, HttpResponse, HttpServer, http::header, web};
use serde::{Deserialize, Serialize};

const NAMES: [&str; 10] = [
    "adult",
    "senior",
    "premium",
    "domestic",
    "large purchase",
    "domestic and premium",
    "young adult",
    "large purchase without premium",
    "foreign and premium",
    "middling purchase",
];
const ID: &str = "01932b5c-7b1e-7000-8000-000000000000";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    tenant_id: String,
    facts: Facts,
}

#[derive(Deserialize)]
struct Facts {
    age: i64,
    country: String,
    is_premium: bool,
    purchase_amount: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    tenant_id: &'a str,
    revision: i64,
    schema_version: i32,
    stale: bool,
    evaluation_time_ms: f64,
    results: Vec<Result>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    rule_id: &'static str,
    rule_name: &'static str,
    matched: bool,
    error: Option<&'static str>,
}

fn decide(facts: &Facts) -> [bool; 10] {
    [
        facts.age >= 18,
        facts.age >= 65,
        facts.is_premium,
        facts.country == "US",
        facts.purchase_amount > 100.0,
        facts.country == "US" && facts.is_premium,
        facts.age >= 18 && facts.age < 25,
        facts.purchase_amount > 200.0 && !facts.is_premium,
        facts.country != "US" && facts.is_premium,
        facts.purchase_amount >= 50.0 && facts.purchase_amount <= 200.0,
    ]
}

async fn evaluate(body: web::Bytes) -> HttpResponse {
    let Ok(Body { tenant_id, facts }) = serde_json::from_slice(&body) else {
        return HttpResponse::UnprocessableEntity().finish();
    };
    let result = |(rule_name, matched)| Result { rule_id: ID, rule_name, matched, error: None };
    let results = NAMES.into_iter().zip(decide(&facts)).map(result).collect();
    let answer = Answer {
        tenant_id: &tenant_id,
        revision: 3,
        schema_version: 1,
        stale: false,
        evaluation_time_ms: 0.004,
        results,
    };
    let text = serde_json::to_vec(&answer).unwrap();
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::ETAG, "\"3\""))
        .body(text)
}

/// Serves on `address` until it is killed. The tenant, its schema and its rules are taken and forgotten.
pub fn serve(address: &str) {
    let made = || async {
        let body = format!(r#"{{"id":"{ID}","name":"by hand","tier":"enterprise"}}"#);
        HttpResponse::Created().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
    };
    let server = HttpServer::new(move || {
        App::new()
            .route("/healthz", web::get().to(|| async { HttpResponse::Ok().body("ok") }))
            .route("/api/v1/tenants", web::post().to(made))
            .route("/api/v1/tenants/{tenant}/{what}", web::put().to(HttpResponse::Ok))
            .route("/api/v1/evaluate", web::post().to(evaluate))
    });
    tokio::runtime::Runtime::new().unwrap().block_on(server.bind(address).unwrap().run()).unwrap();
}
