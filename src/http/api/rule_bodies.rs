//! What callers send about rules, and how it becomes drafts and patches: all mistakes at once, each with its path.
//!
//! Whether an expression compiles is not said here: that takes the tenant's schema.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    config::limits,
    domain::{Name, RuleDraft, RulePatch},
    error::Detail,
    http::door::body::{BodySize, Document},
    json::{Object, present},
};

/// A rule to create, or to replace another one with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RuleBody {
    /// Its name, unique within its tenant.
    #[schema(min_length = 1, max_length = 255, example = "adult")]
    name: String,
    /// CEL, of type `bool`.
    #[schema(min_length = 1, max_length = 4096, example = "facts.age >= 18")]
    expression: String,
    /// What it is for.
    #[schema(max_length = 4000)]
    description: Option<String>,
    /// Words to select rules by.
    #[serde(default)]
    #[schema(max_items = 50)]
    tags: Vec<String>,
    /// Whether it is evaluated.
    #[serde(default = "active")]
    #[schema(default = true)]
    active: bool,
}

/// All rules of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RuleListBody {
    /// The rules.
    #[schema(value_type = Vec<RuleBody>)]
    rules: Vec<Object<RuleBody>>,
}

/// The parts of a rule to change; what is omitted stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct RulePatchBody {
    /// A new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    name: Option<String>,
    /// A new expression.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 4096)]
    expression: Option<String>,
    /// A new description; `null` removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 4000)]
    description: Option<Option<String>>,
    /// New tags.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 50)]
    tags: Option<Vec<String>>,
    /// Whether it is evaluated.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    active: Option<bool>,
}

/// An expression to check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub struct ExpressionBody {
    /// CEL.
    #[schema(example = "facts.age >= 18")]
    pub expression: String,
}

impl Document for RuleBody {}
impl Document for RulePatchBody {}
impl Document for ExpressionBody {}
impl Document for RuleListBody {
    const SIZE: BodySize = BodySize::Rules;
}

fn active() -> bool {
    true
}

impl RuleBody {
    /// The rule that it describes; `path` is its position in the body.
    pub fn draft(self, path: &str) -> Result<RuleDraft, Vec<Detail>> {
        let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        let name = Name::parse(&self.name, &below("name"));
        let mut details = tag_mistakes(&self.tags, &below("tags"));
        details.extend(check_description(self.description.as_deref(), &below("description")).err());
        match name {
            Ok(name) if details.is_empty() => {
                let Self { expression, description, tags, active, .. } = self;
                Ok(RuleDraft { name, expression, description, tags, active })
            }
            name => {
                details.splice(0..0, name.err());
                Err(details)
            }
        }
    }
}

impl RuleListBody {
    /// The rules that it describes.
    pub fn drafts(self) -> Result<Vec<RuleDraft>, Vec<Detail>> {
        if self.rules.len() > limits::RULES_MAX {
            let message = format!("a tenant has at most {} rules, these are {}", limits::RULES_MAX, self.rules.len());
            return Err(vec![Detail::new("too_many", message).at("rules")]);
        }
        let (mut drafts, mut details) = (Vec::with_capacity(self.rules.len()), Vec::new());
        for (index, Object(rule)) in self.rules.into_iter().enumerate() {
            match rule.draft(&format!("rules[{index}]")) {
                Ok(draft) => drafts.push(draft),
                Err(wrong) => details.extend(wrong),
            }
        }
        if details.is_empty() { Ok(drafts) } else { Err(details) }
    }
}

impl RulePatchBody {
    /// The changes that it describes.
    pub fn patch(self) -> Result<RulePatch, Vec<Detail>> {
        let mut details = Vec::new();
        let name = match self.name.map(|name| Name::parse(&name, "name")).transpose() {
            Ok(name) => name,
            Err(wrong) => {
                details.push(wrong);
                None
            }
        };
        details.extend(tag_mistakes(self.tags.as_deref().unwrap_or_default(), "tags"));
        let description = self.description.as_ref().and_then(|description| description.as_deref());
        details.extend(check_description(description, "description").err());
        let Self { expression, description, tags, active, .. } = self;
        if details.is_empty() { Ok(RulePatch { name, expression, description, tags, active }) } else { Err(details) }
    }
}

/// Says if a description is too long.
pub fn check_description(description: Option<&str>, path: &str) -> Result<(), Detail> {
    let length = description.map_or(0, |description| description.chars().count());
    if length > limits::DESCRIPTION_CHARS_MAX {
        let most = limits::DESCRIPTION_CHARS_MAX;
        let message = format!("a description has at most {most} characters, this one has {length}");
        return Err(Detail::new("description_too_long", message).at(path));
    }
    Ok(())
}

fn tag_mistakes(tags: &[String], path: &str) -> Vec<Detail> {
    if tags.len() > limits::RULE_TAGS_MAX {
        let message = format!("a rule has at most {} tags, this one has {}", limits::RULE_TAGS_MAX, tags.len());
        return vec![Detail::new("too_many_tags", message).at(path)];
    }
    let mistake = |(index, tag): (usize, &String)| {
        let (code, message) = if tag.trim().is_empty() {
            ("tag_empty", "a tag must have at least one visible character".to_owned())
        } else if tag.chars().count() > limits::TAG_CHARS_MAX {
            ("tag_too_long", format!("a tag has at most {} characters", limits::TAG_CHARS_MAX))
        } else if tags.iter().take(index).any(|earlier| earlier == tag) {
            ("tag_repeated", format!("duplicate tag `{tag}`"))
        } else {
            return None;
        };
        Some(Detail::new(code, message).at(format!("{path}[{index}]")))
    };
    tags.iter().enumerate().filter_map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn every_mistake_of_every_rule_is_named_with_its_path() {
        let long = "x".repeat(101);
        let text = format!(
            r#"{{"rules":[{{"name":"a","expression":"true"}},{{"name":" ","expression":"","tags":["a","a","{long}",""]}}]}}"#
        );
        let body: RuleListBody = json::read(text.as_bytes()).unwrap();
        let details = body.drafts().unwrap_err();
        let found: Vec<_> = details.iter().map(|detail| (detail.code, detail.path.as_deref().unwrap())).collect();
        let expected = [
            ("name_empty", "rules[1].name"),
            ("tag_repeated", "rules[1].tags[1]"),
            ("tag_too_long", "rules[1].tags[2]"),
            ("tag_empty", "rules[1].tags[3]"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rule_is_active_unless_it_says_otherwise() {
        let draft = |text: &str| json::read::<RuleBody>(text.as_bytes()).unwrap().draft("").unwrap();
        assert!(draft(r#"{"name":"a","expression":"true"}"#).active);
        assert!(!draft(r#"{"name":"a","expression":"true","active":false}"#).active);
    }

    #[test]
    fn a_patch_removes_a_description_only_when_told() {
        let patch = |text: &str| json::read::<RulePatchBody>(text.as_bytes()).map(|body| body.patch().unwrap());
        assert_eq!(patch("{}").unwrap(), RulePatch::default());
        assert_eq!(patch(r#"{"description":null}"#).unwrap().description, Some(None));
        let refused = patch(r#"{"name":null}"#).unwrap_err();
        assert!(matches!(refused, json::Error::Invalid(detail) if detail.code == "wrong_type"));
    }
}
