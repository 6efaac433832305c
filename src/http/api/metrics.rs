//! `/metrics`: the metrics of the service. No key is required.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
    web::Data,
};

use crate::{
    http::door::{AppState, Error},
    telemetry::MetricsFormat,
};

/// Shows all metrics, in the text format of OpenMetrics if `Accept` prefers it, otherwise in that of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses((status = 200, description = "All metrics.", content(
        (String = "text/plain; version=0.0.4; charset=utf-8"),
        (String = "application/openmetrics-text; version=1.0.0; charset=utf-8")
    )))
)]
pub async fn show(state: Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let format = format_for(request.headers());
    let text = state.registry.encode(format).map_err(|_| Error::of_framework(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, format.content_type()))
        .insert_header((header::VARY, "accept"))
        .body(text))
}

/// OpenMetrics if `Accept` names it and prefers nothing that is also served; a wildcard does not name it.
fn format_for(headers: &HeaderMap) -> MetricsFormat {
    let texts = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let ranges: Vec<(String, f32)> = texts.flat_map(|text| text.split(',')).map(range).collect();
    let weight_of = |media_type: &str| {
        let weights = ranges.iter().filter(|(range, _)| range == media_type).map(|(_, weight)| *weight);
        weights.fold(0.0, f32::max)
    };
    let open_metrics = weight_of("application/openmetrics-text");
    if open_metrics > 0.0 && open_metrics >= weight_of("text/plain") {
        MetricsFormat::OpenMetrics
    } else {
        MetricsFormat::Prometheus
    }
}

/// A range of media types, in lower case, and its weight.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.and_then(|weight| weight.parse().ok()).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_preferred() {
        const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (PROMETHEUS, MetricsFormat::OpenMetrics),
            ("application/openmetrics-text", MetricsFormat::OpenMetrics),
            ("Application/OpenMetrics-Text; q=1, text/plain", MetricsFormat::OpenMetrics),
            ("application/vnd.google.protobuf;q=0.7,application/openmetrics-text;q=0.6", MetricsFormat::OpenMetrics),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4", MetricsFormat::Prometheus),
            ("application/openmetrics-text;q=0", MetricsFormat::Prometheus),
            ("text/plain", MetricsFormat::Prometheus),
            ("*/*", MetricsFormat::Prometheus),
            ("application/json", MetricsFormat::Prometheus),
            (",;q=,", MetricsFormat::Prometheus),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(format_for(&headers), expected, "{accept}");
        }
        assert_eq!(format_for(&HeaderMap::new()), MetricsFormat::Prometheus);
    }
}
