//! How much of a path in facts may be shown: keys inside of what is sensitive are the caller's customers' business.

use serde_json::{Map, Value};

use super::layout::{Inner, Layout, Node, Shape};

/// What stands for a value that must not be shown.
const MASK: &str = "(sensitive)";

impl Layout {
    /// How many of these steps may be shown: keys, or `None` for the elements of lists. What is not declared is shown.
    pub fn shown_steps(&self, steps: &[Option<&str>]) -> usize {
        let first = steps.first().copied().flatten();
        // A path does not say whether other keys are beside it: its first step is then taken for the object, which shows less.
        let is_wrapped = first.is_some_and(|key| steps.len() > 1 && self.is_wrapped_by(key));
        let shape = self.only().filter(|_| !is_wrapped).unwrap_or(&self.objects);
        shown(steps, 0, field(shape, steps))
    }
}

impl Layout {
    /// Puts a mask in the place of every sensitive value in `facts`, written flat or under the names of objects. A key that
    /// could be either is taken for both, which shows less.
    pub fn mask(&self, facts: &mut Value) {
        let Value::Object(given) = facts else { return };
        for (name, value) in given {
            let flat = self.only().and_then(|shape| shape.find(name));
            if let Some((_, node)) = flat.or_else(|| self.objects.find(name)) {
                mask_value(node, value);
            }
        }
    }
}

fn mask_fields(shape: &Shape, given: &mut Map<String, Value>) {
    for (name, value) in given {
        if let Some((_, node)) = shape.find(name) {
            mask_value(node, value);
        }
    }
}

fn mask_value(node: &Node, value: &mut Value) {
    if node.field.sensitive && !value.is_null() {
        *value = Value::from(MASK);
        return;
    }
    match (&node.inner, value) {
        (Inner::Items(items), Value::Array(list)) => list.iter_mut().for_each(|item| mask_value(items, item)),
        (Inner::Values(values), Value::Object(map)) => map.values_mut().for_each(|value| mask_value(values, value)),
        (Inner::Object(shape), Value::Object(map)) => mask_fields(shape, map),
        _ => {}
    }
}

fn field<'a>(shape: &'a Shape, steps: &[Option<&str>]) -> Option<&'a Node> {
    steps.first().copied().flatten().and_then(|name| shape.find(name)).map(|(_, node)| node)
}

/// `node` is what the step at `at` leads to.
fn shown(steps: &[Option<&str>], at: usize, node: Option<&Node>) -> usize {
    let Some(node) = node else { return steps.len() };
    if node.field.sensitive {
        return (at + 1).min(steps.len());
    }
    let rest = steps.get(at + 1..).unwrap_or_default();
    let next = match (&node.inner, rest.first()) {
        (Inner::Items(items), Some(None)) => Some(&**items),
        (Inner::Values(values), Some(Some(_))) => Some(&**values),
        (Inner::Object(shape), Some(Some(_))) => field(shape, rest),
        _ => None,
    };
    shown(steps, at + 1, next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::SchemaDefinition;

    #[test]
    fn sensitive_values_are_masked_wherever_they_are() {
        let definition = json!({"facts": {
            "age": "int",
            "tax": {"type": "string", "sensitive": true},
            "cards": {"type": "list", "items": {"type": "string", "sensitive": true}},
            "person": {"name": "dyn", "secret": {"type": "dyn", "sensitive": true}},
        }});
        let layout = Layout::of(&SchemaDefinition::parse(&definition).unwrap());
        let given = json!({"age": 3, "tax": "x", "cards": ["1", "2"], "person": {"name": "n", "secret": {"a": 1}}, "more": "y"});
        let expected = json!({
            "age": 3, "tax": MASK, "cards": [MASK, MASK], "person": {"name": "n", "secret": MASK}, "more": "y"
        });
        let (mut flat, mut nested) = (given.clone(), json!({ "facts": given }));
        layout.mask(&mut flat);
        layout.mask(&mut nested);
        assert_eq!(flat, expected);
        assert_eq!(nested, json!({ "facts": expected }));
        let mut both = json!({"facts": {"tax": "x"}, "tax": "y", "other": 1});
        layout.mask(&mut both);
        assert_eq!(both, json!({"facts": {"tax": MASK}, "tax": MASK, "other": 1}));
    }

    #[test]
    fn a_path_ends_where_something_sensitive_begins() {
        let definition = json!({"facts": {
            "map": {"type": "map", "values": "int", "sensitive": true},
            "maps": {"type": "list", "items": {"type": "map", "values": "int", "sensitive": true}},
            "person": {"name": "dyn", "secret": {"type": "dyn", "sensitive": true}},
            "open": {"type": "map", "values": {"type": "dyn", "sensitive": true}},
        }});
        let layout = Layout::of(&SchemaDefinition::parse(&definition).unwrap());
        for (path, expected) in [
            ("map.x", 1),
            ("facts.map.x", 2),
            ("maps.[].x", 2),
            ("facts.maps.[].x.y", 3),
            ("person.name.x", 3),
            ("person.secret.x.y", 2),
            ("open.x.y.z", 2),
            ("unknown.x", 2),
            ("facts.unknown.x", 3),
            ("map", 1),
        ] {
            let steps: Vec<_> = path.split('.').map(|step| (step != "[]").then_some(step)).collect();
            assert_eq!(layout.shown_steps(&steps), expected, "{path}");
        }
        let two = json!({"a": {"map": {"type": "map", "values": "int", "sensitive": true}}, "b": {"x": "int"}});
        let layout = Layout::of(&SchemaDefinition::parse(&two).unwrap());
        assert_eq!(layout.shown_steps(&[Some("a"), Some("map"), Some("k")]), 2);
        assert_eq!(layout.shown_steps(&[]), 0);
    }
}
