//! How long a thread waits for a core while it could run. Linux alone tells; elsewhere it is never.

use std::{fs::File, os::unix::fs::FileExt, time::Duration};

/// Where Linux tells it of the thread that opens this: nanoseconds on a core, and waiting for one (`sched-stats` in the
/// kernel's documentation).
const STATISTICS: &str = "/proc/thread-self/schedstat";

/// Of one thread.
#[derive(Debug)]
pub struct CoreWait {
    statistics: Option<File>,
    /// When it was last asked.
    total: Duration,
}

impl CoreWait {
    /// Of the thread that this is called on.
    pub fn of_this_thread() -> Self {
        let mut of_this = Self { statistics: File::open(STATISTICS).ok(), total: Duration::ZERO };
        of_this.since_last();
        of_this
    }

    /// How long the thread has waited for a core since this was last asked.
    pub fn since_last(&mut self) -> Duration {
        let Some(total) = self.statistics.as_ref().and_then(read) else { return Duration::ZERO };
        let since = total.saturating_sub(self.total);
        self.total = total;
        since
    }
}

fn read(statistics: &File) -> Option<Duration> {
    let mut text = [0; 64];
    let length = statistics.read_at(&mut text, 0).ok()?;
    waited(std::str::from_utf8(text.get(..length)?).ok()?)
}

/// The second of three numbers.
fn waited(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn it_is_the_second_number() {
        assert_eq!(waited("184200372 93748625 49\n"), Some(Duration::from_nanos(93_748_625)));
        assert_eq!((waited("184200372"), waited(""), waited("1 x 2")), (None, None, None));
    }

    #[test]
    fn a_thread_that_shares_a_core_with_others_waits_for_it() {
        if CoreWait::of_this_thread().statistics.is_none() {
            return;
        }
        let cores = thread::available_parallelism().unwrap().get();
        let begun = Instant::now();
        let spin = move || {
            let (mut wait, mut waited) = (CoreWait::of_this_thread(), Duration::ZERO);
            while waited < Duration::from_millis(5) && begun.elapsed() < Duration::from_secs(60) {
                let slice = Instant::now();
                while slice.elapsed() < Duration::from_millis(1) {
                    std::hint::spin_loop();
                }
                waited += wait.since_last();
            }
            waited
        };
        let threads: Vec<_> = (0..=cores).map(|_| thread::spawn(spin)).collect();
        let waited: Vec<Duration> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(waited.iter().any(|waited| *waited >= Duration::from_millis(5)), "{waited:?}");
    }
}
