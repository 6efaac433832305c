//! What is done for every request: its id, its span in the log, its metrics, and the body of its error.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    AppState, Error, Metrics,
    error::PROBLEM_JSON,
    gate,
    payload_hold::{self, HeldPayload},
    request_id::{self, REQUEST_ID},
    router::RoutePattern,
};
use crate::{
    domain::{TenantId, micros},
    telemetry::ACCESS,
};

/// Answers a request, and does everything that is the same for all requests.
pub async fn surround<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, actix_web::Error> {
    let begun = Instant::now();
    let state = AppState::of(request.request())?.clone();
    let id = request_id::assign(&request);
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.path());
    let held = HeldPayload::hold(&mut request);
    let has_body = !matches!(request.parts().1, Payload::None);
    let in_flight = InFlight::new(&state.metrics);
    let answer = async {
        match state.admit_host(request.request()) {
            Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
            Err(error) => Ok(request.error_response(error)),
        }
    };
    let answer = async {
        let response = answer.await?;
        if has_body && !response.status().is_success() {
            payload_hold::let_connection_read().await;
        }
        Ok::<_, actix_web::Error>(response)
    };
    let outcome = AssertUnwindSafe(answer.instrument(span.clone())).catch_unwind().await;
    drop(in_flight);
    let _entered = span.enter();
    let Ok(response) = outcome else {
        tracing::error!("the request ended in a panic");
        return Err(Panicked { id }.into());
    };
    let mut response = as_problem(response?, &id);
    if let Some(held) = held {
        response = held.until_sent(response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if state.readiness.is_stopping() {
        // The caller's next request opens a new connection, which the balancer sends to another node.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    gate::tell(&mut response);
    protect(&state, response.headers_mut());
    count(&state, &response, begun);
    log_access(&response, &id, begun);
    Ok(response)
}

/// The response with problem details as its body, if it is an error.
fn as_problem(response: ServiceResponse, id: &str) -> ServiceResponse {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let ours = response.response().error().and_then(|error| error.as_error::<Error>());
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    let answer = match ours {
        Some(error) => {
            log(error, status);
            error.answer(id)
        }
        None if is_problem => return response,
        None => Error::of_framework(status).answer(id),
    };
    response.into_response(answer)
}

/// Logs a failure, once, here. Errors of callers are not logged. An error without a cause is not a failure either, but
/// the right answer: a starting node is not ready yet, a requested revision has not been reached yet.
fn log(error: &Error, status: StatusCode) {
    match (status, error.cause()) {
        (StatusCode::INTERNAL_SERVER_ERROR, cause) => {
            tracing::error!(code = error.code(), cause, "the request failed");
        }
        (_, Some(cause)) if status.is_server_error() => {
            tracing::warn!(code = error.code(), cause, "the request cannot be served now");
        }
        _ => {}
    }
}

/// Sets the headers that restrict what a browser does with the answer.
fn protect(state: &AppState, headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if state.options.tls.is_some() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

fn count(state: &Data<AppState>, response: &ServiceResponse, begun: Instant) {
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    let request = response.request();
    let route = route_of(request);
    state.metrics.request(route, status, took);
    // Tenants that may not exist are not counted: otherwise made-up ids would fill the metrics.
    let known = !matches!(status, 400..=499) || matches!(status, 403 | 409 | 412 | 422 | 429);
    if let Some(tenant) = request.extensions().get::<TenantId>().filter(|_| known) {
        state.metrics.tenant_request(*tenant, status);
    }
    tracing::debug!(status, took_us = micros(took), "answered");
}

/// Logs a request in one line that is complete by itself, if the setting says so.
fn log_access(response: &ServiceResponse, id: &str, begun: Instant) {
    let request = response.request();
    let route = route_of(request);
    let tenant = request.extensions().get::<TenantId>().copied().map(tracing::field::display);
    tracing::info!(
        target: ACCESS, parent: None, method = request.method().as_str(), route, status = response.status().as_u16(),
        took_us = micros(begun.elapsed()), tenant, id, "access"
    );
}

fn route_of(request: &HttpRequest) -> &'static str {
    request.extensions().get::<RoutePattern>().map_or("unknown", |pattern| pattern.0)
}

/// Counts a request as in flight until it is dropped, which also happens when its caller disconnects.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.request_begun();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// A panic that ended a request. Its thread goes on with other requests.
#[derive(Debug, thiserror::Error)]
#[error("the request {id} ended in a panic")]
struct Panicked {
    id: String,
}

impl ResponseError for Panicked {
    fn error_response(&self) -> HttpResponse {
        Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR).answer(&self.id)
    }
}
