//! The evaluation pool: threads on which dear decisions and events are evaluated, a few at a time, tenant by tenant in
//! turn.
//!
//! As many pieces of work are evaluated at once as there are places. A piece that has had its place for a slice gives it
//! up between two rules while others wait, and keeps its thread until its next turn: so a decision can be interrupted,
//! and no evaluation needs to know. Whose turn it is, `admission::Turns` says.

mod queue;

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};
use tracing::error;

use self::queue::Queue;
use crate::{
    admission::{Contender, Line, Turns},
    domain::{Tier, micros},
};

/// How long a piece of work has its place while others wait.
const SLICE: Duration = Duration::from_millis(5);
/// Pieces that wait for another turn at most, each on a thread of its own; further ones wait to begin.
const PAUSED_MAX: usize = 32;
/// How long a thread without work is kept.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

/// How the work of a tier stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierWork {
    /// Pieces that are evaluated.
    pub active: usize,
    /// Pieces that wait, for their first turn or another.
    pub waiting: usize,
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    /// It waited for too long for its first turn.
    Late,
    /// It panicked.
    Panicked,
    /// The pool has ended.
    Stopping,
}

#[derive(Debug)]
struct Inner {
    /// Pieces that are evaluated at once.
    places: usize,
    state: Mutex<State>,
    /// Told when a thread without work has some.
    work: Condvar,
    /// Whether the node is under pressure.
    is_under_pressure: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    turns: Turns,
    waiting: HashMap<Contender, Waiting>,
    /// Pieces that have a place, and no thread yet.
    begun: VecDeque<Piece>,
    /// Pieces that wait for another turn.
    paused: usize,
    /// Requests that wait to begin.
    queue: Queue,
    threads: usize,
    /// Threads without work.
    idle: usize,
    next_id: u64,
    is_over: bool,
}

/// What a contender has that waits.
#[derive(Debug, Default)]
struct Waiting {
    paused: VecDeque<Arc<Turn>>,
    line: Line<Piece>,
}

/// A piece of work that has not begun.
struct Piece {
    of: Contender,
    run: Box<dyn FnOnce() + Send>,
}

/// The next turn of a piece that waits for it.
#[derive(Debug, Default)]
struct Turn {
    /// Written with the state locked.
    has_come: AtomicBool,
    told: Condvar,
}

/// The place that the piece on this thread has.
struct Place {
    inner: Arc<Inner>,
    of: Contender,
    since: Instant,
    /// How long the piece has waited since it began.
    waited: Duration,
}

/// A piece whose caller waits; given up when dropped, if it has not begun.
struct Awaited<'a> {
    inner: &'a Inner,
    of: Contender,
    id: u64,
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Gives way to others, if the piece on this thread has had its place for a slice. Called between rules, and does nothing on
/// other threads.
pub fn give_way() {
    PLACE.with_borrow_mut(|place| {
        if let Some(place) = place.as_mut().filter(|place| place.since.elapsed() >= SLICE) {
            place.give_way();
        }
    });
}

/// How long the piece on this thread has waited for its turns since it began.
pub fn waited() -> Duration {
    PLACE.with_borrow(|place| place.as_ref().map_or(Duration::ZERO, |place| place.waited))
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Pool {
    /// One that evaluates so many pieces at once, at least one. Its threads begin with the work.
    pub fn new(places: usize) -> Self {
        let inner = Inner {
            places: places.max(1),
            state: Mutex::default(),
            work: Condvar::new(),
            is_under_pressure: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Does work when it is the contender's turn; gives up if that is not within `wait_max`.
    pub async fn run<T: Send + 'static>(
        &self,
        of: Contender,
        wait_max: Option<Duration>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (answer, mut answered) = oneshot::channel();
        let run = move || {
            let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| NotDone::Panicked);
            // A caller that went away wants no answer.
            let _ = answer.send(done);
        };
        let id = self.inner.add(of, Box::new(run)).ok_or(NotDone::Stopping)?;
        let awaited = Awaited { inner: &self.inner, of, id };
        let done = match wait_max {
            None => answered.await,
            Some(wait_max) => match timeout(wait_max, &mut answered).await {
                Ok(done) => done,
                Err(_) if awaited.give_up() => return Err(NotDone::Late),
                Err(_) => answered.await,
            },
        };
        done.unwrap_or(Err(NotDone::Stopping))
    }

    /// How the work of a tier stands.
    pub fn work_of(&self, tier: Tier) -> TierWork {
        let (active, waiting) = self.inner.lock().turns.work_of(tier);
        TierWork { active, waiting }
    }

    /// For how long there has been a request in line at every moment; zero if there is none.
    pub fn line_age(&self) -> Duration {
        self.inner.lock().queue.age()
    }

    /// Whether the node is under pressure from now on.
    pub fn set_pressure(&self, is_on: bool) {
        self.inner.is_under_pressure.store(is_on, Ordering::Relaxed);
    }

    /// Ends the pool: what has not begun is dropped, and what has is finished.
    pub fn stop(&self) {
        let state = &mut *self.inner.lock();
        state.is_over = true;
        for (of, waiting) in &mut state.waiting {
            (0..waiting.line.clear()).for_each(|_| state.turns.give_up(*of));
        }
        state.queue = Queue::default();
        self.inner.work.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a piece; `None` once the pool has ended.
    fn add(self: &Arc<Self>, of: Contender, run: Box<dyn FnOnce() + Send>) -> Option<u64> {
        let state = &mut *self.lock();
        if state.is_over {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.waiting.entry(of).or_default().line.join(id, Piece { of, run });
        state.turns.arrive(of);
        state.queue.join(of.class);
        self.give_turns(state);
        Some(id)
    }

    /// Gives free places to those whose turn it is.
    fn give_turns(self: &Arc<Self>, state: &mut State) {
        while state.turns.active() < self.places {
            let State { turns, waiting, paused, .. } = state;
            let may_begin = *paused < PAUSED_MAX;
            let may = |of: Contender| waiting.get(&of).is_some_and(|it| may_begin || !it.paused.is_empty());
            let Some(of) = turns.next(may) else { return };
            turns.begin(of);
            let Some(of_it) = waiting.get_mut(&of) else { return };
            let is_under_pressure = self.is_under_pressure.load(Ordering::Relaxed);
            let (turn, piece) = match of_it.paused.pop_front() {
                Some(turn) => (Some(turn), None),
                None => (None, of_it.line.next(is_under_pressure)),
            };
            if of_it.is_empty() {
                waiting.remove(&of);
            }
            if let Some(turn) = turn {
                state.paused -= 1;
                turn.has_come.store(true, Ordering::Relaxed);
                turn.told.notify_one();
            }
            if let Some(piece) = piece {
                state.queue.leave(of.class);
                state.begun.push_back(piece);
                self.find_thread(state);
            }
        }
    }

    /// Sees to it that a thread takes what has begun.
    fn find_thread(self: &Arc<Self>, state: &mut State) {
        if state.begun.len() <= state.idle {
            self.work.notify_one();
            return;
        }
        let inner = Arc::clone(self);
        match thread::Builder::new().name("tenet-evaluate".to_owned()).spawn(move || inner.serve()) {
            Ok(_) => state.threads += 1,
            Err(error) => {
                error!(
                    error = &error as &dyn std::error::Error,
                    "a thread of the evaluation pool could not be started"
                );
                // Whoever waits for it is told, and nobody would take it otherwise.
                if state.threads == 0
                    && let Some(piece) = state.begun.pop_back()
                {
                    state.end(piece.of, Duration::ZERO);
                }
            }
        }
    }

    /// What a thread does.
    fn serve(self: Arc<Self>) {
        let mut state = self.lock();
        loop {
            if let Some(piece) = state.begun.pop_front() {
                drop(state);
                let place = self.run(piece);
                state = self.lock();
                state.end(place.of, place.since.elapsed());
                self.give_turns(&mut state);
                continue;
            }
            if state.is_over {
                break;
            }
            state.idle += 1;
            let (woken, waited) = self.work.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.begun.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Runs a piece on this thread; answers the place that it had last.
    fn run(self: &Arc<Self>, Piece { of, run, .. }: Piece) -> Place {
        let here = || Place { inner: Arc::clone(self), of, since: Instant::now(), waited: Duration::ZERO };
        PLACE.set(Some(here()));
        run();
        PLACE.take().unwrap_or_else(here)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.paused.is_empty() && self.line.is_empty()
    }
}

impl State {
    /// A piece that has had its place for so long gives it back, for good.
    fn end(&mut self, of: Contender, had: Duration) {
        self.turns.charge(of, micros(had));
        self.turns.finish(of);
    }
}

impl Place {
    fn give_way(&mut self) {
        let inner = Arc::clone(&self.inner);
        let begun = Instant::now();
        let mut state = inner.lock();
        state.turns.charge(self.of, micros(begun - self.since));
        state.turns.pause(self.of);
        state.paused += 1;
        let turn = Arc::new(Turn::default());
        state.waiting.entry(self.of).or_default().paused.push_back(Arc::clone(&turn));
        inner.give_turns(&mut state);
        while !turn.has_come.load(Ordering::Relaxed) {
            state = turn.told.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.since = Instant::now();
        self.waited += self.since - begun;
    }
}

impl Awaited<'_> {
    /// Takes the piece back; answers whether it had not begun.
    fn give_up(&self) -> bool {
        let state = &mut *self.inner.lock();
        let Some(waiting) = state.waiting.get_mut(&self.of) else { return false };
        if !waiting.line.give_up(self.id) {
            return false;
        }
        if waiting.is_empty() {
            state.waiting.remove(&self.of);
        }
        state.queue.leave(self.of.class);
        state.turns.give_up(self.of);
        true
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests;
