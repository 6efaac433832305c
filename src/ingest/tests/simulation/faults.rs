//! What goes wrong in a run.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::run::{LEASE, Run};
use crate::ingest::Running;

impl Run {
    /// Something goes wrong, and then something else.
    pub async fn disturb(self: Arc<Self>, ends_at: Instant) {
        loop {
            let pause = self.draw(100, 3_000);
            sleep(Duration::from_millis(pause)).await;
            if Instant::now() >= ends_at {
                return;
            }
            let place = self.draw(0, self.nodes.lock().unwrap().len() as u64 - 1) as usize;
            let long = Duration::from_millis(self.draw(50, 5_000));
            match self.draw(0, 9) {
                0..=2 => {
                    self.kill(place);
                    sleep(long).await;
                    self.start_if_absent(place);
                }
                3 => self.restart(place).await,
                4 | 5 => self.stall(place, long),
                6 => self.take_database_away(long),
                7 => self.step_back(),
                8 => self.state().unlink(place, Instant::now() + long),
                _ => self.take_broker_away(long),
            }
        }
    }

    /// A process stops in order, and another takes its place.
    async fn restart(&self, place: usize) {
        let (ingest, running) = {
            let mut nodes = self.nodes.lock().unwrap();
            let Some(node) = &mut nodes[place] else { return };
            let Some(running) = node.running.take() else { return };
            (node.ingest.clone(), running)
        };
        self.state().note("stops", place as u64);
        let Running(tasks) = &running;
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let _ = timeout(Duration::from_secs(10), ingest.stop(running)).await;
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
        self.kill(place);
        self.start_if_absent(place);
    }

    /// A process does nothing for a while, as when its machine is busy, and goes on as if nothing had been.
    fn stall(&self, place: usize, long: Duration) {
        let mut state = self.state();
        state.note("stalls", place as u64);
        if state.random.permille(500) {
            state.processes[place].stalled_until = Some(Instant::now() + long * 2);
        } else {
            state.processes[place].stalls_at_settlement = Some(LEASE + long);
        }
    }

    fn take_database_away(&self, long: Duration) {
        let mut state = self.state();
        state.note("the database is away", 0);
        state.database_away_until = Some(Instant::now() + long);
    }

    /// The database's clock steps back.
    fn step_back(&self) {
        let mut state = self.state();
        state.note("the clock steps back", 0);
        let skew = state.random.range(50, 1_000) as i64;
        state.database_skew = (state.database_skew - TimeDelta::milliseconds(skew)).max(TimeDelta::seconds(-1));
    }

    fn take_broker_away(&self, long: Duration) {
        let mut state = self.state();
        state.note("the broker is away", 0);
        let until = Instant::now() + long;
        state.broker_away_until = Some(until);
        (0..state.processes.len()).for_each(|place| state.unlink(place, until));
    }
}
