//! `tenet keys`: creates, lists and revokes keys, for operators with access to the database.

use anyhow::{Context, bail};
use chrono::Utc;
use clap::{Args, Subcommand, value_parser};

use crate::{
    app,
    config::{Purpose, Secret, Settings, Sources},
    domain::{ApiKeyDraft, ApiKeyId, Author, Holder, Name, Scope, System, TenantScope, Token},
    store::{KeyMade, Observer, PageRequest, Store},
};

use super::{block_on, output::say};

/// A hundred years. A key that should last longer should have no end.
const DAYS_MAX: i64 = 36_500;

/// Flags of `tenet keys`.
#[derive(Args)]
pub(super) struct Flags {
    #[command(subcommand)]
    action: Action,
    /// The database [default: DATABASE_URL]
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    /// Settings file (TOML); docs/configuration.md lists what it may hold
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Create a key and print it; it is not shown again
    Create {
        #[command(flatten)]
        whose: Whose,
        /// Name of the key
        #[arg(long, default_value = "made by tenet keys")]
        name: String,
        /// Scopes of a tenant's key: evaluate, ingest, read, audit, write, admin
        #[arg(long, value_name = "SCOPES", value_delimiter = ',', conflicts_with = "operator")]
        scopes: Vec<String>,
        /// Days until a tenant's key expires, 1 to 36500 [default: it does not expire]
        #[arg(long, value_name = "DAYS", conflicts_with = "operator", value_parser = value_parser!(u32).range(1..=DAYS_MAX))]
        days: Option<u32>,
    },
    /// List keys, without their secrets
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Revoke a key: every node refuses it within two seconds
    Revoke {
        #[command(flatten)]
        whose: Whose,
        /// The key's id, as `tenet keys list` prints it
        id: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// Keys of operators
    #[arg(long)]
    operator: bool,
    /// Keys of this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

impl Whose {
    /// The tenant, if one is named. A person with access to the database may create and revoke every key in it.
    fn tenant(&self) -> anyhow::Result<Option<TenantScope>> {
        let parse = |id: &String| {
            let tenant = id.parse().with_context(|| format!("`{id}` is not a tenant id"))?;
            Ok(TenantScope::of_system(System::Command, tenant))
        };
        self.tenant.as_ref().map(parse).transpose()
    }
}

/// Runs `tenet keys`.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let urls = flags.database.map(|url| ("database.url", url));
    let sources = Sources::of_process(urls.into_iter().collect(), flags.config.as_deref())?;
    let settings = Settings::read(&sources, Purpose::Migrate)?;
    block_on(async {
        let store = Store::connect(app::store_options(&settings, Observer::default())?).await?;
        store.check_schema().await?;
        let result = act(&store, settings.http.key_pepper.as_ref(), flags.action).await;
        store.close().await;
        result
    })
}

async fn act(store: &Store, pepper: Option<&Secret>, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Create { whose, name, scopes, days } => {
            let name = Name::parse(&name, "name").map_err(|detail| anyhow::anyhow!(detail.message))?;
            let token = match whose.tenant()? {
                None => create_for_operator(store, pepper, &name).await?,
                Some(tenant) => create_for_tenant(store, pepper, tenant, draft(name, &scopes, days)?).await?,
            };
            say!("{}", token.text())?;
            eprintln!("keep it safe: it is not stored and cannot be shown again");
            Ok(())
        }
        Action::List { whose } => list(store, whose.tenant()?).await,
        Action::Revoke { whose, id } => {
            let key: ApiKeyId = id.parse().with_context(|| format!("`{id}` is not a key id"))?;
            let revoked = match whose.tenant()? {
                None => store.delete_operator_key(key, &author()).await?,
                Some(tenant) => store.delete_api_key(tenant, key, &author()).await?.is_some(),
            };
            if !revoked {
                bail!("no key has this id: `tenet keys list` lists them");
            }
            say!("revoked")?;
            Ok(())
        }
    }
}

/// The author that the audit log names for changes made with this command.
fn author() -> Author {
    Author::command("tenet keys")
}

fn draft(name: Name, names: &[String], days: Option<u32>) -> anyhow::Result<ApiKeyDraft> {
    let scope = |name: &String| Scope::named(name).with_context(|| format!("there is no scope `{name}`"));
    let scopes = names.iter().map(scope).collect::<anyhow::Result<Vec<_>>>()?;
    if scopes.is_empty() {
        bail!("a tenant's key needs at least one scope: use --scopes");
    }
    Ok(ApiKeyDraft { name, scopes, expires_at: days.map(|days| Utc::now() + chrono::Duration::days(days.into())) })
}

async fn create_for_operator(store: &Store, pepper: Option<&Secret>, name: &Name) -> anyhow::Result<Token> {
    let id = ApiKeyId::generate();
    let token = Token::generate(Holder::Operator(id))?;
    store.create_operator_key(id, name.as_str(), token.digest(pepper), &author()).await?;
    Ok(token)
}

async fn create_for_tenant(
    store: &Store,
    pepper: Option<&Secret>,
    tenant: TenantScope,
    draft: ApiKeyDraft,
) -> anyhow::Result<Token> {
    let id = ApiKeyId::generate();
    let token = Token::generate(Holder::Tenant(tenant.id(), id))?;
    match store.create_api_key(tenant, id, token.digest(pepper), &draft, &author()).await? {
        KeyMade::Made(..) => Ok(token),
        KeyMade::NoTenant | KeyMade::NoKey => bail!("no tenant has this id"),
        KeyMade::TooMany => bail!("the tenant has reached its maximum number of keys: revoke one first"),
    }
}

async fn list(store: &Store, tenant: Option<TenantScope>) -> anyhow::Result<()> {
    let Some(tenant) = tenant else {
        for key in store.operator_keys().await? {
            say!("{}  {}  {}", key.id, key.created_at.format("%Y-%m-%d %H:%M"), key.name)?;
        }
        return Ok(());
    };
    let mut request = PageRequest { cursor: None, limit: 200 };
    loop {
        let (_, page) = store.api_keys(tenant, &request).await?.context("no tenant has this id")?;
        for key in page.items {
            let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
            let end = key.expires_at.map_or_else(|| "-".to_owned(), |end| end.format("%Y-%m-%d %H:%M").to_string());
            say!("{}  {}  {end}  {}  {}", key.id, key.created_at.format("%Y-%m-%d %H:%M"), scopes.join(","), key.name)?;
        }
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            return Ok(());
        }
    }
}
