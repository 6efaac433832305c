//! Rules and derived fields that run and cannot mean what they say: what is written is refused for it, what is stored is
//! told. Nobody needs to know it to decide, so that it is looked for when it is asked.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    RuleSet,
    compiled::Compiled,
    cost::{Named, usable},
};
use crate::{cel::Program, ruleset::Broken};

impl RuleSet {
    /// What compares with values that are not possible, or has literals that always fail, of what is `wanted` by its id. It
    /// runs all the same: only writing it is refused, or a change that makes it so. Slow: for authors.
    pub fn doubtful(&self, wanted: impl Fn(Uuid) -> bool) -> impl Iterator<Item = Broken> {
        self.usable().filter(move |(named, _)| wanted(named.id())).filter_map(doubtful)
    }

    /// The same of what is `wanted`, or was compiled anew since `before`. Slow: for authors.
    pub(in crate::ruleset) fn doubtful_since(
        &self,
        before: &Self,
        wanted: impl Fn(Uuid) -> bool,
    ) -> impl Iterator<Item = Broken> {
        let known: HashMap<Uuid, &Program> =
            before.usable().map(|(named, compiled)| (named.id(), &compiled.program)).collect();
        let is_known = move |id: Uuid, program: &Program| known.get(&id).is_some_and(|known| known.is_same(program));
        self.usable()
            .filter(move |(named, compiled)| wanted(named.id()) || !is_known(named.id(), &compiled.program))
            .filter_map(doubtful)
    }

    fn usable(&self) -> impl Iterator<Item = (Named<'_>, &Compiled)> {
        usable(&self.contents, &self.ids, &self.field_ids)
    }
}

fn doubtful((named, compiled): (Named<'_>, &Compiled)) -> Option<Broken> {
    let details = compiled.program.doubts();
    (!details.is_empty()).then(|| Broken { subject: named.subject(), details })
}
