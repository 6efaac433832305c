//! A database as far as following it goes: rows with revisions, transactions that draw their number early and become
//! visible late, a log of changes, snapshots, backups.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    domain::{Epoch, Revision, TenantId},
    store::{DatabaseHistory, LoggedChange, Moment, TenantHead},
};

/// What is stored of a tenant. Every change writes its stamp to both parts, so that a set made of two states shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub revision: Revision,
    pub schema: u64,
    pub rules: u64,
}

#[derive(Debug, Clone, Copy)]
struct Logged {
    change: LoggedChange,
    xid: u64,
}

/// What was committed at some time, to be restored later.
#[derive(Debug, Clone)]
pub struct Backup {
    tenants: BTreeMap<TenantId, Row>,
    log: Vec<Logged>,
    next_xid: u64,
}

#[derive(Debug)]
pub struct Database {
    pub is_up: bool,
    pub epoch: Epoch,
    /// Changes with every failover.
    timeline: u64,
    next_xid: u64,
    /// Transactions that have a number and have not ended.
    running: BTreeMap<u64, u64>,
    tenants: BTreeMap<TenantId, Row>,
    /// Who holds a tenant's row, and who waits for it, in order.
    locks: BTreeMap<TenantId, VecDeque<u64>>,
    log: Vec<Logged>,
    next_stamp: u64,
}

impl Database {
    pub fn new(tenants: impl Iterator<Item = TenantId>) -> Self {
        let mut database = Self {
            is_up: true,
            epoch: Epoch(uuid::Uuid::from_u128(1)),
            timeline: 1,
            next_xid: 100,
            running: BTreeMap::new(),
            tenants: BTreeMap::new(),
            locks: BTreeMap::new(),
            log: Vec::new(),
            next_stamp: 1,
        };
        for tenant in tenants {
            database.begin(0);
            database.commit(tenant, 0, false);
        }
        database
    }

    /// A transaction draws its number.
    pub fn begin(&mut self, transaction: u64) {
        if !self.running.contains_key(&transaction) {
            self.running.insert(transaction, self.next_xid);
            self.next_xid += 1;
        }
    }

    /// Asks for a tenant's row; answers whether it was had at once.
    pub fn lock(&mut self, tenant: TenantId, transaction: u64) -> bool {
        let line = self.locks.entry(tenant).or_default();
        line.push_back(transaction);
        line.len() == 1
    }

    /// Ends a transaction without a trace; answers who gets the row next.
    pub fn end(&mut self, tenant: Option<TenantId>, transaction: u64) -> Option<u64> {
        self.running.remove(&transaction);
        let line = self.locks.get_mut(&tenant?)?;
        let held = line.front() == Some(&transaction);
        line.retain(|waiting| *waiting != transaction);
        line.front().copied().filter(|_| held)
    }

    /// Writes a tenant's row, the log and the mark of the end, at one moment. `None` if the transaction was ended
    /// before, or there is no such tenant any more; its first row is made by transaction 0.
    pub fn commit(&mut self, tenant: TenantId, transaction: u64, is_deletion: bool) -> Option<Row> {
        let xid = self.running.remove(&transaction)?;
        let before = self.tenants.get(&tenant).map(|row| row.revision.0);
        if before.is_none() && transaction != 0 {
            return None;
        }
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        let row = Row { revision: Revision(before.unwrap_or(0) + 1), schema: stamp, rules: stamp };
        if is_deletion {
            self.tenants.remove(&tenant);
        } else {
            self.tenants.insert(tenant, row);
        }
        self.log.push(Logged { change: LoggedChange { tenant_id: tenant, revision: row.revision, is_deletion }, xid });
        Some(row)
    }

    pub fn row(&self, tenant: TenantId) -> Option<Row> {
        self.tenants.get(&tenant).copied()
    }

    pub fn heads(&self, tenants: &[TenantId]) -> Vec<TenantHead> {
        tenants
            .iter()
            .map(|id| TenantHead { tenant_id: *id, revision: self.row(*id).map(|row| row.revision) })
            .collect()
    }

    /// What one statement sees: the log from `since` on, and below `until` if a cursor asks for that.
    pub fn moment(&self, since: Option<u64>, until_oldest: bool) -> Moment {
        let xmin = self.running.values().copied().min().unwrap_or(self.next_xid);
        let seen =
            |logged: &&Logged| since.is_some_and(|since| logged.xid >= since) && !(until_oldest && logged.xid >= xmin);
        let mut changes: Vec<LoggedChange> = self.log.iter().filter(seen).map(|logged| logged.change).collect();
        changes.sort_by_key(|change| (change.tenant_id, change.revision));
        // As if a restore wrote the row of the epoch as it was: nothing here may rest on that it does not.
        let place = DatabaseHistory { system: self.timeline.to_string(), epoch: self.epoch, written_by: String::new() };
        Moment { place, xmin, xmax: self.next_xid, changes }
    }

    /// The server goes away: what was running is undone.
    pub fn stop(&mut self) {
        self.is_up = false;
        self.running.clear();
        self.locks.clear();
    }

    pub fn backup(&self) -> Backup {
        Backup { tenants: self.tenants.clone(), log: self.log.clone(), next_xid: self.next_xid }
    }

    /// Restores a backup, and begins a new epoch if the operator does as the manual says. Into the same cluster, whose
    /// transactions count on, or into a younger one.
    pub fn restore(&mut self, backup: Backup, begins_epoch: bool, into_younger: bool) {
        self.running.clear();
        self.locks.clear();
        self.tenants = backup.tenants;
        self.log = backup.log;
        if into_younger {
            self.next_xid = backup.next_xid / 2;
        }
        if begins_epoch {
            self.log.clear();
            self.epoch = Epoch(uuid::Uuid::from_u128(self.epoch.0.as_u128() + 1));
        }
    }

    /// The numbers of every tenant's changes that the log holds.
    pub fn logged(&self, tenant: TenantId) -> Vec<i64> {
        let of_tenant = self.log.iter().filter(|logged| logged.change.tenant_id == tenant);
        of_tenant.map(|logged| logged.change.revision.0).collect()
    }
}
