//! What goes wrong in a simulated world, and how it ends.

use super::{
    history::Happened,
    node::Node,
    world::{Event, Fault, MS, NodeEvent, SECOND, World},
};

impl World {
    pub fn fault_happens(&mut self, fault: &Fault) {
        match *fault {
            Fault::Crash { node } => self.crash(node),
            Fault::KillListener { node } => {
                if self.lose(node) {
                    let delay = self.random.range(1, 3 * MS);
                    self.node_after(delay, node, NodeEvent::Lost);
                }
            }
            Fault::HalfOpenListener { node } => {
                if self.lose(node) {
                    self.node_after(35 * SECOND, node, NodeEvent::Lost);
                }
            }
            Fault::Outage { length, is_silent } => self.outage(length, is_silent),
            Fault::OutageEnds => {
                self.database.is_up = true;
                self.is_silent = false;
                self.calm();
            }
            Fault::Slow { length } => {
                self.is_slow = true;
                self.disturb(length, Fault::SlowEnds);
            }
            Fault::SlowEnds => {
                self.is_slow = false;
                self.calm();
            }
            Fault::LoadsFail { length } => {
                self.loads_fail = true;
                self.disturb(length, Fault::LoadsFailEnds);
            }
            Fault::LoadsFailEnds => {
                self.loads_fail = false;
                self.calm();
            }
            Fault::Panic { node } => {
                self.tell(Happened::Disturbed);
                self.panic(node);
            }
            Fault::Backup => self.backup = Some(self.database.backup()),
            Fault::Restore { begins_epoch, into_younger } => self.restore(begins_epoch, into_younger),
        }
    }

    pub fn disturb(&mut self, length: u64, end: Fault) {
        self.tell(Happened::Disturbed);
        // Over before the quiet begins.
        let length = length.min(self.active_until.saturating_sub(self.now));
        self.after(length, Event::Fault(end));
    }

    pub fn calm(&mut self) {
        self.tell(Happened::Disturbed);
    }

    pub fn outage(&mut self, length: u64, is_silent: bool) {
        self.is_silent |= is_silent;
        if !is_silent {
            self.database.stop();
        }
        self.writing.clear();
        for node in 0..self.nodes.len() {
            if !self.lose(node) {
                continue;
            }
            let delay = if is_silent { 35 * SECOND } else { self.random.range(1, 20 * MS) };
            self.node_after(delay, node, NodeEvent::Lost);
        }
        if is_silent {
            // What was under way on connections that nobody answers on any more is undone by the server in time.
            self.database.stop();
            self.database.is_up = true;
        }
        self.disturb(length, Fault::OutageEnds);
    }

    pub fn restore(&mut self, begins_epoch: bool, into_younger: bool) {
        let Some(backup) = self.backup.take() else { return };
        self.database.restore(backup, begins_epoch, into_younger);
        self.writing.clear();
        self.tell(Happened::Disturbed);
        if !begins_epoch {
            self.tell(Happened::SilentRestore);
        }
        self.tell_truth();
    }

    pub fn crash(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            return;
        }
        self.lose(node);
        let incarnation = self.nodes[node].incarnation + 1;
        self.nodes[node] = Node::new(incarnation, false, self.instant());
        let delay = self.random.range(50 * MS, 2 * SECOND);
        self.after(delay, Event::Begin { node });
    }
}
