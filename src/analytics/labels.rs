//! How many types and projects of events are counted apart: a flood of distinct ones must not make as many rows. Each
//! process keeps the ones that it has counted of a day; those beyond are counted as [`OTHER`].
//!
//! A tenant's events are consumed by one node at a time, so that a day has more than [`LABELS_MAX`] of them only if the
//! tenant's queue moves to another node, or a node is started again.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::TenantId;

/// Types, and projects, of a tenant that are counted apart in a day.
pub const LABELS_MAX: usize = 200;
/// What those beyond are counted as. No type or project is called so: a label has no parentheses.
pub const OTHER: &str = "(other)";
/// Labels that are kept in all. Then it begins anew.
const KEPT_MAX: usize = 1_000_000;

/// What an event is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Its type.
    Type,
    /// Its project.
    Project,
}

/// By day, since the epoch.
type Days = BTreeMap<(i64, Label), HashSet<Box<str>>>;

/// The labels that are counted apart.
#[derive(Debug, Default)]
pub struct Labels {
    known: HashMap<TenantId, Days>,
    kept: usize,
}

impl Labels {
    /// What an event of a day, since the epoch, is counted as; empty for one without a label.
    pub fn admit<'a>(&mut self, tenant: TenantId, day: i64, label: Label, text: Option<&'a str>) -> &'a str {
        let Some(text) = text else { return "" };
        if self.kept >= KEPT_MAX {
            *self = Self::default();
        }
        let known = self.known.entry(tenant).or_default().entry((day, label)).or_default();
        if known.contains(text) {
            return text;
        }
        if known.len() >= LABELS_MAX {
            return OTHER;
        }
        known.insert(text.into());
        self.kept += 1;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_beyond_so_many_a_day_are_the_others() {
        let (acme, globex) = (TenantId::generate(), TenantId::generate());
        let mut labels = Labels::default();
        let names: Vec<String> = (0..LABELS_MAX + 5).map(|number| format!("type{number}")).collect();
        for _ in 0..2 {
            for (number, name) in names.iter().enumerate() {
                let expected = if number < LABELS_MAX { name } else { OTHER };
                assert_eq!(labels.admit(acme, 1, Label::Type, Some(name)), expected);
            }
        }
        let last = names.last().map(String::as_str);
        assert_eq!(labels.admit(acme, 1, Label::Project, last), last.unwrap(), "projects are apart from types");
        assert_eq!(labels.admit(acme, 2, Label::Type, last), last.unwrap(), "each day begins anew");
        assert_eq!(
            labels.admit(globex, 1, Label::Type, last),
            last.unwrap(),
            "tenants have nothing to do with each other"
        );
        assert_eq!(labels.admit(acme, 1, Label::Type, None), "");
    }
}
