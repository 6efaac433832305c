//! Which calls the checker takes where it knows little of the arguments, and which it refuses.

use serde_json::json;

use super::{activation, env, errors};

#[test]
fn what_nothing_is_known_of_chooses_no_overload() {
    for (source, value) in [
        ("[].sort() == ['a']", json!(false)),
        ("[].sort().map(x, x + 'a') == []", json!(true)),
        ("[[]].flatten().distinct().sort() == ['a']", json!(false)),
        ("[].sort().sortBy(x, x).join(', ')", json!("")),
        ("[].sortBy(x, x).join()", json!("")),
        ("[].map(x, x + x).join()", json!("")),
        ("[].all(x, x > 1 && x > 'a')", json!(true)),
        ("[].all(x, [x + x, x + x] == ['a'])", json!(true)),
        ("cel.bind(empty, [], empty.sort() + [1.5] == [1.5] && empty.sort() == [])", json!(true)),
        ("cel.bind(none, optional.none(), none.optMap(x, x.size()).orValue(3) + none.orValue(1))", json!(4)),
        ("{}.exists(k, v, k.size() == v.size())", json!(false)),
        ("[].all(x, x - x == duration('1s') || -x == 1)", json!(true)),
    ] {
        let program = env().compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        assert_eq!(program.evaluate(&activation()).unwrap().to_json(), value, "{source}");
    }
    for source in
        ["[].sort() == [[1]] || [].map(x, x.lowerAscii() + 1) == []", "[].map(x, math.bitShiftLeft(1, x) + 'a')"]
    {
        assert_eq!(errors(source)[0].code, "no_such_overload", "{source}");
    }
}

#[test]
fn the_greatest_of_what_is_no_number_is_refused() {
    for (source, text) in [
        ("math.greatest([]) > 1", "[]"),
        ("1 == math.least([ ])", "[ ]"),
        ("math.greatest([1, 'a']) == 1", "'a'"),
        ("math.least([1, []]) == 1", "[]"),
    ] {
        for env in [env(), env().without_checks()] {
            let errors = env.compile(source).expect_err(source);
            let [error] = errors.as_slice() else { panic!("{source}: {errors:?}") };
            let span = error.span.unwrap();
            let (start, end) = (span.column as usize - 1, span.end_column as usize - 1);
            assert_eq!((error.code, source.get(start..end).unwrap()), ("invalid_macro", text), "{source}: {error:?}");
            assert!(error.hint.is_some() || env.compile("1 + 'a'").is_ok(), "{source}: {error:?}");
        }
    }
    for source in
        ["math.greatest([facts.age]) == 1", "math.least(facts.items.map(i, i.qty)) == 1", "math.least([1, 2u]) == 1"]
    {
        env().compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    }
}
