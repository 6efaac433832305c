//! A load: one snapshot, compiled.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::{
    domain::{Snapshot, System, TenantId, TenantScope},
    engine::{
        message::{LoadError, Loaded},
        resident::{Resident, live_set::LiveSet},
        shared::Shared,
    },
    ruleset::RuleSet,
};

/// How long reading a tenant may take: ten thousand rules take a fiftieth of it. No hint could follow a load that never
/// ended.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(5);

/// Bytes of expressions that are compiled on the thread that read them: it takes less than a decision may, and the way to
/// another thread and back would take longer.
const COMPILED_IN_PLACE_MAX: usize = 1_000;

/// Reads a tenant in one snapshot and compiles it: what has changed since `previous`, or all of it `anew`.
pub async fn load(
    shared: &Shared,
    tenant: TenantId,
    resident: &Resident,
    previous: Option<Arc<LiveSet>>,
    anew: bool,
) -> Result<Option<Loaded>, LoadError> {
    // Never closed.
    let _permit = shared.loads.acquire().await;
    let began = Instant::now();
    let served = previous.as_ref().map(|set| set.revision());
    let is_reload = previous.is_some();
    let previous = previous.filter(|_| !anew);
    let read_at = Instant::now();
    let scope = TenantScope::of_system(System::Loader, tenant);
    let Some(snapshot) = timeout(SNAPSHOT_DEADLINE, shared.store.snapshot(scope)).await?? else { return Ok(None) };
    let age = (snapshot.taken_at - snapshot.tenant.updated_at).to_std().unwrap_or_default();
    resident.trying(snapshot.revision(), served, shared.clock.now_ms());
    let rules = compile(shared, snapshot, previous).await?;
    let set = Arc::new(LiveSet::new(rules, resident.usage().clone()));
    if is_reload {
        shared.metrics.reload(began.elapsed());
    } else {
        shared.metrics.cold_load(began.elapsed());
    }
    Ok(Some(Loaded { set, took: began.elapsed(), age, read_at }))
}

/// Compiles, off the threads that answer requests unless there is little to compile.
async fn compile(shared: &Shared, snapshot: Snapshot, previous: Option<Arc<LiveSet>>) -> Result<RuleSet, LoadError> {
    let rules = snapshot.rules.iter().map(|rule| rule.expression.len());
    let derived_fields = snapshot.derived_fields.iter().map(|field| field.expression.len());
    let is_little = rules.chain(derived_fields).sum::<usize>() <= COMPILED_IN_PLACE_MAX;
    let compiler = shared.options.compiler.clone();
    let compile = move || compiler.compile(&snapshot, previous.as_deref().map(|previous| &**previous));
    if is_little {
        // A panic ends the load, and is caught where that was begun.
        return Ok(compile());
    }
    tokio::task::spawn_blocking(compile).await.map_err(|error| {
        LoadError::Panic(error.try_into_panic().map_or_else(|error| error.to_string(), |panic| words_of(&*panic)))
    })
}

/// What a panic said.
pub fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
