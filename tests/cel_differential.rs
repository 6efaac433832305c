//! Our evaluator against the interpreter of the `cel` crate, on generated expressions and facts.
//!
//! Both must give the same value, or both an error. `CEL_DIFFERENTIAL_EXPRESSIONS` says how many expressions,
//! `CEL_DIFFERENTIAL_SEED` with which seed; a failure prints both. Only well-typed expressions are made, so that it is
//! also held that a checked expression never ends in `no_such_overload`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that meets the unexpected must fail, and this is how"
)]

use std::{collections::HashMap, sync::Arc};

use cel::{Context, Value as Raw, objects::Key};
use tenet::cel::{Activation, Env, MapValue, ObjectField, ObjectType, Type, Value};

/// Facts that each expression is evaluated on.
const FACTS_EACH: usize = 8;
/// The interpreter recurses deeply in a debug build.
const STACK_BYTES: usize = 256 * 1024 * 1024;

#[test]
fn ours_gives_what_the_other_implementation_gives() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, seed) = (number("CEL_DIFFERENTIAL_EXPRESSIONS", 2_500), number("CEL_DIFFERENTIAL_SEED", 1));
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let compared = thread.spawn(move || compare(count, seed)).unwrap().join().unwrap();
    println!("{compared} evaluations agree");
    assert!(compared > count, "too few expressions can be compared: {compared}");
}

fn compare(count: u64, seed: u64) -> u64 {
    let env = env();
    let theirs = Arc::new(cel::Env::stdlib());
    let mut compared = 0;
    for number in 0..count {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (number + 1));
        let kind = [Kind::Bool, Kind::Bool, Kind::Bool, Kind::Int, Kind::Double, Kind::Text][random.below(6)];
        let source = Generator { random: &mut random, locals: Vec::new() }.expression(kind, 4);
        if source.len() > 3_000 {
            continue;
        }
        let program = match env.compile(&source) {
            Ok(program) => program,
            // What is nested too deeply, or is a literal out of range, is refused by both.
            Err(details) if details.iter().all(|detail| detail.code != "no_such_overload") => continue,
            Err(details) => panic!("seed {seed}, number {number}: `{source}` is refused: {details:?}"),
        };
        let Ok(other) = theirs.compile(&source) else { panic!("seed {seed}: the other parser refuses `{source}`") };
        for _ in 0..FACTS_EACH {
            let facts = facts(&mut random);
            let mut activation = Activation::new(&env);
            let mut context = Context::with_env(Arc::clone(&theirs));
            let present: HashMap<Key, Raw> =
                facts.iter().map(|(name, value)| (Key::from(*name), to_raw(value))).collect();
            context.add_variable_from_value("facts", Raw::from(present));
            for (name, value) in &facts {
                assert!(activation.set_path(&format!("facts.{name}"), value.clone()), "{name}");
            }
            let ours = program.evaluate(&activation);
            let context_value = Raw::resolve(other.expression(), &context);
            let agree = match (&ours, &context_value) {
                (Ok(ours), Ok(theirs)) => is_same(ours, theirs),
                (Err(error), Err(_)) => {
                    assert_ne!(error.code, "no_such_overload", "`{source}` was checked and ends with {error}");
                    true
                }
                _ => false,
            };
            assert!(
                agree,
                "seed {seed}, number {number}: `{source}` on {facts:?}\n  ours: {ours:?}\n  theirs: {context_value:?}"
            );
            agrees_with_its_trace(&program, &activation, &ours);
            compared += 1;
        }
    }
    compared
}

/// The plan that runs takes short cuts; the one that traces takes none. Both must end alike.
fn agrees_with_its_trace(
    program: &tenet::cel::Program,
    activation: &Activation,
    ours: &Result<Value, tenet::cel::EvaluationError>,
) {
    let trace = program.trace(activation);
    // A trace that is full has no room for the whole, which comes last.
    let Some(whole) = trace.first().filter(|entry| entry.text == program.source() && trace.len() < 1_000) else {
        return;
    };
    match ours {
        Ok(value) => assert_eq!(whole.value, value.to_json(), "`{}`", program.source()),
        Err(error) => assert_eq!(whole.value["error"]["code"], error.code, "`{}`", program.source()),
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Ints,
    Texts,
    Items,
    Counts,
    Time,
    Length,
}

fn fields() -> Vec<(&'static str, Type, Kind)> {
    let item = ObjectType {
        name: "item".into(),
        fields: vec![field("price", Type::Double), field("qty", Type::Int), field("tag", Type::String)],
    };
    vec![
        ("age", Type::Int, Kind::Int),
        ("at", Type::Timestamp, Kind::Time),
        ("count", Type::Uint, Kind::Uint),
        ("country", Type::String, Kind::Text),
        ("counts", Type::map(Type::String, Type::Int), Kind::Counts),
        ("email", Type::String, Kind::Text),
        ("ids", Type::list(Type::Int), Kind::Ints),
        ("items", Type::list(Type::Object(Arc::new(item))), Kind::Items),
        ("level", Type::Int, Kind::Int),
        ("member", Type::Bool, Kind::Bool),
        ("open", Type::Bool, Kind::Bool),
        ("score", Type::Double, Kind::Double),
        ("since", Type::Duration, Kind::Length),
        ("tags", Type::list(Type::String), Kind::Texts),
        ("total", Type::Double, Kind::Double),
    ]
}

fn field(name: &str, value_type: Type) -> ObjectField {
    ObjectField::new(name, value_type)
}

fn env() -> Env {
    let fields = fields().into_iter().map(|(name, value_type, _)| field(name, value_type)).collect();
    Env::new(vec![("facts".into(), Type::Object(Arc::new(ObjectType { name: "facts".into(), fields })))])
}

/// A small generator of numbers: the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const INTS: [&str; 9] = ["0", "1", "-1", "2", "3", "17", "18", "9223372036854775807", "-9223372036854775808"];
const UINTS: [&str; 5] = ["0u", "1u", "2u", "18u", "18446744073709551615u"];
const DOUBLES: [&str; 7] = ["0.0", "1.0", "-1.5", "18.0", "0.1", "1e300", "100.25"];
const TEXTS: [&str; 7] = ["''", "'US'", "'CA'", "'a'", "'ab'", "'é1'", "'x@y.com'"];
const TIMES: [&str; 3] =
    ["timestamp('2020-01-01T00:00:00Z')", "timestamp('2026-06-30T23:59:59.5Z')", "timestamp('1969-12-31T00:00:00Z')"];
const LENGTHS: [&str; 4] = ["duration('0s')", "duration('1h30m')", "duration('-2.5s')", "duration('1000000s')"];

struct Generator<'a> {
    random: &'a mut Random,
    locals: Vec<(String, Kind)>,
}

impl Generator<'_> {
    fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.random.below(5) == 0 {
            return self.leaf(kind);
        }
        if self.random.below(12) == 0 {
            let condition = self.expression(Kind::Bool, depth - 1);
            let (left, right) = (self.expression(kind, depth - 1), self.expression(kind, depth - 1));
            return format!("({condition} ? {left} : {right})");
        }
        match kind {
            Kind::Bool => self.condition(depth - 1),
            Kind::Int => self.int(depth - 1),
            Kind::Uint => self.arithmetic(Kind::Uint, depth - 1),
            Kind::Double => match self.random.below(4) {
                0 => format!("double({})", self.expression(Kind::Int, depth - 1)),
                _ => self.arithmetic(Kind::Double, depth - 1),
            },
            Kind::Text => match self.random.below(4) {
                0 => format!("string({})", self.expression(Kind::Int, depth - 1)),
                1 => format!("{}[{}]", self.expression(Kind::Texts, depth - 1), self.random.below(3)),
                _ => {
                    format!("({} + {})", self.expression(Kind::Text, depth - 1), self.expression(Kind::Text, depth - 1))
                }
            },
            Kind::Ints | Kind::Texts => self.list(kind, depth - 1),
            Kind::Items | Kind::Counts => self.leaf(kind),
            Kind::Time => {
                format!("({} + {})", self.expression(Kind::Time, depth - 1), self.expression(Kind::Length, depth - 1))
            }
            Kind::Length => match self.random.below(2) {
                0 => {
                    format!("({} - {})", self.expression(Kind::Time, depth - 1), self.expression(Kind::Time, depth - 1))
                }
                _ => format!(
                    "({} + {})",
                    self.expression(Kind::Length, depth - 1),
                    self.expression(Kind::Length, depth - 1)
                ),
            },
        }
    }

    fn leaf(&mut self, kind: Kind) -> String {
        let known: Vec<_> = self.locals.iter().filter(|local| local.1 == kind).map(|local| local.0.clone()).collect();
        if !known.is_empty() && self.random.below(2) == 0 {
            return known[self.random.below(known.len())].clone();
        }
        let declared: Vec<_> = fields().into_iter().filter(|field| field.2 == kind).map(|field| field.0).collect();
        if !declared.is_empty() && self.random.below(3) > 0 {
            return format!("facts.{}", declared[self.random.below(declared.len())]);
        }
        match kind {
            Kind::Bool => self.random.pick(&["true", "false"]).into(),
            Kind::Int => self.random.pick(&INTS).into(),
            Kind::Uint => self.random.pick(&UINTS).into(),
            Kind::Double => self.random.pick(&DOUBLES).into(),
            Kind::Text => self.random.pick(&TEXTS).into(),
            Kind::Ints => self.random.pick(&["[1]", "[3, 2, 1, 0]", "[18, 17]"]).into(),
            Kind::Texts => self.random.pick(&["['US', 'CA', 'GB']", "['a', 'ab']"]).into(),
            Kind::Items => "facts.items".into(),
            Kind::Counts => self.random.pick(&["facts.counts", "{'a': 1, 'b': 2}"]).into(),
            Kind::Time => self.random.pick(&TIMES).into(),
            Kind::Length => self.random.pick(&LENGTHS).into(),
        }
    }

    fn arithmetic(&mut self, kind: Kind, depth: usize) -> String {
        let operators: &[&str] = if kind == Kind::Double { &["+", "-", "*", "/"] } else { &["+", "-", "*", "/", "%"] };
        let operator = self.random.pick(operators);
        format!("({} {operator} {})", self.expression(kind, depth), self.expression(kind, depth))
    }

    fn int(&mut self, depth: usize) -> String {
        match self.random.below(8) {
            0 => format!("size({})", self.expression(Kind::Text, depth)),
            1 => format!("{}.size()", self.expression(Kind::Ints, depth)),
            2 => format!("int({})", self.expression(Kind::Double, depth)),
            3 => format!("{}[{}]", self.expression(Kind::Counts, depth), self.random.pick(&["'a'", "'b'", "'c'"])),
            4 => format!(
                "{}.{}()",
                self.expression(Kind::Time, depth),
                self.random.pick(&["getFullYear", "getMonth", "getDayOfWeek", "getHours", "getDayOfYear"])
            ),
            5 => format!("{}[{}]", self.expression(Kind::Ints, depth), self.random.below(4)),
            _ => self.arithmetic(Kind::Int, depth),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.random.below(13) {
            0..=2 => format!("({} && {})", self.expression(Kind::Bool, depth), self.expression(Kind::Bool, depth)),
            3..=4 => format!("({} || {})", self.expression(Kind::Bool, depth), self.expression(Kind::Bool, depth)),
            5 => format!("!({})", self.expression(Kind::Bool, depth)),
            6..=7 => self.comparison(depth),
            8 => {
                let method = self.random.pick(&["startsWith", "endsWith", "contains"]);
                format!("{}.{method}({})", self.expression(Kind::Text, depth), self.expression(Kind::Text, depth))
            }
            9 => format!(
                "{}.matches({})",
                self.expression(Kind::Text, depth),
                self.random.pick(&["'^[a-z]+'", "'U'", "'.+@.+'", "'^$'"])
            ),
            10 => {
                let (item, list) =
                    if self.random.below(2) == 0 { (Kind::Int, Kind::Ints) } else { (Kind::Text, Kind::Texts) };
                format!("({} in {})", self.expression(item, depth), self.expression(list, depth))
            }
            11 => {
                let fields = fields();
                format!("has(facts.{})", fields[self.random.below(fields.len())].0)
            }
            _ => self.quantifier(depth),
        }
    }

    fn comparison(&mut self, depth: usize) -> String {
        let kinds = [Kind::Int, Kind::Uint, Kind::Double, Kind::Text, Kind::Bool, Kind::Time, Kind::Length];
        let left = kinds[self.random.below(kinds.len())];
        let mixes = matches!(left, Kind::Int | Kind::Uint | Kind::Double) && self.random.below(3) == 0;
        let right = if mixes { kinds[self.random.below(3)] } else { left };
        let orders = ["<", "<=", ">", ">="];
        let operator = if left == right {
            self.random.pick(&["==", "!=", "<", "<=", ">", ">="])
        } else {
            self.random.pick(&orders)
        };
        format!("({} {operator} {})", self.expression(left, depth), self.expression(right, depth))
    }

    fn quantifier(&mut self, depth: usize) -> String {
        let name = self.random.pick(&["all", "exists", "exists_one"]);
        let variable = format!("v{}", self.locals.len());
        let (list, bound): (String, Vec<(String, Kind)>) = match self.random.below(3) {
            0 => (self.expression(Kind::Ints, depth), vec![(variable.clone(), Kind::Int)]),
            1 => (self.expression(Kind::Texts, depth), vec![(variable.clone(), Kind::Text)]),
            _ => (
                "facts.items".into(),
                vec![
                    (format!("{variable}.price"), Kind::Double),
                    (format!("{variable}.qty"), Kind::Int),
                    (format!("{variable}.tag"), Kind::Text),
                ],
            ),
        };
        let before = self.locals.len();
        self.locals.extend(bound);
        let condition = self.expression(Kind::Bool, depth);
        self.locals.truncate(before);
        format!("{list}.{name}({variable}, {condition})")
    }

    fn list(&mut self, kind: Kind, depth: usize) -> String {
        let item = if kind == Kind::Ints { Kind::Int } else { Kind::Text };
        let variable = format!("v{}", self.locals.len());
        match self.random.below(4) {
            0 => format!("({} + {})", self.expression(kind, depth), self.expression(kind, depth)),
            1 => format!("[{}, {}]", self.expression(item, depth), self.expression(item, depth)),
            choice => {
                let source = self.expression(kind, depth);
                self.locals.push((variable.clone(), item));
                let made = if choice == 2 {
                    format!("{source}.filter({variable}, {})", self.expression(Kind::Bool, depth))
                } else {
                    format!("{source}.map({variable}, {})", self.expression(item, depth))
                };
                self.locals.pop();
                made
            }
        }
    }
}

/// Facts, some of which are missing.
fn facts(random: &mut Random) -> Vec<(&'static str, Value)> {
    let mut facts = Vec::new();
    for (name, _, kind) in fields() {
        if random.below(6) > 0 {
            facts.push((name, fact(random, kind)));
        }
    }
    facts
}

fn fact(random: &mut Random, kind: Kind) -> Value {
    let int = |random: &mut Random| Value::Int([0, 1, -1, 2, 17, 18, 40, i64::MAX, i64::MIN][random.below(9)]);
    let text = |random: &mut Random| Value::from(["", "US", "CA", "a", "ab", "é1", "x@y.com"][random.below(7)]);
    let double =
        |random: &mut Random| Value::Double([0.0, -1.5, 18.0, 100.25, 1e300, f64::NAN, f64::INFINITY][random.below(7)]);
    let list = |random: &mut Random, make: &dyn Fn(&mut Random) -> Value| {
        let length = random.below(4);
        Value::list((0..length).map(|_| make(random)).collect())
    };
    match kind {
        Kind::Bool => Value::Bool(random.below(2) == 0),
        Kind::Int => int(random),
        Kind::Uint => Value::Uint([0, 1, 2, 18, u64::MAX][random.below(5)]),
        Kind::Double => double(random),
        Kind::Text => text(random),
        Kind::Ints => list(random, &int),
        Kind::Texts => list(random, &text),
        Kind::Items => list(random, &|random| {
            let mut map = MapValue::default();
            map.insert("price".into(), double(random));
            if random.below(4) > 0 {
                map.insert("qty".into(), int(random));
            }
            map.insert("tag".into(), text(random));
            Value::Map(Arc::new(map))
        }),
        Kind::Counts => {
            let mut map = MapValue::default();
            for key in ["a", "b"] {
                if random.below(3) > 0 {
                    map.insert(key.into(), int(random));
                }
            }
            Value::Map(Arc::new(map))
        }
        Kind::Time => Value::Timestamp(
            chrono::DateTime::from_timestamp([0, 1_577_836_800, -86_400, 1_900_000_000][random.below(4)], 0).unwrap(),
        ),
        Kind::Length => {
            Value::Duration(chrono::TimeDelta::milliseconds([0, 5_400_000, -2_500, 86_400_000][random.below(4)]))
        }
    }
}

fn to_raw(value: &Value) -> Raw {
    match value {
        Value::Bool(value) => Raw::Bool(*value),
        Value::Int(value) => Raw::Int(*value),
        Value::Uint(value) => Raw::UInt(*value),
        Value::Double(value) => Raw::Float(*value),
        Value::String(value) => Raw::String(Arc::new(value.to_string())),
        Value::Timestamp(value) => Raw::Timestamp(value.fixed_offset()),
        Value::Duration(value) => Raw::Duration(*value),
        Value::List(items) => Raw::List(Arc::new(items.iter().map(to_raw).collect())),
        Value::Map(map) => Raw::from(
            map.iter()
                .map(|(key, value)| (Key::from(key.as_str().unwrap()), to_raw(value)))
                .collect::<HashMap<Key, Raw>>(),
        ),
        other => panic!("{other:?} is no fact"),
    }
}

fn is_same(ours: &Value, theirs: &Raw) -> bool {
    match (ours, theirs) {
        (Value::Double(ours), Raw::Float(theirs)) => ours == theirs || (ours.is_nan() && theirs.is_nan()),
        (Value::List(ours), Raw::List(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs.iter()).all(|(ours, theirs)| is_same(ours, theirs))
        }
        _ => to_raw(ours) == *theirs,
    }
}
