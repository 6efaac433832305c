//! Fields: their types, and what their values must satisfy.

use std::fmt;

use serde_json::Value;

use crate::config::limits;

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name; `items` and `values` for what a list or a map holds.
    pub name: String,
    /// Its type.
    pub field_type: FieldType,
    /// Whether facts without it are refused.
    pub required: bool,
    /// What its values must satisfy.
    pub bounds: Bounds,
    /// Whether its values are masked wherever facts are shown.
    pub sensitive: bool,
    /// What it is for.
    pub description: Option<String>,
}

/// The type of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// `int`: 64 bits, signed.
    Int,
    /// `uint`: 64 bits, unsigned.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bool`.
    Bool,
    /// `bytes`, in JSON as base64.
    Bytes,
    /// `timestamp`, in JSON as RFC 3339.
    Timestamp,
    /// `duration`, in JSON as CEL writes it: `1h30m`, `2.5s`.
    Duration,
    /// Any JSON value.
    Dyn,
    /// `list<T>`; its elements have bounds of their own.
    List(Box<Field>),
    /// `map<string, T>`; its values have bounds of their own.
    Map(Box<Field>),
    /// An object inside an object; its fields by name.
    Object(Vec<Field>),
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// The only values allowed, if any are named; each as its type has it (`1.0` for a `double`, `1` for an `int`).
    pub allowed: Vec<Value>,
    /// Characters of a string, or bytes of `bytes`, at most; characters of each text and key inside of a `dyn`.
    pub max_length: Option<u64>,
    /// Elements of a list or entries of a map, at most; of each one inside of a `dyn`.
    pub max_items: Option<u64>,
    /// Lists and maps inside of each other in a `dyn`, at most.
    pub max_depth: Option<u64>,
    /// The least number allowed; a whole number within ±2^53 for `int` and `uint`.
    pub minimum: Option<f64>,
    /// The greatest number allowed; a whole number within ±2^53 for `int` and `uint`.
    pub maximum: Option<f64>,
}

impl Field {
    /// A field of which nothing is said but its type.
    pub fn plain(name: impl Into<String>, field_type: FieldType) -> Self {
        Self {
            name: name.into(),
            field_type,
            required: false,
            bounds: Bounds::default(),
            sensitive: false,
            description: None,
        }
    }

    /// Characters of a string, or bytes of `bytes`, at most: what the schema says, or the default.
    pub fn length_max(&self) -> u64 {
        self.bounds.max_length.unwrap_or(limits::STRING_CHARS_DEFAULT_MAX)
    }

    /// Elements of a list or entries of a map, at most: what the schema says, or the default.
    pub fn items_max(&self) -> u64 {
        self.bounds.max_items.unwrap_or(limits::LIST_ITEMS_DEFAULT_MAX)
    }
}

/// Two bounds are equal if the same values satisfy them; the order of an enumeration says nothing.
impl PartialEq for Bounds {
    fn eq(&self, other: &Self) -> bool {
        let subset = |some: &[Value], all: &[Value]| some.iter().all(|value| all.contains(value));
        subset(&self.allowed, &other.allowed)
            && subset(&other.allowed, &self.allowed)
            && self.max_length == other.max_length
            && self.max_items == other.max_items
            && self.max_depth == other.max_depth
            && self.minimum == other.minimum
            && self.maximum == other.maximum
    }
}

/// The type as a schema names it.
impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bool => f.write_str("bool"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Dyn => f.write_str("dyn"),
            Self::List(items) => write!(f, "list<{}>", items.field_type),
            Self::Map(values) => write!(f, "map<string, {}>", values.field_type),
            Self::Object(_) => f.write_str("object"),
        }
    }
}
