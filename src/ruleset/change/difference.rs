//! The rows that make one snapshot into another.
//!
//! Rows that are gone come first and new ones last, so that a name is free before it is given again.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Operation;
use crate::domain::{DerivedField, Rule, Snapshot, TenantPatch};

/// The rows to write, in order. Rows of `after` that differ are dated to the time of the change.
pub(super) fn operations(before: &Snapshot, after: &mut Snapshot) -> Vec<Operation> {
    let now = after.taken_at;
    let mut operations: Vec<Operation> = tenant(before, after).into_iter().chain(schema(before, after)).collect();
    operations.extend(rows(&before.derived_fields, &mut after.derived_fields, now));
    operations.extend(rows(&before.rules, &mut after.rules, now));
    if !operations.is_empty() {
        after.tenant.updated_at = now;
    }
    operations
}

fn tenant(before: &Snapshot, after: &Snapshot) -> Option<Operation> {
    let (old, new) = (&before.tenant, &after.tenant);
    let patch = TenantPatch {
        name: (old.name != new.name).then(|| new.name.clone()),
        tier: (old.tier != new.tier).then_some(new.tier),
        status: (old.status != new.status).then_some(new.status),
        pinned: (old.pinned != new.pinned).then_some(new.pinned),
        idle_stop_seconds: (old.idle_stop_seconds != new.idle_stop_seconds).then_some(new.idle_stop_seconds),
        strict_facts: (old.strict_facts != new.strict_facts).then_some(new.strict_facts),
        quotas: old.quotas.difference(&new.quotas),
        workers: (old.workers != new.workers).then_some(new.workers),
        decision_log: (old.decision_log != new.decision_log).then_some(new.decision_log),
    };
    (patch != TenantPatch::default()).then_some(Operation::UpdateTenant(patch))
}

fn schema(before: &Snapshot, after: &Snapshot) -> Option<Operation> {
    let schema = after.schema.as_ref()?;
    if before.schema.as_ref().is_some_and(|old| old.version == schema.version) {
        return None;
    }
    Some(if before.schema_version_max.is_none_or(|newest| newest < schema.version) {
        Operation::InsertSchema(schema.version, schema.definition.clone())
    } else {
        Operation::ActivateSchema(schema.version)
    })
}

/// What rules and derived fields have in common here.
trait Row: Clone + PartialEq {
    type Id: Copy + Eq + std::hash::Hash;
    fn id(&self) -> Self::Id;
    fn updated_at(&mut self) -> &mut DateTime<Utc>;
    fn insert(self) -> Operation;
    fn update(self) -> Operation;
    fn delete(id: Self::Id) -> Operation;
}

fn rows<R: Row>(before: &[R], after: &mut [R], now: DateTime<Utc>) -> Vec<Operation> {
    let mut old: HashMap<R::Id, &R> = before.iter().map(|row| (row.id(), row)).collect();
    let (mut updates, mut inserts) = (Vec::new(), Vec::new());
    for row in after {
        match old.remove(&row.id()) {
            Some(old) if old == row => {}
            Some(_) => {
                *row.updated_at() = now;
                updates.push(row.clone().update());
            }
            None => inserts.push(row.clone().insert()),
        }
    }
    // In stored order, so that the same change always writes the same rows in the same order.
    let gone = before.iter().map(Row::id).filter(|id| old.contains_key(id)).map(R::delete);
    gone.chain(updates).chain(inserts).collect()
}

impl Row for Rule {
    type Id = crate::domain::RuleId;

    fn id(&self) -> Self::Id {
        self.id
    }

    fn updated_at(&mut self) -> &mut DateTime<Utc> {
        &mut self.updated_at
    }

    fn insert(self) -> Operation {
        Operation::InsertRule(self)
    }

    fn update(self) -> Operation {
        Operation::UpdateRule(self)
    }

    fn delete(id: Self::Id) -> Operation {
        Operation::DeleteRule(id)
    }
}

impl Row for DerivedField {
    type Id = crate::domain::DerivedFieldId;

    fn id(&self) -> Self::Id {
        self.id
    }

    fn updated_at(&mut self) -> &mut DateTime<Utc> {
        &mut self.updated_at
    }

    fn insert(self) -> Operation {
        Operation::InsertDerivedField(self)
    }

    fn update(self) -> Operation {
        Operation::UpdateDerivedField(self)
    }

    fn delete(id: Self::Id) -> Operation {
        Operation::DeleteDerivedField(id)
    }
}
