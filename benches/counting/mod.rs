//! Counts the instructions of pieces of work with valgrind's callgrind, which other load on the machine does not change.
//!
//! Each piece of work runs in a process of its own, so often and twice as often: the difference leaves out what starting
//! takes.

use std::process::Command;

/// Work: run so often.
pub type Work = fn(usize);

/// Ways to do one thing, ours first: each with its name, how often it is done, and what it does.
pub type Ways = &'static [(&'static str, usize, Work)];

/// The argument of a process that does one piece of work.
const WORK: &str = "--work";

/// What is to be counted: all, or what has this in its name.
pub struct Wanted(Option<String>);

impl Wanted {
    /// By the arguments of this process; `None` if it was to do one piece of work, and has.
    pub fn of_arguments(groups: &[(&str, Ways)]) -> Option<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        if let [mode, group, work, times] = arguments.as_slice()
            && mode == WORK
        {
            let number = |text: &String| text.parse::<usize>().unwrap();
            groups[number(group)].1[number(work)].2(number(times));
            return None;
        }
        Some(Self(arguments.into_iter().find(|argument| !argument.starts_with('-'))))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()))
    }
}

/// The instructions of doing a piece of work once; only those inside of the function `part`, if one is given.
pub fn instructions(group: usize, work: usize, times: usize, part: Option<&str>) -> u64 {
    (count(group, work, 2 * times, part) - count(group, work, times, part)) / times as u64
}

fn count(group: usize, work: usize, times: usize, part: Option<&str>) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(part.map(|part| format!("--toggle-collect={part}")))
        .arg(std::env::current_exe().unwrap())
        .args([WORK, &group.to_string(), &work.to_string(), &times.to_string()])
        .output();
    let Ok(output) = output else { panic!("valgrind cannot be run: install it to count instructions") };
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.unwrap_or_else(|| panic!("{text}")).1.trim().parse().unwrap();
    assert!(count > 0, "nothing was counted: is {part:?} still called so?");
    count
}
