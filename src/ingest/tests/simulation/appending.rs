//! Storing events, as `tenet_events_append` does: ids are made and keys looked up in the step that stores.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Mutant,
    store::Store,
    tables::{Tables, number_in},
    world::State,
};
use crate::{
    domain::{Accepted, EventId, TenantId},
    store::{Error, NewEvent},
};

impl Store {
    pub async fn append_events(&self, events: &[NewEvent], _: TimeDelta) -> Result<Vec<Accepted>, Error> {
        let mutant = self.0.state().mutant;
        // Made or found in a step of its own, by a mutant that has no lock from there to the commit.
        let early = match mutant {
            Mutant::IdOutsideTheLock => self.0.ask("make ids", |state| new_ids(state, events)).await?,
            _ => Vec::new(),
        };
        let known = match mutant {
            Mutant::KeyOutsideTheLock => {
                let known = |state: &mut State| {
                    events.iter().map(|event| state.tables(event.scope).known(&event.draft)).collect::<Vec<_>>()
                };
                Some(self.0.ask("look up keys", known).await?)
            }
            _ => None,
        };
        let append = |state: &mut State| {
            let ids = if mutant == Mutant::IdOutsideTheLock { early } else { new_ids(state, events) };
            let now = state.database_time();
            let mut answers = Vec::new();
            for (place, (event, id)) in events.iter().zip(ids).enumerate() {
                let State { tables, ledger, .. } = &mut *state;
                let tenant = event.scope.id();
                let tables = tables.get_mut(&tenant).unwrap();
                let before = known.as_ref().map_or_else(|| tables.known(&event.draft), |known| known[place]);
                if before.is_none() {
                    tables.append(id, &event.draft, now, ledger, tenant);
                    let number = number_in(event.draft.facts.get());
                    state.tell(|| format!("event {number} of {tenant} is stored as {id}"));
                }
                answers.push(before.unwrap_or(Accepted::New(id)));
            }
            answers
        };
        self.0.ask("append", append).await
    }
}

/// An id for each event, as the database makes them.
fn new_ids(state: &mut State, events: &[NewEvent]) -> Vec<EventId> {
    let (now, mutant) = (state.database_time(), state.mutant);
    let mut counts: BTreeMap<TenantId, usize> = BTreeMap::new();
    events.iter().for_each(|event| *counts.entry(event.scope.id()).or_default() += 1);
    let made = |(tenant, count): (&TenantId, &usize)| {
        let ids = match mutant {
            Mutant::IdByTheClock => Tables::ids_by_clock(*count, now),
            _ => state.tables[tenant].next_ids(*count, now),
        };
        (*tenant, ids.into_iter())
    };
    let mut ids: BTreeMap<TenantId, std::vec::IntoIter<EventId>> = counts.iter().map(made).collect();
    let mut chance = || u128::from(state.random.range(0, 0xffff_ffff_ffff));
    let mut id = |event: &NewEvent| ids.get_mut(&event.scope.id()).unwrap().next().unwrap();
    events.iter().map(|event| EventId(Uuid::from_u128(id(event).0.as_u128() | chance()))).collect()
}
