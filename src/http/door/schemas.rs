//! The OpenAPI schemas of the domain's ids, counters, names and words, which are JSON strings and numbers by themselves.
//! Whatever has members has a type of its own beside its handler.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use crate::domain::{
    ApiKeyId, DerivedFieldId, EventId, Name, NodeId, Quota, QuotaOverrides, RedriveId, Revision, RuleId, SchemaVersion,
    Scope, TenantId, TenantStatus, Tier,
};

macro_rules! schemas {
    ($($type:ident: $description:literal, $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some($description)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    )*};
}

schemas! {
    TenantId: "A tenant's id.", uuid();
    RuleId: "A rule's id, unique together with its tenant's.", uuid();
    DerivedFieldId: "A derived field's id, unique together with its tenant's.", uuid();
    ApiKeyId: "An API key's id, unique together with its tenant's.", uuid();
    RedriveId: "A redrive's id, unique together with its tenant's.", uuid();
    EventId: "An event's id, unique together with its tenant's; it tells when the event was received.", uuid();
    NodeId: "The id of a process of the service.", uuid();
    Revision: "A tenant's counter of changes. Covers its schema, derived fields, rules and settings together; begins at 1.",
        number(KnownFormat::Int64);
    SchemaVersion: "The number of a version of a tenant's schema: 1, 2, 3 …", number(KnownFormat::Int32);
    Name: "A name of 1 to 255 visible characters, in Unicode's normal form C.", text();
    Tier: "What a tenant pays for; its quotas depend on it.",
        text().enum_values(Some(["free", "pro", "enterprise"]));
    TenantStatus: "Whether a tenant's decisions are served.", text().enum_values(Some(["active", "suspended"]));
    Scope: "What a key allows.",
        text().enum_values(Some(Scope::ALL.map(Scope::name)));
    Quota: "Something of which a tenant may use a limited amount.", text().enum_values(Some(Quota::ALL.map(Quota::name)));
    QuotaOverrides: "Limits that an operator has set for a tenant instead of its tier's.",
        ObjectBuilder::new()
            .property_names(Some(Quota::schema()))
            .additional_properties(Some(number(KnownFormat::Int64).minimum(Some(0))));
}

fn uuid() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn number(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(format)))
}
