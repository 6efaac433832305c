//! Faults that a service is put to, from outside: nothing in the service knows of them.

use std::{
    fmt,
    sync::{Mutex, Once, PoisonError},
};

use tenet::{
    engine::{Compiler, EngineOptions},
    ruleset::RuleSet,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

/// The name of a rule on which [`cannot_load_traps`] panics.
pub const TRAP: &str = "trap";

/// An engine that panics whenever it loads a tenant with a rule named [`TRAP`].
pub fn cannot_load_traps(options: EngineOptions) -> EngineOptions {
    let compiler = Compiler::new(|snapshot, previous| {
        assert!(snapshot.rules.iter().all(|rule| rule.name.as_str() != TRAP), "stepped into the trap");
        RuleSet::compile(snapshot, previous)
    });
    EngineOptions { compiler, ..options }
}

/// Log lines that must not be written: a text that begins the message, and a tenant that the line is about.
static FORBIDDEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// From now on whoever logs `message` about `tenant` panics in doing so: in the turn of an actor, say.
pub fn panic_on_log_line(message: &str, tenant: impl fmt::Display) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing_subscriber::registry().with(Forbid).init());
    let mut forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    forbidden.push((message.to_owned(), tenant.to_string()));
}

/// Lets log lines be written again.
pub fn stop_panicking_on_log_lines() {
    FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

struct Forbid;

#[derive(Default)]
struct Line {
    message: String,
    tenant: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "tenant" => self.tenant = format!("{value:?}"),
            _ => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for Forbid {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let forbidden = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
        let hit = forbidden.iter().any(|(message, tenant)| line.message.starts_with(message) && line.tenant == *tenant);
        drop(forbidden);
        assert!(!hit, "the log cannot be written");
    }
}
