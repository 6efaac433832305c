//! What expressions cost at worst, with the derived fields that they read, and which cost more than they may.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{RuleEntry, RuleSet, RuleState, compiled::Compiled, compiled_rules::CompiledRules, derived::DerivedFields};
use crate::{
    cel::{Bound, CostEstimate, Expected, Limits, Program},
    domain::{DerivedFieldId, RuleId},
    error::{Detail, Span, Subject},
    ruleset::Broken,
};

/// Bounds that a hint names.
const BOUNDS_SHOWN: usize = 3;

/// What an expression costs at worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Units, those of the derived fields that it reads among them.
    pub units: u64,
    /// Units that it may cost.
    pub limit: u64,
    /// The place of the part that costs most.
    pub span: Span,
    /// Its text.
    pub text: String,
}

/// What an expression may cost.
fn limit() -> u64 {
    Limits::default().cost_max
}

/// What an expression costs with the derived fields that it reads, each of them once; which of these costs most.
fn total<'a>(
    compiled: &Compiled,
    derived: &'a DerivedFields,
    units_of: fn(&Program) -> u64,
) -> (u64, Option<(&'a str, &'a Compiled)>) {
    let mut units = units_of(&compiled.program);
    if compiled.reads.is_empty() && !compiled.reads_all {
        return (units, None);
    }
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut pending = read_by(compiled, derived);
    let mut costliest: Option<(&str, &Compiled)> = None;
    while let Some((name, field)) = pending.pop() {
        if !known.insert(name) {
            continue;
        }
        units = units.saturating_add(units_of(&field.program));
        if costliest.is_none_or(|(_, other)| units_of(&other.program) < units_of(&field.program)) {
            costliest = Some((name, field));
        }
        pending.extend(read_by(field, derived));
    }
    (units, costliest)
}

/// The usable derived fields that an expression reads itself.
fn read_by<'a>(compiled: &Compiled, derived: &'a DerivedFields) -> Vec<(&'a str, &'a Compiled)> {
    let all = derived.usable().map(|(_, name, field)| (name, &**field));
    if compiled.reads_all {
        return all.collect();
    }
    compiled.reads.iter().filter_map(|read| derived.named(&read.name)).collect()
}

/// What an expression costs at worst.
pub(super) fn cost(compiled: &Compiled, derived: &DerivedFields) -> Cost {
    costliest(compiled, derived).0
}

/// The same, and the program that costs most of it: its own, or that of a derived field.
fn costliest<'a>(compiled: &'a Compiled, derived: &'a DerivedFields) -> (Cost, &'a Program) {
    let CostEstimate { units: own, span, text } = compiled.program.cost_estimate();
    let (units, costliest) = total(compiled, derived, Program::cost_units);
    let cost = Cost { units, limit: limit(), span, text };
    match costliest.filter(|(_, field)| field.program.cost_units() > own) {
        None => (cost, &compiled.program),
        Some((name, field)) => {
            let text = format!("derived.{name}");
            // One that is read by way of others has no place in the expression.
            let span = compiled.program.place_of(&text).unwrap_or(span);
            (Cost { span, text, ..cost }, &field.program)
        }
    }
}

/// What is wrong with an expression that costs more than it may with facts as a request of the usual size holds them, and
/// however small the values of type `dyn` are of which the schema does not say all.
pub(super) fn too_high(compiled: &Compiled, derived: &DerivedFields) -> Option<Detail> {
    if total(compiled, derived, Program::closed_cost_units).0 <= limit() {
        return None;
    }
    let (Cost { units, limit, span, text }, program) = costliest(compiled, derived);
    let message = format!("the expression can cost {units} units, and may cost {limit}: `{text}` takes most of them");
    let detail = Detail::new("cost_too_high", message).hint(hint(&program.telling_bounds(Expected::Usual)));
    Some(Detail { span: Some(span), text: Some(text), ..detail })
}

/// What is worth knowing of an expression that is not wrong.
pub(super) fn warnings(compiled: &Compiled, derived: &DerivedFields) -> Vec<Detail> {
    uncertain(compiled, derived).into_iter().chain(compiled.program.notes()).collect()
}

/// What is to be said of an expression that may cost more than it may, with facts that are larger than usual or by way of
/// values of type `dyn` of which the schema does not say all: it runs, and ends with an error where that is so.
fn uncertain(compiled: &Compiled, derived: &DerivedFields) -> Option<Detail> {
    let most = limit();
    if total(compiled, derived, Program::cost_units).0 <= most
        || total(compiled, derived, Program::closed_cost_units).0 > most
    {
        return None;
    }
    let (Cost { units, span, text, .. }, program) = costliest(compiled, derived);
    let message = format!(
        "the expression can cost {units} units with large facts, and stops with `cost_exceeded` after {most}: `{text}` takes \
         most of them"
    );
    let fields: Vec<_> = program.open_fields().iter().take(BOUNDS_SHOWN).map(|path| format!("`{path}`")).collect();
    let detail = Detail::new("cost_uncertain", message);
    let detail = match fields.as_slice() {
        [] => detail.hint(hint(&program.telling_bounds(Expected::Largest))),
        fields => detail.hint(format!(
            "say in the schema how large they may be, with `maxItems`, `maxLength` and `maxDepth`: {}",
            fields.join(", ")
        )),
    };
    Some(Detail { span: Some(span), text: Some(text), ..detail })
}

fn hint(bounds: &[Bound]) -> String {
    if bounds.is_empty() {
        return "divide it into cheaper ones: no bound of the schema makes it cheap enough".to_owned();
    }
    let shown = |bound: &Bound| format!("`{}` of `{}` (now {})", bound.name, bound.path, bound.value);
    let shown: Vec<_> = bounds.iter().take(BOUNDS_SHOWN).map(shown).collect();
    format!("set a smaller limit in the schema: {}", shown.join(", or "))
}

/// The rules and derived fields that can be used, and cost more than they may.
pub(super) fn costly(contents: &CompiledRules, ids: &[RuleId], field_ids: &[DerivedFieldId]) -> Box<[Broken]> {
    let costly = |(subject, compiled): (Named<'_>, &Compiled)| {
        let detail = too_high(compiled, &contents.derived)?;
        Some(Broken { subject: subject.subject(), details: vec![detail] })
    };
    usable(contents, ids, field_ids).filter_map(costly).collect()
}

/// What an expression belongs to; put into words where there is something to say of it.
pub(super) enum Named<'a> {
    Rule(RuleId, &'a RuleEntry),
    DerivedField(DerivedFieldId, &'a str),
}

impl Named<'_> {
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Rule(id, _) => id.0,
            Self::DerivedField(id, _) => id.0,
        }
    }

    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Rule(id, rule) => Subject::Rule { rule_id: id.0, rule_name: rule.name.to_string() },
            Self::DerivedField(id, name) => Subject::DerivedField { field_id: id.0, field_name: (*name).to_owned() },
        }
    }
}

/// The rules and derived fields that can be used.
pub(super) fn usable<'a>(
    contents: &'a CompiledRules,
    ids: &'a [RuleId],
    field_ids: &'a [DerivedFieldId],
) -> impl Iterator<Item = (Named<'a>, &'a Compiled)> {
    let fields = contents
        .derived
        .usable()
        .filter_map(|(place, name, compiled)| Some((Named::DerivedField(*field_ids.get(place)?, name), &**compiled)));
    let rules = ids.iter().zip(&contents.rules).filter_map(|(id, rule)| match &rule.state {
        RuleState::Ready(compiled) => Some((Named::Rule(*id, rule), &**compiled)),
        RuleState::Inactive | RuleState::Broken(_) => None,
    });
    fields.chain(rules)
}

impl RuleSet {
    /// What the rules and derived fields that can be used cost at worst.
    pub fn costs(&self) -> impl Iterator<Item = (Subject, Cost)> {
        let CompiledRules { derived, .. } = &*self.contents;
        usable(&self.contents, &self.ids, &self.field_ids)
            .map(|(subject, compiled)| (subject.subject(), cost(compiled, derived)))
    }

    /// What is worth knowing of those of the rules and derived fields that can be used which are `wanted` by their ids. Slow:
    /// for authors.
    pub fn warnings(&self, wanted: impl Fn(Uuid) -> bool) -> impl Iterator<Item = (Subject, Vec<Detail>)> {
        let CompiledRules { derived, .. } = &*self.contents;
        usable(&self.contents, &self.ids, &self.field_ids)
            .filter(move |(named, _)| wanted(named.id()))
            .map(|(named, compiled)| (named.subject(), warnings(compiled, derived)))
            .filter(|(_, warnings)| !warnings.is_empty())
    }

    /// The rules and derived fields that can be used, and have a pattern that other dialects read otherwise.
    pub fn with_pattern_notes(&self) -> impl Iterator<Item = Subject> {
        usable(&self.contents, &self.ids, &self.field_ids)
            .filter(|(_, compiled)| compiled.program.has_pattern_notes())
            .map(|(named, _)| named.subject())
    }

    /// What can cost more than a rule or derived field may. It runs all the same, within its budget: only writing it is
    /// refused.
    pub fn costly(&self) -> &[Broken] {
        &self.costly
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ruleset::fixture;

    /// Two lists that the schema says nothing of, and the same with bounds.
    fn schema() -> Value {
        let item = json!({"price": "double", "name": "string", "tags": "list<string>"});
        let bounded = json!({"type": "list", "maxItems": 10, "items": {"type": "object", "fields": {
            "price": "double", "name": {"type": "string", "maxLength": 20},
            "tags": {"type": "list", "maxItems": 5, "items": {"type": "string", "maxLength": 10}}}}});
        let items = json!({"type": "list", "items": {"type": "object", "fields": item}});
        json!({"facts": {
            "any": "dyn", "country": "string", "email": "string", "items": items, "few": bounded,
            "rows": {"type": "list", "maxItems": 3, "items": {"type": "list", "maxItems": 2, "items": "string"}},
            "shops": {"type": "map", "maxItems": 4, "values": {"type": "list", "maxItems": 3, "items": "int"}},
            "tags": "list<string>"
        }})
    }

    fn set() -> RuleSet {
        RuleSet::compile(&fixture::with_schema(&schema()), None)
    }

    #[test]
    fn ordinary_rules_over_a_silent_schema_are_accepted() {
        let set = set();
        for source in [
            "facts.items.exists(i, i.price > 100.0)",
            "facts.items.exists(i, i.price > 100.0 && i.name == 'x' && i.name.startsWith('a'))",
            "facts.items.filter(i, i.price > 100.0).size() > 3",
            "facts.items.map(i, i.price).exists(p, p > 3.0)",
            "facts.country in ['US', 'CA'] && facts.email.matches('^[a-z]+@[a-z]+')",
            "facts.email.lowerAscii().contains('@') && facts.email.split('@')[1] == 'x.com'",
            "facts.country in facts.tags",
            "facts.tags.all(t, t != '' && t.size() < 20)",
            "facts.tags.sort()[0] == 'a'",
            "facts.tags.join(',').contains('a')",
            "sets.contains(facts.tags, ['a', 'b'])",
            "lists.range(facts.items.size()).all(n, facts.items[n].price > 1.0)",
            "facts.items.all(i, facts.items.all(j, i.price <= j.price))",
            "facts.items != [] && facts.tags == ['a']",
            "facts.any == 'x' || facts.any.name == 'y'",
            "facts.few.exists(i, i.tags.exists(t, facts.few.exists(j, t in j.tags)))",
            "facts.rows.exists(r, r.exists(t, t == 'x')) && facts.shops.exists(k, facts.shops[k].all(n, n > 0))",
        ] {
            let report = set.check_rule(source);
            assert_eq!(report.details, [], "{source}: {:?}", report.cost);
        }
    }

    #[test]
    fn what_costs_too_much_is_refused_with_the_bounds_to_set() {
        let set = set();
        for (source, text, hint) in [
            (
                "facts.country == 'x' && facts.items.exists(i, i.tags.exists(t, facts.tags.exists(o, t == o)))",
                "facts.items.exists(i, i.tags.exists(t, facts.tags.exists(o, t == o)))",
                "`maxLength` of `facts.items.tags` (now 4096), or `maxLength` of `facts.tags` (now 4096)",
            ),
            (
                "facts.tags.all(a, facts.tags.all(b, facts.tags.all(c, a == b || b == c)))",
                "facts.tags.all(a, facts.tags.all(b, facts.tags.all(c, a == b || b == c)))",
                "`maxItems` of `facts.tags` (now 100)",
            ),
            ("lists.range(200000).all(x, x + 1 > 0)", "lists.range(200000).all(x, x + 1 > 0)", ""),
        ] {
            let report = set.check_rule(source);
            let [detail] = report.details.as_slice() else { panic!("{source}: {report:?}") };
            assert_eq!((detail.code, detail.text.as_deref()), ("cost_too_high", Some(text)), "{source}");
            let given = detail.hint.as_deref().unwrap();
            assert!(given.contains(hint), "{source}: {given}");
            assert_eq!(given.starts_with("set a smaller limit"), !hint.is_empty(), "{given}");
            let column = detail.span.unwrap().column as usize;
            assert!(source.get(column - 1..).unwrap().starts_with(text), "{source}: {column}");
        }
    }

    #[test]
    fn what_costs_too_much_with_unusual_facts_only_is_accepted_with_a_warning() {
        let set = set();
        for (source, text, hint) in [
            ("facts.any.exists(a, facts.any.exists(b, a == b))", None, "`maxDepth`: `facts.any`"),
            (
                "facts.tags.distinct().size() > 3",
                Some("facts.tags.distinct()"),
                "`maxLength` of `facts.tags` (now 4096)",
            ),
        ] {
            let report = set.check_rule(source);
            let [warning] = report.warnings.as_slice() else { panic!("{source}: {report:?}") };
            assert_eq!((report.details.as_slice(), warning.code), ([].as_slice(), "cost_uncertain"), "{source}");
            assert_eq!(warning.text.as_deref(), Some(text.unwrap_or(source)), "{source}");
            assert!(warning.hint.as_ref().unwrap().contains(hint), "{source}: {warning:?}");
        }
        let report = set.check_rule("facts.country in facts.any");
        assert_eq!((report.details, report.warnings), (Vec::new(), Vec::new()));
        // However small what is open may be, the rest is too much.
        let report = set.check_rule("lists.range(200000).all(x, x in facts.any)");
        assert_eq!((report.details[0].code, report.warnings.as_slice()), ("cost_too_high", [].as_slice()));
    }

    #[test]
    fn a_bounded_dyn_is_refused_where_it_costs_too_much() {
        let loops = |items: u64| {
            let any = json!({"type": "dyn", "maxItems": items, "maxLength": 10, "maxDepth": 2});
            let set = RuleSet::compile(&fixture::with_schema(&json!({"facts": {"any": any}})), None);
            set.check_rule("facts.any.exists(a, facts.any.exists(b, a == b))")
        };
        let (few, many) = (loops(10), loops(1_000));
        assert_eq!((few.details, few.warnings), (Vec::new(), Vec::new()), "{:?}", few.cost);
        assert_eq!(many.details[0].code, "cost_too_high");
        assert!(many.details[0].hint.as_ref().unwrap().contains("`maxItems` of `facts.any` (now 1000)"), "{many:?}");
    }

    #[test]
    fn a_function_by_another_name_is_mentioned() {
        let report = set().check_rule("facts.tags.hasIntersection(['a']) && !1.5.isNaN()");
        let notes: Vec<_> = report.warnings.iter().map(|note| (note.code, note.text.as_deref().unwrap())).collect();
        let expected = [("other_name", "facts.tags.hasIntersection(['a'])"), ("other_name", "1.5.isNaN()")];
        assert_eq!((report.details, notes.as_slice()), (Vec::new(), expected.as_slice()));
        assert_eq!(set().check_rule("sets.intersects(facts.tags, ['a'])").warnings, []);
    }

    #[test]
    fn bounds_of_elements_and_entries_lower_the_estimate() {
        let set = set();
        let units = |source: &str| set.check_rule(source).cost.unwrap().units;
        // Three rows of two texts: a unit for each turn and part of one.
        assert_eq!(units("facts.rows.exists(r, r.exists(t, t == ''))"), 2 + 3 * (1 + 2 + 2 * (1 + 3)));
        assert_eq!(units("facts.shops.all(k, v, v.all(n, n > 0))"), 2 + 4 * (1 + 2 + 3 * (1 + 3)));
        assert_eq!(units("facts.few.exists(i, i.name == facts.country)"), 2 + 10 * (1 + 4 + 20 * 4 / 16));
    }

    #[test]
    fn derived_fields_count_with_those_who_read_them_and_once() {
        let heavy = "facts.items.all(i, facts.items.all(j, i.price <= j.price))";
        let snapshot = fixture::with_schema(&schema())
            .field("a", heavy)
            .field("b", "derived.a || derived.a")
            .field("long", "facts.tags + facts.tags")
            .rule("one", "derived.a")
            .rule("both", "derived.a && derived.b");
        let set = RuleSet::compile(&snapshot, None);
        let units = |source: &str| set.check_rule(source).cost.unwrap().units;
        let one = units("derived.a");
        assert!(one > 50_000, "{one}");
        assert_eq!(units("derived.a && derived.b"), one + 3 + 2);
        let cost = set.check_rule("facts.country == 'x' && derived.a").cost.unwrap();
        assert_eq!((cost.text.as_str(), cost.span.column), ("derived.a", 25));
        // A list twice as long as the schema's.
        assert!(units("derived.long.all(t, t == 'a')") > units("facts.tags.all(t, t == 'a')") + 400);
        assert!(set.costly().is_empty(), "{:?}", set.costly());
    }

    #[test]
    fn a_rule_that_is_too_costly_with_its_derived_fields_names_one() {
        let heavy = "facts.items.all(i, facts.items.all(j, [1, 2, 3, 4, 5, 6, 7, 8].all(n, i.price <= j.price)))";
        let snapshot =
            fixture::with_schema(&schema()).field("a", heavy).field("b", &format!("{heavy} && facts.country != ''"));
        let set = RuleSet::compile(&snapshot.rule("both", "derived.a && derived.b").rule("one", "derived.a"), None);
        let costly: Vec<_> = set.costly().iter().map(|broken| (&broken.subject, &broken.details[0])).collect();
        let [(Subject::Rule { rule_name, .. }, detail)] = costly.as_slice() else { panic!("{costly:?}") };
        assert_eq!(
            (rule_name.as_str(), detail.code, detail.text.as_deref()),
            ("both", "cost_too_high", Some("derived.b"))
        );
        assert_eq!(detail.span.unwrap().column, 14);
        assert!(detail.hint.as_ref().unwrap().contains("`maxItems` of `facts.items`"), "{detail:?}");
        assert!(set.broken().is_empty(), "it runs all the same");
    }
}
