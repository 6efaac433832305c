//! What compiles and cannot mean what it says: told where it is written, and run where it is stored.

use super::*;

fn schema() -> Value {
    let employment = json!({"type": "string", "enum": ["full", "part", "self-employed", "none"]});
    json!({
        "applicant": {
            "employment": employment, "age": "int", "born": "timestamp", "email": "string", "any": "dyn",
            "roles": {"type": "list", "items": {"type": "string", "enum": ["admin", "editor"]}},
            "grades": {"type": "map", "values": {"type": "int", "enum": [1, 2, 3]}},
            "jobs": {"type": "list", "maxItems": 5, "items": {"type": "object", "fields": {"kind": employment}}},
            "stars": {"type": "double", "enum": [1, 1.5]}, "checked": {"type": "bool", "enum": [true]},
            "home": {"country": {"type": "string", "enum": ["DE", "FR"]}, "since": "duration"},
            "level": {"type": "uint", "enum": [1, 2]}, "score": "double"
        },
        "order": {"currency": {"type": "string", "enum": ["EUR", "USD"]}}
    })
}

fn snapshot() -> Snapshot {
    with_schema(&schema())
        .field("employment", "applicant.employment")
        .field("or_none", "applicant.?employment.orValue('none')")
        .field("band", "applicant.age > 17 ? 'adult' : 'child'")
        .field("region", "'eu'")
        .field("kinds", "applicant.jobs.map(j, j.kind)")
}

/// The mistakes of an expression: code, text that is marked, hint.
fn mistakes(set: &RuleSet, source: &str) -> Vec<(&'static str, String, String)> {
    let details = set.check_rule(source).details;
    details.into_iter().map(|d| (d.code, d.text.unwrap_or_default(), d.hint.unwrap_or_default())).collect()
}

#[test]
fn a_word_that_is_none_of_an_enumeration_is_a_mistake_wherever_it_is_compared() {
    let set = compile(&snapshot());
    for (source, text, hint) in [
        ("applicant.employment == 'fulltime'", "'fulltime'", "did you mean `full`?"),
        ("'Full' != applicant.employment", "'Full'", "did you mean `full`?"),
        ("applicant.employment in ['full', 'selfemployed']", "'selfemployed'", "did you mean `self-employed`?"),
        ("!(applicant.employment in ['retired'])", "'retired'", "it is one of `full`, `part`, `self-employed`, `none`"),
        ("applicant.employment == ''", "''", "write `!has(applicant.employment)` to ask whether it is absent"),
        ("has(applicant.employment) && applicant.employment == 'prt'", "'prt'", "did you mean `part`?"),
        ("applicant.home.country == 'UK'", "'UK'", "it is one of `DE`, `FR`"),
        ("applicant.?home.?country.orValue('DE') == 'de'", "'de'", "did you mean `DE`?"),
        ("'admn' in applicant.roles", "'admn'", "did you mean `admin`?"),
        ("applicant.roles.exists(r, r == 'owner')", "'owner'", "it is one of `admin`, `editor`"),
        ("applicant.roles.filter(r, r != 'x').exists(r, r == 'admin')", "'x'", "it is one of `admin`, `editor`"),
        ("applicant.roles.filter(r, true)[0] == 'admn'", "'admn'", "did you mean `admin`?"),
        ("applicant.roles == ['admin', 'edit']", "'edit'", "did you mean `editor`?"),
        ("sets.contains(applicant.roles, ['admin', 'edit'])", "'edit'", "did you mean `editor`?"),
        ("sets.intersects(['adm'], applicant.roles)", "'adm'", "did you mean `admin`?"),
        ("applicant.roles.first().orValue('admin') == 'edit'", "'edit'", "did you mean `editor`?"),
        ("applicant.grades['maths'] == 4", "4", "it is one of `1`, `2`, `3`"),
        ("applicant.grades.exists(k, v, v == 7)", "7", "it is one of `1`, `2`, `3`"),
        ("applicant.jobs.exists(j, j.kind == 'ful')", "'ful'", "did you mean `full`?"),
        ("applicant.jobs[0].kind in ['ful']", "'ful'", "did you mean `full`?"),
        ("applicant.stars == 2.0", "2.0", "it is one of `1.0`, `1.5`"),
        ("applicant.checked == false", "false", "it is `true`"),
        ("applicant.level == 3u", "3u", "it is one of `1u`, `2u`"),
        ("cel.bind(e, applicant.employment, e == 'ful')", "'ful'", "did you mean `full`?"),
        ("(applicant.age > 3 ? applicant.employment : 'x') == 'ful'", "'ful'", "did you mean `full`?"),
        ("derived.employment == 'ful'", "'ful'", "did you mean `full`?"),
        ("derived.or_none == 'nobody'", "'nobody'", "it is one of `full`, `part`, `self-employed`, `none`"),
        ("derived.band == 'adlt'", "'adlt'", "did you mean `adult`?"),
        ("'ful' in derived.kinds", "'ful'", "did you mean `full`?"),
        (
            "applicant.home.country == order.currency",
            "applicant.home.country == order.currency",
            "the one is one of `DE`, `FR`, the other one of `EUR`, `USD`",
        ),
    ] {
        assert_eq!(mistakes(&set, source), [("not_in_enum", text.to_owned(), hint.to_owned())], "{source}");
    }
}

#[test]
fn what_may_be_equal_is_left_alone() {
    let set = compile(&snapshot());
    for source in [
        "applicant.employment == 'full' || applicant.employment in ['part', 'none']",
        "dyn(applicant.employment) == 'anything'",
        "applicant.email == 'anything' && 'x' in [applicant.email]",
        "applicant.employment.lowerAscii() == 'FULL'",
        "applicant.employment + 'x' == 'fullx'",
        "applicant.employment == applicant.email",
        "applicant.grades.exists(k, k == 'maths')",
        "'maths' in applicant.grades",
        "applicant.any == 'x' || applicant.any == null || applicant.any.x in [null]",
        "(applicant.age > 3 ? applicant.email : 'x') == 'y'",
        // A derived field of constants alone is a setting, and settings change.
        "derived.region == 'us'",
        "derived.band in ['adult', 'child']",
        "derived.or_none == 'none'",
        "applicant.score / 0.0 > 1.0 || applicant.score == 0.0",
        "applicant.age % 2 == 0 && 'a' in ['b']",
    ] {
        assert_eq!(mistakes(&set, source), [], "{source}");
    }
}

#[test]
fn what_never_is_and_what_always_fails_is_told_with_what_to_write() {
    let set = compile(&snapshot());
    for (source, code, text, hint) in [
        ("applicant.born == null", "never_null", "applicant.born == null", "`!has(applicant.born)`"),
        ("null != applicant.home.since", "never_null", "null != applicant.home.since", "`has(applicant.home.since)`"),
        ("applicant.?born == null", "never_null", "applicant.?born == null", "`!applicant.?born.hasValue()`"),
        ("applicant.email == null", "no_such_overload", "applicant.email == null", "`!has(applicant.email)`"),
        ("applicant.home != null", "never_null", "applicant.home != null", "write `has(applicant.home)`"),
        ("applicant.age / 0 > 1", "division_by_zero", "applicant.age / 0", ""),
        ("applicant.level % 0u == 1u", "division_by_zero", "applicant.level % 0u", ""),
        ("applicant.age > 3 || 1 / 0 > 2", "division_by_zero", "1 / 0", ""),
        ("[1, 2][2] == applicant.age", "index_out_of_range", "[1, 2][2]", ""),
        ("int('x') == applicant.age", "invalid_conversion", "int('x')", ""),
        ("9223372036854775807 + 1 > applicant.age", "overflow", "9223372036854775807 + 1", ""),
        ("applicant.born.getHours('Europe/Berlinn') > 8", "invalid_time_zone", "'Europe/Berlinn'", "`Europe/Berlin`"),
        ("applicant.born.getFullYear('CEST+1') > 8", "invalid_time_zone", "'CEST+1'", "such as `Europe/Berlin`"),
        ("duration('1d') > applicant.home.since", "invalid_duration", "'1d'", ""),
    ] {
        let found = mistakes(&set, source);
        let [(found_code, found_text, found_hint)] = found.as_slice() else { panic!("{source}: {found:?}") };
        assert_eq!((*found_code, found_text.as_str()), (code, text), "{source}");
        assert!(found_hint.contains(hint), "{source}: {found_hint}");
    }
    let report = set.check_rule("duration('1d') > applicant.home.since");
    assert!(report.details[0].message.contains("`h` is the largest"), "{report:?}");
    for zone in ["Europe/Berlin", "+02:00", "-02:30", "UTC", "23:00"] {
        assert_eq!(mistakes(&set, &format!("applicant.born.getHours('{zone}') > 8")), [], "{zone}");
    }
}

#[test]
fn what_is_stored_runs_on_and_is_told() {
    let set = compile(&snapshot().rule("never", "applicant.employment == 'ful'").rule("fails", "1 / 0 == 1"));
    assert!(set.broken().is_empty());
    let doubtful: Vec<_> = set.doubtful(|_| true).map(|broken| codes(&broken)).collect();
    assert_eq!(doubtful, [["not_in_enum"], ["division_by_zero"]]);
    let facts = json!({"applicant": {"employment": "full"}});
    assert_eq!(decide(&set, &facts, &Query::default()), ["never false", "fails division_by_zero"]);
}

#[test]
fn hints_name_what_is_written_here() {
    let set = compile(&snapshot());
    for (source, hint) in [
        ("applicant['email'] == 'x'", "write `applicant.email`"),
        ("applicant.home['cuntry'] == 'x'", "write `applicant.home.country`"),
        ("applicant['x'] == 'x'", "the fields of an object are selected by name, such as `applicant.name`"),
        ("!applicant.email", "write `!has(applicant.email)` to ask whether it is absent, or compare it with something"),
        ("!applicant.home", "write `!has(applicant.home)` to ask whether it is absent, or compare it with something"),
        ("if(applicant.age > 3, true, false)", "write `condition ? value : other`"),
        ("applicant.email.toLowerCase() == 'x'", "write `text.lowerAscii()`"),
        ("applicant.email.length() > 3", "write `value.size()`"),
        ("applicant.email.length > 3", "write `value.size()`"),
        ("applicant.email.size > 3", "write `applicant.email.size()`"),
        ("applicant.roles.any(r, r == 'admin')", "write `list.exists(item, condition)`"),
        ("applicant.roles.exsits(r, r == 'admin')", "did you mean `exists`?"),
        ("applicant.roles.exists(r == 'admin')", "write `list.exists(item, condition)`"),
        ("applicant.email IN ['a']", "write `in`: `value in list`"),
        ("applicant.email not in ['a']", "write `!`: `!(value in list)`"),
        ("applicant.email AND true", "write `&&`"),
        ("applicant.age === 3", "write two signs: `==` or `!=`"),
        ("applicant.age <> 3", "write `!=`"),
        ("applicant.email contains 'a'", "write `text.contains(part)`"),
        ("applicant.checked == True", "did you mean `true`?"),
        ("applicant.score * 2 > 1.0", "write `2.0`"),
        ("2u * applicant.score > 1.0", "write `2.0`"),
        ("applicant.age * 2.0 > 1.0", "write `2`"),
        ("applicant.level + 1 > 1u", "write `1u`"),
        ("applicant.age == 18.0", "write `18`"),
        ("applicant.score * applicant.age > 1.0", "convert one side, for example with `double(…)`"),
    ] {
        let hints: Vec<_> = set.check_rule(source).details.into_iter().map(|detail| detail.hint).collect();
        assert_eq!(hints, [Some(hint.to_owned())], "{source}");
    }
}

#[test]
fn one_mistake_is_told_once() {
    let set = compile(&snapshot());
    for source in ["applicant.nope.sortBy(x, x)[0] == 1", "[applicant.nope].sortBy(x, x)[0] == 1"] {
        assert_eq!(mistakes(&set, source).len(), 1, "{source}");
    }
}
