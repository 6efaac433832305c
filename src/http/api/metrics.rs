//! `/metrics`: what the service counts and times. No key is asked for.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};

use crate::{
    http::door::{AppState, Error},
    telemetry::METRICS_CONTENT_TYPE,
};

/// Shows all metrics.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses((status = 200, description = "All metrics, in the text format of OpenMetrics.", body = String,
               content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"))
)]
pub async fn show(api: Data<AppState>) -> Result<HttpResponse, Error> {
    for pool in api.store.pool_status() {
        api.metrics.pool(pool.pool, pool.in_use as usize, pool.idle as usize);
    }
    api.engine.take_census();
    let text = api.metrics.encode().map_err(|_| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, METRICS_CONTENT_TYPE)).body(text))
}
