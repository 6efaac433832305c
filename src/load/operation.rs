//! What a request of a workload does, and how often.

use std::collections::{BTreeMap, BTreeSet};

use crate::{config::nearest, domain::Scope};

use super::{Error, random::Random};

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// A decision of one tenant on generated facts; the body names the tenant.
    Evaluate,
    /// The same; the path names the tenant.
    EvaluateByPath,
    /// The same by path, with a key of the tenant.
    EvaluateWithTenantKey,
    /// Decisions on a batch of generated facts.
    EvaluateBatch,
    /// A decision by path, whose body is sent in drops.
    EvaluateSlowly,
    /// The first page of a tenant's rules.
    ListRules,
    /// All of a tenant's rules, of which one has changed.
    PutRules,
    /// An event.
    SendEvent,
    /// A batch of events.
    SendEvents,
    /// Whether the process is up.
    Health,
}

const NAMES: [(&str, Operation); 10] = [
    ("evaluate", Operation::Evaluate),
    ("evaluateByPath", Operation::EvaluateByPath),
    ("evaluateWithTenantKey", Operation::EvaluateWithTenantKey),
    ("evaluateBatch", Operation::EvaluateBatch),
    ("evaluateSlowly", Operation::EvaluateSlowly),
    ("listRules", Operation::ListRules),
    ("putRules", Operation::PutRules),
    ("sendEvent", Operation::SendEvent),
    ("sendEvents", Operation::SendEvents),
    ("health", Operation::Health),
];

impl Operation {
    /// What a key must be good for; nothing is asked for where everybody may.
    fn scope(self) -> Option<Scope> {
        match self {
            Self::Evaluate
            | Self::EvaluateByPath
            | Self::EvaluateWithTenantKey
            | Self::EvaluateBatch
            | Self::EvaluateSlowly => Some(Scope::Evaluate),
            Self::ListRules => Some(Scope::Read),
            Self::PutRules => Some(Scope::Write),
            Self::SendEvent | Self::SendEvents => Some(Scope::Ingest),
            Self::Health => None,
        }
    }
}

/// How often each operation is done.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    /// Operations, each with the sum of its share and those before it, of 1.
    cumulative: Vec<(f64, Operation)>,
}

impl Mix {
    /// Nothing but decisions.
    pub fn decisions() -> Self {
        Self { cumulative: vec![(1.0, Operation::Evaluate)] }
    }

    /// Reads the shares, which must add up to 1.
    pub fn parse(name: &str, shares: &BTreeMap<String, f64>) -> Result<Self, Error> {
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        for (operation, share) in shares {
            let Some((_, known)) = NAMES.iter().find(|(known, _)| known == operation) else {
                let meant = nearest(operation, NAMES.map(|(known, _)| known)).unwrap_or("evaluate");
                return Err(Error::Invalid(format!(
                    "the mix `{name}` has an unknown operation `{operation}`; did you mean `{meant}`?"
                )));
            };
            if !(0.0..=1.0).contains(share) {
                return Err(Error::Invalid(format!("the mix `{name}` has a share of {share}; it must be from 0 to 1")));
            }
            sum += share;
            cumulative.push((sum, *known));
        }
        if (sum - 1.0).abs() > 1e-6 {
            return Err(Error::Invalid(format!("the shares of the mix `{name}` add up to {sum}, not to 1")));
        }
        Ok(Self { cumulative })
    }

    /// Whether it has requests with a tenant's key, whoever else asks.
    pub fn needs_tenant_keys(&self) -> bool {
        self.cumulative.iter().any(|(_, operation)| *operation == Operation::EvaluateWithTenantKey)
    }

    /// What a tenant's key must be good for to send all of it.
    pub fn scopes(&self) -> BTreeSet<Scope> {
        self.cumulative.iter().filter_map(|(_, operation)| operation.scope()).collect()
    }

    /// Whether it sends events.
    pub fn sends_events(&self) -> bool {
        self.cumulative.iter().any(|(_, operation)| matches!(operation, Operation::SendEvent | Operation::SendEvents))
    }

    /// An operation, as often as its share says.
    pub fn pick(&self, random: &mut Random) -> Operation {
        let at = random.fraction();
        let found = self.cumulative.iter().find(|(sum, _)| at < *sum).or(self.cumulative.last());
        found.map_or(Operation::Evaluate, |(_, operation)| *operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect()
    }

    #[test]
    fn operations_come_as_often_as_their_share() {
        let mix = Mix::parse("load", &shares(&[("evaluate", 0.8), ("listRules", 0.15), ("health", 0.05)])).unwrap();
        let mut random = Random::new(3);
        let picked: Vec<Operation> = (0..10_000).map(|_| mix.pick(&mut random)).collect();
        for (operation, share) in
            [(Operation::Evaluate, 8_000), (Operation::ListRules, 1_500), (Operation::Health, 500)]
        {
            let count = picked.iter().filter(|found| **found == operation).count();
            assert!(count.abs_diff(share) < 200, "{operation:?} {count}");
        }
    }

    #[test]
    fn a_mix_that_makes_no_sense_is_refused() {
        for (pairs, part) in [
            (&[("evaluat", 1.0)][..], "did you mean `evaluate`?"),
            (&[("evaluate", 0.5)], "add up to 0.5"),
            (&[("evaluate", 2.0), ("health", -1.0)], "a share of 2"),
            (&[], "add up to 0"),
        ] {
            let error = Mix::parse("m", &shares(pairs)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
