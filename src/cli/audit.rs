//! `tenet audit`: verifies the audit logs, for operators with access to the database.

use std::io;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::{
    app,
    config::{Purpose, Settings, Sources},
    domain::{System, TenantId, TenantScope},
    store::{AuditReport, Observer, Store},
};

use super::{block_on, input::counted, output::say};

/// Tenants asked for at once.
const TENANTS_AT_ONCE: u32 = 500;

/// Flags of `tenet audit`.
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
    /// Find rows that were changed, removed, moved or added by hand
    Verify {
        /// Tenant whose log is verified [default: all logs, those of deleted tenants and of operators included]
        tenant: Option<String>,
    },
}

/// Runs `tenet audit`.
pub(super) fn run(flags: Flags) -> anyhow::Result<()> {
    let Action::Verify { tenant } = flags.action;
    let parse = |id: &String| id.parse::<TenantId>().with_context(|| format!("`{id}` is not a tenant id"));
    let tenant = tenant.as_ref().map(parse).transpose()?;
    let urls = flags.database.map(|url| ("database.url", url));
    let sources = Sources::of_process(urls.into_iter().collect(), flags.config.as_deref())?;
    let settings = Settings::read(&sources, Purpose::Migrate)?;
    block_on(async {
        let store = Store::connect(app::store_options(&settings, Observer::default())?).await?;
        store.check_schema().await?;
        let result = verify(&store, tenant).await;
        store.close().await;
        result
    })
}

/// A person with access to the database may verify every log in it.
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::of_system(System::Command, tenant)
}

async fn verify(store: &Store, tenant: Option<TenantId>) -> anyhow::Result<()> {
    let (mut verified, mut faulty) = (0, 0);
    if let Some(tenant) = tenant {
        let report = store.verify_audit(scope(tenant)).await?;
        if report.rows == 0 && report.faults.is_empty() {
            bail!("this tenant has no audit log");
        }
        verified = 1;
        faulty = usize::from(print_report(&report)?);
    } else {
        let mut after = None;
        loop {
            let tenants = store.audited_tenants(after, TENANTS_AT_ONCE).await?;
            let Some(last) = tenants.last() else { break };
            after = Some(*last);
            for tenant in tenants {
                verified += 1;
                faulty += usize::from(print_report(&store.verify_audit(scope(tenant)).await?)?);
            }
        }
    }
    if faulty > 0 {
        bail!("{} altered by hand, of {verified} verified", counted(faulty, "audit log"));
    }
    say!("{} verified, none altered", counted(verified, "audit log"))?;
    Ok(())
}

/// Prints a report and returns whether it has faults.
fn print_report(report: &AuditReport) -> io::Result<bool> {
    let AuditReport { tenant, rows, hash, faults } = report;
    let whose = if *tenant == TenantId::NOBODY { "operators".to_owned() } else { tenant.to_string() };
    if faults.is_empty() {
        say!("{whose}  {}  {hash}", counted(*rows, "row"))?;
    }
    for fault in faults {
        say!("{whose}  {fault}")?;
    }
    Ok(!faults.is_empty())
}
