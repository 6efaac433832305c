//! Patterns and texts made up from what RE2's grammar, and that of others, has.

use crate::random::Random;

/// Characters that patterns and texts have in common.
const CHARACTERS: &[&str] = &[
    "a", "a", "b", "b", "c", "A", "B", "k", "K", "\u{212a}", "s", "S", "\u{17f}", "é", "É", "ß", "ẞ", "σ", "ς", "Σ",
    "µ", "μ", "ǆ", "ǅ", "ı", "İ", "0", "1", "9", "٣", "_", "-", " ", "\n", "\t", "\u{b}", "\u{c}", "\r", "\u{a0}",
    "\u{2028}", "中", "😀", "\u{7f}", "\0", "\u{301}", "E",
];

/// Characters that mean something in a pattern.
const SIGNS: &[&str] = &[
    "{", "}", ",", "[", "]", "&", "~", "<", ">", "/", ".", "^", "$", "(", ")", "*", "+", "?", ":", "|", "#", "!", "=",
    "\\", "%", "@",
];

const ESCAPES: &[&str] = &[
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\B",
    "\\A",
    "\\z",
    "\\<",
    "\\>",
    "\\n",
    "\\t",
    "\\r",
    "\\f",
    "\\v",
    "\\a",
    "\\.",
    "\\*",
    "\\[",
    "\\]",
    "\\{",
    "\\\\",
    "\\-",
    "\\_",
    "\\ ",
    "\\101",
    "\\60",
    "\\07",
    "\\0",
    "\\x41",
    "\\x{e9}",
    "\\x{1F600}",
    "\\x{d800}",
    "\\377",
    "\\400",
    "\\pL",
    "\\pN",
    "\\PL",
    "\\p{Lu}",
    "\\p{Greek}",
    "\\P{Greek}",
    "\\p{^Lu}",
    "\\P{^Latin}",
    "\\p{Any}",
    "\\pC",
    "\\pZ",
    "\\p{Nd}",
    "\\pM",
    "\\C",
    "\\Qa.b\\E",
    "\\Q\\E",
    "\\Q*",
    "\\PN",
    "\\p{Common}",
    "\\141",
    "\\x{61}",
    "\\12",
    "\\;",
    "\\\"",
    "\\/",
];

const ODD_ESCAPES: &[&str] = &[
    "\\1",
    "\\8",
    "\\Z",
    "\\G",
    "\\h",
    "\\R",
    "\\X",
    "\\K",
    "\\u0041",
    "\\x4",
    "\\x{",
    "\\x{}",
    "\\x{110000}",
    "\\xg1",
    "\\E",
    "\\c",
    "\\e",
    "\\é",
    "\\p",
    "\\pX",
    "\\p{greek}",
    "\\p{Foo}",
    "\\p{",
    "\\p{}",
    "\\p{^}",
    "\\p{L&}",
    "\\p{Cn}",
    "\\k<n>",
    "\\g1",
    "\\U",
    "\\L",
    "\\N{a}",
    "\\o{7}",
    "\\y",
    "\\i",
    "\\78",
    "\\18",
    "\\p{L}x",
    "\\p{sc=Greek}",
    "\\",
];

const CLASS_ITEMS: &[&str] = &[
    "a-z",
    "A-Z",
    "0-9",
    "a-a",
    "\\d",
    "\\W",
    "\\s",
    "[:alpha:]",
    "[:^digit:]",
    "[:word:]",
    "[:space:]",
    "[:punct:]",
    "\\pL",
    "\\p{Greek}",
    "\\P{Lu}",
    "&&",
    "~~",
    "--",
    "[",
    "^",
    "-",
    "\\]",
    "\\-",
    "\\n",
    "\\x{100}-\\x{17f}",
    "\\x{d000}-\\x{e000}",
    "é-ÿ",
    "+--",
    "!-~",
    "[:",
    ":]",
    "[:upper:]",
    "[:ascii:]",
    "[:cntrl:]",
    "[:graph:]",
    "a-",
    "\\101",
    "[a",
    "b]",
    "&&[a]",
    "\\D",
    "\\S",
    "\\x00-\\x{10FFFF}",
    "\\Pc",
];

const ODD_CLASS_ITEMS: &[&str] =
    &["z-a", "a-\\d", "\\b", "[:foo:]", "\\Q", "\\A", "\\C", "\\8", "\\pX", "[[:alpha:]-z]", "[=a=]", "[.a.]"];

const REPETITIONS: &[&str] = &[
    "*", "+", "?", "*?", "+?", "??", "{0}", "{1}", "{2}", "{0,}", "{1,}", "{2,}", "{0,1}", "{0,2}", "{1,3}", "{2,2}",
    "{2}?", "{0,2}?", "{1,}?", "{,3}", "{ 2}", "{2", "{a}", "{}", "{01}", "{1,2", "{0,0}", "{3}", "{1,1}", "{0,3}",
    "{10}", "{1,2,3}", "{2,}?", "{1}?",
];

const ODD_REPETITIONS: &[&str] =
    &["**", "+*", "*+", "{2}{3}", "{1001}", "{2,1}", "{1000}", "{1000000000}", "{500}", "??+", "{2}*", "{999999999}"];

const OPENINGS: &[&str] =
    &["(", "(", "(", "(?:", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?i-s:", "(?P<n>", "(?<m>", "(?P<é1>", "(?-i:"];

const ODD_OPENINGS: &[&str] = &[
    "(?x)", "(?=", "(?!", "(?<=", "(?<!", "(?P=n)", "(?P<", "(?<n", "(?<>", "(?<a b>", "(?u)", "(?-u)", "(?#c)", "(?>",
    "(?|", "(?-", "(?i-)", "(?i--s)", "(?P>n)", "(?'n'",
];

const FLAGS: &[&str] =
    &["(?i)", "(?m)", "(?s)", "(?U)", "(?-i)", "(?im)", "(?s-m)", "(?-U)", "(?)", "(?ims)", "(?i-i)", "(?-s)"];

/// What makes patterns and texts.
pub struct Patterns {
    random: Random,
    /// Once in how many times something that is no RE2 is taken.
    odd: usize,
}

impl Patterns {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let odd = *random.pick(&[8, 60, 1_000, 100_000]);
        Self { random, odd }
    }

    /// Something that may be a pattern.
    pub fn pattern(&mut self) -> String {
        let depth = self.random.below(4);
        let mut pattern = self.alternation(depth);
        if self.random.once_in(self.odd) {
            self.spoil(&mut pattern);
        }
        pattern
    }

    /// A text, sometimes of what the pattern has.
    pub fn text(&mut self, pattern: &str) -> String {
        let characters: Vec<char> = pattern.chars().collect();
        let length = *self.random.pick(&[0, 1, 1, 2, 3, 4, 6, 10, 20]);
        let mut text = String::new();
        for _ in 0..length {
            match self.random.below(8) {
                0 => text.push_str(self.one(SIGNS)),
                1..=2 if !characters.is_empty() => text.push(*self.random.pick(&characters)),
                3..=4 => text.push_str(self.one(&["a", "b", "ab", "1"])),
                _ => text.push_str(self.one(CHARACTERS)),
            }
        }
        text
    }

    fn one(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.random.below(choices.len())]
    }

    fn alternation(&mut self, depth: usize) -> String {
        let branches = *self.random.pick(&[1, 1, 1, 2, 3]);
        let branches: Vec<String> = (0..branches).map(|_| self.concatenation(depth)).collect();
        branches.join("|")
    }

    fn concatenation(&mut self, depth: usize) -> String {
        let parts = *self.random.pick(&[0, 1, 1, 2, 2, 3, 4]);
        (0..parts).map(|_| self.repeated(depth)).collect()
    }

    fn repeated(&mut self, depth: usize) -> String {
        let mut part = self.part(depth);
        if self.random.once_in(3) {
            part.push_str(self.one(REPETITIONS));
        }
        if self.random.once_in(self.odd) {
            part.push_str(self.one(ODD_REPETITIONS));
        }
        part
    }

    fn part(&mut self, depth: usize) -> String {
        if self.random.once_in(self.odd) {
            return self.one(ODD_ESCAPES).to_owned();
        }
        match self.random.below(if depth > 0 { 20 } else { 14 }) {
            0..=4 => self.one(CHARACTERS).to_owned(),
            5..=7 => self.one(ESCAPES).to_owned(),
            8 => (*self.one(&[".", "^", "$", ".*", "{", "}", "]", ",", "&"])).to_owned(),
            9..=11 => self.class(),
            12 => self.one(FLAGS).to_owned(),
            13 => "ab".to_owned(),
            _ => {
                let odd = self.random.once_in(self.odd);
                let opening = if odd { self.one(ODD_OPENINGS) } else { self.one(OPENINGS) };
                format!("{opening}{})", self.alternation(depth - 1))
            }
        }
    }

    fn class(&mut self) -> String {
        let mut class = self.one(&["[", "[", "[^"]).to_owned();
        if self.random.once_in(12) {
            class.push(']');
        }
        for _ in 0..=self.random.below(4) {
            if self.random.once_in(self.odd) {
                class.push_str(self.one(ODD_CLASS_ITEMS));
            }
            let items: &[&str] = if self.random.once_in(2) { CLASS_ITEMS } else { CHARACTERS };
            class.push_str(self.one(items));
        }
        class.push(']');
        class
    }

    /// Takes a character away, or puts a sign in.
    fn spoil(&mut self, pattern: &mut String) {
        let places: Vec<usize> = pattern.char_indices().map(|(at, _)| at).chain([pattern.len()]).collect();
        let at = *self.random.pick(&places);
        if self.random.once_in(2) && at < pattern.len() {
            pattern.remove(at);
        } else {
            pattern.insert_str(at, self.one(SIGNS));
        }
    }
}
