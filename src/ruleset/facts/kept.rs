//! Which facts of a decision are kept with it: those that the schema declares, without what is sensitive.

use serde_json::{Map, Value};

use super::layout::{Inner, Layout, Node, Shape};

/// What is left of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// All that its schema declares.
    All,
    /// Less.
    Some,
    /// Nothing.
    Nothing,
}

impl Layout {
    /// Takes everything sensitive out of `facts`, written flat or under the names of objects, and whatever the schema does
    /// not declare, which nothing reads. Answers whether anything was taken that rules may have read. A key that could be
    /// a fact or an object is taken for both, which keeps less.
    pub fn keep(&self, facts: &mut Value) -> bool {
        let Value::Object(given) = facts else { return false };
        let mut is_all = true;
        given.retain(|name, value| {
            let flat = self.only().and_then(|shape| shape.find(name)).map(|(_, node)| node);
            let object = self.objects.find(name).map(|(_, node)| node);
            let nodes = [flat, object];
            let kept: Vec<Left> = nodes.into_iter().flatten().map(|node| keep_value(node, value)).collect();
            is_all &= kept.iter().all(|left| *left == Left::All) && kept.len() < 2;
            !kept.is_empty() && !kept.contains(&Left::Nothing)
        });
        !is_all
    }
}

fn keep_fields(shape: &Shape, given: &mut Map<String, Value>) -> Left {
    let mut left = Left::All;
    given.retain(|name, value| {
        let Some((_, node)) = shape.find(name) else { return false };
        let kept = keep_value(node, value);
        if kept != Left::All {
            left = Left::Some;
        }
        kept != Left::Nothing
    });
    left
}

fn keep_value(node: &Node, value: &mut Value) -> Left {
    if value.is_null() {
        return Left::All;
    }
    if node.field.sensitive {
        return Left::Nothing;
    }
    match (&node.inner, value) {
        (Inner::Items(items), Value::Array(list)) => keep_all(items, list.iter_mut()),
        (Inner::Values(values), Value::Object(map)) => keep_all(values, map.values_mut()),
        (Inner::Object(shape), Value::Object(map)) => keep_fields(shape, map),
        _ => Left::All,
    }
}

/// Elements are kept all or not at all: without some of them the others would have other places.
fn keep_all<'v>(node: &Node, values: impl Iterator<Item = &'v mut Value>) -> Left {
    let kept: Vec<Left> = values.map(|value| keep_value(node, value)).collect();
    match kept {
        kept if kept.contains(&Left::Nothing) => Left::Nothing,
        kept if kept.contains(&Left::Some) => Left::Some,
        _ => Left::All,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::SchemaDefinition;

    #[test]
    fn what_is_sensitive_and_what_is_not_declared_is_left_out_wherever_it_is() {
        let definition = json!({"facts": {
            "age": "int",
            "tax": {"type": "string", "sensitive": true},
            "cards": {"type": "list", "items": {"type": "string", "sensitive": true}},
            "person": {"name": "dyn", "secret": {"type": "dyn", "sensitive": true}},
            "people": {"type": "list", "items": {"type": "object", "fields": {
                "name": "string", "pin": {"type": "string", "sensitive": true}}}},
        }});
        let layout = Layout::of(&SchemaDefinition::parse(&definition).unwrap());
        let given = json!({
            "age": 3, "tax": "x", "cards": ["1"], "person": {"name": {"a": 1}, "secret": {"a": 1}, "more": 2},
            "people": [{"name": "a", "pin": "1"}], "more": "y"
        });
        let expected = json!({"age": 3, "person": {"name": {"a": 1}}, "people": [{"name": "a"}]});
        let (mut flat, mut nested) = (given.clone(), json!({ "facts": given }));
        assert!(layout.keep(&mut flat) && layout.keep(&mut nested));
        assert_eq!(flat, expected);
        assert_eq!(nested, json!({ "facts": expected }));
        let mut plain = json!({"age": 3, "tax": null, "more": "y"});
        assert!(!layout.keep(&mut plain), "rules read nothing that is not declared");
        assert_eq!(plain, json!({"age": 3, "tax": null}));
    }

    #[test]
    fn under_several_objects_the_same_holds() {
        let definition =
            json!({"user": {"tax": {"type": "string", "sensitive": true}, "age": "int"}, "order": {"n": "int"}});
        let layout = Layout::of(&SchemaDefinition::parse(&definition).unwrap());
        let mut given = json!({"user": {"tax": "x", "age": 1}, "order": {"n": 2}, "tax": "z"});
        assert!(layout.keep(&mut given));
        assert_eq!(given, json!({"user": {"age": 1}, "order": {"n": 2}}));
    }
}
