//! What parameters are read as, and that times are read as everywhere.

use serde_json::json;

use super::*;
use crate::{
    cel::{Activation, Env, Type, Value},
    ruleset::{RuleSet, UnknownFacts, fixture},
};

#[derive(Debug)]
struct Since(Option<DateTime<Utc>>);

impl Parameters for Since {
    fn take(given: &mut Given) -> Self {
        Self(given.time("since"))
    }
}

fn codes<T: Parameters + std::fmt::Debug>(query: &str) -> Vec<(&'static str, String)> {
    let error = read::<T>(query).unwrap_err();
    error.errors().iter().map(|detail| (detail.code, detail.path.clone().unwrap())).collect()
}

#[test]
fn a_page_has_a_size_within_bounds() {
    assert_eq!(read::<PageQuery>("limit=200&cursor=a%20b").unwrap().cursor.as_deref(), Some("a b"));
    for limit in ["0", "201", "-1", "ten", "", "99999999999999999999", "5.0"] {
        assert_eq!(codes::<PageQuery>(&format!("limit={limit}")), [("invalid_value", "limit".to_owned())]);
    }
}

#[test]
fn a_time_is_one_with_its_offset() {
    let read_time = |text: &str| read::<Since>(&format!("since={text}")).map(|since| since.0.unwrap().to_rfc3339());
    assert_eq!(read_time("2030-01-31T12:00:00%2B02:00").unwrap(), "2030-01-31T10:00:00+00:00");
    for wrong in [
        "",
        "2030-01-31",
        "2030-01-31T12:00:00",
        "now",
        "%2B12030-01-31T12:00:00Z",
        "2030-01-31%2012:00:00Z",
        "2030-01-31T12:00:60Z",
        "2030-01-31T12:00:00%E2%88%9202:00",
    ] {
        assert_eq!(read_time(wrong).unwrap_err().errors()[0].code, "invalid_value", "{wrong}");
    }
}

#[test]
fn unknown_and_repeated_parameters_are_refused_all_at_once() {
    let wrong = [("duplicate_parameter", "limit".to_owned()), ("unknown_parameter", "offset".to_owned())];
    assert_eq!(codes::<PageQuery>("limit=5&limit=6&offset=3"), wrong);
    assert_eq!(codes::<()>("a"), [("unknown_parameter", "a".to_owned())]);
    assert!(read::<()>("").is_ok());
}

#[test]
fn a_value_has_no_nul_character() {
    assert_eq!(codes::<PageQuery>("cursor=%00"), [("nul_character", "cursor".to_owned())]);
}

#[test]
fn what_becomes_of_the_broken_is_one_of_two_words() {
    let query = read::<SchemaChangeQuery>("onBroken=deactivate&acceptBreaking=true").unwrap();
    assert_eq!((query.on_broken, query.accept_breaking, query.reactivate), (OnBroken::Deactivate, true, false));
    assert_eq!(codes::<BreakQuery>("onBroken=ignore"), [("invalid_value", "onBroken".to_owned())]);
}

/// A text that is a time, or nearly one.
fn time_text(seed: u64) -> String {
    let mut state = seed;
    let mut below = |limit: u64| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)) % limit
    };
    let digits = below(12) as usize;
    let fraction = if digits == 0 { String::new() } else { format!(".{:0digits$}", below(10_u64.pow(digits as u32))) };
    let offset = match below(4) {
        0 | 1 => "Z".to_owned(),
        2 => format!("+{:02}:{:02}", below(25), below(61)),
        _ => format!("-{:02}:{:02}", below(25), below(61)),
    };
    let date = format!("{:04}-{:02}-{:02}", below(10_001), below(13), below(32));
    let mut text = format!("{date}T{:02}:{:02}:{:02}{fraction}{offset}", below(25), below(61), below(61));
    if below(3) == 0 {
        let signs = ['T', 't', ' ', 'z', 'Z', '+', '-', '\u{2212}', ':', '.', ',', '0', '6', '9', '٣'];
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = places[below(places.len() as u64) as usize];
        if below(2) == 0 {
            text.remove(at);
        }
        text.insert(at, signs[below(signs.len() as u64) as usize]);
    }
    text
}

#[test]
fn expressions_facts_and_parameters_read_the_same_times() {
    let is_full = std::env::var_os("TENET_PROOFS").is_some_and(|size| size == "full");
    let env = Env::new(vec![("s".to_owned(), Type::String)]);
    let [program, and_back] = ["timestamp(s)", "string(timestamp(s))"].map(|source| env.compile(source).unwrap());
    let set = RuleSet::compile(&fixture::with_schema(&json!({"facts": {"at": "timestamp"}})), None);
    let mut found = 0;
    for seed in 0..if is_full { 100_000 } else { 3_000 } {
        let text = time_text(seed);
        let mut activation = Activation::new(&env);
        activation.set_path("s", Value::from(text.as_str()));
        let time = program.evaluate(&activation).ok();
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let parameter = read::<Since>(&format!("since={escaped}")).ok().and_then(|since| since.0);
        assert_eq!(parameter.map(Value::Timestamp), time, "{text}");
        let fact = set.read_facts(&json!({"at": text}).to_string(), UnknownFacts::Refuse);
        assert_eq!(fact.is_ok(), time.is_some(), "{text}");
        let (Ok(fact), Some(Value::Timestamp(time))) = (fact, time) else { continue };
        found += 1;
        let written = and_back.evaluate(&activation).unwrap();
        assert_eq!(set.evaluate_expression("string(facts.at)", &fact).unwrap().value, Ok(written.to_json()), "{text}");
        activation.set_path("s", written.clone());
        assert_eq!(program.evaluate(&activation), Ok(Value::Timestamp(time)), "{text}");
        assert_eq!(and_back.evaluate(&activation), Ok(written), "{text}");
    }
    assert!(found > 1_000, "{found}");
}
