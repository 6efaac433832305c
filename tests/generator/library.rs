//! What expressions are made of: every function and operator with its types, and the names of the macros.
//!
//! Beside the types of the language there are those of arguments that only some texts or numbers make sense for, such as
//! `pattern`; `literal` says how they are written.

use std::{collections::HashMap, sync::LazyLock};

use super::Dialect;
use crate::cel::Type;

/// One way to call a function.
pub struct Overload {
    pub name: &'static str,
    pub is_member: bool,
    pub parameters: Vec<Type>,
    pub result: Type,
    pub dialect: Dialect,
}

/// Functions that the `cel` crate has as well. Comparisons, whose types are many, are added to them.
const SHARED: &str = "
    _+_(int, int): int | _+_(uint, uint): uint | _+_(double, double): double | _+_(string, string): string
    _+_(bytes, bytes): bytes | _+_(list(A), list(A)): list(A) | _+_(timestamp, duration): timestamp
    _+_(duration, timestamp): timestamp | _+_(duration, duration): duration
    _-_(int, int): int | _-_(uint, uint): uint | _-_(double, double): double | _-_(timestamp, timestamp): duration
    _-_(timestamp, duration): timestamp | _-_(duration, duration): duration
    _*_(int, int): int | _*_(uint, uint): uint | _*_(double, double): double
    _/_(int, int): int | _/_(uint, uint): uint | _/_(double, double): double
    _%_(int, int): int | _%_(uint, uint): uint
    -_(int): int | -_(double): double | !_(bool): bool
    _==_(A, A): bool | _!=_(A, A): bool | @in(A, list(A)): bool | @in(K, map(K, B)): bool
    _[_](list(A), small): A | _[_](map(K, A), K): A
    _[?_](list(A), small): optional(A) | _[?_](map(K, A), K): optional(A)
    _?_:_(bool, A, A): A
    bool(bool): bool | bool(truth): bool | int(int): int | int(uint): int | int(double): int | int(number): int
    int(timestamp): int | uint(uint): uint | uint(int): uint | uint(double): uint | uint(number): uint
    double(double): double | double(int): double | double(uint): double | double(number): double
    string(string): string | string(bool): string | string(int): string | string(uint): string
    string(bytes): string | string(timestamp): string | string(duration): string | bytes(bytes): bytes
    bytes(string): bytes | timestamp(timestamp): timestamp | timestamp(time): timestamp | timestamp(second): timestamp
    duration(duration): duration | duration(length): duration | type(A): type(A)
    string.contains(string): bool | string.startsWith(string): bool | string.endsWith(string): bool
    matches(string, pattern): bool | string.matches(pattern): bool
    size(string): int | size(bytes): int | size(list(A)): int | size(map(K, A)): int
    string.size(): int | bytes.size(): int | list(A).size(): int | map(K, A).size(): int
    timestamp.getFullYear(): int | timestamp.getFullYear(zone): int | timestamp.getMonth(): int
    timestamp.getMonth(zone): int | timestamp.getDayOfYear(): int | timestamp.getDayOfYear(zone): int
    timestamp.getDayOfMonth(): int | timestamp.getDayOfMonth(zone): int | timestamp.getDate(): int
    timestamp.getDate(zone): int | timestamp.getDayOfWeek(): int | timestamp.getDayOfWeek(zone): int
    timestamp.getHours(): int | timestamp.getHours(zone): int | timestamp.getMinutes(): int
    timestamp.getMinutes(zone): int | timestamp.getSeconds(): int | timestamp.getSeconds(zone): int
    timestamp.getMilliseconds(): int | timestamp.getMilliseconds(zone): int
    duration.getHours(): int | duration.getMinutes(): int | duration.getSeconds(): int
    string.charAt(small): string | string.indexOf(string): int | string.indexOf(string, small): int
    string.lastIndexOf(string): int | string.lastIndexOf(string, small): int | string.lowerAscii(): string
    string.upperAscii(): string | string.trim(): string | string.reverse(): string | list(A).reverse(): list(A)
    strings.quote(string): string | string.replace(string, string): string
    string.replace(string, string, small): string | string.split(string): list(string)
    string.split(string, small): list(string) | string.substring(small): string
    string.substring(small, small): string | list(string).join(): string | list(string).join(string): string
    math.greatest(int): int | math.greatest(int, int): int | math.greatest(double, double, double): double
    math.greatest(uint, uint): uint | math.greatest(list(int)): int | math.greatest(list(double)): double
    math.least(int): int | math.least(int, int): int | math.least(double, double, double): double
    math.least(uint, uint): uint | math.least(list(int)): int | math.least(list(uint)): uint
    math.ceil(double): double | math.floor(double): double | math.round(double): double | math.trunc(double): double
    math.isNaN(double): bool | math.isInf(double): bool | math.isFinite(double): bool
    math.bitAnd(int, int): int | math.bitAnd(uint, uint): uint | math.bitOr(int, int): int
    math.bitOr(uint, uint): uint | math.bitXor(int, int): int | math.bitXor(uint, uint): uint
    math.bitNot(int): int | math.bitNot(uint): uint | math.bitShiftLeft(int, small): int
    math.bitShiftLeft(uint, small): uint | math.bitShiftRight(int, small): int
    math.bitShiftRight(uint, small): uint | math.abs(int): int | math.abs(uint): uint | math.abs(double): double
    math.sign(int): int | math.sign(uint): uint | math.sign(double): double
    math.sqrt(int): double | math.sqrt(uint): double | math.sqrt(double): double
    lists.range(count): list(int) | list(A).distinct(): list(A) | list(list(A)).flatten(): list(A)
    list(A).slice(small, small): list(A)
    list(int).sort(): list(int) | list(uint).sort(): list(uint) | list(double).sort(): list(double)
    list(bool).sort(): list(bool) | list(string).sort(): list(string) | list(bytes).sort(): list(bytes)
    list(timestamp).sort(): list(timestamp) | list(duration).sort(): list(duration)
    optional.of(A): optional(A) | optional.ofNonZeroValue(A): optional(A) | optional(A).hasValue(): bool
    optional(A).value(): A | optional(A).or(optional(A)): optional(A) | optional(A).orValue(A): A
    base64.encode(bytes): string | base64.decode(encoded): bytes";

/// Functions that only we have, and two that the other implementation gives something else for:
/// `duration.getMilliseconds()` is the part below a second in the language's conformance suite, and the whole length
/// there; `string` of an infinity is `+Inf` or `-Inf`, as in the language's first implementation, and `inf` or `-inf`
/// there.
const OURS: &str = "
    duration.getMilliseconds(): int | string(double): string | sets.contains(list(A), list(A)): bool
    sets.equivalent(list(A), list(A)): bool
    sets.intersects(list(A), list(A)): bool | list(A).first(): optional(A) | list(A).last(): optional(A)
    optional.unwrap(list(optional(A))): list(A) | list(optional(A)).unwrapOpt(): list(A)
    regex.extract(string, group): optional(string) | regex.extractAll(string, group): list(string)
    regex.replace(string, pattern, string): string | regex.replace(string, pattern, string, small): string
    ip(address): IP | CIDR.ip(): IP | isIP(address): bool | isCIDR(range): bool | ip.isCanonical(address): bool
    cidr(range): CIDR | IP.family(): int | IP.isUnspecified(): bool | IP.isLoopback(): bool
    IP.isGlobalUnicast(): bool | IP.isLinkLocalUnicast(): bool | IP.isLinkLocalMulticast(): bool
    CIDR.containsIP(IP): bool | CIDR.containsIP(address): bool | CIDR.containsCIDR(CIDR): bool
    CIDR.containsCIDR(range): bool | CIDR.masked(): CIDR | CIDR.prefixLength(): int
    string(IP): string | string(CIDR): string
    bytes.contains(bytes): bool | bytes.startsWith(bytes): bool | bytes.endsWith(bytes): bool
    list(A).indexOf(A): int | list(A).lastIndexOf(A): int | list(A).unique(): bool
    list(int).sum(): int | list(uint).sum(): uint | list(double).sum(): double | list(duration).sum(): duration
    list(int).avg(): double | list(uint).avg(): double | list(double).avg(): double
    list(bool).min(): bool | list(int).min(): int | list(uint).min(): uint | list(double).min(): double
    list(string).min(): string | list(bytes).min(): bytes | list(timestamp).min(): timestamp
    list(duration).min(): duration
    list(bool).max(): bool | list(int).max(): int | list(uint).max(): uint | list(double).max(): double
    list(string).max(): string | list(bytes).max(): bytes | list(timestamp).max(): timestamp
    list(duration).max(): duration | list(int).isSorted(): bool | list(string).isSorted(): bool
    list(double).isSorted(): bool | list(timestamp).isSorted(): bool
    hasIntersection(list(A), list(A)): bool | list(A).hasIntersection(list(A)): bool
    isSubset(list(A), list(A)): bool | list(A).isSubset(list(A)): bool
    intersect(list(A), list(A)): list(A) | list(A).intersect(list(A)): list(A)
    except(list(A), list(A)): list(A) | list(A).except(list(A)): list(A)
    double.isNaN(): bool | double.isInf(): bool | double.isInf(small): bool
    string.isEmail(): bool | string.isHostname(): bool | string.isUri(): bool | string.isUriRef(): bool
    address.isIp(): bool | address.isIp(small): bool | range.isIpPrefix(): bool | range.isIpPrefix(small): bool
    range.isIpPrefix(bool): bool | range.isIpPrefix(small, bool): bool | string.isHostAndPort(bool): bool
    address.inIPAddrRange(range): bool | IP.inIPAddrRange(range): bool
    string.find(pattern): string | string.findAll(pattern): list(string) | string.findAll(pattern, small): list(string)
    hash(string, small): int | hash(bytes, small): int | hash(int, small): int | hash(uint, small): int
    url(link): url | isURL(link): bool | url.getScheme(): string | url.getHost(): string | url.getHostname(): string
    url.getPort(): string | url.getEscapedPath(): string | url.getQuery(): map(string, list(string))
    quantity(amount): quantity | isQuantity(amount): bool | quantity.sign(): int | quantity.isInteger(): bool
    quantity.asInteger(): int | quantity.asApproximateFloat(): double | quantity.add(quantity): quantity
    quantity.add(int): quantity | quantity.sub(quantity): quantity | quantity.sub(int): quantity
    quantity.isLessThan(quantity): bool | quantity.isGreaterThan(quantity): bool | quantity.compareTo(quantity): int
    semver(version): semver | semver(version, bool): semver | isSemver(version): bool | isSemver(version, bool): bool
    semver.major(): int | semver.minor(): int | semver.patch(): int | semver.isLessThan(semver): bool
    semver.isGreaterThan(semver): bool | semver.compareTo(semver): int";

const MACROS_SHARED: [&str; 15] = [
    "_&&_",
    "_||_",
    "all",
    "exists",
    "exists_one",
    "filter",
    "map",
    "map with a filter",
    "sortBy",
    "has",
    "optMap",
    "optFlatMap",
    "a.?b",
    "optional element",
    "optional entry",
];
const MACROS_OURS: [&str; 8] = [
    "all of two",
    "exists of two",
    "existsOne of two",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "cel.bind",
    "cel.block",
];
/// Written by hand in the generator, and no macros.
const SPECIAL_SHARED: [&str; 3] = ["dyn", "format", "optional.none"];

/// All ways to call a function or operator.
pub static OVERLOADS: LazyLock<Vec<Overload>> = LazyLock::new(|| {
    let mut overloads = Vec::new();
    for (table, dialect) in [(SHARED, Dialect::Shared), (OURS, Dialect::Whole)] {
        for text in table.split(['|', '\n']).map(str::trim).filter(|text| !text.is_empty()) {
            overloads.push(parse(text, dialect).unwrap_or_else(|| panic!("`{text}` is no signature")));
        }
    }
    let plain = ["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"].map(|name| (name, name));
    let numbers = ["int", "uint", "double"];
    let mixed =
        numbers.iter().flat_map(|left| numbers.map(|right| (*left, right))).filter(|(left, right)| left != right);
    for (left, right) in plain.into_iter().chain(mixed) {
        let type_of = |name: &'static str| parse_type(name).unwrap().0;
        for name in ["_<_", "_<=_", "_>_", "_>=_"] {
            let parameters = vec![type_of(left), type_of(right)];
            let overload =
                Overload { name, is_member: false, parameters, result: Type::Bool, dialect: Dialect::Shared };
            overloads.push(overload);
        }
    }
    overloads
});

/// The names of all that a dialect has.
pub fn names(dialect: Dialect) -> Vec<&'static str> {
    let is_spoken = |overload: &&Overload| dialect == Dialect::Whole || overload.dialect == Dialect::Shared;
    let mut names: Vec<_> = OVERLOADS.iter().filter(is_spoken).map(|overload| overload.name).collect();
    names.extend(MACROS_SHARED.iter().chain(&SPECIAL_SHARED));
    if dialect == Dialect::Whole {
        names.extend(MACROS_OURS);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What the parameters of `pattern` must be for it to be `wanted`; `None` if it cannot.
pub fn unify(pattern: &Type, wanted: &Type, bound: &mut HashMap<String, Type>) -> bool {
    match (pattern, wanted) {
        (Type::Parameter(name), _) => match bound.get(&**name) {
            Some(known) => known == wanted,
            None => {
                let is_key = matches!(wanted, Type::Bool | Type::Int | Type::Uint | Type::String);
                bound.insert(name.to_string(), wanted.clone());
                &**name != "K" || is_key
            }
        },
        (Type::List(pattern), Type::List(wanted)) | (Type::Optional(pattern), Type::Optional(wanted)) => {
            unify(pattern, wanted, bound)
        }
        (Type::Type(pattern), Type::Type(wanted)) => unify(pattern, wanted, bound),
        (Type::Map(key, value), Type::Map(wanted_key, wanted_value)) => {
            unify(key, wanted_key, bound) && unify(value, wanted_value, bound)
        }
        _ => pattern == wanted,
    }
}

fn parse(text: &'static str, dialect: Dialect) -> Option<Overload> {
    let (target, rest) = match parse_type(text) {
        Some((target, rest)) if rest.starts_with('.') => (Some(target), rest.strip_prefix('.')?),
        _ => (None, text),
    };
    let (name, rest) = rest.split_at(rest.find('(')?);
    let is_member = target.is_some();
    let (more, rest) = parse_list(rest.strip_prefix('(')?)?;
    let (result, rest) = parse_type(rest.strip_prefix(": ")?)?;
    let parameters = target.into_iter().chain(more).collect();
    rest.is_empty().then_some(Overload { name, is_member, parameters, result, dialect })
}

fn parse_list(mut text: &str) -> Option<(Vec<Type>, &str)> {
    let mut types = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(')') {
            return Some((types, rest));
        }
        let (found, rest) = parse_type(text.strip_prefix(", ").unwrap_or(text))?;
        types.push(found);
        text = rest;
    }
}

fn parse_type(text: &str) -> Option<(Type, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut inner = Vec::new().into_iter();
    if matches!(name, "list" | "map" | "optional" | "type") {
        let (types, after) = parse_list(rest.strip_prefix('(')?)?;
        (inner, rest) = (types.into_iter(), after);
    }
    let found = match name {
        "list" => Type::list(inner.next()?),
        "map" => Type::map(inner.next()?, inner.next()?),
        "optional" => Type::optional(inner.next()?),
        "type" => Type::Type(inner.next()?.into()),
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "A" | "B" | "K" => Type::Parameter(name.into()),
        "IP" => Type::named("net.IP"),
        "CIDR" => Type::named("net.CIDR"),
        "url" | "quantity" | "semver" | "link" | "amount" | "version" => Type::named(name),
        "small" | "count" | "truth" | "number" | "second" | "time" | "length" | "pattern" | "group" | "zone"
        | "encoded" | "address" | "range" => Type::named(name),
        _ => return None,
    };
    Some((found, rest))
}
