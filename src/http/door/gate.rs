//! Asks the engine's gate for each request whose caller is known, before its body is read, and says in the answer how the
//! tenant's rate stands: `RateLimit` and `RateLimit-Policy`, as draft-ietf-httpapi-ratelimit-headers has them.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    dev::ServiceResponse,
    http::header::{HeaderName, HeaderValue},
};

use super::{AppState, Error, auth::Caller, error::whole_seconds, payload_hold::holding};
use crate::{
    admission::{Rate, Standing},
    domain::Permission,
    engine::{Permit, Refused},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How the rate of a request's tenant stands.
#[derive(Debug, Clone, Copy)]
struct RateNow(Rate, Standing);

/// Admits a request whose caller was admitted with `permission`. Requests without a caller, such as probes, are not
/// counted, and those of operators only among the node's.
pub fn admit(request: &HttpRequest, permission: Permission) -> Result<Option<Permit>, Error> {
    if matches!(permission, Permission::Open | Permission::Observe) {
        return Ok(None);
    }
    let (state, caller) = (AppState::of(request)?, Caller::of(request)?);
    match state.engine.admit(caller.own()) {
        Ok(permit) => {
            if let Some((rate, standing)) = permit.rate() {
                request.extensions_mut().insert(RateNow(rate, standing));
            }
            Ok(Some(permit))
        }
        Err(refused) => {
            if let Refused::Rate(rate) = refused {
                let standing = Standing { left: 0, reset: rate.wait };
                request.extensions_mut().insert(RateNow(Rate::per_minute(rate.limit), standing));
            }
            Err(refused.into())
        }
    }
}

/// Keeps a request in hand until its answer is sent, where that takes longer than making it.
pub fn hold(response: HttpResponse, permit: Option<Permit>) -> HttpResponse {
    match permit {
        Some(permit) if response.body().size() == BodySize::Stream => {
            response.map_body(|_, body| holding(body, permit))
        }
        _ => response,
    }
}

/// Says how the tenant's rate stands, if it has one.
pub fn tell(response: &mut ServiceResponse) {
    let now = response.request().extensions().get::<RateNow>().copied();
    let Some(RateNow(rate, standing)) = now else { return };
    let policy = format!("\"requests\";q={};w={}", rate.quota(), rate.window().as_secs());
    let state = format!("\"requests\";r={};t={}", standing.left, whole_seconds(standing.reset));
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
}
