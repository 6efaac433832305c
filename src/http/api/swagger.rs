//! `/swagger/`: the OpenAPI document, to be read and tried in a browser. Its files are part of the binary.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpRequest, HttpResponse, http::header};
use utoipa_swagger_ui::Config;

use crate::http::door::Error;

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/api-docs/openapi.json")));

/// The page loads only files of this service, and cannot be framed.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Redirects to the page, whose files have relative paths.
pub async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/swagger/")).finish()
}

/// Serves a file of the page.
pub async fn show(request: HttpRequest) -> Result<HttpResponse, Error> {
    let file = request.match_info().get("file").unwrap_or_default();
    let found = utoipa_swagger_ui::serve(file, CONFIG.clone()).ok().flatten();
    let file = found.ok_or_else(|| Error::not_found("route_not_found", "such file"))?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if file.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.insert_header((header::CONTENT_TYPE, file.content_type)).body(file.bytes.into_owned()))
}
