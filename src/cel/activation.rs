//! The values that an evaluation reads: one slot for each variable, and for each field of a variable that is an object.
//!
//! A slot is present, absent, or deferred: the value of a program that runs when it is first read, at most once.

use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
};

use super::{account::Computed, env::Env, fault::EvaluationError, memo::Memo, program::Program, value::Value};

/// The place of a value in an [`Activation`]; found once by [`Env::slot`], then used without a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(super) u32);

impl Slot {
    /// The number of slots before it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What the activations of one environment have in common: the slots, and which of them are deferred.
#[derive(Debug)]
pub struct Frame {
    env: Env,
    deferred: Vec<(Slot, Program)>,
}

/// What one evaluation, or all evaluations of one decision, read.
#[derive(Debug, Clone)]
pub struct Activation {
    frame: Arc<Frame>,
    slots: Vec<State>,
    results: Vec<OnceLock<Computed>>,
}

#[derive(Debug, Clone, Default)]
pub(super) enum State {
    #[default]
    Absent,
    Present(Value),
    Deferred(u32),
}

/// Slots up to which an activation's room is kept for the next one: 24 KiB for each thread.
const SPARE_SLOTS_MAX: usize = 1_024;

thread_local! {
    /// The room of the activation that this thread dropped last.
    static SPARE: Cell<Vec<State>> = const { Cell::new(Vec::new()) };
}

impl Frame {
    /// The slots of `env`, of which those of `deferred` take their values from programs. These must not read each
    /// other in a circle.
    pub fn new(env: &Env, deferred: Vec<(Slot, Program)>) -> Self {
        Self { env: env.clone(), deferred }
    }
}

impl Drop for Activation {
    fn drop(&mut self) {
        let mut slots = std::mem::take(&mut self.slots);
        if slots.capacity() <= SPARE_SLOTS_MAX {
            slots.clear();
            // A thread that ends has no room to keep.
            let _ = SPARE.try_with(|spare| spare.set(slots));
        }
    }
}

impl Activation {
    /// An activation without values.
    pub fn new(env: &Env) -> Self {
        Self::of(&Arc::new(Frame::new(env, Vec::new())))
    }

    /// An activation without values but those that are computed when they are first read, and kept.
    pub fn of(frame: &Arc<Frame>) -> Self {
        let mut slots = SPARE.try_with(Cell::take).unwrap_or_default();
        slots.resize_with(frame.env.slots(), State::default);
        let mut activation = Self { frame: Arc::clone(frame), slots, results: Vec::new() };
        if !frame.deferred.is_empty() {
            activation.defer();
        }
        activation
    }

    fn defer(&mut self) {
        let frame = Arc::clone(&self.frame);
        for (index, (slot, _)) in (0u32..).zip(&frame.deferred) {
            self.put(*slot, State::Deferred(index));
        }
        self.results.resize_with(frame.deferred.len(), OnceLock::new);
    }

    /// Whether this is an activation of `frame`.
    pub fn is_of(&self, frame: &Arc<Frame>) -> bool {
        Arc::ptr_eq(&self.frame, frame)
    }

    /// The slots that were filled, with their values.
    pub fn filled(&self) -> impl Iterator<Item = (Slot, &Value)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, state)| match state {
            State::Present(value) => Some((Slot(slot), value)),
            State::Absent | State::Deferred(_) => None,
        })
    }

    /// Fills a slot.
    pub fn set(&mut self, slot: Slot, value: Value) {
        self.put(slot, State::Present(value));
    }

    /// Fills the slot called `path`: a variable, or `<variable>.<field>`; a variable that is an object takes an
    /// [`Value::Object`] of its type or a map. Whether there is such a slot.
    pub fn set_path(&mut self, path: &str, value: Value) -> bool {
        if let Some(slot) = self.frame.env.slot(path) {
            self.set(slot, value);
            return true;
        }
        let fields: Vec<_> = match &value {
            Value::Object(object) => object.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            Value::Map(map) => {
                map.iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.clone()))).collect()
            }
            _ => return false,
        };
        fields.into_iter().all(|(name, value)| self.set_path(&format!("{path}.{name}"), value))
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: Slot) {
        self.put(slot, State::Absent);
    }

    fn put(&mut self, slot: Slot, state: State) {
        if let Some(place) = self.slots.get_mut(slot.0 as usize) {
            *place = state;
        }
    }

    /// What stands in the slots.
    #[inline]
    pub(super) fn slots(&self) -> &[State] {
        &self.slots
    }

    /// The slot's state, without computing anything.
    #[inline]
    pub(super) fn state(&self, slot: Slot) -> &State {
        self.slots.get(slot.0 as usize).unwrap_or(&State::Absent)
    }

    /// The slot's value: `None` if it is absent, an error if it is deferred and its program ends with one. Nobody is
    /// charged for it.
    #[inline]
    pub fn read(&self, slot: Slot) -> Result<Option<&Value>, EvaluationError> {
        match self.state(slot) {
            State::Present(value) => Ok(Some(value)),
            State::Absent => Ok(None),
            State::Deferred(number) => match self.computed(*number, u64::MAX, None) {
                Some((computed, _)) => computed.outcome.as_ref().map(Some).map_err(Clone::clone),
                None => Ok(None),
            },
        }
    }

    /// A deferred value, and the units of work that were done for it now: at most about `work_max`, and none if it was
    /// computed before.
    #[cold]
    pub(super) fn computed(
        &self,
        number: u32,
        work_max: u64,
        memo: Option<&Memo<'_>>,
    ) -> Option<(&Computed, u64)> {
        let (_, program) = self.frame.deferred.get(number as usize)?;
        let mut work = 0;
        let computed = self.results.get(number as usize)?.get_or_init(|| {
            let computed = program.compute(self, work_max, memo);
            work = computed.work;
            computed
        });
        Some((computed, work))
    }

    /// A deferred value, if it was computed.
    pub(super) fn computed_before(&self, number: u32) -> Option<&Computed> {
        self.results.get(number as usize)?.get()
    }

    /// How expressions name a slot: `facts.age`.
    pub(super) fn path(&self, slot: Slot) -> Option<String> {
        self.frame.env.path(slot, false)
    }

    /// How expressions name a deferred value.
    pub(super) fn deferred_path(&self, number: u32) -> Option<String> {
        self.path(self.frame.deferred.get(number as usize)?.0)
    }
}
