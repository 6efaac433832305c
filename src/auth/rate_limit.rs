//! Credentials that are not valid, counted by the address that sent them and by the key that they name.
//!
//! Each source may fail so often a minute, all at once or one by one (the generic cell rate algorithm: a source is known
//! by the moment at which its failures will all be forgiven). Beyond it the answer is 429 and no longer 401. A valid
//! credential is never asked here: nobody is kept out by what others at the same address, or in the same office, do.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::domain::Holder;

const MINUTE: Duration = Duration::from_secs(60);

/// Sources that are remembered at once: 4 MB of them.
const SOURCES_MAX: usize = 50_000;

/// Failures a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimits {
    /// Of an address; of IPv6, of the 64 leading bits of one.
    pub per_address: u32,
    /// Of a key, wherever they come from.
    pub per_key: u32,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self { per_address: 60, per_key: 20 }
    }
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    Key(Holder),
}

/// The failures of the last minute.
#[derive(Debug)]
pub struct Failures {
    limits: FailureLimits,
    /// When all failures of a source will be forgiven.
    forgiven_at: Mutex<HashMap<Source, Instant>>,
}

impl Failures {
    /// None yet.
    pub fn new(limits: FailureLimits) -> Self {
        Self { limits, forgiven_at: Mutex::default() }
    }

    /// Notes a failure from `address` with a credential that names `key`. If it is one too many: for how long to wait.
    pub fn note(&self, address: Option<IpAddr>, key: Option<Holder>, now: Instant) -> Option<Duration> {
        let FailureLimits { per_address, per_key } = self.limits;
        let mut forgiven_at = self.forgiven_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = |source, limit| note(&mut forgiven_at, source, limit, now);
        let of_address = address.and_then(|address| count(Source::Address(network(address)), per_address));
        let of_key = key.and_then(|key| count(Source::Key(key), per_key));
        of_address.max(of_key)
    }
}

fn note(forgiven_at: &mut HashMap<Source, Instant>, source: Source, per_minute: u32, now: Instant) -> Option<Duration> {
    if forgiven_at.len() >= SOURCES_MAX && !forgiven_at.contains_key(&source) {
        forgiven_at.retain(|_, at| *at > now);
        if forgiven_at.len() > SOURCES_MAX / 4 * 3 {
            // So many at once are no guessers but a flood: looking through them for each that comes would help it.
            forgiven_at.clear();
        }
    }
    let each = MINUTE / per_minute.max(1);
    let at = forgiven_at.entry(source).or_insert(now);
    let next = (*at).max(now) + each;
    let beyond = next.duration_since(now).checked_sub(MINUTE).filter(|beyond| !beyond.is_zero());
    // What is refused does not count: who goes on trying is heard again at the same pace.
    if beyond.is_none() {
        *at = next;
    }
    beyond
}

/// The address, or the network that one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKeyId, TenantId};

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_source_may_fail_so_often_a_minute() {
        let failures = Failures::new(FailureLimits { per_address: 3, per_key: 1_000 });
        let start = Instant::now();
        let fail = |address, at| failures.note(address, None, start + Duration::from_secs(at));
        let one = address("192.0.2.1");
        assert_eq!([0, 0, 0].map(|at| fail(one, at)), [None; 3]);
        assert_eq!(fail(one, 0), Some(Duration::from_secs(20)), "the fourth comes 20 s too early");
        assert_eq!(fail(one, 19), Some(Duration::from_secs(1)), "what is refused costs nothing");
        assert_eq!(fail(one, 20), None);
        assert!(fail(one, 20).is_some());
        assert_eq!(fail(address("192.0.2.2"), 20), None, "another address is another source");
        assert_eq!([120, 120, 120].map(|at| fail(one, at)), [None; 3], "after a minute of peace all is forgiven");
    }

    #[test]
    fn a_key_is_counted_wherever_its_failures_come_from() {
        let failures = Failures::new(FailureLimits { per_address: 1_000, per_key: 2 });
        let now = Instant::now();
        let key = || Some(Holder::Tenant(TenantId::generate(), ApiKeyId::generate()));
        let guessed = key();
        let fail = |number: u8, key| failures.note(address(&format!("192.0.2.{number}")), key, now).is_some();
        assert_eq!([1, 2, 3].map(|number| fail(number, guessed)), [false, false, true]);
        assert!(!fail(4, key()));
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let failures = Failures::new(FailureLimits { per_address: 1, per_key: 1 });
        let now = Instant::now();
        let fail = |text: &str| failures.note(address(text), None, now).is_some();
        assert!(!fail("2001:db8::1"));
        assert!(fail("2001:db8::ffff:2"));
        assert!(!fail("2001:db8:0:1::1"));
        assert!(!fail("192.0.2.1"));
        assert!(fail("::ffff:192.0.2.1"), "the same address in the other notation");
    }

    #[test]
    fn many_sources_take_bounded_memory() {
        let failures = Failures::new(FailureLimits::default());
        let now = Instant::now();
        for number in 0..u32::try_from(SOURCES_MAX).unwrap() + 1_000 {
            failures.note(Some(IpAddr::V4(number.into())), None, now);
        }
        let remembered = failures.forgiven_at.lock().unwrap().len();
        assert!((1..=SOURCES_MAX).contains(&remembered), "{remembered}");
    }
}
