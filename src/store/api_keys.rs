//! Keys as rows: of tenants, each seen by its tenant alone, and of operators.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Error, Page, PageRequest, Store, audit, tenants, tx::TenantTx};
use crate::{
    config::limits::API_KEYS_MAX,
    domain::{
        ApiKey, ApiKeyDraft, ApiKeyId, AuditAction, AuditDraft, Author, KeyDigest, Name, Revision, Scope, System,
        TenantId, TenantScope,
    },
};

/// What a presented key is compared with.
#[derive(Clone)]
pub struct StoredKey {
    /// The hash.
    pub digest: KeyDigest,
    /// What it is good for; none for an operator's, which is good for everything.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key of an operator.
#[derive(Debug, Clone)]
pub struct OperatorKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What became of a key to be made.
#[derive(Debug)]
pub enum KeyMade {
    /// It is made.
    Made(ApiKey, Revision),
    /// There is no such tenant.
    NoTenant,
    /// There is no key to replace.
    NoKey,
    /// The tenant has as many as it may.
    TooMany,
}

struct ApiKeyRow(ApiKey);

impl FromRow<'_, PgRow> for ApiKeyRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(ApiKey {
            id: ApiKeyId(row.try_get("id")?),
            name: Name::stored(row.try_get("name")?),
            scopes: scopes(&row.try_get::<Vec<String>, _>("scopes")?),
            expires_at: row.try_get("expires_at")?,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
        }))
    }
}

struct DigestRow(StoredKey);

impl FromRow<'_, PgRow> for DigestRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let digest = row.try_get::<Vec<u8>, _>("digest")?;
        let digest = digest.try_into().map_err(|_| sqlx::Error::Decode("a digest has 32 bytes".into()))?;
        let names = row.try_get::<Vec<String>, _>("scopes")?;
        Ok(Self(StoredKey {
            digest: KeyDigest(digest),
            scopes: scopes(&names),
            expires_at: row.try_get("expires_at")?,
        }))
    }
}

/// A scope that this version does not know permits nothing.
fn scopes(names: &[String]) -> Vec<Scope> {
    names.iter().filter_map(|name| Scope::named(name)).collect()
}

impl Store {
    /// What a tenant's key is compared with; `None` if there is no such key, or none any more.
    pub async fn find_api_key(&self, scope: TenantScope, key: ApiKeyId) -> Result<Option<StoredKey>, Error> {
        let mut tx = TenantTx::read(&self.loads, &self.role, scope).await?;
        let query = sqlx::query_as(
            "select digest, scopes, expires_at from api_keys
             where tenant_id = $1 and id = $2 and (expires_at is null or expires_at > now())",
        )
        .bind(scope.id().0)
        .bind(key.0);
        let row = tx.optional("find key", query).await?;
        tx.end().await?;
        Ok(row.map(|DigestRow(key)| key))
    }

    /// What an operator's key is compared with; `None` if there is no such key.
    pub async fn find_operator_key(&self, key: ApiKeyId) -> Result<Option<StoredKey>, Error> {
        const OPERATION: &str = "find key";
        let query = sqlx::query_as(
            "select digest, '{}'::text[] as scopes, null::timestamptz as expires_at from operator_keys where id = $1",
        )
        .bind(key.0);
        let mut connection = self.loads.acquire(OPERATION).await?;
        let row = self.loads.observer().timed(OPERATION, query.fetch_optional(&mut *connection)).await?;
        Ok(row.map(|DigestRow(key)| key))
    }

    /// A tenant's keys, in the order of their making.
    pub async fn api_keys(
        &self,
        scope: TenantScope,
        page: &PageRequest,
    ) -> Result<Option<(Revision, Page<ApiKey>)>, Error> {
        const LIST: &str = "api keys";
        let (time, last) = page.after_moment(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(head) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select k.id, k.name, k.scopes, k.expires_at, k.created_at, u.last_used_at
             from api_keys k left join api_key_uses u on u.tenant_id = k.tenant_id and u.key_id = k.id
             where k.tenant_id = $1 and ($2::timestamptz is null or (k.created_at, k.id) > ($2, $3))
             order by k.created_at, k.id limit $4",
        )
        .bind(scope.id().0)
        .bind(time)
        .bind(last)
        .bind(page.rows());
        let rows = tx.all("list api keys", query).await?;
        tx.end().await?;
        let keys = rows.into_iter().map(|ApiKeyRow(key)| key).collect();
        Ok(Some((head.revision, page.page_of_moments(LIST, keys, |key: &ApiKey| (key.created_at, key.id.0)))))
    }

    /// Makes a key.
    pub async fn create_api_key(
        &self,
        scope: TenantScope,
        id: ApiKeyId,
        digest: KeyDigest,
        draft: &ApiKeyDraft,
        author: &Author,
    ) -> Result<KeyMade, Error> {
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        if tenants::lock(&mut tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(KeyMade::NoTenant);
        }
        insert(tx, (id, digest), draft, author, Vec::new()).await
    }

    /// Makes a key with the name, scopes and end of another, which ends `overlap_seconds` from now at the latest.
    pub async fn rotate_api_key(
        &self,
        scope: TenantScope,
        old: ApiKeyId,
        id: ApiKeyId,
        digest: KeyDigest,
        overlap_seconds: u32,
        author: &Author,
    ) -> Result<KeyMade, Error> {
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        if tenants::lock(&mut tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(KeyMade::NoTenant);
        }
        let query = sqlx::query_as(
            "select id, name, scopes, expires_at, created_at, null::timestamptz as last_used_at from api_keys
             where tenant_id = $1 and id = $2 and (expires_at is null or expires_at > now())",
        )
        .bind(scope.id().0)
        .bind(old.0);
        let Some(ApiKeyRow(key)) = tx.optional("get api key", query).await? else {
            tx.rollback().await?;
            return Ok(KeyMade::NoKey);
        };
        let query = sqlx::query_as(
            "update api_keys set expires_at = least(expires_at, now() + $3 * interval '1 second')
             where tenant_id = $1 and id = $2
             returning id, name, scopes, expires_at, created_at, null::timestamptz as last_used_at",
        )
        .bind(scope.id().0)
        .bind(old.0)
        .bind(f64::from(overlap_seconds));
        let ended = tx.optional("end api key", query).await?.map(|ApiKeyRow(key)| audited(&key));
        let ended = about(AuditAction::ApiKeyChange, old, Some(audited(&key)), ended);
        let draft = ApiKeyDraft { name: key.name, scopes: key.scopes, expires_at: key.expires_at };
        insert(tx, (id, digest), &draft, author, vec![ended]).await
    }

    /// Revokes a key; `None` if there is none.
    pub async fn delete_api_key(
        &self,
        scope: TenantScope,
        id: ApiKeyId,
        author: &Author,
    ) -> Result<Option<Revision>, Error> {
        const OPERATION: &str = "delete api key";
        let mut tx = TenantTx::write(&self.requests, &self.role, scope).await?;
        if tenants::lock(&mut tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(None);
        }
        let query = sqlx::query_as(
            "delete from api_keys where tenant_id = $1 and id = $2
             returning id, name, scopes, expires_at, created_at, null::timestamptz as last_used_at",
        )
        .bind(scope.id().0)
        .bind(id.0);
        let Some(ApiKeyRow(key)) = tx.optional(OPERATION, query).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        let head = tenants::read(&mut tx).await?.ok_or(Error::Gone { operation: OPERATION })?;
        let deleted = about(AuditAction::ApiKeyDelete, id, Some(audited(&key)), None);
        audit::append(&mut tx, author, head.revision, vec![deleted]).await?;
        tx.commit(OPERATION).await?;
        Ok(Some(head.revision))
    }

    /// Notes that keys of a tenant were used; those that are gone are left out.
    pub async fn note_key_uses(&self, scope: TenantScope, keys: &[ApiKeyId]) -> Result<(), Error> {
        const OPERATION: &str = "note key uses";
        let mut tx = TenantTx::write(&self.loads, &self.role, scope).await?;
        let query = sqlx::query(
            "insert into api_key_uses (tenant_id, key_id, last_used_at)
             select tenant_id, id, now() from api_keys where tenant_id = $1 and id = any ($2)
             on conflict (tenant_id, key_id) do update set last_used_at = excluded.last_used_at",
        )
        .bind(scope.id().0)
        .bind(keys.iter().map(|key| key.0).collect::<Vec<Uuid>>());
        tx.execute(OPERATION, query).await?;
        tx.commit(OPERATION).await
    }

    /// Makes a key of an operator.
    pub async fn create_operator_key(
        &self,
        id: ApiKeyId,
        name: &str,
        digest: KeyDigest,
        author: &Author,
    ) -> Result<(), Error> {
        const OPERATION: &str = "create operator key";
        let mut tx = self.change_operator_keys(OPERATION).await?;
        let query = sqlx::query("insert into operator_keys (id, name, digest) values ($1, $2, $3)")
            .bind(id.0)
            .bind(name)
            .bind(digest.0.to_vec());
        tx.execute(OPERATION, query).await?;
        let made = about_operator(AuditAction::OperatorKeyCreate, id, None, Some(name));
        audit::append(&mut tx, author, Revision(0), vec![made]).await?;
        tx.commit(OPERATION).await
    }

    /// The keys of operators, in the order of their making.
    pub async fn operator_keys(&self) -> Result<Vec<OperatorKeyRow>, Error> {
        const OPERATION: &str = "list operator keys";
        let query = sqlx::query_as("select id, name, created_at from operator_keys order by created_at, id");
        let mut connection = self.loads.acquire(OPERATION).await?;
        let rows: Vec<(Uuid, String, DateTime<Utc>)> =
            self.loads.observer().timed(OPERATION, query.fetch_all(&mut *connection)).await?;
        let key = |(id, name, created_at)| OperatorKeyRow { id: ApiKeyId(id), name, created_at };
        Ok(rows.into_iter().map(key).collect())
    }

    /// Revokes a key of an operator; answers whether there was one.
    pub async fn delete_operator_key(&self, id: ApiKeyId, author: &Author) -> Result<bool, Error> {
        const OPERATION: &str = "delete operator key";
        let mut tx = self.change_operator_keys(OPERATION).await?;
        let query = sqlx::query_as("delete from operator_keys where id = $1 returning name").bind(id.0);
        let deleted: Option<(String,)> = tx.optional(OPERATION, query).await?;
        let Some((name,)) = deleted else {
            tx.rollback().await?;
            return Ok(false);
        };
        let deleted = about_operator(AuditAction::OperatorKeyDelete, id, Some(&name), None);
        audit::append(&mut tx, author, Revision(0), vec![deleted]).await?;
        tx.commit(OPERATION).await?;
        Ok(true)
    }

    /// Begins a change of operators' keys. Those of several processes wait for each other: the log has no other lock.
    async fn change_operator_keys(&self, operation: &'static str) -> Result<TenantTx, Error> {
        let nobody = TenantScope::of_system(System::Operators, TenantId::NOBODY);
        let mut tx = TenantTx::write(&self.requests, &self.role, nobody).await?;
        let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(super::migrate::LOCK);
        tx.execute(operation, lock).await?;
        Ok(tx)
    }
}

/// What the audit log says of a key: nothing that opens anything.
fn audited(key: &ApiKey) -> Value {
    json!({"name": key.name, "scopes": key.scopes, "expiresAt": key.expires_at})
}

fn about(action: AuditAction, key: ApiKeyId, before: Option<Value>, after: Option<Value>) -> AuditDraft {
    AuditDraft { action, resource: format!("api-keys/{key}"), before, after }
}

fn about_operator(action: AuditAction, key: ApiKeyId, before: Option<&str>, after: Option<&str>) -> AuditDraft {
    let named = |name: &str| json!({ "name": name });
    AuditDraft { action, resource: format!("operator-keys/{key}"), before: before.map(named), after: after.map(named) }
}

/// Inserts a key under the tenant's lock, writes down what was `done` before and this, and commits.
async fn insert(
    mut tx: TenantTx,
    (id, digest): (ApiKeyId, KeyDigest),
    draft: &ApiKeyDraft,
    author: &Author,
    mut done: Vec<AuditDraft>,
) -> Result<KeyMade, Error> {
    const OPERATION: &str = "create api key";
    let query = sqlx::query_as(
        "insert into api_keys (tenant_id, id, name, digest, scopes, expires_at)
         select $1, $2, $3, $4, $5, $6 where (select count(*) from api_keys where tenant_id = $1) < $7
         returning id, name, scopes, expires_at, created_at, null::timestamptz as last_used_at",
    )
    .bind(tx.tenant.0)
    .bind(id.0)
    .bind(draft.name.as_str())
    .bind(digest.0.to_vec())
    .bind(draft.scopes.iter().map(|scope| scope.name().to_owned()).collect::<Vec<_>>())
    .bind(draft.expires_at)
    .bind(API_KEYS_MAX);
    let Some(ApiKeyRow(key)) = tx.optional(OPERATION, query).await? else {
        tx.rollback().await?;
        return Ok(KeyMade::TooMany);
    };
    let head = tenants::read(&mut tx).await?.ok_or(Error::Gone { operation: OPERATION })?;
    done.push(about(AuditAction::ApiKeyCreate, id, None, Some(audited(&key))));
    audit::append(&mut tx, author, head.revision, done).await?;
    tx.commit(OPERATION).await?;
    Ok(KeyMade::Made(key, head.revision))
}
