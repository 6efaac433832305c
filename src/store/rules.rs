//! Rules as rows. Many are written by few statements.

use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use uuid::Uuid;

use super::{Error, Page, PageRequest, Store, tenants, tx::TenantTx};
use crate::domain::{Name, Rule, RuleId, Tenant, TenantScope};

/// Rows written by one statement: 10,000 of the longest rules would be 40 MB at once.
const BATCH_ROWS: usize = 2_500;

/// Which rules of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleFilter {
    /// Active ones, inactive ones, or both.
    pub active: Option<bool>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those whose name begins so.
    pub name_prefix: Option<String>,
}

/// A row of `rules`.
pub(super) struct RuleRow(pub(super) Rule);

impl FromRow<'_, PgRow> for RuleRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(Rule {
            id: RuleId(row.try_get("id")?),
            name: Name::stored(row.try_get("name")?),
            expression: row.try_get("expression")?,
            description: row.try_get("description")?,
            tags: row.try_get("tags")?,
            active: row.try_get("active")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

impl Store {
    /// Rules, in creation order.
    pub async fn rules(
        &self,
        scope: TenantScope,
        filter: &RuleFilter,
        page: &PageRequest,
    ) -> Result<Option<(Tenant, Page<Rule>)>, Error> {
        const LIST: &str = "rules";
        let (time, last) = page.after_moment(LIST)?;
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select id, name, expression, description, tags, active, created_at, updated_at from rules
             where tenant_id = $1 and ($2::timestamptz is null or (created_at, id) > ($2, $3))
                and ($4::bool is null or active = $4)
                and ($5::text is null or $5 = any (tags))
                and ($6::text is null or starts_with(name, $6))
             order by created_at, id limit $7",
        )
        .bind(scope.id().0)
        .bind(time)
        .bind(last)
        .bind(filter.active)
        .bind(filter.tag.as_deref())
        .bind(filter.name_prefix.as_deref())
        .bind(page.rows());
        let rows = tx.all("list rules", query).await?;
        tx.end().await?;
        let rules = rows.into_iter().map(|RuleRow(rule)| rule).collect();
        Ok(Some((tenant, page.page_of_moments(LIST, rules, |rule: &Rule| (rule.created_at, rule.id.0)))))
    }

    /// The active rules, all of them, in creation order.
    pub async fn active_rules(&self, scope: TenantScope) -> Result<Vec<Rule>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let query = sqlx::query_as(
            "select id, name, expression, description, tags, active, created_at, updated_at from rules
             where tenant_id = $1 and active order by created_at, id",
        )
        .bind(scope.id().0);
        let rows = tx.all("list active rules", query).await?;
        tx.end().await?;
        Ok(rows.into_iter().map(|RuleRow(rule)| rule).collect())
    }

    /// A rule.
    pub async fn rule(&self, scope: TenantScope, rule: RuleId) -> Result<Option<(Tenant, Option<Rule>)>, Error> {
        let mut tx = TenantTx::read(&self.requests, &self.role, scope).await?;
        let Some(tenant) = tenants::read(&mut tx).await? else { return Ok(None) };
        let query = sqlx::query_as(
            "select id, name, expression, description, tags, active, created_at, updated_at from rules
             where tenant_id = $1 and id = $2",
        )
        .bind(scope.id().0)
        .bind(rule.0);
        let rule = tx.optional("get rule", query).await?.map(|RuleRow(rule)| rule);
        tx.end().await?;
        Ok(Some((tenant, rule)))
    }
}

/// All rules, active or not, in creation order.
pub(super) const SELECT_ALL: &str =
    "select id, name, expression, description, tags, active, created_at, updated_at from rules
     where tenant_id = $1 order by created_at, id";

/// All rules, active or not, in creation order.
pub(super) async fn all(tx: &mut TenantTx) -> Result<Vec<Rule>, Error> {
    let query = sqlx::query_as(SELECT_ALL).bind(tx.tenant.0);
    Ok(tx.all("load rules", query).await?.into_iter().map(|RuleRow(rule)| rule).collect())
}

/// The columns of many rules, one list each: what `unnest` takes.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    names: Vec<&'a str>,
    expressions: Vec<&'a str>,
    descriptions: Vec<Option<&'a str>>,
    /// As JSON: lists of lists must be of one length in SQL.
    tags: Vec<Value>,
    active: Vec<bool>,
    created: Vec<chrono::DateTime<chrono::Utc>>,
}

impl<'a> Columns<'a> {
    fn of(rules: &[&'a Rule]) -> Self {
        let mut columns = Self::default();
        for rule in rules {
            columns.ids.push(rule.id.0);
            columns.names.push(rule.name.as_str());
            columns.expressions.push(&rule.expression);
            columns.descriptions.push(rule.description.as_deref());
            columns.tags.push(Value::from(rule.tags.clone()));
            columns.active.push(rule.active);
            columns.created.push(rule.created_at);
        }
        columns
    }
}

/// Writes new rules.
pub(super) async fn insert(tx: &mut TenantTx, rules: &[&Rule]) -> Result<(), Error> {
    for batch in rules.chunks(BATCH_ROWS) {
        let columns = Columns::of(batch);
        let query = sqlx::query(
            "insert into rules (tenant_id, id, name, expression, description, tags, active, created_at, updated_at)
             select $1, id, name, expression, description,
                array(select tag from jsonb_array_elements_text(tags) with ordinality as t (tag, place) order by place),
                active, created_at, created_at
             from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bool[], $8::timestamptz[])
                as new (id, name, expression, description, tags, active, created_at)",
        )
        .bind(tx.tenant.0)
        .bind(columns.ids)
        .bind(columns.names)
        .bind(columns.expressions)
        .bind(columns.descriptions)
        .bind(columns.tags)
        .bind(columns.active)
        .bind(columns.created);
        tx.execute("insert rules", query).await?;
    }
    Ok(())
}

/// Writes all columns of rules that exist.
pub(super) async fn update(tx: &mut TenantTx, rules: &[&Rule]) -> Result<(), Error> {
    for batch in rules.chunks(BATCH_ROWS) {
        let columns = Columns::of(batch);
        let query = sqlx::query(
            "update rules set name = new.name, expression = new.expression, description = new.description,
                tags = array(select tag
                    from jsonb_array_elements_text(new.tags) with ordinality as t (tag, place) order by place),
                active = new.active
             from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bool[])
                as new (id, name, expression, description, tags, active)
             where rules.tenant_id = $1 and rules.id = new.id",
        )
        .bind(tx.tenant.0)
        .bind(columns.ids)
        .bind(columns.names)
        .bind(columns.expressions)
        .bind(columns.descriptions)
        .bind(columns.tags)
        .bind(columns.active);
        tx.execute("update rules", query).await?;
    }
    Ok(())
}

/// Removes rules.
pub(super) async fn delete(tx: &mut TenantTx, rules: &[RuleId]) -> Result<(), Error> {
    if rules.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rules.iter().map(|rule| rule.0).collect();
    let query = sqlx::query("delete from rules where tenant_id = $1 and id = any ($2)").bind(tx.tenant.0).bind(ids);
    tx.execute("delete rules", query).await.map(drop)
}
