//! Base64.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

use super::{Declaration, Value, invalid, no_overload};

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("base64.encode", &["base64.encode(bytes): string"], |run, arguments| match arguments {
        [Value::Bytes(bytes)] => {
            run.allocate(bytes.len().saturating_mul(2))?;
            Ok(Value::from(STANDARD.encode(bytes)))
        }
        _ => Err(no_overload("base64.encode", arguments)),
    }),
    ("base64.decode", &["base64.decode(string): bytes"], |run, arguments| match arguments {
        [Value::String(text)] => {
            run.allocate(text.len())?;
            let bytes = STANDARD.decode(&**text).or_else(|_| STANDARD_NO_PAD.decode(&**text));
            bytes.map(|bytes| Value::Bytes(bytes.into())).map_err(|_| invalid("the text is not base64"))
        }
        _ => Err(no_overload("base64.decode", arguments)),
    }),
];
