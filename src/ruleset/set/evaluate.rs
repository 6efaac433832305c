//! Evaluating one expression that is not stored, of any type. Rules of the set are evaluated in `decide`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{RuleSet, compiled::Role, schema_missing};
use crate::{
    cel::{EvaluationError, TraceEntry},
    error::Detail,
    ruleset::Facts,
};

/// What an expression gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The type that the checker found.
    pub value_type: String,
    /// Its value in JSON, or why it has none.
    pub value: Result<serde_json::Value, EvaluationError>,
    /// The value of every sub-expression that was evaluated, in the order of the source.
    pub trace: Vec<TraceEntry>,
}

impl RuleSet {
    /// Checks `expression`, which may be of any type, and evaluates it on facts that this set has read.
    pub fn evaluate_expression(&self, expression: &str, facts: &Facts) -> Result<Evaluated, Vec<Detail>> {
        let compiled = self.contents.environment.compile(expression, Role::DerivedField)?;
        let unusable = self.contents.derived.unusable(&compiled);
        if !unusable.is_empty() {
            return Err(unusable);
        }
        let activation = self.activation(facts).ok_or_else(|| vec![schema_missing()])?;
        let value_type = compiled.program.value_type().to_string();
        let run = || (compiled.program.evaluate(&activation), compiled.program.trace(&activation));
        let (value, trace) = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            let message = "the expression cannot be evaluated, and that is a defect of the service";
            (Err(EvaluationError::new("internal", message)), Vec::new())
        });
        Ok(Evaluated { value_type, value: value.map(|value| value.to_json()), trace })
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
    fn an_expression_without_a_value_says_where_it_ended() {
        let error = evaluated("facts.vip || facts.age > 20").unwrap().value.unwrap_err();
        assert_eq!((error.code, error.span.unwrap().column), ("no_such_field", 1));
        assert_eq!(evaluated("facts.agee").unwrap_err()[0].span.unwrap().column, 1);
    }
}
