//! Faults that a service is put to, from outside: nothing in the service knows of them.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tenet::{
    engine::{Compiler, EngineOptions},
    ruleset::RuleSet,
};
use tokio::task::JoinHandle;
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

/// Ends the connections that listen, with pauses of so many milliseconds, until it is told to stop; answers how many it
/// ended.
pub fn kill_listeners(url: &str, pauses_ms: Range<u64>, done: &Arc<AtomicBool>) -> JoinHandle<i64> {
    let (url, done) = (url.to_owned(), done.clone());
    tokio::spawn(async move {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let mut killed = 0;
        for round in 0.. {
            if done.load(Ordering::Relaxed) {
                break;
            }
            killed += sqlx::query_scalar::<_, i64>(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where application_name = 'tenet-listener' and datname = current_database()",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            let spread = round * 137 % (pauses_ms.end - pauses_ms.start);
            tokio::time::sleep(Duration::from_millis(pauses_ms.start + spread)).await;
        }
        killed
    })
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
