//! Everything of a tenant, read at one moment.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Either, FromRow, PgConnection, Row, postgres::PgRow};

use super::{
    Error, Store,
    derived_fields::{self, DerivedFieldRow},
    rules::{self, RuleRow},
    schemas::SchemaRow,
    tenants::{self, TenantRow},
    tx::{self, TenantTx},
};
use crate::domain::{Epoch, Schema, SchemaVersion, Snapshot, Tenant, TenantScope};

/// What a snapshot is made of, in this order: under which name it is prepared, what it is called where it fails, and
/// the statement, whose only parameter is the tenant.
const PARTS: [(&str, &str, &str); 4] = [
    ("tenet_load_tenant", "get tenant", tenants::SELECT_TENANT),
    ("tenet_load_head", HEAD, SELECT_HEAD),
    ("tenet_load_derived_fields", "load derived fields", derived_fields::SELECT_ALL),
    ("tenet_load_rules", "load rules", rules::SELECT_ALL),
];
/// Statements before those of [`PARTS`] in the message.
const PREAMBLE: usize = 2;
/// PostgreSQL's code for a statement that was not prepared on this connection.
const NOT_PREPARED: &str = "26000";
/// PostgreSQL's code for one that was.
const PREPARED_ALREADY: &str = "42P05";

impl Store {
    /// Everything of a tenant, in one message, so that a cold tenant waits for one round trip. Its statements are one
    /// transaction of the server's own making, `REPEATABLE READ READ ONLY`, which ends with the message whatever fails;
    /// they are prepared, since planning them takes as long as running them.
    pub async fn snapshot(&self, scope: TenantScope) -> Result<Option<Snapshot>, Error> {
        const OPERATION: &str = "load tenant";
        let mut connection = self.loads.acquire(OPERATION).await?;
        let observer = self.loads.observer();
        let mut answers = Answers::default();
        let asked = observer.answered(OPERATION, answers.ask(&mut connection, &self.role, scope)).await;
        match asked {
            Err(error) if has_code(&error, NOT_PREPARED) => {
                for (name, operation, statement) in PARTS {
                    observer.timed(operation, prepare(&mut connection, name, statement)).await?;
                }
                answers = Answers::default();
                let asked = observer.answered(OPERATION, answers.ask(&mut connection, &self.role, scope)).await;
                asked.map_err(|error| answers.blame(OPERATION, error))?;
            }
            asked => asked.map_err(|error| answers.blame(OPERATION, error))?,
        }
        answers.snapshot()
    }
}

/// The rows of each statement of a message, as they come.
#[derive(Default)]
struct Answers {
    ended: Vec<Vec<PgRow>>,
    coming: Vec<PgRow>,
}

impl Answers {
    async fn ask(&mut self, connection: &mut PgConnection, role: &str, scope: TenantScope) -> Result<(), sqlx::Error> {
        let mut message =
            format!("set transaction isolation level repeatable read read only; {}", tx::as_tenant(role, scope));
        for (name, ..) in PARTS {
            message.push_str(&format!("; execute {name} ('{}')", scope.id().0));
        }
        let mut answers = sqlx::raw_sql(AssertSqlSafe(message)).fetch_many(connection);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Left(_) => self.ended.push(std::mem::take(&mut self.coming)),
                Either::Right(row) => self.coming.push(row),
            }
        }
        Ok(())
    }

    /// Puts the name of the statement that was being answered on its error.
    fn blame(&self, operation: &'static str, error: sqlx::Error) -> Error {
        let part = self.ended.len().checked_sub(PREAMBLE).and_then(|part| PARTS.get(part));
        Error::of(part.map_or(operation, |(_, operation, _)| operation), error)
    }

    fn snapshot(self) -> Result<Option<Snapshot>, Error> {
        let [tenant, head, derived_fields, rules] = PARTS.map(|(_, operation, _)| operation);
        let mut parts = self.ended.into_iter().skip(PREAMBLE);
        let Some(TenantRow(tenant)) = read(tenant, parts.next())?.pop() else { return Ok(None) };
        let missing = || Error::of(head, sqlx::Error::RowNotFound);
        let SchemaHead { epoch, taken_at, schema, schema_version_max } =
            read(head, parts.next())?.pop().ok_or_else(missing)?;
        let derived_fields = read(derived_fields, parts.next())?.into_iter().map(|DerivedFieldRow(field)| field);
        let rules = read(rules, parts.next())?.into_iter().map(|RuleRow(rule)| rule);
        let (derived_fields, rules) = (derived_fields.collect(), rules.collect());
        Ok(Some(Snapshot { tenant, epoch, schema, schema_version_max, derived_fields, rules, taken_at }))
    }
}

/// The rows of a part.
fn read<T>(operation: &'static str, rows: Option<Vec<PgRow>>) -> Result<Vec<T>, Error>
where
    T: for<'r> FromRow<'r, PgRow>,
{
    let rows = rows.unwrap_or_default();
    rows.iter().map(T::from_row).collect::<Result<_, _>>().map_err(|error| Error::of(operation, error))
}

async fn prepare(connection: &mut PgConnection, name: &str, statement: &str) -> Result<(), sqlx::Error> {
    let prepared = sqlx::raw_sql(AssertSqlSafe(format!("prepare {name} (uuid) as {statement}")));
    match prepared.execute(connection).await {
        Err(error) if !has_code(&error, PREPARED_ALREADY) => Err(error),
        _ => Ok(()),
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(code))
}

/// Everything else of `tenant`. Either `tx` sees one moment, or it holds the tenant's lock.
pub(super) async fn rest(tx: &mut TenantTx, tenant: Tenant) -> Result<Snapshot, Error> {
    let head = head_of(tx, tenant).await?;
    Ok(Snapshot { derived_fields: derived_fields::all(tx).await?, rules: rules::all(tx).await?, ..head })
}

/// The head of `tenant` as it is now: everything but derived fields and rules.
pub(super) async fn head_of(tx: &mut TenantTx, tenant: Tenant) -> Result<Snapshot, Error> {
    let SchemaHead { epoch, taken_at, schema, schema_version_max } = head(tx).await?;
    let (derived_fields, rules) = (Vec::new(), Vec::new());
    Ok(Snapshot { tenant, epoch, schema, schema_version_max, derived_fields, rules, taken_at })
}

/// What there is one of.
struct SchemaHead {
    epoch: Epoch,
    taken_at: DateTime<Utc>,
    schema: Option<Schema>,
    schema_version_max: Option<SchemaVersion>,
}

const HEAD: &str = "get active schema";
const SELECT_HEAD: &str = "select i.epoch, now() as taken_at, s.version, s.definition, s.active, s.created_at,
         (select max(version) from schemas where tenant_id = $1) as version_max
     from installation i left join schemas s on s.tenant_id = $1 and s.active";

async fn head(tx: &mut TenantTx) -> Result<SchemaHead, Error> {
    let query = sqlx::query_as(SELECT_HEAD).bind(tx.tenant.0);
    tx.optional(HEAD, query).await?.ok_or_else(|| Error::of(HEAD, sqlx::Error::RowNotFound))
}

impl FromRow<'_, PgRow> for SchemaHead {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let is_there = row.try_get::<Option<i32>, _>("version")?.is_some();
        Ok(Self {
            epoch: Epoch(row.try_get("epoch")?),
            taken_at: row.try_get("taken_at")?,
            schema: is_there.then(|| SchemaRow::from_row(row)).transpose()?.map(|SchemaRow(schema)| schema),
            schema_version_max: row.try_get::<Option<i32>, _>("version_max")?.map(SchemaVersion),
        })
    }
}
