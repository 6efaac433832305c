//! Pressure: whether the threads that answer requests come late, or the evaluation pool does, and how much of what each tenant
//! asks for is admitted then.
//!
//! Each thread watches itself; the pool is late while there is always somebody in line before it. What a tenant used is what its decisions took, as the rule set in memory counts them, and
//! something for each request.

use std::{
    cmp::Reverse,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::Engine;
use crate::{
    admission::{Lateness, TIER_WEIGHTS, Use, WINDOW, hold_back, press, relax},
    domain::{TenantId, Tier, micros, random_permille},
    telemetry::CoreWait,
};

/// What a request takes beside its decision, about.
const REQUEST_MICROS: u64 = 10;
/// Tenants that are shown.
const SHOWN: usize = 20;

/// What is known of the pressure on a node.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Threads that are late.
    late: AtomicUsize,
    /// Whether there was a line before the evaluation pool in all of the last window.
    has_line: AtomicBool,
    /// How late the last one was that told.
    delay_us: AtomicU64,
    /// Whether less than all of some tenant's requests is admitted.
    is_pressed: AtomicBool,
    /// Whether what tenants used was noted at the end of the last window.
    is_noted: AtomicBool,
    /// When the last window ended.
    looked_at: Mutex<Option<Instant>>,
    /// Windows without pressure in a row.
    calm: AtomicU32,
}

/// A tenant's part in it.
#[derive(Debug)]
pub(super) struct Part {
    /// Requests that were admitted.
    requests: AtomicU64,
    /// Thousandths of its requests that are admitted.
    admitted: AtomicU32,
    /// What it had used at the end of the last window, in microseconds.
    noted_us: AtomicU64,
    /// Pieces of its work that left the line before the evaluation pool in this window.
    pieces: AtomicU64,
    /// Those that were given up.
    vain: AtomicU64,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            admitted: AtomicU32::new(Use::default().admitted),
            noted_us: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
            vain: AtomicU64::new(0),
        }
    }
}

impl Part {
    /// Whether a request is admitted, as far as the pressure goes.
    pub fn admits(&self) -> bool {
        let admitted = self.admitted_permille();
        let is_admitted = admitted >= Use::default().admitted || u32::from(random_permille()) < admitted;
        if is_admitted {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// A piece of its work has left the line before the evaluation pool, in vain or to begin.
    pub fn left_line(&self, is_vain: bool) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.vain.fetch_add(u64::from(is_vain), Ordering::Relaxed);
    }

    /// Thousandths of its requests that are admitted.
    pub fn admitted_permille(&self) -> u32 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Whether forgetting it changes nothing.
    pub fn is_idle(&self) -> bool {
        self.admitted_permille() == Use::default().admitted
    }
}

/// A thread that answers requests, watching itself.
#[derive(Debug)]
pub struct ThreadWatch {
    engine: Engine,
    lateness: Lateness,
    core_wait: CoreWait,
    is_late: bool,
    window_began: Instant,
}

/// The load of a node.
#[derive(Debug)]
pub struct NodeLoad {
    /// Whether threads that answer requests are late, or the evaluation pool is.
    pub is_under_pressure: bool,
    /// How late the last one was that told, over a window.
    pub thread_delay: Duration,
    /// Pieces of work that the evaluation pool evaluates at once; 0 where there is none.
    pub evaluation_threads: usize,
    /// Requests in hand.
    pub in_hand: usize,
    /// How many there may be.
    pub in_hand_max: usize,
    /// The tenants in memory whose decisions took the most, the busiest first.
    pub tenants: Vec<TenantLoad>,
}

/// The load that a tenant is.
#[derive(Debug, Clone, Copy)]
pub struct TenantLoad {
    /// The tenant.
    pub tenant: TenantId,
    /// Its tier.
    pub tier: Tier,
    /// What its decisions took since it came into memory.
    pub evaluation: Duration,
    /// Requests in hand.
    pub in_hand: u64,
    /// Thousandths of its requests that are admitted.
    pub admitted_permille: u32,
}

impl ThreadWatch {
    /// The thread came so late to something that was due.
    pub fn came(&mut self, late: Duration) {
        self.lateness.came(late, self.core_wait.since_last());
        if self.window_began.elapsed() < WINDOW {
            return;
        }
        self.window_began = Instant::now();
        let (is_late, delay) = self.lateness.end_window();
        let pressure = &self.engine.inner.gate.pressure;
        if is_late && !self.is_late {
            pressure.late.fetch_add(1, Ordering::Relaxed);
        }
        if !is_late && self.is_late {
            pressure.late.fetch_sub(1, Ordering::Relaxed);
        }
        self.is_late = is_late;
        pressure.delay_us.store(micros(delay), Ordering::Relaxed);
        self.engine.inner.shared.metrics.load.thread_delay(delay);
        self.engine.end_window();
    }
}

impl Drop for ThreadWatch {
    fn drop(&mut self) {
        if self.is_late {
            self.engine.inner.gate.pressure.late.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Engine {
    /// Watches the thread that this is called on.
    pub fn watch_thread(&self) -> ThreadWatch {
        ThreadWatch {
            engine: self.clone(),
            lateness: Lateness::default(),
            core_wait: CoreWait::of_this_thread(),
            is_late: false,
            window_began: Instant::now(),
        }
    }

    /// Whether threads that answer requests are late, or the evaluation pool is.
    pub fn is_under_pressure(&self) -> bool {
        let pressure = &self.inner.gate.pressure;
        pressure.late.load(Ordering::Relaxed) > 0 || pressure.has_line.load(Ordering::Relaxed)
    }

    /// The load of this node.
    pub fn load(&self) -> NodeLoad {
        let (gate, shared) = (&self.inner.gate, &self.inner.shared);
        let mut tenants = Vec::new();
        shared.registry.each(|tenant, entry| {
            let Some(set) = entry.set() else { return };
            let evaluation = entry.resident.usage().read().time;
            tenants.push((tenant, set.tenant().tier, evaluation));
        });
        tenants.sort_unstable_by_key(|(tenant, _, evaluation)| (Reverse(*evaluation), *tenant));
        tenants.truncate(SHOWN);
        let load = |(tenant, tier, evaluation)| {
            let (in_hand, admitted_permille) = gate.load_of(tenant);
            TenantLoad { tenant, tier, evaluation, in_hand, admitted_permille }
        };
        NodeLoad {
            is_under_pressure: self.is_under_pressure(),
            thread_delay: Duration::from_micros(gate.pressure.delay_us.load(Ordering::Relaxed)),
            evaluation_threads: shared.options.evaluation_threads,
            in_hand: gate.in_hand(),
            in_hand_max: gate.in_hand_max(),
            tenants: tenants.into_iter().map(load).collect(),
        }
    }

    /// Sees to it once in a window that tenants are admitted as the pressure asks for.
    fn end_window(&self) {
        let pressure = &self.inner.gate.pressure;
        let window = {
            let mut looked_at = pressure.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            let window = looked_at.map_or(WINDOW, |at| at.elapsed());
            if window < WINDOW {
                return;
            }
            *looked_at = Some(Instant::now());
            window
        };
        let is_late = pressure.late.load(Ordering::Relaxed) > 0;
        let has_line = self.inner.pool.as_ref().is_some_and(|pool| pool.line_age() >= WINDOW);
        pressure.has_line.store(has_line, Ordering::Relaxed);
        if let Some(pool) = &self.inner.pool {
            pool.set_pressure(is_late || has_line);
        }
        if !is_late && !has_line && !pressure.is_pressed.load(Ordering::Relaxed) {
            pressure.is_noted.store(false, Ordering::Relaxed);
            return;
        }
        // What was used before the first window of pressure says nothing of what is used in one.
        let was_noted = pressure.is_noted.swap(true, Ordering::Relaxed);
        let parts = self.inner.gate.parts();
        let mut uses: Vec<Use> = parts.iter().map(|(tenant, place)| self.used(*tenant, &place.part)).collect();
        if !was_noted {
            return;
        }
        let calm = pressure.calm.load(Ordering::Relaxed);
        if is_late {
            press(&mut uses, window);
        }
        let mut is_pressed = is_late || has_line;
        for of in &mut uses {
            let is_held = has_line && hold_back(of);
            if !is_late && !is_held {
                is_pressed |= !relax(of, calm);
            }
        }
        let calm = if is_late || has_line { 0 } else { calm.saturating_add(1) };
        pressure.calm.store(calm, Ordering::Relaxed);
        for ((_, place), of) in parts.iter().zip(&uses) {
            place.part.admitted.store(of.admitted, Ordering::Relaxed);
        }
        pressure.is_pressed.store(is_pressed, Ordering::Relaxed);
    }

    /// What a tenant has used since this was last asked.
    fn used(&self, tenant: TenantId, part: &Part) -> Use {
        let entry = self.inner.shared.registry.entry(tenant);
        let tier = entry.as_ref().and_then(|entry| entry.set()).map_or(Tier::Free, |set| set.tenant().tier);
        let evaluation = entry.map_or(Duration::ZERO, |entry| entry.resident.usage().read().time);
        let requests = part.requests.load(Ordering::Relaxed).saturating_mul(REQUEST_MICROS);
        let now_us = micros(evaluation).saturating_add(requests);
        let used = now_us.saturating_sub(part.noted_us.swap(now_us, Ordering::Relaxed));
        let weight = TIER_WEIGHTS.get(tier as usize).copied().unwrap_or(1);
        let [pieces, vain] = [&part.pieces, &part.vain].map(|count| count.swap(0, Ordering::Relaxed));
        Use { weight, used, admitted: part.admitted_permille(), pieces, vain }
    }
}
