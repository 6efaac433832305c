//! `GET /api/v1/runtime/admission`: how much this node has to do, and for whom.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use super::decide::milliseconds;
use crate::{
    domain::{TenantId, Tier, micros},
    engine::{NodeLoad, TenantLoad},
    http::door::{AppState, Error, query::Query, response},
};

/// The load of the node that answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionBody {
    /// Whether threads that answer requests are late, or the evaluation pool is: then tenants that ask for more than their
    /// share are refused.
    under_pressure: bool,
    /// How late the last of these threads was that told, less its waits for a core: the least of 100 ms.
    request_thread_delay_ms: f64,
    /// Pieces of work that the evaluation pool evaluates at once; 0 if decisions are made by the threads of their requests.
    evaluation_threads: usize,
    /// Pieces that it evaluates.
    evaluating: usize,
    /// Pieces that wait for a turn in it.
    waiting: usize,
    /// Requests in hand.
    in_hand: usize,
    /// How many there may be.
    in_hand_max: usize,
    /// The 20 tenants in memory whose decisions took the most, the busiest first.
    tenants: Vec<TenantLoadItem>,
}

/// The load that a tenant is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantLoadItem {
    /// The tenant.
    tenant_id: TenantId,
    /// Its tier.
    #[schema(inline = false)]
    tier: Tier,
    /// Microseconds that its decisions took since it came into memory.
    evaluation_micros: u64,
    /// Its requests in hand.
    in_hand: u64,
    /// How many of a thousand of its requests are admitted.
    admitted_permille: u32,
}

/// Shows how much this node has to do, and for whom.
#[utoipa::path(
    get, path = "/api/v1/runtime/admission", tag = "runtime", operation_id = "getAdmission",
    responses((status = 200, description = "The load of the node.", body = AdmissionBody))
)]
pub async fn show(state: Data<AppState>, _: Query<()>) -> Result<HttpResponse, Error> {
    let NodeLoad { is_under_pressure, thread_delay, evaluation_threads, in_hand, in_hand_max, tenants } =
        state.engine.load();
    let work = Tier::ALL.map(|tier| state.engine.pool_work(tier));
    let body = AdmissionBody {
        under_pressure: is_under_pressure,
        request_thread_delay_ms: milliseconds(thread_delay),
        evaluation_threads,
        evaluating: work.iter().map(|work| work.active).sum(),
        waiting: work.iter().map(|work| work.waiting).sum(),
        in_hand,
        in_hand_max,
        tenants: tenants.into_iter().map(item).collect(),
    };
    response::plain(StatusCode::OK, &body)
}

fn item(TenantLoad { tenant, tier, evaluation, in_hand, admitted_permille }: TenantLoad) -> TenantLoadItem {
    TenantLoadItem { tenant_id: tenant, tier, evaluation_micros: micros(evaluation), in_hand, admitted_permille }
}
