//! The right to reach one tenant's data, as a value. Whatever opens a tenant's transaction, loads its rules or decides
//! its facts takes a [`TenantScope`] and not a bare id, so that a request cannot reach a tenant by naming it.
//!
//! A scope is made from an authenticated caller, or by the service itself for a reason on the list below.
//! `tests/tidy.rs` holds which modules may do either.

use std::fmt;

use super::{Principal, TenantId};

/// The right to reach one tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantScope {
    tenant: TenantId,
}

/// Why the service reaches a tenant that no caller asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// A tenant's actor loads what it serves.
    Loader,
    /// A credential is looked up under the tenant that it names, before it is known to be valid.
    Credentials,
    /// A tenant is being created.
    Creation,
    /// Operators' keys, and the audit log of their changes, belong to no tenant.
    Operators,
    /// A tenant's decisions are counted, and the counts kept in order.
    Counts,
    /// Recorded evaluations are deleted when they are kept no longer.
    Retention,
    /// A tenant's events are consumed.
    Consumer,
    /// A command runs on the database itself, with the right to do so.
    Command,
}

impl TenantScope {
    /// The scope of `tenant` for an authenticated caller; `None` if the caller is bound to another tenant.
    pub fn of_principal(principal: &Principal, tenant: TenantId) -> Option<Self> {
        principal.tenant().is_none_or(|own| own == tenant).then_some(Self { tenant })
    }

    /// The scope of a message in `queue`'s queue that says that it is `message`'s; `None` if these are not the same.
    pub fn of_message(queue: TenantId, message: TenantId) -> Option<Self> {
        (queue == message).then_some(Self { tenant: queue })
    }

    /// The scope of `tenant` for the service itself. The reason is for the reader.
    pub fn of_system(_: System, tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The tenant.
    pub fn id(self) -> TenantId {
        self.tenant
    }
}

impl fmt::Display for TenantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyId, Permissions};

    #[test]
    fn a_bound_caller_gets_the_scope_of_its_own_tenant_alone() {
        let [own, other] = [TenantId::generate(), TenantId::generate()];
        let permissions = Permissions::default();
        let key = Principal::Tenant { tenant: own, key: ApiKeyId::generate(), permissions };
        let subject = Principal::Subject { name: "iss#sub".into(), tenant: Some(own), permissions };
        for bound in [key, subject] {
            assert_eq!(TenantScope::of_principal(&bound, own).map(TenantScope::id), Some(own));
            assert_eq!(TenantScope::of_principal(&bound, other), None);
        }
    }

    #[test]
    fn a_message_gets_the_scope_of_its_queue_alone() {
        let [queue, other] = [TenantId::generate(), TenantId::generate()];
        assert_eq!(TenantScope::of_message(queue, queue).map(TenantScope::id), Some(queue));
        assert_eq!(TenantScope::of_message(queue, other), None);
    }

    #[test]
    fn an_operator_gets_the_scope_of_any_tenant() {
        let tenant = TenantId::generate();
        let subject = Principal::Subject { name: "iss#sub".into(), tenant: None, permissions: Permissions::default() };
        for operator in [Principal::Operator { key: None }, subject] {
            assert_eq!(TenantScope::of_principal(&operator, tenant).map(TenantScope::id), Some(tenant));
        }
    }
}
