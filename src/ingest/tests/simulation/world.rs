//! The world of a run: its clock, what is in the database and the broker, and which processes live. Whatever a process
//! asks of them passes through here: it takes a while, it may fail before it has its effect or after, and a process that
//! was killed meanwhile never hears of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    Mutant,
    ledger::{Ledger, Violation},
    messages::Messages,
    tables::Tables,
};
use crate::{
    domain::TenantId,
    engine::tests::simulation::random::Random,
    store::{self, Error},
};

/// When every run begins, in milliseconds.
const BEGIN_MS: i64 = 1_800_000_000_000;

/// A process, or one that takes its place.
#[derive(Debug, Default)]
pub struct Process {
    /// Counts processes in this place.
    pub life: u32,
    /// How far its clock is from the true one.
    pub skew: TimeDelta,
    /// It does nothing until then.
    pub stalled_until: Option<Instant>,
    /// The same, from the next settlement on, for so long: what it has decided then is late.
    pub stalls_at_settlement: Option<Duration>,
    /// Tenants that it is told of.
    pub signalled: Vec<TenantId>,
    pub signal: Arc<Notify>,
    /// The last id that it made.
    pub last_id: u128,
    /// Its connections to the broker are made anew until then.
    pub unlinked_until: Option<Instant>,
}

/// All there is.
pub struct State {
    pub mutant: Mutant,
    pub random: Random,
    pub begun: Instant,
    pub processes: Vec<Process>,
    /// Places whose process was ended by an event.
    pub killed: Vec<usize>,
    pub kill: Arc<Notify>,
    pub tables: BTreeMap<TenantId, Tables>,
    pub messages: Messages,
    pub ledger: Ledger,
    /// How far the database's clock is from the true one.
    pub database_skew: TimeDelta,
    pub database_away_until: Option<Instant>,
    pub broker_away_until: Option<Instant>,
    /// How many of a thousand requests fail, one way or the other.
    pub errors_permille: u64,
    /// How many of a thousand take long.
    pub slow_permille: u64,
    /// Events of a tenant whose settlement failed, for a mutant that counts that.
    pub failed_settlements: BTreeMap<crate::domain::EventId, u16>,
    /// All steps so far, as a number.
    pub digest: u64,
    /// Whether each step is printed.
    pub is_told: bool,
}

/// What a process reaches the world by.
#[derive(Clone)]
pub struct Link {
    pub world: Arc<Mutex<State>>,
    pub place: usize,
    pub life: u32,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}.{}", self.place, self.life)
    }
}

impl State {
    pub fn new(seed: u64, mutant: Mutant, tenants: &[TenantId], processes: usize, is_told: bool) -> Self {
        Self {
            mutant,
            random: Random::new(seed),
            begun: Instant::now(),
            processes: (0..processes).map(|_| Process::default()).collect(),
            killed: Vec::new(),
            kill: Arc::default(),
            tables: tenants.iter().map(|tenant| (*tenant, Tables::default())).collect(),
            messages: Messages::default(),
            ledger: Ledger::default(),
            database_skew: TimeDelta::zero(),
            database_away_until: None,
            broker_away_until: None,
            errors_permille: 0,
            slow_permille: 20,
            failed_settlements: BTreeMap::new(),
            digest: 0xcbf2_9ce4_8422_2325,
            is_told,
        }
    }

    /// The true time.
    pub fn time(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.begun.elapsed()).unwrap();
        DateTime::from_timestamp_millis(BEGIN_MS).unwrap() + elapsed
    }

    /// The database's.
    pub fn database_time(&self) -> DateTime<Utc> {
        self.time() + self.database_skew
    }

    /// Notes a step: it is part of what two runs of a seed are compared by, and printed for a seed that is run alone.
    pub fn note(&mut self, what: &'static str, number: u64) {
        let elapsed = self.begun.elapsed();
        for part in [elapsed.as_millis() as u64, what.len() as u64, number] {
            self.digest = (self.digest ^ part).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_told {
            println!("{:>10.3} {what} {number}", elapsed.as_secs_f64());
        }
    }

    /// The same with more to tell.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>10.3}   {}", self.begun.elapsed().as_secs_f64(), what());
        }
    }

    pub fn violates(&mut self, invariant: &'static str, told: String) {
        self.tell(|| format!("VIOLATED: {invariant}: {told}"));
        self.ledger.violation.get_or_insert(Violation { invariant, told });
    }

    fn delay(&mut self) -> Duration {
        let milliseconds = match self.random.range(0, 999) {
            rare if rare < self.slow_permille => self.random.range(10, 400),
            usual if usual < 500 => 0,
            _ => self.random.range(1, 4),
        };
        Duration::from_millis(milliseconds)
    }

    pub fn is_past(until: Option<Instant>) -> bool {
        until.is_none_or(|until| until <= Instant::now())
    }

    fn refuses(&mut self) -> bool {
        !Self::is_past(self.database_away_until) || self.random.permille(self.errors_permille)
    }

    /// The process in a place ends at once.
    pub fn end(&mut self, place: usize) {
        self.note("ends", place as u64);
        let life = self.processes[place].life;
        self.processes[place] = Process { life: life + 1, skew: self.processes[place].skew, ..Process::default() };
        self.ledger.process_ended(place, life);
        self.messages.process_ended(place);
    }

    /// Tenants with something that is not done.
    pub fn unfinished(&self) -> BTreeSet<TenantId> {
        let rows = self.tables.iter().filter(|(_, tables)| !tables.is_finished()).map(|(tenant, _)| *tenant);
        rows.chain(self.messages.unfinished()).collect()
    }
}

impl Link {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.world.lock().unwrap()
    }

    /// Asks the database for something that has its effect at once and whole.
    pub async fn ask<T>(&self, operation: &'static str, act: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        self.pass(operation).await;
        if self.state().refuses() {
            return Err(Error::Locked { operation });
        }
        let answer = act(&mut self.state());
        self.pass(operation).await;
        // It has had its effect, and nobody says so.
        if self.state().refuses() { Err(Error::Locked { operation }) } else { Ok(answer) }
    }

    /// The way there, or back. A process that was killed goes it for ever.
    pub async fn pass(&self, operation: &'static str) {
        let delay = {
            let mut state = self.state();
            state.note(operation, self.place as u64);
            let process = &mut state.processes[self.place];
            if matches!(operation, "settle events" | "receive events")
                && let Some(long) = process.stalls_at_settlement.take()
            {
                process.stalled_until = Some(Instant::now() + long);
            }
            state.delay()
        };
        if delay.is_zero() {
            yield_now().await
        } else {
            sleep(delay).await
        }
        loop {
            let stalled_until = {
                let state = self.state();
                let process = &state.processes[self.place];
                (process.life == self.life).then_some(process.stalled_until)
            };
            match stalled_until {
                None => std::future::pending().await,
                Some(until) if State::is_past(until) => return,
                Some(until) => tokio::time::sleep_until(until.unwrap()).await,
            }
        }
    }

    pub fn time(&self) -> DateTime<Utc> {
        let state = self.state();
        state.time() + state.processes[self.place].skew
    }
}

/// The lowest id of a moment, as the database makes it.
pub fn floor(at: DateTime<Utc>) -> crate::domain::EventId {
    crate::domain::EventId(store::event_id_floor(at))
}
