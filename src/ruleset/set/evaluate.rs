//! Evaluating one expression that is not stored, of any type. Rules of the set are evaluated in `decide`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    RuleSet,
    compiled::{Compiled, Role},
    schema_missing,
};
use crate::{
    cel::{EvaluationError, Limits, TraceEntry, Value},
    error::Detail,
    ruleset::Facts,
};

/// An expression that is not stored, compiled as it would be for this set.
#[derive(Debug)]
pub struct Expression(Compiled);

/// What an expression gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The type that the checker found.
    pub value_type: String,
    /// Its value in JSON, or why it has none.
    pub value: Result<serde_json::Value, EvaluationError>,
    /// The value of every sub-expression that was evaluated, in the order of the source.
    pub trace: Vec<TraceEntry>,
    /// Units of cost that the value took.
    pub cost: u64,
}

impl Expression {
    /// The type that the checker found.
    pub fn value_type(&self) -> String {
        self.0.program.value_type().to_string()
    }

    /// Whether its value comes from a sensitive fact, and may not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.0.program.is_sensitive()
    }
}

impl RuleSet {
    /// Checks `expression`, which may be of any type, as if it were to be stored.
    pub fn compile_expression(&self, expression: &str) -> Result<Expression, Vec<Detail>> {
        let compiled = self.contents.environment.compile(expression, Role::DerivedField)?;
        let details = self.judged(&compiled);
        if details.is_empty() { Ok(Expression(compiled)) } else { Err(details) }
    }

    /// Evaluates an expression that this set has compiled on facts that it has read, for `cost_max` units at most.
    pub fn evaluate_compiled(
        &self,
        expression: &Expression,
        facts: &Facts,
        cost_max: u64,
    ) -> Result<Evaluated, Vec<Detail>> {
        let Expression(Compiled { program, .. }) = expression;
        let activation = self.activation(facts).ok_or_else(|| vec![schema_missing()])?;
        let limits = Limits::default();
        let limits = Limits { cost_max: limits.cost_max.min(cost_max), ..limits };
        let run = || {
            let (value, cost) = program.evaluate_within(&activation, limits);
            (value, program.trace(&activation), cost)
        };
        let (value, trace, cost) = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            let message = "the expression cannot be evaluated, and that is a defect of the service";
            (Err(EvaluationError::new("internal", message)), Vec::new(), limits.cost_max)
        });
        let value = value.map(|value| value.to_json());
        Ok(Evaluated { value_type: expression.value_type(), value, trace, cost })
    }

    /// Whether an expression that this set has compiled is true of facts that it has read.
    pub fn holds(&self, Expression(Compiled { program, .. }): &Expression, facts: &Facts) -> bool {
        let Some(activation) = self.activation(facts) else { return false };
        let run = || program.evaluate_within(&activation, Limits::default()).0;
        let value = catch_unwind(AssertUnwindSafe(run));
        matches!(value, Ok(Ok(Value::Bool(true))))
    }

    /// Checks `expression`, which may be of any type, and evaluates it on facts that this set has read.
    pub fn evaluate_expression(&self, expression: &str, facts: &Facts) -> Result<Evaluated, Vec<Detail>> {
        self.evaluate_compiled(&self.compile_expression(expression)?, facts, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ruleset::{UnknownFacts, fixture};

    fn evaluated(expression: &str) -> Result<Evaluated, Vec<Detail>> {
        let set = RuleSet::compile(&fixture::tenant().field("next", "facts.age + 1"), None);
        let facts = set.read_facts(r#"{"age": 17}"#, UnknownFacts::Refuse).unwrap();
        set.evaluate_expression(expression, &facts)
    }

    #[test]
    fn an_expression_of_any_type_has_a_value_and_a_trace() {
        let evaluated = evaluated("[facts.age, derived.next]").unwrap();
        assert_eq!((evaluated.value_type.as_str(), evaluated.value), ("list(int)", Ok(json!([17, 18]))));
        let trace: Vec<_> = evaluated.trace.iter().map(|entry| (entry.text.as_str(), &entry.value)).collect();
        assert!(trace.contains(&("derived.next", &json!(18))), "{trace:?}");
    }

    #[test]
    fn what_could_not_be_stored_is_not_evaluated() {
        let set = RuleSet::compile(&fixture::tenant().field("next", "facts.age + 1"), None);
        for (source, code) in [
            ("facts.age == 1 / 0", "division_by_zero"),
            ("timestamp(0).getHours('Europe/Berlinn')", "invalid_time_zone"),
            ("lists.range(200000).all(x, x + 1 > 0)", "cost_too_high"),
        ] {
            let refused = evaluated(source).unwrap_err();
            assert_eq!(refused[0].code, code, "{source}");
            assert_eq!(refused, set.check_derived_field(source).details, "{source}");
        }
    }

    #[test]
    fn an_expression_costs_no_more_than_it_may() {
        let set = RuleSet::compile(&fixture::tenant(), None);
        let facts = set.read_facts(r#"{"age": 17}"#, UnknownFacts::Refuse).unwrap();
        let expression = set.compile_expression("[1, 2, 3].map(n, n + facts.age)").unwrap();
        let full = set.evaluate_compiled(&expression, &facts, u64::MAX).unwrap();
        assert_eq!(full.value, Ok(json!([18, 19, 20])));
        assert!(set.evaluate_compiled(&expression, &facts, full.cost).unwrap().value.is_ok());
        let less = set.evaluate_compiled(&expression, &facts, full.cost - 1).unwrap();
        assert_eq!(less.value.unwrap_err().code, "cost_exceeded");
        assert!(less.cost < full.cost);
    }

    #[test]
    fn an_expression_without_a_value_says_where_it_ended() {
        let error = evaluated("facts.vip || facts.age > 20").unwrap().value.unwrap_err();
        assert_eq!((error.code, error.span.unwrap().column), ("no_such_field", 1));
        assert_eq!(evaluated("facts.agee").unwrap_err()[0].span.unwrap().column, 1);
    }
}
