//! How much of a path in facts may be shown: keys inside of what is sensitive are the caller's customers' business.

use super::layout::{Inner, Layout, Node, Shape};

impl Layout {
    /// How many of these steps may be shown: keys, or `None` for the elements of lists. What is not declared is shown.
    pub fn shown_steps(&self, steps: &[Option<&str>]) -> usize {
        let nested = steps.first().copied().flatten().and_then(|name| self.objects.find(name));
        let only = match self.objects.nodes.as_slice() {
            [Node { inner: Inner::Object(shape), .. }] => Some(shape),
            _ => None,
        };
        // With one object its fields may stand without it, unless one is called as it is.
        let is_nested = nested.is_some() && only.is_none_or(|shape| steps.len() > 1 && field(shape, steps).is_none());
        match only.filter(|_| !is_nested) {
            Some(shape) => shown(steps, 0, field(shape, steps)),
            None => shown(steps, 0, nested.map(|(_, node)| node)),
        }
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
