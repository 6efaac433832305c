//! The math extension.

use std::cmp::Ordering;

use super::{Declaration, Outcome, Run, Value, invalid, no_overload, overflow};

macro_rules! extremum_overloads {
    ($name:literal) => {
        &[
            concat!($name, "(int): int"),
            concat!($name, "(uint): uint"),
            concat!($name, "(double): double"),
            concat!($name, "(int, int): int"),
            concat!($name, "(uint, uint): uint"),
            concat!($name, "(double, double): double"),
            concat!($name, "(int, uint): dyn"),
            concat!($name, "(int, double): dyn"),
            concat!($name, "(uint, int): dyn"),
            concat!($name, "(uint, double): dyn"),
            concat!($name, "(double, int): dyn"),
            concat!($name, "(double, uint): dyn"),
            concat!($name, "(list(int)): int"),
            concat!($name, "(list(uint)): uint"),
            concat!($name, "(list(double)): double"),
        ]
    };
}

macro_rules! rounding {
    ($name:literal, $round:expr) => {
        ($name, &[concat!($name, "(double): double")], |_, arguments| match arguments {
            [Value::Double(value)] => Ok(Value::Double($round(*value))),
            _ => Err(no_overload($name, arguments)),
        })
    };
}

macro_rules! test {
    ($name:literal, $test:expr) => {
        ($name, &[concat!($name, "(double): bool")], |_, arguments| match arguments {
            [Value::Double(value)] => Ok(Value::Bool($test(*value))),
            _ => Err(no_overload($name, arguments)),
        })
    };
}

macro_rules! bits {
    ($name:literal, $operation:expr, $unsigned:expr) => {
        ($name, &[concat!($name, "(int, int): int"), concat!($name, "(uint, uint): uint")], |_, arguments| {
            match arguments {
                [Value::Int(left), Value::Int(right)] => Ok(Value::Int($operation(*left, *right))),
                [Value::Uint(left), Value::Uint(right)] => Ok(Value::Uint($unsigned(*left, *right))),
                _ => Err(no_overload($name, arguments)),
            }
        })
    };
}

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("math.greatest", extremum_overloads!("math.greatest"), |run, arguments| {
        extremum(run, "math.greatest", arguments, Ordering::Greater)
    }),
    ("math.least", extremum_overloads!("math.least"), |run, arguments| {
        extremum(run, "math.least", arguments, Ordering::Less)
    }),
    rounding!("math.ceil", f64::ceil),
    rounding!("math.floor", f64::floor),
    rounding!("math.round", f64::round),
    rounding!("math.trunc", f64::trunc),
    test!("math.isNaN", f64::is_nan),
    test!("math.isInf", f64::is_infinite),
    test!("math.isFinite", f64::is_finite),
    bits!("math.bitAnd", |left: i64, right: i64| left & right, |left: u64, right: u64| left & right),
    bits!("math.bitOr", |left: i64, right: i64| left | right, |left: u64, right: u64| left | right),
    bits!("math.bitXor", |left: i64, right: i64| left ^ right, |left: u64, right: u64| left ^ right),
    ("math.bitNot", &["math.bitNot(int): int", "math.bitNot(uint): uint"], |_, arguments| match arguments {
        [Value::Int(value)] => Ok(Value::Int(!value)),
        [Value::Uint(value)] => Ok(Value::Uint(!value)),
        _ => Err(no_overload("math.bitNot", arguments)),
    }),
    (
        "math.bitShiftLeft",
        &["math.bitShiftLeft(int, int): int", "math.bitShiftLeft(uint, int): uint"],
        |_, arguments| shift("math.bitShiftLeft", arguments, u64::checked_shl),
    ),
    (
        "math.bitShiftRight",
        &["math.bitShiftRight(int, int): int", "math.bitShiftRight(uint, int): uint"],
        |_, arguments| shift("math.bitShiftRight", arguments, u64::checked_shr),
    ),
    ("math.abs", &["math.abs(int): int", "math.abs(uint): uint", "math.abs(double): double"], |_, arguments| {
        match arguments {
            [Value::Int(value)] => value.checked_abs().map(Value::Int).ok_or_else(|| overflow("the result")),
            [value @ Value::Uint(_)] => Ok(value.clone()),
            [Value::Double(value)] => Ok(Value::Double(value.abs())),
            _ => Err(no_overload("math.abs", arguments)),
        }
    }),
    ("math.sign", &["math.sign(int): int", "math.sign(uint): uint", "math.sign(double): double"], |_, arguments| {
        match arguments {
            [Value::Int(value)] => Ok(Value::Int(value.signum())),
            [Value::Uint(value)] => Ok(Value::Uint(u64::from(*value > 0))),
            // A negative zero has no sign of its own.
            [Value::Double(value)] if *value == 0.0 => Ok(Value::Double(0.0)),
            [Value::Double(value)] => Ok(Value::Double(value.signum())),
            _ => Err(no_overload("math.sign", arguments)),
        }
    }),
    (
        "math.sqrt",
        &["math.sqrt(int): double", "math.sqrt(uint): double", "math.sqrt(double): double"],
        #[expect(clippy::cast_precision_loss, reason = "the root of the nearest double")]
        |_, arguments| match arguments {
            [Value::Int(value)] => Ok(Value::Double((*value as f64).sqrt())),
            [Value::Uint(value)] => Ok(Value::Double((*value as f64).sqrt())),
            [Value::Double(value)] => Ok(Value::Double(value.sqrt())),
            _ => Err(no_overload("math.sqrt", arguments)),
        },
    ),
];

fn extremum(run: &Run<'_>, name: &str, arguments: &[Value], wanted: Ordering) -> Outcome {
    let candidates = match arguments {
        [Value::List(items)] => items,
        _ => arguments,
    };
    run.charge(candidates.len() as u64)?;
    let mut best: Option<&Value> = None;
    for candidate in candidates {
        if !matches!(candidate, Value::Int(_) | Value::Uint(_) | Value::Double(_)) {
            return Err(no_overload(name, arguments));
        }
        match best.map(|best| candidate.compare(best)) {
            Some(None) => return Err(invalid("NaN has no order")),
            Some(Some(ordering)) if ordering != wanted => {}
            _ => best = Some(candidate),
        }
    }
    best.cloned().ok_or_else(|| invalid(format!("`{name}` needs at least one number")))
}

fn shift(name: &str, arguments: &[Value], shift: fn(u64, u32) -> Option<u64>) -> Outcome {
    let (bits, Value::Int(by)) = (match arguments {
        [bits, by] => (bits, by),
        _ => return Err(no_overload(name, arguments)),
    }) else {
        return Err(no_overload(name, arguments));
    };
    let Ok(by) = u32::try_from((*by).min(64)) else {
        return Err(invalid(format!("`{name}` cannot shift by a negative number")));
    };
    match bits {
        Value::Int(bits) => Ok(Value::Int(shift(bits.cast_unsigned(), by).unwrap_or(0).cast_signed())),
        Value::Uint(bits) => Ok(Value::Uint(shift(*bits, by).unwrap_or(0))),
        _ => Err(no_overload(name, arguments)),
    }
}
