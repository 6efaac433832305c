//! Memory of compiled rules: what a process grows by for each, as the kernel counts its resident pages.
//!
//! A thousand rules of the shapes of `workloads/ten_rules.json` to a set, a million by default, each kind of set in a
//! process of its own: `cargo bench --bench memory [-- RULES]`. Sets are not alike as a whole, since what is alike is
//! shared as one, but for the kind that is to show that. What is measured is everything that a set holds and the
//! allocator's loss; what was stored (the snapshot) is gone by then. Linux only.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a bench that meets the unexpected must fail, and this is how"
)]

mod snapshot;

use std::{fs, hint::black_box, process::Command};

use serde_json::Value;
use tenet::{
    domain::{Name, Snapshot},
    ruleset::RuleSet,
};

use snapshot::{snapshot, ten_rules};

const RULES: usize = 1_000_000;
const RULES_OF_SET: usize = 1_000;

/// Kinds of sets.
const KINDS: [(&str, &str); 4] = [
    ("distinct", "no two rules alike"),
    ("identical", "the same thousand expressions under every tenant, one of the names its own"),
    ("inactive", "names, ids and places alone: rules that are not compiled"),
    ("alike", "the same thousand rules under every tenant, which have ids of their own"),
];

/// The `number`th rule: one of the ten shapes, with a constant of its own.
fn distinct(shapes: &[String], number: usize) -> String {
    let (shape, own) = (&shapes[number % shapes.len()], number / shapes.len());
    if shape.contains("\"US\"") {
        return shape.replace("\"US\"", &format!("\"C{own}\""));
    }
    match shape.rfind(|character: char| character.is_ascii_digit()) {
        Some(end) => {
            let start = shape[..=end].rfind(|character: char| !character.is_ascii_digit()).unwrap() + 1;
            format!("{}{own}{}", &shape[..start], &shape[end + 1..])
        }
        None => format!("{shape} && facts.age >= {own}"),
    }
}

fn stored(schema: &Value, shapes: &[String], kind: &str, set: usize) -> Snapshot {
    let first = if kind == "distinct" { set * RULES_OF_SET } else { 0 };
    let mut stored = snapshot(schema, (first..first + RULES_OF_SET).map(|number| distinct(shapes, number)));
    for rule in &mut stored.rules {
        rule.active = kind != "inactive";
    }
    if kind != "alike"
        && let Some(rule) = stored.rules.first_mut()
    {
        rule.name = Name::stored(format!("set {set}"));
    }
    stored
}

/// Bytes of memory that the process has.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1_024
}

/// Bytes by which the process grows for each rule, and those that the sets themselves estimate.
fn measure(kind: &str, rules: usize) -> [usize; 2] {
    let shapes: Vec<String> = ten_rules(10).rules.into_iter().map(|rule| rule.expression).collect();
    let workload: Value = serde_json::from_str(include_str!("workloads/ten_rules.json")).unwrap();
    let compile = |set| {
        let compiled = RuleSet::compile(&stored(&workload["schema"], &shapes, kind, set), None);
        assert!(compiled.broken().is_empty(), "{:?}", compiled.broken());
        compiled
    };
    // The first one brings tables and buffers that the others use again.
    let warm = compile(rules / RULES_OF_SET);
    let before = resident();
    let sets: Vec<RuleSet> = (0..rules / RULES_OF_SET).map(compile).collect();
    let grown = resident() - before;
    let estimated: u64 = sets.iter().map(RuleSet::memory_bytes).sum();
    black_box((warm, sets));
    [grown, usize::try_from(estimated).unwrap()].map(|bytes| bytes / rules)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: Option<&String>| text.map_or(RULES, |text| text.parse().unwrap());
    if let [mode, kind, rules] = arguments.as_slice()
        && mode == "--kind"
    {
        let [grown, estimated] = measure(kind, number(Some(rules)));
        return println!("{grown} {estimated}");
    }
    let rules = number(arguments.first()).max(RULES_OF_SET);
    let each = KINDS.map(|(kind, what)| {
        let process = std::env::current_exe().unwrap();
        let output = Command::new(process).args(["--kind", kind, &rules.to_string()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let measured: Vec<usize> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [bytes, estimated] = measured[..] else { panic!("{}", String::from_utf8_lossy(&output.stderr)) };
        println!("{rules} rules, {kind:10} {bytes:>6} bytes each ({estimated} estimated): {what}");
        bytes
    });
    let [distinct, identical, inactive, _] = each;
    println!("a program and its place in the index {:>6} bytes", distinct - inactive);
    println!("a program that others have too       {:>6} bytes", identical.saturating_sub(inactive));
}
