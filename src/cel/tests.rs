//! The language through its facade, case by case.

mod library;
mod overloads;

use std::sync::Arc;

use serde_json::json;

use crate::{
    cel::{Activation, Env, Frame, ObjectField, ObjectType, Program, Type, Value},
    error::Detail,
};

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    let field = |(name, value_type): &(&str, Type)| ObjectField::new(*name, value_type.clone());
    let mut fields: Vec<ObjectField> = fields.iter().map(field).collect();
    fields.sort_by(|left, right| left.name.cmp(&right.name));
    Type::Object(Arc::new(ObjectType { name: name.into(), fields }))
}

fn env() -> Env {
    let item = object("Item", &[("price", Type::Double), ("qty", Type::Int)]);
    let facts = object(
        "Facts",
        &[
            ("age", Type::Int),
            ("email", Type::String),
            ("is_premium", Type::Bool),
            ("score", Type::Double),
            ("at", Type::Timestamp),
            ("missing", Type::Int),
            ("address", object("Address", &[("city", Type::String), ("zip", Type::String)])),
            ("items", Type::list(item)),
            ("counts", Type::map(Type::String, Type::Int)),
            ("any", Type::Dyn),
        ],
    );
    Env::new(vec![
        ("facts".into(), facts),
        ("derived".into(), object("derived", &[("bad", Type::Int), ("total", Type::Int)])),
    ])
}

fn activation() -> Activation {
    let env = env();
    let program = |source| env.compile(source).unwrap();
    let slot = |path| env.slot(path).unwrap();
    let derived = [(slot("derived.bad"), program("1 / 0")), (slot("derived.total"), program("7"))];
    let mut activation = Activation::of(&Arc::new(Frame::new(&env, derived.to_vec())));
    let facts = json!({
        "age": 20,
        "email": "a@b.example",
        "is_premium": true,
        "score": 0.5,
        "address": {"city": "Oslo"},
        "items": [{"price": 1.0, "qty": 2}, {"price": 200.0, "qty": 3}],
        "counts": {"a": 1},
    });
    assert!(activation.set_path("facts", Value::from(&facts)));
    let at = chrono::DateTime::parse_from_rfc3339("2026-01-02T03:04:05Z").unwrap();
    assert!(activation.set_path("facts.at", Value::Timestamp(at.to_utc())));
    activation
}

fn errors(source: &str) -> Vec<Detail> {
    env().compile_bool(source).expect_err(source)
}

#[test]
fn a_program_has_the_value_that_cel_gives_it() {
    for (source, value) in [
        ("facts.age >= 18 && facts.email.endsWith('.example')", json!(true)),
        ("facts.items.exists(i, i.price > 100.0 && i.qty > 2)", json!(true)),
        ("facts.items.map(i, i.qty)", json!([2, 3])),
        ("facts.items.filter(i, i.qty > 2).size()", json!(1)),
        ("facts.items.exists_one(i, i.qty == 2)", json!(true)),
        ("facts.items.all(i, i.qty > 2)", json!(false)),
        ("has(facts.missing) || has(facts.address.zip)", json!(false)),
        ("has(facts.address.city)", json!(true)),
        ("facts.missing > 1 || true", json!(true)),
        ("facts.missing > 1 && false", json!(false)),
        ("facts.counts['a'] + facts.counts.a", json!(2)),
        ("facts.?missing.orValue(3)", json!(3)),
        ("facts.?missing", json!(null)),
        ("optional.of(1).hasValue()", json!(true)),
        ("facts.at < timestamp('2026-02-01T00:00:00Z')", json!(true)),
        ("facts.at + duration('1h')", json!("2026-01-02T04:04:05Z")),
        ("facts.score < 1", json!(true)),
        ("type(facts.age) == int", json!(true)),
        ("type(facts.at) == google.protobuf.Timestamp", json!(true)),
        ("type(facts.age) == int && type(facts.at) == google.protobuf.Timestamp", json!(true)),
        ("derived.total * 2", json!(14)),
        ("derived.bad > 1 || true", json!(true)),
        ("false && derived.bad > 1", json!(false)),
        ("{'a': 1, 'b': facts.age}", json!({"a": 1, "b": 20})),
        ("facts.age > 1 ? 'old' : 'young'", json!("old")),
        ("'é'.size()", json!(1)),
    ] {
        let program = env().compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        let found = program.evaluate(&activation()).map(|value| value.to_json());
        assert_eq!(found, Ok(value), "{source}");
    }
}

#[test]
fn an_evaluation_that_fails_says_why_under_a_stable_code() {
    for (source, code) in [
        ("facts.missing > 1", "no_such_field"),
        ("facts.address.zip == 'x'", "no_such_field"),
        ("facts.counts['b'] == 1", "no_such_key"),
        ("derived.bad > 1", "division_by_zero"),
        ("derived.bad > 1 || false", "division_by_zero"),
        ("facts.age / 0 == 1", "division_by_zero"),
        ("facts.age % 0 == 1", "division_by_zero"),
        ("facts.age + 9223372036854775807 > 1", "overflow"),
        ("facts.items[5].qty == 1", "index_out_of_range"),
        ("facts.email.matches(facts.email + '[')", "invalid_argument"),
        ("int(facts.email) == 1", "invalid_conversion"),
        ("dyn(facts.age) + 'x' == 'y'", "no_such_overload"),
        ("dyn(facts.age).size() == 1", "no_such_overload"),
    ] {
        let program = env().compile_bool(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        assert_eq!(program.evaluate(&activation()).map_err(|error| error.code), Err(code), "{source}");
    }
}

const SIZES: &str = "there are `size(string)`, `size(bytes)`, `size(list(A))`, `size(map(A, B))`, `string.size()`, \
                     `bytes.size()`";

#[test]
fn a_mistake_is_told_with_its_place_its_text_and_a_hint() {
    for (source, code, column, text, hint) in [
        ("facts.agee >= 1", "no_such_field", 1, "facts.agee", "did you mean `facts.age`?"),
        (
            "true && facts.address.citi == ''",
            "no_such_field",
            9,
            "facts.address.citi",
            "did you mean `facts.address.city`?",
        ),
        ("fact.age >= 1", "undeclared_reference", 1, "fact", "did you mean `facts`?"),
        ("is_premium", "undeclared_reference", 1, "is_premium", "did you mean `facts.is_premium`?"),
        ("facts.email.startWith('a')", "undeclared_reference", 13, "startWith", "did you mean `startsWith`?"),
        (
            "'é' == 'é' && facts.age >= 'x'",
            "no_such_overload",
            15,
            "facts.age >= 'x'",
            "convert the other side with `string(…)`",
        ),
        (
            "facts.age + 1.5 > 2.0",
            "no_such_overload",
            1,
            "facts.age + 1.5",
            "convert one side, for example with `double(…)`",
        ),
        ("facts.at > '2026'", "no_such_overload", 1, "facts.at > '2026'", "write `timestamp('…')`"),
        ("size('a', 'b') == 1", "wrong_arity", 1, "size", SIZES),
        ("facts.email.size == 1", "no_such_field", 1, "facts.email.size", "write `facts.email.size()`"),
        ("size(facts.age) > 1", "no_such_overload", 1, "size", SIZES),
        ("facts.items.exists(i, i.prize > 1.0)", "no_such_field", 23, "i.prize", "did you mean `i.price`?"),
        ("facts.items.exists(i, i.price)", "no_such_overload", 23, "i.price", ""),
        ("facts.items.exists(true)", "undeclared_reference", 13, "exists", "write `list.exists(item, condition)`"),
        ("facts.age.exists(i, true)", "no_such_overload", 1, "facts.age", "use a list or a map"),
        ("facts.email.matches('[')", "invalid_regex", 22, "[", "the character itself is `\\[`"),
        (r"facts.email.matches('^\\d**$')", "invalid_regex", 26, "**", "put what is repeated twice in `(?:…)`"),
        (r"facts.email.matches(r'\p{greek}')", "invalid_regex", 23, r"\p{greek}", "did you mean `\\p{Greek}`?"),
        (r"facts.at > timestamp('2026-01-31 12:00:00Z')", "invalid_timestamp", 22, "'2026-01-31 12:00:00Z'", ""),
        ("facts.at > timestamp('x')", "invalid_timestamp", 22, "'x'", ""),
        ("duration('x') > duration('1s')", "invalid_duration", 10, "'x'", ""),
        ("facts.age", "not_bool", 1, "facts.age", "compare it with something, such as `… == …`"),
        (
            "!facts.age",
            "no_such_overload",
            1,
            "!facts.age",
            "write `!has(facts.age)` to ask whether it is absent, or compare it with something",
        ),
        ("has(facts.agee)", "no_such_field", 1, "has(facts.agee)", "did you mean `facts.age`?"),
        ("facts.?agee.hasValue()", "no_such_field", 1, "facts.?agee", "did you mean `facts.age`?"),
        ("Foo{a: 1} == 1", "undeclared_reference", 1, "Foo{a: 1}", "write a map: `{'name': value}`"),
        ("1 + ", "syntax_error", 5, "", ""),
    ] {
        let found = errors(source);
        let [detail] = found.as_slice() else { panic!("{source}: {found:?}") };
        let span = detail.span.unwrap_or_else(|| panic!("{source}: {detail:?}"));
        let place = (
            detail.code,
            span.line,
            span.column,
            detail.text.as_deref().unwrap_or(""),
            detail.hint.as_deref().unwrap_or(""),
        );
        assert_eq!(place, (code, 1, column, text, hint), "{source}");
    }
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_text() {
    let found = errors("facts.agee > 1\n  && facts.emial == 'x'\n  && nothing");
    let places: Vec<_> =
        found.iter().map(|detail| detail.span.map(|span| (span.line, span.column, span.end_column))).collect();
    assert_eq!(places, [Some((1, 1, 11)), Some((2, 6, 17)), Some((3, 6, 13))]);
}

#[test]
fn a_program_knows_its_type_and_what_it_reads() {
    for (source, value_type, references) in [
        ("facts.age", "int", vec!["facts.age"]),
        ("facts.items.map(i, i.price)", "list(double)", vec!["facts.items"]),
        ("facts.items[0]", "Item", vec!["facts.items"]),
        ("facts.items.map(facts, facts.price)", "list(double)", vec!["facts.items"]),
        ("facts.address", "Address", vec!["facts.address"]),
        (
            "has(facts.address.city) && derived.total > facts.counts['x']",
            "bool",
            vec!["derived.total", "facts.address.city", "facts.counts"],
        ),
        ("facts.any.a.b", "dyn", vec!["facts.any"]),
        ("derived == derived", "bool", vec!["derived"]),
        ("{'a': 1}", "map(string, int)", vec![]),
        ("1u + 2u", "uint", vec![]),
    ] {
        let program = env().compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        assert_eq!(program.value_type().to_string(), value_type, "{source}");
        assert_eq!(program.references(), *references, "{source}");
    }
}

#[test]
fn sources_beyond_the_limits_are_refused_before_anything_recurses() {
    let deep = |open: &str, close: &str, times: usize| format!("{}1{} == 1", open.repeat(times), close.repeat(times));
    for (source, code) in [
        ("1".repeat(5_000), "expression_too_long"),
        (deep("(", ")", 300), "expression_too_deep"),
        (deep("[", "]", 300), "expression_too_deep"),
        ("(".repeat(300), "expression_too_deep"),
        (format!("1{} > 0", "+1".repeat(2_000)), "expression_too_deep"),
        (format!("facts.any{} == 1", "[0]".repeat(1_300)), "expression_too_deep"),
        (format!("facts.any{} == 1", ".size()".repeat(500)), "expression_too_deep"),
        (format!("{}true", "false?true:".repeat(360)), "expression_too_deep"),
        (format!("{}true{}", "[1].all(x, ".repeat(7), ")".repeat(7)), "expression_too_deep"),
        (format!("1 in [{}1]", "1,".repeat(1_900)), "expression_too_large"),
        ("!!(!!!!!!(!!!!(((((!!(!!(!!!!!!((".repeat(2) + "1", "syntax_error"),
        ("(".repeat(60), "syntax_error"),
        ("'".into(), "syntax_error"),
        (",,,".into(), "syntax_error"),
        (String::new(), "syntax_error"),
    ] {
        let start = std::time::Instant::now();
        let found = errors(&source);
        assert_eq!(found.first().map(|detail| detail.code), Some(code), "{source}");
        assert!(start.elapsed().as_secs() < 10, "{source}");
    }
}

#[test]
fn brackets_in_strings_do_not_nest() {
    for source in [
        format!("'{}' != ''", "(".repeat(200)),
        format!("r'\\{0}' != '''{0}'{0}'''", "[".repeat(100)),
        format!("true // {}", "(".repeat(99)),
    ] {
        assert!(env().compile_bool(&source).is_ok(), "{source}");
    }
}

#[test]
fn the_deepest_program_allowed_evaluates() {
    let program = env().compile_bool(&format!("1{} > 0", "+1".repeat(60))).unwrap();
    assert_eq!(program.evaluate(&activation()), Ok(Value::Bool(true)));
}

#[test]
fn a_trace_tells_the_value_of_each_part_that_has_one() {
    let program =
        env().compile_bool("facts.age > 18 && facts.items.exists(i, i.qty > 2) && derived.bad > size('(')").unwrap();
    let entries: Vec<_> =
        program.trace(&activation()).into_iter().map(|entry| (entry.span.column, entry.text, entry.value)).collect();
    let failed = json!({"error": {"code": "division_by_zero", "message": "division by zero"}});
    let expected = [
        (1, program.source(), failed.clone()),
        (1, "facts.age > 18", json!(true)),
        (1, "facts.age", json!(20)),
        (19, "facts.items.exists(i, i.qty > 2)", json!(true)),
        (19, "facts.items", json!([{"price": 1.0, "qty": 2}, {"price": 200.0, "qty": 3}])),
        (41, "i.qty > 2", json!(false)),
        (41, "i.qty > 2", json!(true)),
        (41, "i.qty", json!(2)),
        (41, "i.qty", json!(3)),
        (41, "i", json!({"price": 1.0, "qty": 2})),
        (41, "i", json!({"price": 200.0, "qty": 3})),
        (55, "derived.bad > size('(')", failed.clone()),
        (55, "derived.bad", failed),
    ];
    assert_eq!(entries, expected.map(|(column, text, value)| (column, text.to_owned(), value)));
}

#[test]
fn programs_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Program>();
    shared::<Env>();
}

#[test]
fn every_example_of_the_manual_is_true() {
    let manual = include_str!("../../docs/cel.md");
    let env = Env::new(Vec::new());
    let value = |source: &str| {
        let program = env.compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
        program.evaluate(&Activation::new(&env)).unwrap_or_else(|error| panic!("{source}: {error:?}"))
    };
    let mut examples = 0;
    for line in manual.lines().filter(|line| line.starts_with("| ") && line.ends_with("` |")) {
        let cell = line.trim_end_matches(" |").rsplit(" | ").next().unwrap().replace("\\|", "|");
        let (expression, expected) = cell.trim_matches('`').split_once("` is `").unwrap_or_else(|| panic!("{line}"));
        let (found, expected) = (value(expression), value(expected));
        assert_eq!((found.type_name(), &found), (expected.type_name(), &expected), "{line}");
        examples += 1;
    }
    assert!(examples > 100, "{examples}");
}

#[test]
fn the_manual_names_every_function() {
    let manual = include_str!("../../docs/cel.md");
    for name in super::library::names().filter(|name| !name.starts_with(['_', '@', '-', '!'])) {
        assert!(manual.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn the_cost_estimate_names_what_costs_most_and_is_not_exceeded() {
    let program =
        env().compile_bool("facts.age > 1 && facts.items.all(i, facts.items.all(j, i.qty <= j.qty))").unwrap();
    let estimate = program.cost_estimate();
    assert_eq!(estimate.text, "facts.items.all(i, facts.items.all(j, i.qty <= j.qty))");
    assert!(estimate.units > 40_000 && estimate.units < 100_000, "{estimate:?}");
    let (_, cost) = program.evaluate_within(&activation(), crate::cel::Limits::default());
    assert!(cost > 5 && cost <= estimate.units, "{cost}");
    let small = env().compile_bool("facts.age >= 18").unwrap();
    assert_eq!(small.cost_estimate().units, 3);
    assert_eq!(small.evaluate_within(&activation(), crate::cel::Limits::default()).1, 3);
}

#[test]
fn an_evaluation_ends_when_its_budget_does_and_nothing_absorbs_that() {
    let limits = crate::cel::Limits { cost_max: 20, ..Default::default() };
    for source in [
        "[1, 2, 3, 4, 5, 6, 7, 8, 9].all(x, x > facts.age - 100) || true",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9].exists(x, x > facts.age + 100) && false",
        "cel.bind(b, [1, 2, 3, 4, 5, 6, 7, 8, 9].all(x, x > facts.age - 100), true)",
    ] {
        let (outcome, cost) = env().compile(source).unwrap().evaluate_within(&activation(), limits);
        assert_eq!((outcome.map_err(|error| error.code), cost), (Err("cost_exceeded"), 20), "{source}");
    }
}

#[test]
fn a_missing_field_is_named_with_its_place() {
    let program = env().compile_bool("facts.age > 18 && facts.missing > 1").unwrap();
    let error = program.evaluate(&activation()).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("no_such_field", "`facts.missing` is missing"));
    assert_eq!(error.span.map(|span| (span.line, span.column, span.end_column)), Some((1, 19, 32)));
}
