//! What clients and faults do in a run: drawn beforehand, from the seed.

use super::world::{CROSSINGS, Event, Fault, MS, QUIET, SECOND, Scenario, World};

impl World {
    /// One request about every millisecond, as often as tenants are let go of.
    pub fn plan_crossings(&mut self) {
        self.ends_at = SECOND + CROSSINGS * MS + QUIET;
        for _ in 0..CROSSINGS {
            let at = self.random.range(SECOND, SECOND + CROSSINGS * MS);
            let (node, tenant) =
                (self.random.index(self.nodes.len()), self.tenants[self.random.index(self.tenants.len())]);
            self.at(at, Event::Request { node, tenant, min: None });
        }
    }

    /// Everything that clients and faults do, drawn beforehand.
    pub fn plan(&mut self, active: u64) {
        let nodes = self.nodes.len();
        for _ in 0..active / SECOND * self.random.range(1, 6) {
            let at = self.random.range(SECOND, active);
            let by = self.random.permille(750).then(|| (self.random.index(nodes), 0));
            let tenant = self.tenants[self.random.index(self.tenants.len())];
            let transaction = self.id();
            let early_number = self.random.permille(200);
            let is_deletion = self.random.permille(8);
            self.at(at, Event::Write { by, tenant, transaction, early_number, is_deletion });
        }
        for _ in 0..active / SECOND * 12 {
            let at = self.random.range(SECOND / 2, active + QUIET);
            let tenant = self.tenants[self.random.index(self.tenants.len())];
            let node = self.random.index(nodes);
            self.at(at, Event::Request { node, tenant, min: None });
        }
        for _ in 0..self.random.range(0, 2) {
            let (at, length) = (self.random.range(0, active), self.random.range(1, 10) * SECOND);
            let transaction = self.id();
            self.at(at, Event::LongTransaction { transaction, ends: false });
            self.at(at + length, Event::LongTransaction { transaction, ends: true });
        }
        for _ in 0..self.random.range(0, active / (3 * SECOND)) {
            let at = self.random.range(SECOND, active);
            let fault = self.fault(nodes);
            self.at(at, Event::Fault(fault));
        }
        if self.scenario == Scenario::Everything && self.random.permille(150) {
            let at = self.random.range(SECOND, active / 2);
            self.at(at, Event::Fault(Fault::Backup));
            let later = self.random.range(at, active);
            let begins_epoch = self.random.permille(700);
            let into_younger = self.random.permille(500);
            if !begins_epoch {
                // In place, and with no connection broken, nothing but the comparison of every minute can tell.
                self.ends_at = self.ends_at.max(later + 63 * SECOND);
            }
            let fault = Fault::Restore { begins_epoch, into_younger };
            self.at(later, Event::Fault(fault));
        }
    }

    pub fn fault(&mut self, nodes: usize) -> Fault {
        let node = self.random.index(nodes);
        let length = self.random.range(50, 6_000) * MS;
        if self.scenario == Scenario::ListenerAlone {
            return Fault::KillListener { node };
        }
        match self.random.range(0, 9) {
            0 => Fault::Crash { node },
            1..=3 => Fault::KillListener { node },
            4 => Fault::HalfOpenListener { node },
            5 => Fault::Outage { length, is_silent: false },
            6 => Fault::Outage { length, is_silent: true },
            7 => Fault::Slow { length },
            8 => Fault::LoadsFail { length },
            _ => Fault::Panic { node },
        }
    }
}
