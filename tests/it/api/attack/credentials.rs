//! What an attacker may hold: every kind of credential, valid and not.

use std::time::Duration;

use serde_json::{Value, json};
use tenet::{
    client::{Client, Method},
    config::Secret,
    domain::{ApiKeyId, Holder, TenantId},
};

use super::{
    super::{body, send, with_checksum},
    operations::{SCOPES, Scopes},
    target::Target,
};

/// How long a key is good that is to end before it is tried.
const LIFE: Duration = Duration::from_secs(2);

/// What is shown, and what it is good for.
#[derive(Clone)]
pub struct Credential {
    /// Under which its requests are counted.
    pub kind: String,
    pub key: Option<Secret>,
    pub principal: Principal,
}

/// Whom a credential makes its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    Nobody,
    /// A tenant, by a key with these scopes.
    Tenant(Scopes),
    Operator,
}

/// Makes keys of a tenant.
pub struct Locksmith<'a> {
    pub operator: &'a Client,
    pub target: &'a Target,
}

impl Credential {
    fn invalid(kind: &str, key: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), key: Some(Secret::new(key.into())), principal: Principal::Nobody }
    }

    /// The holder of a key of the operator's.
    pub fn operator(key: &str) -> Self {
        Self { kind: "operator".to_owned(), key: Some(Secret::new(key)), principal: Principal::Operator }
    }
}

impl Locksmith<'_> {
    async fn made(&self, scopes: &[&str], expires_at: Option<String>) -> Value {
        let draft = json!({"name": self.target.canary, "scopes": scopes, "expiresAt": expires_at});
        self.target.create(self.operator, "api-keys", &draft).await
    }

    async fn key(&self, scopes: &[&str]) -> String {
        text(&self.made(scopes, None).await, "key")
    }

    fn path(&self, made: &Value) -> String {
        format!("/api/v1/tenants/{}/api-keys/{}", self.target.ids.tenant, text(made, "id"))
    }

    /// The status that the holder of a key gets for its own tenant.
    async fn status(&self, key: &str) -> u16 {
        let holder = self.operator.clone().with_key(Some(Secret::new(key)));
        holder.get(&format!("/api/v1/tenants/{}", self.target.ids.tenant)).await.unwrap().status
    }

    /// Valid keys, one for each set of scopes.
    pub async fn valid(&self, kind: &str, sets: impl Iterator<Item = Scopes>) -> Vec<Credential> {
        let mut credentials = Vec::new();
        for scopes in sets {
            let kind = format!("{kind} {}", scopes.names().join("+"));
            let key = Some(Secret::new(self.key(&scopes.names()).await));
            credentials.push(Credential { kind, key, principal: Principal::Tenant(scopes) });
        }
        credentials
    }

    /// What opens nothing, or no longer, and never did for whoever attacks `other`.
    pub async fn invalid(&self, other: &Locksmith<'_>) -> Vec<Credential> {
        let all = SCOPES;
        let (own, others) = (self.made(&all, None).await, other.made(&all, None).await);
        let (own_key, others_key) = (text(&own, "key"), text(&others, "key"));
        let (public_id, secret) = (text(&own, "publicId"), own_key.split('_').nth(2).unwrap());
        let others_public_id = text(&others, "publicId");
        let nobodys = Holder::Tenant(TenantId::generate(), ApiKeyId::generate()).public_id();
        let operators = Holder::Operator(ApiKeyId::generate()).public_id();
        let zeros = "0".repeat(secret.len());
        let mistyped = format!("{}{}", &own_key[..own_key.len() - 1], if own_key.ends_with('0') { '1' } else { '0' });
        let mut credentials = vec![
            Credential { kind: "none".to_owned(), key: None, principal: Principal::Nobody },
            Credential::invalid("garbage", "garbage"),
            Credential::invalid("garbage", format!("tnt_{others_public_id}__")),
            Credential::invalid("mistyped", mistyped),
            // Well-formed, each with the checksum that belongs to it.
            Credential::invalid("forged", with_checksum(&format!("tnt_{others_public_id}_{secret}"))),
            Credential::invalid("forged", with_checksum(&format!("tnt_{public_id}_{zeros}"))),
            Credential::invalid("forged", with_checksum(&format!("tnt_{nobodys}_{secret}"))),
            Credential::invalid("forged", with_checksum(&format!("opr_{operators}_{secret}"))),
            Credential::invalid("forged", with_checksum(&format!("opr_{public_id}_{secret}"))),
        ];
        assert_eq!(with_checksum(own_key.rsplit_once('_').unwrap().0), own_key, "what is forged is well-formed");
        assert_ne!(own_key, others_key);

        let end = (chrono::Utc::now() + LIFE).to_rfc3339();
        let (used, unused) = (self.made(&all, Some(end.clone())).await, self.made(&all, Some(end)).await);
        assert_eq!(self.status(&text(&used, "key")).await, 200, "the key is remembered as valid");

        let revoked = self.made(&all, None).await;
        assert_eq!(self.status(&text(&revoked, "key")).await, 200);
        let answer = send(self.operator, Method::DELETE, &self.path(&revoked), &[], &Value::Null).await;
        assert_eq!(answer.status, 204);
        credentials.push(Credential::invalid("revoked", text(&revoked, "key")));

        let rotated = self.made(&all, None).await;
        assert_eq!(self.status(&text(&rotated, "key")).await, 200);
        let path = format!("{}/rotate", self.path(&rotated));
        body(&self.operator.post_json(&path, &json!({"overlapSeconds": 0})).await.unwrap(), 201);
        credentials.push(Credential::invalid("rotated away", text(&rotated, "key")));

        let gone = Target::make(self.operator, "gonecanary", 2).await;
        let gone = Locksmith { operator: self.operator, target: &gone };
        let orphan = gone.key(&all).await;
        assert_eq!(gone.status(&orphan).await, 200);
        let path = format!("/api/v1/tenants/{}", gone.target.ids.tenant);
        assert_eq!(self.operator.delete(&path).await.unwrap().status, 204);
        credentials.push(Credential::invalid("of a deleted tenant", orphan));

        tokio::time::sleep(LIFE).await;
        for expired in [used, unused] {
            assert_eq!(self.status(&text(&expired, "key")).await, 401);
            credentials.push(Credential::invalid("expired", text(&expired, "key")));
        }
        credentials
    }
}

fn text(made: &Value, member: &str) -> String {
    made[member].as_str().unwrap().to_owned()
}
