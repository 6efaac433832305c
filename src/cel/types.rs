//! The types of CEL, and how they are written. Not how they are checked: that is `check`.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{allowed::Allowed, size::Size};

/// A static type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// Known at run time only.
    Dyn,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`: 64 bits, signed.
    Int,
    /// `uint`: 64 bits, unsigned.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// A list of one type.
    List(Arc<Type>),
    /// A map from keys of one type to values of another.
    Map(Arc<Type>, Arc<Type>),
    /// An object with known fields.
    Object(Arc<ObjectType>),
    /// The type of a type.
    Type(Arc<Type>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A named type without fields, perhaps with parameters: `net.IP`.
    Abstract(Arc<str>, Arc<[Type]>),
    /// A type parameter of a declaration: `A`.
    Parameter(Arc<str>),
    /// A type still to be found by the checker; no checked expression has one.
    Variable(u32),
}

/// Between the names of the places of a schema that an object may be from.
const EITHER: &str = " or ";

/// An object's name and fields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectType {
    /// Its name: the place of the schema, or each of them.
    pub name: String,
    /// Its fields, sorted by name: their place here is their slot.
    pub fields: Vec<ObjectField>,
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub value_type: Type,
    /// How large its value can be; for the cost estimate.
    pub size: Size,
    /// Which values it may have, if only some.
    pub allowed: Allowed,
    /// Whether neither its value nor what is computed from it may be shown.
    pub is_sensitive: bool,
}

impl ObjectField {
    /// A field whose value is as large as one of its type can be where nothing is said.
    pub fn new(name: impl Into<String>, value_type: Type) -> Self {
        let size = Size::of_type(&value_type);
        Self { name: name.into(), size, value_type, allowed: Allowed::default(), is_sensitive: false }
    }
}

impl ObjectType {
    /// Where `name` stands among the fields.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&ObjectField> {
        self.position(name).and_then(|position| self.fields.get(position))
    }

    /// Whether both have fields of the same names, which then have the same places.
    pub(super) fn has_fields_of(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(left, right)| left.name == right.name)
    }

    /// Whether both have the same shape: fields of the same names, whose types have the same shape.
    fn is_alike(&self, other: &Self) -> bool {
        let types_alike = |(left, right): (&ObjectField, &ObjectField)| left.value_type.is_alike(&right.value_type);
        self.has_fields_of(other) && self.fields.iter().zip(&other.fields).all(types_alike)
    }

    /// The places of the schema that it may be from.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.name.split(EITHER)
    }

    fn either_name(&self, other: &Self) -> String {
        let places: BTreeSet<&str> = self.places().chain(other.places()).collect();
        places.into_iter().collect::<Vec<_>>().join(EITHER)
    }

    /// The type of objects that may be of either, which are of one shape.
    fn or(&self, other: &Self) -> Self {
        let both = |(left, right): (&ObjectField, &ObjectField)| ObjectField {
            name: left.name.clone(),
            value_type: left.value_type.or(&right.value_type),
            size: left.size.clone().or(&right.size),
            allowed: left.allowed.or(&right.allowed),
            is_sensitive: left.is_sensitive || right.is_sensitive,
        };
        Self { name: self.either_name(other), fields: self.fields.iter().zip(&other.fields).map(both).collect() }
    }
}

impl Type {
    /// A list of `element`.
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map from `key` to `value`.
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// An optional `value`.
    pub fn optional(value: Self) -> Self {
        Self::Optional(Arc::new(value))
    }

    /// A named type without parameters.
    pub fn named(name: &str) -> Self {
        Self::Abstract(name.into(), Arc::new([]))
    }

    /// Whether a value of this type is known to be a number.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether the type has no parts, and fits only itself and `dyn`.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Uint | Self::Double | Self::String | Self::Bytes)
    }

    /// Whether both are the same but for the names of objects, and for what the schema says of their fields beside the
    /// type: a schema gives each place an object type of its own.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right) || left.is_alike(right),
            (Self::List(left), Self::List(right))
            | (Self::Optional(left), Self::Optional(right))
            | (Self::Type(left), Self::Type(right)) => left.is_alike(right),
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                left_key.is_alike(right_key) && left.is_alike(right)
            }
            _ => self == other,
        }
    }

    /// This type, which takes whatever `other` does, for values of either: their objects are as large as the larger ones,
    /// may have the values of either, and what is sensitive in one of them is sensitive.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            _ if self == other => self.clone(),
            (Self::Object(left), Self::Object(right)) => Self::Object(Arc::new(left.or(right))),
            (Self::List(left), Self::List(right)) => Self::list(left.or(right)),
            (Self::Optional(left), Self::Optional(right)) => Self::optional(left.or(right)),
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                Self::map(left_key.or(right_key), left.or(right))
            }
            _ => self.clone(),
        }
    }

    /// Whether a type parameter occurs in it.
    pub(super) fn has_parameter(&self) -> bool {
        match self {
            Self::Parameter(_) => true,
            Self::List(inner) | Self::Optional(inner) | Self::Type(inner) => inner.has_parameter(),
            Self::Map(key, value) => key.has_parameter() || value.has_parameter(),
            Self::Abstract(_, parameters) => parameters.iter().any(Self::has_parameter),
            _ => false,
        }
    }

    /// The name that `type()` gives a value of this type.
    pub fn runtime_name(&self) -> String {
        match self {
            Self::Null => "null_type".to_owned(),
            Self::List(_) => "list".to_owned(),
            Self::Map(..) => "map".to_owned(),
            Self::Type(_) => "type".to_owned(),
            Self::Optional(_) => "optional_type".to_owned(),
            Self::Abstract(name, _) => name.to_string(),
            Self::Object(object) => object.name.clone(),
            Self::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Self::Duration => "google.protobuf.Duration".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Type(inner) => write!(f, "type({inner})"),
            Self::Optional(inner) => write!(f, "optional({inner})"),
            Self::Abstract(name, parameters) => {
                f.write_str(name)?;
                for (index, parameter) in parameters.iter().enumerate() {
                    write!(f, "{}{parameter}", if index == 0 { "(" } else { ", " })?;
                }
                if parameters.is_empty() { Ok(()) } else { f.write_str(")") }
            }
            Self::Parameter(name) => f.write_str(name),
            Self::Variable(_) => f.write_str("dyn"),
        }
    }
}
