//! Bounds of the texts that people write beside names: expressions, descriptions and tags.

use std::collections::HashSet;

use crate::{
    config::limits,
    domain::{
        Unclear,
        quote::{element_path, quoted},
    },
    error::Detail,
};

/// What is wrong with an expression as a text, if anything is; whether it compiles is asked elsewhere.
pub(super) fn expression_error(expression: &str, path: &str) -> Option<Detail> {
    // A text of PostgreSQL cannot hold it.
    expression
        .contains('\0')
        .then(|| Detail::new("nul_character", "an expression may not contain a NUL character").at(path))
}

/// What is wrong with a description, if anything is.
pub(super) fn description_error(description: Option<&str>, path: &str) -> Option<Detail> {
    let text = description?;
    if text.chars().count() > limits::DESCRIPTION_CHARS_MAX {
        let message = format!("a description has at most {} characters", limits::DESCRIPTION_CHARS_MAX);
        return Some(Detail::new("description_too_long", message).at(path));
    }
    text.contains('\0').then(|| Detail::new("nul_character", "a description may not contain a NUL character").at(path))
}

/// Everything that is wrong with tags.
pub(super) fn tag_errors(tags: &[String], path: &str) -> Vec<Detail> {
    if tags.len() > limits::RULE_TAGS_MAX {
        let message = format!("a rule has at most {} tags, this one has {}", limits::RULE_TAGS_MAX, tags.len());
        return vec![Detail::new("too_many_tags", message).at(path)];
    }
    let mut seen = HashSet::new();
    let mut details = Vec::new();
    for (index, tag) in tags.iter().enumerate() {
        let detail = if tag.trim().is_empty() {
            Detail::new("tag_empty", "a tag must have at least one visible character")
        } else if tag.chars().count() > limits::TAG_CHARS_MAX {
            Detail::new("tag_too_long", format!("a tag has at most {} characters", limits::TAG_CHARS_MAX))
        } else if tag.chars().any(char::is_control) {
            Detail::new("tag_control_character", "a tag may not contain control characters")
        } else if let Some(unclear) = Unclear::of(tag) {
            let code = match unclear {
                Unclear::Space(..) => "tag_space",
                Unclear::Invisible(_) => "tag_invisible_character",
                Unclear::NotComposed { .. } => "tag_not_composed",
            };
            unclear.detail(code, "a tag")
        } else if !seen.insert(tag) {
            Detail::new("tag_duplicate", format!("duplicate tag `{}`", quoted(tag)))
        } else {
            continue;
        };
        details.push(detail.at(element_path(path, index)));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_few_short_visible_and_different() {
        let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let long = "é".repeat(101);
        let codes: Vec<_> = tag_errors(&tags(&["a", " ", "b\0", &long, "a", "A"]), "tags")
            .into_iter()
            .map(|detail| (detail.code, detail.path.unwrap()))
            .collect();
        assert_eq!(
            codes,
            [
                ("tag_empty", "tags[1]".to_owned()),
                ("tag_control_character", "tags[2]".to_owned()),
                ("tag_too_long", "tags[3]".to_owned()),
                ("tag_duplicate", "tags[4]".to_owned()),
            ]
        );
        let unclear: Vec<_> = tag_errors(&tags(&["a ", "a\u{200b}", "e\u{301}", "é"]), "tags")
            .into_iter()
            .map(|detail| (detail.code, detail.path.unwrap()))
            .collect();
        assert_eq!(
            unclear,
            [
                ("tag_space", "tags[0]".to_owned()),
                ("tag_invisible_character", "tags[1]".to_owned()),
                ("tag_not_composed", "tags[2]".to_owned()),
            ]
        );
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        assert_eq!(tag_errors(&many, "tags")[0].code, "too_many_tags");
        assert!(tag_errors(&many[1..], "tags").is_empty());
    }

    #[test]
    fn descriptions_are_measured_in_characters() {
        assert_eq!(description_error(None, "description"), None);
        assert_eq!(description_error(Some(&"é".repeat(4_000)), "description"), None);
        let code = |text: &str| description_error(Some(text), "description").map(|detail| detail.code);
        assert_eq!(code(&"é".repeat(4_001)), Some("description_too_long"));
        assert_eq!(code("a\0"), Some("nul_character"));
    }
}
