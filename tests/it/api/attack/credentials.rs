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
    CANARIES,
    operations::{ROLES, SCOPES, Scopes},
    target::Target,
};
use crate::support::{ISSUER, Key, TokenIssuer, now, within};

/// How long a key is good that is to end before it is tried.
const LIFE: Duration = Duration::from_secs(2);
/// How long a token is believed beyond its end: clocks differ. In seconds.
const LEEWAY: i64 = 30;
/// How long tokens are good that are tried. In seconds.
const TOKEN_LIFE: i64 = 3_600;
/// What a token must say to make its holder an operator.
const OPERATORS_ROLE: &str = "platform";

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
    /// A tenant, by a key with these scopes, or by a token whose role has them.
    Tenant(Scopes),
    Operator,
}

/// Makes keys of a tenant, and tokens.
pub struct Locksmith<'a> {
    pub operator: &'a Client,
    pub issuer: &'a TokenIssuer,
    pub target: &'a Target,
}

/// What a service is told to believe the issuer, and to take one role for an operator's.
pub fn believing(issuer: &TokenIssuer) -> Vec<(&'static str, String)> {
    let settings = issuer.settings();
    let mut roles: Vec<String> = ROLES.iter().map(|(name, _)| format!("{name}={name}")).collect();
    roles.push(format!("{OPERATORS_ROLE}=operator"));
    vec![
        ("TENET_JWT_ISSUER", settings.issuer.unwrap()),
        ("TENET_JWT_AUDIENCE", settings.audience.join(",")),
        ("TENET_JWT_ALGORITHM", issuer.key.algorithm().to_owned()),
        ("TENET_JWT_JWKS", settings.jwks.unwrap()),
        ("TENET_JWT_ROLES", roles.join(",")),
    ]
}

impl Credential {
    fn invalid(kind: &str, key: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), key: Some(Secret::new(key.into())), principal: Principal::Nobody }
    }

    /// What no log may have of it.
    pub fn secret(&self) -> Option<&str> {
        let key = self.key.as_ref()?.expose();
        let secret = if key.contains('.') { key.rsplit('.').next() } else { key.split('_').nth(2) };
        secret.filter(|secret| !secret.is_empty())
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

    /// A token with these claims instead of those of an owner; `null` leaves one out.
    fn token(&self, key: &Key, claims: Value) -> String {
        let mut all = TokenIssuer::claims(&self.target.ids.tenant, "owner");
        all["exp"] = (now() + TOKEN_LIFE).into();
        // Who it is, is a text like any other.
        all["sub"] = self.target.canary.into();
        for (name, claim) in claims.as_object().unwrap() {
            all[name] = claim.clone();
        }
        all.as_object_mut().unwrap().retain(|_, claim| !claim.is_null());
        key.token(&self.issuer.header(), &all)
    }

    /// Valid tokens, one for each role.
    pub fn roles(&self, kind: &str) -> Vec<Credential> {
        let tokens = ROLES.iter().map(|(role, scopes)| Credential {
            kind: format!("{kind} {role}"),
            key: Some(Secret::new(self.token(&self.issuer.key, json!({"role": role})))),
            principal: Principal::Tenant(Scopes::named(scopes)),
        });
        tokens.collect()
    }

    /// A token of an operator, though it names a tenant.
    pub fn operators_token(&self) -> Credential {
        let token = self.token(&self.issuer.key, json!({"role": OPERATORS_ROLE}));
        Credential { kind: "token operator".to_owned(), ..Credential::operator(&token) }
    }

    /// Tokens that open nothing, each wrong in one thing, and one that has opened everything until its end.
    pub async fn invalid_tokens(&self, other: &Locksmith<'_>) -> Vec<Credential> {
        let (key, forged) = (&self.issuer.key, Key::new(self.issuer.settings().algorithm.unwrap()));
        let expired = self.token(key, json!({"exp": now() - LEEWAY + 5}));
        assert_eq!(self.status(&expired).await, 200, "the token is remembered as valid");
        let right = self.token(key, json!({}));
        assert_eq!(self.status(&right).await, 200, "what is spoiled is right in all else");
        let [own, others] = [&right, &other.token(key, json!({}))].map(|token| {
            let mut parts = token.split('.').map(str::to_owned);
            [(); 3].map(|()| parts.next().unwrap())
        });
        let tokens = [
            ("token forged", self.token(&forged, json!({}))),
            ("token forged", other.token(&forged, json!({}))),
            ("token forged", format!("{}.{}.{}", own[0], others[1], own[2])),
            ("token forged", format!("{}.{}.", own[0], others[1])),
            ("token of a wrong issuer", self.token(key, json!({"iss": "https://other.example/"}))),
            ("token of a wrong issuer", other.token(key, json!({"iss": ISSUER.trim_end_matches('/')}))),
            ("token for another audience", self.token(key, json!({"aud": "https://other.example"}))),
            ("token of no role", self.token(key, json!({"role": "operator"}))),
            ("token of no tenant", self.token(key, json!({"tenant_id": null}))),
            ("token of several tenants", {
                let both = [&self.target.ids.tenant, &other.target.ids.tenant];
                self.token(key, json!({"tenant_id": both}))
            }),
            ("token not valid yet", self.token(key, json!({"nbf": now() + TOKEN_LIFE - 1}))),
            ("token expired", self.token(key, json!({"exp": now() - LEEWAY - 1}))),
        ];
        let mut credentials: Vec<_> =
            tokens.into_iter().map(|(kind, token)| Credential::invalid(kind, token)).collect();
        let ended = async || self.status(&expired).await == 401;
        within(Duration::from_secs(60), "the token ends", ended).await;
        credentials.push(Credential::invalid("token expired", expired));
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

        let gone = Target::make(self.operator, CANARIES[2], 2).await;
        let gone = Locksmith { target: &gone, ..*self };
        let orphan = gone.key(&all).await;
        assert_eq!(gone.status(&orphan).await, 200);
        let path = format!("/api/v1/tenants/{}", gone.target.ids.tenant);
        assert_eq!(self.operator.delete(&path).await.unwrap().status, 204);
        credentials.push(Credential::invalid("of a deleted tenant", orphan));

        // Last of all: a change of the tenant has its keys looked up anew, and then none is remembered that has ended.
        let end = (chrono::Utc::now() + LIFE).to_rfc3339();
        let (used, unused) = (self.made(&all, Some(end.clone())).await, self.made(&all, Some(end)).await);
        assert_eq!(self.status(&text(&used, "key")).await, 200, "the key is remembered as valid");
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
