//! Types, schemas, and facts that fit them.

use std::sync::Arc;

use super::{Dialect, Random};
use crate::cel::{Env, MapValue, ObjectField, ObjectType, ObjectValue, Type, Value};

const NAMES: [&str; 16] = [
    "age", "any", "at", "city", "count", "country", "email", "id", "items", "level", "member", "name", "owner",
    "score", "since", "tags",
];
const INTS: [i64; 11] = [0, 1, -1, 2, 3, 17, 18, 40, 1_700_000_000, i64::MAX, i64::MIN];
const UINTS: [u64; 5] = [0, 1, 2, 18, u64::MAX];
const DOUBLES: [f64; 12] =
    [0.0, -0.0, -1.5, 2.5, 18.0, 100.25, 1e300, 9.3e18, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0];
const TEXTS: [&str; 12] = ["", "US", "CA", "a", "ab", "é1", " b\t", "x@y.com", "日本語", "18", "a,b,,c", "one two one"];
const BYTES: [&[u8]; 4] = [b"", b"a", b"\xff\x00", "é".as_bytes()];
const SECONDS: [i64; 6] = [0, 1_577_836_800, -86_400, 1_900_000_000, 1_616_893_200, 253_402_300_799];
const MILLISECONDS: [i64; 7] = [0, 5_400_000, -2_500, 86_400_000, 1, -1, 999_999_999_999];

/// The types of the facts.
pub struct Schema {
    /// The object of which `facts` is one.
    pub object: Arc<ObjectType>,
}

/// A type without parts.
pub fn scalar(random: &mut Random) -> Type {
    match random.below(14) {
        0..3 => Type::Int,
        3..6 => Type::String,
        6..8 => Type::Double,
        8..10 => Type::Bool,
        10 => Type::Uint,
        11 => Type::Timestamp,
        12 => Type::Duration,
        _ => Type::Bytes,
    }
}

/// The type of a map's keys.
pub fn key(random: &mut Random) -> Type {
    match random.below(6) {
        0 => Type::Int,
        1 => Type::Bool,
        2 => Type::Uint,
        _ => Type::String,
    }
}

/// A type whose values both implementations show alike.
pub fn comparable(random: &mut Random, depth: usize) -> Type {
    match random.below(6) {
        0..2 if depth > 0 => Type::list(comparable(random, depth - 1)),
        2 if depth > 0 => Type::map(key(random), comparable(random, depth - 1)),
        _ => scalar(random),
    }
}

/// A type that a sub-expression may have.
pub fn any(random: &mut Random, dialect: Dialect) -> Type {
    match random.below(16) {
        0 => Type::optional(comparable(random, 1)),
        3 => Type::Type(scalar(random).into()),
        1 if dialect == Dialect::Whole => Type::named("net.IP"),
        2 if dialect == Dialect::Whole => Type::named("net.CIDR"),
        4 if dialect == Dialect::Whole => Type::named(["url", "quantity", "semver"][random.below(3)]),
        _ => comparable(random, 2),
    }
}

/// A random schema: few or many fields, flat or nested.
pub fn schema(random: &mut Random, dialect: Dialect) -> Schema {
    let count = 3 + random.below(10);
    Schema { object: object("facts", random, dialect, count, 2) }
}

fn object(name: &str, random: &mut Random, dialect: Dialect, count: usize, depth: usize) -> Arc<ObjectType> {
    let mut names: Vec<&str> = NAMES.to_vec();
    while names.len() > count {
        names.remove(random.below(names.len()));
    }
    let fields = names.into_iter().map(|name| {
        let value_type = match random.below(8) {
            0 if depth > 0 => Type::Object(nested(name, random, dialect, depth)),
            1 if depth > 0 => Type::list(Type::Object(nested(name, random, dialect, depth))),
            2 if random.once_in(4) => Type::Dyn,
            _ => comparable(random, depth),
        };
        ObjectField::new(name, value_type)
    });
    Arc::new(ObjectType { name: name.to_owned(), fields: fields.collect() })
}

fn nested(name: &str, random: &mut Random, dialect: Dialect, depth: usize) -> Arc<ObjectType> {
    let count = 1 + random.below(4);
    object(&format!("{name}_type"), random, dialect, count, depth - 1)
}

impl Schema {
    /// The environment in which `facts` is of this schema.
    pub fn env(&self) -> Env {
        Env::new(vec![("facts".to_owned(), Type::Object(Arc::clone(&self.object)))])
    }

    /// Facts, some of which are missing.
    pub fn facts(&self, random: &mut Random) -> Vec<(String, Value)> {
        let mut facts = Vec::new();
        for field in &self.object.fields {
            if !random.once_in(7) {
                facts.push((field.name.clone(), value(random, &field.value_type)));
            }
        }
        facts
    }
}

/// A value of a type.
fn value(random: &mut Random, value_type: &Type) -> Value {
    match value_type {
        Type::Bool => Value::Bool(random.once_in(2)),
        Type::Int => Value::Int(*random.pick(&INTS)),
        Type::Uint => Value::Uint(*random.pick(&UINTS)),
        Type::Double => Value::Double(*random.pick(&DOUBLES)),
        Type::String => Value::from(*random.pick(&TEXTS)),
        Type::Bytes => Value::Bytes((*random.pick(&BYTES)).into()),
        Type::Timestamp => Value::Timestamp(chrono::DateTime::from_timestamp(*random.pick(&SECONDS), 0).unwrap()),
        Type::Duration => Value::Duration(chrono::TimeDelta::milliseconds(*random.pick(&MILLISECONDS))),
        Type::List(element) => Value::list((0..random.below(4)).map(|_| value(random, element)).collect()),
        Type::Map(key, element) => {
            let mut map = MapValue::default();
            for _ in 0..random.below(4) {
                map.insert(value(random, key), value(random, element));
            }
            Value::Map(Arc::new(map))
        }
        Type::Object(object) => {
            let fields = object.fields.iter();
            let fields = fields.map(|field| (!random.once_in(6)).then(|| value(random, &field.value_type))).collect();
            Value::Object(Arc::new(ObjectValue::new(Arc::clone(object), fields)))
        }
        Type::Dyn => {
            let found = if random.once_in(12) { Type::Null } else { comparable(random, 2) };
            value(random, &found)
        }
        Type::Null => Value::Null,
        other => panic!("no fact is of type {other}"),
    }
}
