//! `/metrics/bulkheads`: what each tier has in hand on this node, and how much it may; and `/api/v1/runtime/faults`, by which
//! an operator tries what happens when something that a tier calls fails.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    admission::{BreakerState, BreakerStatus, LaneStatus},
    breakers::{Dependency, Fault, FaultKind},
    domain::{Quota, Tier, micros},
    engine::TierStanding,
    error::Detail,
    http::door::{
        AppState, Error,
        body::{Body, Document},
        query::Query,
        response,
    },
};

/// Calls that a fault hits at most.
const FAULTS_MAX: u32 = 1_000_000;
/// How long a fault delays a call at most.
const DELAY_MS_MAX: u64 = 60_000;

/// The tiers.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkheadsBody {
    /// Tenants of the tier `free`.
    free: Bulkhead,
    /// Tenants of the tier `pro`.
    pro: Bulkhead,
    /// Tenants of the tier `enterprise`.
    enterprise: Bulkhead,
}

/// What a tier has in hand, and may have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bulkhead {
    /// Its database connections.
    connection_pool: ConnectionsItem,
    /// Its requests in hand, in the names of thread pools.
    thread_pool: ThreadsItem,
    /// The worst of its breakers.
    circuit_breaker: BreakerSummary,
    /// The rate of each of its tenants.
    rate_limit: RateItem,
    /// What the gate says of its requests.
    admission: AdmissionItem,
    /// Its breakers, by what they protect.
    breakers: BTreeMap<&'static str, BreakerItem>,
}

/// Database connections of a tier. All tiers share one pool, of which a tier may use so many with those below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionsItem {
    /// In use.
    active: usize,
    /// Those that it may use as well.
    idle: usize,
    /// Calls that wait for one.
    pending: usize,
    /// Those that it may use.
    max: usize,
}

/// Requests of a tier.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadsItem {
    /// In hand.
    active: usize,
    /// Those of them that wait for a database connection, or for a turn in the evaluation pool.
    queued: usize,
    /// That each tenant may have in hand.
    pool_size: u64,
}

/// The worst of a tier's breakers.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerSummary {
    /// `CLOSED`, `OPEN` or `HALF_OPEN`.
    #[schema(example = "CLOSED")]
    state: &'static str,
    /// Failures of the last ten seconds.
    failures: u32,
}

/// The rate of a tier.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateItem {
    /// Requests in a minute of each tenant without a quota of its own; `null` if they are not limited.
    #[schema(required = true)]
    limit_per_minute: Option<u64>,
    /// Requests refused for their rate since the node started.
    refused: u64,
}

/// What the gate says of a tier's requests.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionItem {
    /// Requests in hand.
    in_hand: usize,
    /// How many there may be, with those of the tiers below.
    max: usize,
    /// Requests refused since the node started.
    refused: RefusedItem,
    /// Microseconds that its decisions took since then.
    evaluation_micros: u64,
}

/// Requests refused, by why.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedItem {
    /// For the tenant's rate.
    rate: u64,
    /// For the tenant's requests in hand.
    concurrency: u64,
    /// For the tier's or the node's.
    pressure: u64,
}

/// A breaker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakerItem {
    /// `CLOSED`: calls are made; `OPEN`: none are; `HALF_OPEN`: up to three are, to find out.
    #[schema(example = "CLOSED")]
    state: &'static str,
    /// Failures of the last ten seconds.
    failures: u32,
    /// Calls of the last ten seconds.
    calls: u32,
    /// In how many milliseconds the next probe is let through.
    #[schema(required = true)]
    next_probe_in_ms: Option<u64>,
}

/// Shows what each tier has in hand on this node. No key is required.
#[utoipa::path(
    get, path = "/metrics/bulkheads", tag = "operation", operation_id = "bulkheads", security(()),
    responses((status = 200, description = "The tiers.", body = BulkheadsBody))
)]
pub async fn show(state: Data<AppState>, _: Query<()>) -> Result<HttpResponse, Error> {
    let of = |tier| bulkhead(&state, tier);
    let body = BulkheadsBody { free: of(Tier::Free), pro: of(Tier::Pro), enterprise: of(Tier::Enterprise) };
    response::plain(StatusCode::OK, &body)
}

fn bulkhead(state: &AppState, tier: Tier) -> Bulkhead {
    let LaneStatus { active, pending, most } = state.store.guard().lane(tier);
    let TierStanding { in_hand, in_hand_max, refused: [rate, concurrency, pressure], evaluation } =
        state.engine.tier_standing(tier);
    let turns = state.engine.pool_work(tier).waiting;
    let statuses = Dependency::ALL.map(|dependency| (dependency, state.store.breakers().status(dependency, tier)));
    let rank = |status: &BreakerStatus| match status.state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    };
    let worst = statuses.iter().map(|(_, status)| status).max_by_key(|status| (rank(status), status.failures));
    let limit = Quota::RequestsPerMinute.of_tier(tier);
    let breaker = |(dependency, status): &(Dependency, BreakerStatus)| {
        let BreakerStatus { state, failures, calls, next_probe } = *status;
        let next_probe_in_ms = next_probe.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        (dependency.name(), BreakerItem { state: state.name(), failures, calls, next_probe_in_ms })
    };
    Bulkhead {
        connection_pool: ConnectionsItem { active, idle: most.saturating_sub(active), pending, max: most },
        thread_pool: ThreadsItem {
            active: in_hand,
            queued: pending + turns,
            pool_size: Quota::ConcurrentRequests.of_tier(tier),
        },
        circuit_breaker: BreakerSummary {
            state: worst.map_or(BreakerState::Closed, |status| status.state).name(),
            failures: worst.map_or(0, |status| status.failures),
        },
        rate_limit: RateItem {
            limit_per_minute: Some(limit).filter(|limit| !Quota::RequestsPerMinute.is_unlimited(*limit)),
            refused: rate,
        },
        admission: AdmissionItem {
            in_hand,
            max: in_hand_max,
            refused: RefusedItem { rate, concurrency, pressure },
            evaluation_micros: micros(evaluation),
        },
        breakers: statuses.iter().map(breaker).collect(),
    }
}

/// A failure that is to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct FaultBody {
    /// The tier whose calls it hits.
    #[schema(inline = false)]
    tier: Tier,
    /// What they call: `postgresRead`, `postgresWrite`, `broker` or `redis`.
    #[schema(example = "postgresRead")]
    dependency: String,
    /// `error`: they fail; `delay`: they take longer; `hang`: they are not answered.
    kind: FaultName,
    /// How many calls it hits.
    #[schema(minimum = 1, maximum = 1_000_000, example = 10)]
    count: u32,
    /// How much longer they take, of a `delay`.
    #[schema(minimum = 1, maximum = 60_000)]
    delay_ms: Option<u64>,
}

impl Document for FaultBody {}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FaultName {
    /// It fails.
    Error,
    /// It takes longer.
    Delay,
    /// It is not answered.
    Hang,
}

/// Has calls fail, to try what happens then: only where `TENET_FAULTS` is on.
#[utoipa::path(
    post, path = "/api/v1/runtime/faults", tag = "runtime", operation_id = "addFault", request_body = FaultBody,
    responses((status = 202, description = "The next calls fail."))
)]
pub async fn add(state: Data<AppState>, _: Query<()>, Body(body): Body<FaultBody>) -> Result<HttpResponse, Error> {
    allowed(&state)?;
    let invalid = |code, message: String, path: &str| Error::invalid_one(Detail::new(code, message).at(path));
    let dependency = Dependency::named(&body.dependency).ok_or_else(|| {
        let names = Dependency::ALL.map(|dependency| format!("`{}`", dependency.name())).join(", ");
        invalid("unknown_value", format!("must be one of {names}"), "dependency")
    })?;
    if !(1..=FAULTS_MAX).contains(&body.count) {
        return Err(invalid("invalid_value", format!("must be a whole number from 1 to {FAULTS_MAX}"), "count"));
    }
    let kind = match (body.kind, body.delay_ms) {
        (FaultName::Error, None) => FaultKind::Error,
        (FaultName::Hang, None) => FaultKind::Hang,
        (FaultName::Delay, Some(ms)) if (1..=DELAY_MS_MAX).contains(&ms) => FaultKind::Delay(Duration::from_millis(ms)),
        (FaultName::Delay, _) => {
            let message = format!("a delay needs `delayMs`, a whole number from 1 to {DELAY_MS_MAX}");
            return Err(invalid("invalid_value", message, "delayMs"));
        }
        _ => return Err(invalid("contradiction", "only a `delay` has `delayMs`".to_owned(), "delayMs")),
    };
    state.store.breakers().fault(Fault { tier: body.tier, dependency, kind, count: body.count });
    Ok(HttpResponse::Accepted().finish())
}

/// Ends all faults.
#[utoipa::path(
    delete, path = "/api/v1/runtime/faults", tag = "runtime", operation_id = "endFaults",
    responses((status = 204, description = "There are none any more."))
)]
pub async fn end(state: Data<AppState>, _: Query<()>) -> Result<HttpResponse, Error> {
    allowed(&state)?;
    state.store.breakers().end_faults();
    Ok(HttpResponse::NoContent().finish())
}

fn allowed(state: &AppState) -> Result<(), Error> {
    if state.options.faults {
        Ok(())
    } else {
        Err(Error::not_found("route_not_found", "such path; `TENET_FAULTS` is off"))
    }
}
