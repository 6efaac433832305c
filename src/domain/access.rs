//! Who calls and what they may do: the one table of permissions. How a caller proves who it is, is a matter of `auth`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ApiKeyId, TenantId};

/// What a route asks of its caller. Each route declares one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: no credential is looked at.
    Open,
    /// Nothing either, but it is meant for whoever runs the service: its metrics.
    Observe,
    /// To decide facts of a tenant.
    Evaluate,
    /// Reserved: to send a tenant's events. No route asks for it yet.
    Ingest,
    /// To read what a tenant has stored.
    Read,
    /// To read who changed what of a tenant.
    Audit,
    /// To change a tenant's schema, derived fields and rules.
    Write,
    /// To see a tenant's keys, to make and to revoke them.
    Administer,
    /// What belongs to whoever runs the service: tenants as such, their tiers and pins, nodes.
    Operate,
}

/// What a key is good for. Audit rows store a scope as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Decisions.
    Evaluate,
    /// Reserved for events.
    Ingest,
    /// Reading schema, derived fields, rules and how the tenant is doing.
    Read,
    /// Reading who changed what.
    Audit,
    /// Reading and changing these.
    Write,
    /// Everything that a tenant may do, its keys among it.
    Admin,
}

/// What a person or service is to a tenant, where a token says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything that a tenant may.
    Owner,
    /// May do everything that a tenant may.
    Admin,
    /// Reads, writes and tries rules.
    Editor,
    /// Asks for decisions.
    Evaluator,
    /// Reserved for who sends events.
    Ingester,
    /// Reads, and learns who changed what.
    Auditor,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [Self::Evaluate, Self::Ingest, Self::Read, Self::Audit, Self::Write, Self::Admin];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Audit => "audit",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// The table: what each scope permits.
    fn permits(self) -> &'static [Permission] {
        use Permission::{Administer, Audit, Evaluate, Ingest, Read, Write};
        match self {
            Self::Evaluate => &[Evaluate],
            Self::Ingest => &[Ingest],
            Self::Read => &[Read],
            Self::Audit => &[Audit],
            Self::Write => &[Read, Write],
            Self::Admin => &[Evaluate, Ingest, Read, Audit, Write, Administer],
        }
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [Self::Owner, Self::Admin, Self::Editor, Self::Evaluator, Self::Ingester, Self::Auditor];

    /// What it is called outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Evaluator => "evaluator",
            Self::Ingester => "ingester",
            Self::Auditor => "auditor",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The table: the scopes of each role.
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Owner | Self::Admin => &[Scope::Admin],
            Self::Editor => &[Scope::Write, Scope::Evaluate],
            Self::Evaluator => &[Scope::Evaluate],
            Self::Ingester => &[Scope::Ingest],
            Self::Auditor => &[Scope::Read, Scope::Audit],
        }
    }
}

/// Permissions held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// What these scopes permit together.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().flat_map(|scope| scope.permits()).fold(0, |held, permission| held | bit(*permission)))
    }

    /// Whether `permission` is among them.
    pub fn permit(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }
}

fn bit(permission: Permission) -> u16 {
    1 << permission as u8
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Whoever runs the service: may do everything.
    Operator {
        /// The key, unless it is the one of the settings, or none is asked for.
        key: Option<ApiKeyId>,
    },
    /// A tenant, by one of its keys: may do what the key permits, to this tenant.
    Tenant {
        /// The tenant.
        tenant: TenantId,
        /// The key.
        key: ApiKeyId,
        /// What it permits.
        permissions: Permissions,
    },
    /// A person or service, by a token of a trusted issuer.
    Subject {
        /// What it is called, with its issuer.
        name: Arc<str>,
        /// The tenant; of an operator, none.
        tenant: Option<TenantId>,
        /// What its role permits.
        permissions: Permissions,
    },
}

impl Principal {
    /// Whether it may, to whatever it can reach.
    pub fn may(&self, permission: Permission) -> bool {
        match self {
            Self::Operator { .. } | Self::Subject { tenant: None, .. } => true,
            Self::Tenant { permissions, .. } | Self::Subject { permissions, .. } => {
                permission == Permission::Open || permissions.permit(permission)
            }
        }
    }

    /// The tenant that it is bound to; the operator is bound to none.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Operator { .. } => None,
            Self::Tenant { tenant, .. } => Some(*tenant),
            Self::Subject { tenant, .. } => *tenant,
        }
    }

    /// The name under which its changes are logged.
    pub fn actor(&self) -> String {
        match self {
            Self::Operator { key: None } => "operator".to_owned(),
            Self::Operator { key: Some(key) } => format!("operator:{key}"),
            Self::Tenant { key, .. } => format!("key:{key}"),
            Self::Subject { name, .. } => format!("jwt:{name}"),
        }
    }

    /// The stored key that it has shown, if it was one.
    pub fn key(&self) -> Option<ApiKeyId> {
        match self {
            Self::Operator { key } => *key,
            Self::Tenant { key, .. } => Some(*key),
            Self::Subject { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [Permission; 7] = [
        Permission::Evaluate,
        Permission::Ingest,
        Permission::Read,
        Permission::Audit,
        Permission::Write,
        Permission::Administer,
        Permission::Operate,
    ];

    #[test]
    fn what_each_role_may() {
        for (role, expected) in [
            (Role::Owner, [true, true, true, true, true, true, false]),
            (Role::Admin, [true, true, true, true, true, true, false]),
            (Role::Editor, [true, false, true, false, true, false, false]),
            (Role::Evaluator, [true, false, false, false, false, false, false]),
            (Role::Ingester, [false, true, false, false, false, false, false]),
            (Role::Auditor, [false, false, true, true, false, false, false]),
        ] {
            let permissions = Permissions::of(role.scopes());
            assert_eq!(EACH.map(|permission| permissions.permit(permission)), expected, "{role:?}");
        }
    }

    #[test]
    fn no_scope_makes_an_operator() {
        let permissions = Permissions::of(&Scope::ALL);
        let principal = Principal::Tenant { tenant: TenantId::generate(), key: ApiKeyId::generate(), permissions };
        assert!(!principal.may(Permission::Operate));
        assert!(EACH.iter().all(|permission| Principal::Operator { key: None }.may(*permission)));
    }

    #[test]
    fn a_role_is_found_by_its_name_and_may_what_stands_in_the_table() {
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
            let permissions = Permissions::of(role.scopes());
            let subject = |tenant| Principal::Subject { name: "iss#sub".into(), tenant, permissions };
            let bound = subject(Some(TenantId::generate()));
            for permission in EACH {
                assert_eq!(bound.may(permission), permissions.permit(permission), "{role:?} {permission:?}");
                assert!(subject(None).may(permission), "an operator may everything");
            }
        }
        assert_eq!([Role::named("operator"), Role::named("Owner"), Role::named("")], [None; 3]);
    }

    #[test]
    fn a_scope_is_found_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::named(scope.name()), Some(scope));
        }
        assert_eq!(Scope::named("Admin"), None);
    }
}
