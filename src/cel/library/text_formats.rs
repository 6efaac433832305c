//! Whether a text is an e-mail address, a host's name and so on, and whether a number is one.

use super::{Declaration, Outcome, Run, Value, no_overload};
use crate::cel::text_format;

pub(super) const FUNCTIONS: &[Declaration] = &[
    ("isNaN", &["double.isNaN(): bool"], |_, arguments| match arguments {
        [Value::Double(number)] => Ok(Value::Bool(number.is_nan())),
        _ => Err(no_overload("isNaN", arguments)),
    }),
    ("isInf", &["double.isInf(): bool", "double.isInf(int): bool"], |_, arguments| match arguments {
        [Value::Double(number)] => Ok(Value::Bool(number.is_infinite())),
        // Of this sign; 0 stands for both.
        [Value::Double(number), Value::Int(sign)] => {
            Ok(Value::Bool(number.is_infinite() && (*sign == 0 || number.is_sign_positive() == (*sign > 0))))
        }
        _ => Err(no_overload("isInf", arguments)),
    }),
    ("isEmail", &["string.isEmail(): bool"], |run, arguments| {
        test(run, "isEmail", arguments, |text, _| Some(text_format::is_email(text)))
    }),
    ("isHostname", &["string.isHostname(): bool"], |run, arguments| {
        test(run, "isHostname", arguments, |text, _| Some(text_format::is_hostname(text)))
    }),
    ("isIp", &["string.isIp(): bool", "string.isIp(int): bool"], |run, arguments| {
        test(run, "isIp", arguments, |text, more| match more {
            [] => Some(text_format::is_ip(text, None)),
            // Any version, as protovalidate has it.
            [Value::Int(0)] => Some(text_format::is_ip(text, None)),
            [Value::Int(version)] => Some(text_format::is_ip(text, Some(*version))),
            _ => None,
        })
    }),
    (
        "isIpPrefix",
        &[
            "string.isIpPrefix(): bool",
            "string.isIpPrefix(int): bool",
            "string.isIpPrefix(bool): bool",
            "string.isIpPrefix(int, bool): bool",
        ],
        |run, arguments| {
            test(run, "isIpPrefix", arguments, |text, more| {
                let (version, strict) = match more {
                    [] => (0, false),
                    [Value::Int(version)] => (*version, false),
                    [Value::Bool(strict)] => (0, *strict),
                    [Value::Int(version), Value::Bool(strict)] => (*version, *strict),
                    _ => return None,
                };
                Some(text_format::is_ip_prefix(text, (version != 0).then_some(version), strict))
            })
        },
    ),
    ("isHostAndPort", &["string.isHostAndPort(bool): bool"], |run, arguments| {
        test(run, "isHostAndPort", arguments, |text, more| match more {
            [Value::Bool(requires_port)] => Some(text_format::is_host_and_port(text, *requires_port)),
            _ => None,
        })
    }),
    ("isUri", &["string.isUri(): bool"], |run, arguments| {
        test(run, "isUri", arguments, |text, _| Some(text_format::is_uri(text)))
    }),
    ("isUriRef", &["string.isUriRef(): bool"], |run, arguments| {
        test(run, "isUriRef", arguments, |text, _| Some(text_format::is_uri_reference(text)))
    }),
];

/// Tests the text that comes first; the others say what for.
fn test(run: &Run<'_>, name: &str, arguments: &[Value], accepts: fn(&str, &[Value]) -> Option<bool>) -> Outcome {
    let [Value::String(text), more @ ..] = arguments else { return Err(no_overload(name, arguments)) };
    run.charge_bytes(text.len())?;
    accepts(text, more).map(Value::Bool).ok_or_else(|| no_overload(name, arguments))
}
