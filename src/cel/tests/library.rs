//! Functions of the library, where they meet the checker and the planner.

use super::*;

#[test]
fn numbers_without_an_order_are_no_mistake_of_the_checker() {
    for source in ["[1.0, 0.0 / 0.0].sort()", "[0.0 / 0.0].sort()", "math.least(0.0 / 0.0, 1.0)", "0.0 / 0.0 < 1.0"] {
        let error = env().compile(source).unwrap().evaluate(&activation()).unwrap_err();
        assert_eq!(error.code, "invalid_argument", "{source}: {error}");
    }
}

#[test]
fn the_trace_of_a_sorted_list_ends_with_the_list_and_not_with_its_keys() {
    let source = "['b', 'a'].sortBy(text, size(text))";
    let trace = env().compile(source).unwrap().trace(&activation());
    let whole: Vec<_> = trace.iter().filter(|entry| entry.text == source).map(|entry| &entry.value).collect();
    assert_eq!(whole, [&json!(["b", "a"])]);
}

#[test]
fn lists_of_one_type_keep_it_where_an_overload_says_so() {
    for (source, value_type) in [
        ("[[1.5], [2.5]].flatten()", "list(double)"),
        ("math.greatest([1.5, 2.5])", "double"),
        ("math.least([1u])", "uint"),
        ("math.least([1, 2.5])", "dyn"),
    ] {
        assert_eq!(env().compile(source).unwrap().value_type().to_string(), value_type, "{source}");
    }
}

#[test]
fn what_a_dyn_argument_leaves_open_is_not_narrowed_by_what_follows() {
    for source in ["dyn(optional.of(2u)).value() <= 5.0", "dyn([2u]).first().value() < 5.0", "dyn([2u])[0] < 5.0"] {
        let outcome = env().compile(source).unwrap().evaluate(&activation());
        assert_eq!(outcome, Ok(Value::Bool(true)), "{source}");
    }
}

/// A pattern that is known before costs nothing to compile, traced or not, and whatever the function.
#[test]
fn constant_patterns_are_compiled_with_the_expression() {
    let limits = crate::cel::Limits { cost_max: 1_000, memory_bytes_max: 1 << 20 };
    let env = Env::new(vec![("s".into(), Type::String), ("d".into(), Type::Dyn)]).with_limits(limits);
    let mut activation = Activation::new(&env);
    activation.set_path("s", Value::from("a1b22"));
    activation.set_path("d", Value::from("a1b22"));
    for source in [
        "s.matches('[0-9]+')",
        "d.matches('[0-9]' + '+')",
        "matches(s.upperAscii(), '[A-Z]')",
        "regex.extract(s, '([0-9])').value() == '1'",
        "regex.extractAll(d, '[0-9]+') == ['1', '22']",
        "regex.replace(s, '[0-9]+', '-') == 'a-b-'",
        "regex.replace(d, '[' + '0-9]+', '-', 1) == 'a-b22'",
    ] {
        let program = env.compile(source).unwrap();
        assert_eq!(program.evaluate(&activation), Ok(Value::Bool(true)), "{source}");
        let trace = program.trace(&activation);
        assert_eq!(trace[0].value, serde_json::json!(true), "{source}: {trace:?}");
        let is_bounded = !source.contains("d,") && !source.contains("d.");
        // What finds all matches may look at the rest of the text again after each.
        let most = if source.starts_with("regex.") { 150_000 } else { 25_000 };
        assert!(!is_bounded || program.cost_units() < most, "{source}: {}", program.cost_units());
    }
    for source in ["s.matches(s)", "regex.replace(s, s, '') == ''"] {
        let error = env.compile(source).unwrap().evaluate(&activation).unwrap_err();
        assert_eq!(error.code, "cost_exceeded", "{source}");
    }
    for source in ["s.matches('[' + '0')", "regex.extractAll(s, '(' + 'a') == []"] {
        let program = env.compile(source).unwrap();
        let (outcome, cost) = program.evaluate_within(&activation, limits);
        assert_eq!(outcome.unwrap_err().code, "invalid_argument", "{source}");
        assert!(cost <= program.cost_units(), "{source}: {cost}");
    }
}
