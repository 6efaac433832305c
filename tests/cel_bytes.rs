//! Bytes of any kind as expressions: the targets of the fuzzer, driven by mutations of the cases under `tests/cases`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

mod generator;
#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::catch_unwind;

use generator::{Extent, Random};
use tenet::cel;

const CASES: [&str; 10] = [
    include_str!("cases/cel/access.jsonl"),
    include_str!("cases/cel/conversions.jsonl"),
    include_str!("cases/cel/literals.jsonl"),
    include_str!("cases/cel/logic.jsonl"),
    include_str!("cases/cel/loops.jsonl"),
    include_str!("cases/cel/numbers_and_lists.jsonl"),
    include_str!("cases/cel/operators.jsonl"),
    include_str!("cases/cel/optionals_and_networks.jsonl"),
    include_str!("cases/cel/texts.jsonl"),
    include_str!("cases/cel/types.jsonl"),
];
const PIECES: [&str; 36] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "\\",
    "`",
    ".",
    "?",
    ":",
    ",",
    "&&",
    "||",
    "!",
    "-",
    "1",
    "u",
    "0x",
    "e5",
    "in",
    "facts.age",
    "has(",
    ".map(x, ",
    "//",
    "\n",
    "é",
    "\0",
    "b'",
    "r\"",
    "'''",
    "==",
    "dyn(",
    "9223372036854775808",
];
/// The parser needs more than a test's thread has in a debug build.
const STACK_BYTES: usize = 64 << 20;

fn corpus() -> Vec<Vec<u8>> {
    let lines = CASES.iter().flat_map(|text| text.lines());
    let cases = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut corpus: Vec<_> = cases.map(|case| case["expr"].as_str().unwrap().as_bytes().to_vec()).collect();
    for line in include_str!("cases/hostile/cases.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let parts = case["parts"].as_array().unwrap().iter();
        // Each part at most twice: shape without size, of which `cel_hostile` has enough.
        let times = |part: &serde_json::Value| usize::try_from(part[1].as_u64().unwrap().min(2)).unwrap();
        corpus.push(parts.map(|part| part[0].as_str().unwrap().repeat(times(part))).collect::<String>().into_bytes());
    }
    corpus
}

/// A case of the corpus, changed in a few places.
fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(8)).min(bytes.len());
        match random.below(7) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, random.pick(&PIECES).bytes())),
            2 => drop(bytes.splice(at..end, random.pick(&PIECES).bytes())),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, piece));
            }
            4 => {
                let other = random.pick(corpus);
                let from = random.below(other.len() + 1);
                drop(bytes.splice(at..end, other[from..].iter().copied()));
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn no_bytes_make_the_language_panic_or_go_beyond_its_limits() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(run).unwrap().join().unwrap();
}

fn run() {
    let corpus = corpus();
    let (mut inputs, mut texts) = (0_u64, 0_u64);
    for seed in Extent::of(5_000, 200_000) {
        let bytes = mutated(&mut Random::new(seed), &corpus);
        inputs += 1;
        texts += u64::from(std::str::from_utf8(&bytes).is_ok());
        let outcome = catch_unwind(|| {
            targets::compile(&bytes);
            targets::evaluate(&bytes);
        });
        let shown = String::from_utf8_lossy(&bytes);
        assert!(outcome.is_ok(), "replay with TENET_SEED={seed} TENET_CASES=1: {shown:?}");
    }
    println!("{inputs} inputs, {texts} of them texts");
}
