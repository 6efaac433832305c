//! A worker: decides a share of what its consumer has in hand, and settles it.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{Shared, batch, consumer::Hindrance, outside, queue::Settler};
use crate::{
    domain::{QueuedEvent, TenantScope},
    engine::Served,
};

/// Who decides and settles a share of a consumer's events.
pub struct Worker {
    pub shared: Arc<Shared>,
    pub scope: TenantScope,
    pub settler: Settler,
}

impl Worker {
    /// Decides a share, batch by batch, and settles each. Answers whether any event is to be tried again.
    pub async fn work(
        self,
        served: Served,
        mut share: VecDeque<QueuedEvent>,
        mut waiting: HashSet<String>,
    ) -> Result<bool, Hindrance> {
        let Self { shared, scope, settler } = self;
        let mut has_retries = false;
        while !share.is_empty() {
            let (engine, set) = (shared.engine.clone(), served.clone());
            let moment = (shared.now(), outside::jitter_permille(&shared.store));
            let before = shared.options.before_deciding.clone();
            // Off the threads that wait for answers of the database: a batch may take its 20 ms.
            let decided = outside::work(&shared.engine, served.set.tenant(), move || {
                let settled = batch::decide(&before, &engine, &set, &mut share, &mut waiting, moment);
                (settled, share, waiting)
            });
            let settled;
            (settled, share, waiting) =
                decided.await.map_err(|error| Hindrance::Passing(format!("a worker ended: {error}")))?;
            has_retries |= shared.settle(scope, &settler, settled).await?.retried > 0;
        }
        Ok(has_retries)
    }
}
