//! What tells two rule sets apart: a hash over everything that decides. Sets of the same hash decide the same.

use sha2::{Digest, Sha256};

use super::{RuleSet, RuleState};

/// What is hashed, first: another form of it has another name.
const FORM: &str = "tenet rule set 1";

impl RuleSet {
    /// SHA-256 over what it decides by: the schema, the derived fields that can be used, the rules with their ids in
    /// their order, and the tenant's settings on which decisions depend. Computed when it is first asked for.
    pub fn hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| self.hashed())
    }

    fn hashed(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // With its length, so that no two sets are hashed alike.
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(FORM.as_bytes());
        add(if self.tenant.strict_facts { b"strict" } else { b"" });
        add(&self.schema_version.map_or(0, |version| version.0).to_be_bytes());
        if let Some(schema) = &self.contents.schema {
            add(schema.definition.json().to_string().as_bytes());
        }
        add(b"derived fields");
        for (_, name, compiled) in self.contents.derived.usable() {
            add(name.as_bytes());
            add(compiled.program.source().as_bytes());
        }
        add(b"rules");
        for (id, rule) in self.ids.iter().zip(&self.contents.rules) {
            add(id.0.as_bytes());
            add(rule.name.as_bytes());
            add(&(rule.tags.len() as u64).to_be_bytes());
            rule.tags.iter().for_each(|tag| add(tag.as_bytes()));
            let (state, text) = match &rule.state {
                RuleState::Inactive => ("inactive", ""),
                RuleState::Broken(message) => ("broken", &**message),
                RuleState::Ready(compiled) => ("ready", compiled.program.source()),
            };
            add(state.as_bytes());
            add(text.as_bytes());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        domain::{Revision, RuleId, Snapshot},
        ruleset::{RuleSet, fixture},
    };

    #[test]
    fn what_decides_is_hashed_and_nothing_else() {
        let before = fixture::tenant().field("next", "facts.age + 1").rule("adult", "facts.age >= 18");
        let hash = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = before.clone();
            change(&mut snapshot);
            RuleSet::compile(&snapshot, None).hash()
        };
        let same = hash(&|_| {});
        let alike: [&dyn Fn(&mut Snapshot); 4] = [
            &|of| of.tenant.revision = Revision(70),
            &|of| of.rules[0].description = Some("for adults".to_owned()),
            &|of| of.derived_fields[0].description = Some("next year".to_owned()),
            &|of| of.tenant.pinned = true,
        ];
        for change in alike {
            assert_eq!(hash(change), same);
        }
        let different: [&dyn Fn(&mut Snapshot); 9] = [
            &|of| of.rules[0].expression.push(' '),
            &|of| of.rules[0].active = false,
            &|of| of.rules[0].tags.push("x".to_owned()),
            &|of| of.rules[0].id = RuleId::generate(),
            &|of| of.rules[0].expression = "facts.aged".to_owned(),
            &|of| of.rules.clear(),
            &|of| of.derived_fields[0].expression = "facts.age + 2".to_owned(),
            &|of| of.tenant.strict_facts = true,
            &|of| of.schema.as_mut().unwrap().version.0 += 1,
        ];
        for change in different {
            assert_ne!(hash(change), same);
        }
    }

    #[test]
    fn a_set_for_a_tenant_that_was_changed_has_a_hash_of_its_own() {
        let set = RuleSet::compile(&fixture::tenant(), None);
        let before = set.hash();
        let mut tenant = set.tenant().clone();
        tenant.strict_facts = true;
        assert_ne!(set.for_tenant(tenant).hash(), before);
    }
}
