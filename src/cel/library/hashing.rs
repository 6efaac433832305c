//! A number that is always the same for a value: to take a share of all, such as one in ten.

use sha2::{Digest, Sha256};

use super::{Declaration, Outcome, Run, Value, invalid, no_overload};
use crate::cel::cost::{HASH_BYTES_PER_UNIT, HASH_UNITS};

pub(super) const FUNCTIONS: &[Declaration] = &[(
    "hash",
    &["hash(string, int): int", "hash(bytes, int): int", "hash(int, int): int", "hash(uint, int): int"],
    |run, arguments| match arguments {
        [Value::String(text), Value::Int(buckets)] => hash(run, text.as_bytes(), *buckets),
        [Value::Bytes(bytes), Value::Int(buckets)] => hash(run, bytes, *buckets),
        [Value::Int(number), Value::Int(buckets)] => hash(run, number.to_string().as_bytes(), *buckets),
        [Value::Uint(number), Value::Int(buckets)] => hash(run, number.to_string().as_bytes(), *buckets),
        _ => Err(no_overload("hash", arguments)),
    },
)];

/// The first eight bytes of SHA-256, as a number whose first byte counts most, modulo the buckets. It never changes: who is
/// in a share today is in it tomorrow.
fn hash(run: &Run<'_>, bytes: &[u8], buckets: i64) -> Outcome {
    let Some(buckets) = u64::try_from(buckets).ok().filter(|buckets| *buckets > 0) else {
        return Err(invalid("`hash` needs at least one bucket"));
    };
    run.charge(HASH_UNITS.saturating_add(bytes.len() as u64 / HASH_BYTES_PER_UNIT))?;
    let digest = Sha256::digest(bytes);
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    Ok(Value::Int((number % buckets).cast_signed()))
}
