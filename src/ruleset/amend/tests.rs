//! What each change does to a tenant's schema, derived fields and rules, and what it is refused for.
