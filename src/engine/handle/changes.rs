//! Changes: creating and deleting tenants, changing what they have, and saying what a change would do.
//!
//! One writer a tenant at a time. A change is answered once this node serves it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tracing::warn;

use super::Engine;
use crate::{
    domain::{AtRevision, Author, Change, ChangeOptions, Revision, Tenant, TenantDraft, TenantId, TenantScope},
    engine::{
        error::Error,
        message::{Committed, HintHold, SupervisorMsg, TenantMsg},
        registry::Entry,
        resident::hints::Want,
        tenant::publication::Version,
    },
    error::{Detail, Subject},
    ruleset::{self, Applied, Broken, Refusal, RuleSet, apply},
    store,
};

/// How long a writer waits until this node serves what it wrote. The change is committed either way.
const SERVED_WAIT: Duration = Duration::from_secs(2);
/// How long a writer waits before it asks again, if loading what it wrote failed.
const SERVED_RETRY: Duration = Duration::from_millis(20);

/// How long a commit keeps the tenant's actor from loading what it hears of.
const HOLD_MAX: Duration = Duration::from_millis(500);

/// A change that was made, and is served by this node.
#[derive(Debug)]
pub struct Changed {
    /// What was made of what was stored; `applied.after` carries the new revision.
    pub applied: Applied,
    /// The revision now.
    pub revision: Revision,
}

/// What a change would do.
#[derive(Debug)]
pub struct Checked {
    /// The revision looked at.
    pub revision: Revision,
    /// Why it would be refused, beyond what it breaks.
    pub details: Vec<Detail>,
    /// What it would break.
    pub breaks: Vec<Broken>,
    /// Whether callers that send their facts flat would be misread.
    pub breaks_flat_callers: bool,
    /// Whether callers that send their facts under the name of the object would be misread.
    pub breaks_named_callers: bool,
    /// What earlier changes of the schema deactivated.
    pub inactive: Vec<Subject>,
}

impl Engine {
    /// Makes a tenant.
    pub async fn create_tenant(&self, draft: &TenantDraft, author: &Author) -> Result<Tenant, Error> {
        let tenant = self.inner.shared.store.create_tenant(draft, author).await?;
        self.inner.gate.forget(tenant.id);
        Ok(tenant)
    }

    /// Deletes a tenant and everything of it but its audit log. From the answer on this node knows no such tenant.
    pub async fn delete_tenant(
        &self,
        scope: TenantScope,
        if_match: &AtRevision,
        author: &Author,
    ) -> Result<Revision, Error> {
        let tenant = scope.id();
        let _guard = self.inner.write_locks.lock(tenant).await.ok_or(Error::TenantBusy)?;
        let revision = match self.inner.shared.store.delete_tenant(scope, if_match, author).await? {
            None => return Err(Error::TenantNotFound),
            Some(Err(current)) => return Err(Error::RevisionMismatch { current }),
            Some(Ok(revision)) => revision,
        };
        self.inner.shared.auth.forget(scope);
        let (reply, forgotten) = oneshot::channel();
        self.inner.shared.tell(SupervisorMsg::Forget { tenant, reply })?;
        forgotten.await.map_err(|_| Error::Stopping)?;
        Ok(revision)
    }

    /// Makes a change, and waits until this node serves it.
    pub async fn change(
        &self,
        scope: TenantScope,
        change: Change,
        mut options: ChangeOptions,
    ) -> Result<Changed, Error> {
        let tenant = scope.id();
        let _guard = self.inner.write_locks.lock(tenant).await.ok_or(Error::TenantBusy)?;
        let shared = &self.inner.shared;
        let began = Instant::now();
        let mut transaction = shared.store.begin_change(scope).await?.ok_or(Error::TenantNotFound)?;
        let current = transaction.snapshot().revision();
        if !options.if_match.allows(current) {
            return Err(Error::RevisionMismatch { current });
        }
        if change.is_of_schema() {
            options.deactivated = transaction.deactivated().await?;
        }
        let served = shared.registry.entry(tenant).and_then(|entry| entry.set().cloned());
        let snapshot = transaction.snapshot().clone();
        let author = options.author.clone();
        let compile = move || apply(&snapshot, served.as_deref().map(|set| &**set), &change, &options);
        let mut applied = tokio::task::spawn_blocking(compile)
            .await
            .map_err(|_| Error::Internal("compiling the change panicked"))??;
        let hold = shared.registry.entry(tenant).map(|entry| entry.hold_hints());
        let (stored, hold) = committed(transaction.commit(&applied.operations, &author), hold).await?;
        let revision = stored.revision;
        applied.after.tenant = stored.clone();
        if let Some(set) = applied.set.take() {
            self.hand_over(Arc::unwrap_or_clone(set).for_tenant(stored), began, hold).await;
        }
        if applied.after.tenant.pinned {
            // From the answer on it is in memory here; elsewhere within seconds.
            let _ = self.load_tenant(scope).await;
        }
        self.serve(tenant, Version { epoch: applied.after.epoch, revision }).await;
        Ok(Changed { applied, revision })
    }

    /// Hands what a change has compiled to the tenant's actor, if the tenant is in memory, and waits until it has looked
    /// at it.
    async fn hand_over(&self, rules: RuleSet, began: Instant, hold: Option<HintHold>) {
        let Some(entry) = self.inner.shared.registry.entry(rules.tenant().id) else { return };
        let (reply, looked_at) = oneshot::channel();
        let committed = Box::new(Committed { rules, began, hold, reply });
        if entry.send(TenantMsg::Committed(committed)).is_ok() {
            // An actor that fails first answers nothing: what was committed is then loaded.
            let _ = timeout(SERVED_WAIT, looked_at).await;
        }
    }

    /// Waits until this node serves `written`, if the tenant is in memory at all, whatever fails meanwhile. One that is
    /// not is loaded by the next evaluation, which then reads what was committed.
    async fn serve(&self, tenant: TenantId, written: Version) {
        let is_served = |entry: &Entry| entry.set().is_some_and(|set| Version::from(&***set).is_at_least(written));
        if self.inner.shared.registry.entry(tenant).is_none_or(|entry| is_served(&entry)) {
            return;
        }
        let deadline = Instant::now() + SERVED_WAIT;
        // Should it take longer, decisions are marked stale from then on.
        self.inner.shared.hint(tenant, Want::AtLeast(written.revision));
        while self.inner.shared.registry.entry(tenant).is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ensure(tenant, Some(written.revision), left).await {
                Ok(Some(set)) if set.epoch() == written.epoch => return,
                Err(Error::TenantNotFound) => return,
                // What is served is of the time before a restore: its numbers say nothing.
                Ok(Some(_)) if !left.is_zero() => self.inner.shared.hint(tenant, Want::Fresh),
                Ok(_) | Err(Error::Stopping) => {
                    warn!(%tenant, revision = written.revision.0, "committed, and not served by this node yet");
                    return;
                }
                // Its actor failed, or many wait: a client that was answered now would read what it overwrote.
                Err(_) => {}
            }
            sleep(SERVED_RETRY).await;
        }
    }

    /// Says what a change would do, and does nothing.
    pub async fn check(&self, scope: TenantScope, change: Change) -> Result<Checked, Error> {
        let shared = &self.inner.shared;
        let snapshot = shared.store.snapshot(scope).await?.ok_or(Error::TenantNotFound)?;
        let revision = snapshot.revision();
        let served = shared.registry.entry(scope.id()).and_then(|entry| entry.set().cloned());
        let deactivated = if change.is_of_schema() { shared.store.deactivated(scope).await? } else { Vec::new() };
        let inactive = ruleset::inactive(&snapshot, &deactivated);
        let options = ChangeOptions::default();
        let accepting = ChangeOptions { accept_breaking: true, ..ChangeOptions::default() };
        let look = move || {
            let served = served.as_deref().map(|set| &**set);
            let strict = apply(&snapshot, served, &change, &options);
            let breaks = [Refusal::BreaksFlatCallers, Refusal::BreaksNamedCallers];
            let [flat, named] = breaks.map(|refusal| strict.as_ref().is_err_and(|found| *found == refusal));
            let result = if flat || named { apply(&snapshot, served, &change, &accepting) } else { strict };
            (result.map(drop), flat, named)
        };
        let (result, breaks_flat_callers, breaks_named_callers) =
            tokio::task::spawn_blocking(look).await.map_err(|_| Error::Internal("compiling the change panicked"))?;
        let mut checked = Checked {
            revision,
            details: Vec::new(),
            breaks: Vec::new(),
            breaks_flat_callers,
            breaks_named_callers,
            inactive,
        };
        match result {
            Ok(()) => {}
            Err(Refusal::Breaks(broken)) => checked.breaks = broken,
            Err(Refusal::Invalid(details)) => checked.details = details,
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(checked)
    }
}

/// Waits for a commit, and keeps the hints held meanwhile, but not for long: the connection may have fallen silent after
/// the commit was made, and then a hint is all that tells of it.
async fn committed(
    commit: impl Future<Output = Result<Tenant, store::Error>>,
    hold: Option<HintHold>,
) -> Result<(Tenant, Option<HintHold>), Error> {
    let mut commit = pin!(commit);
    match timeout(HOLD_MAX, &mut commit).await {
        Ok(stored) => Ok((stored?, hold)),
        Err(_) => {
            drop(hold);
            Ok((commit.await?, None))
        }
    }
}
