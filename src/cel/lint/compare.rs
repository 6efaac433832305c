//! Comparisons that never change: with a word that is none of an enumeration, with `null` where it never is, by zero.

use super::{Lint, values::inside};
use crate::{
    cel::{
        allowed::{Allowed, Word},
        check::{Access, Checked, CheckedKind},
        library::{is_zone, zones},
        parse::{Mistake, Range},
        types::Type,
        value::Value,
    },
    config::nearest,
    domain::quote::quoted,
};

/// Words of an enumeration that a hint names.
const WORDS_SHOWN: usize = 10;
/// Letters that two words must have in common at their beginning to be taken for one.
const COMMON_MIN: usize = 3;

impl Lint<'_> {
    /// Looks at one call, whose arguments may have these values.
    pub(super) fn call(&mut self, node: &Checked, name: &str, arguments: &[Checked], allowed: &[Allowed]) {
        let ([left, right], [left_allowed, right_allowed]) = (arguments, allowed) else { return };
        match name {
            "_==_" | "_!=_" => {
                self.with_null(node, name, [left, right]);
                self.same(node, [left, right], [left_allowed, right_allowed]);
            }
            "@in" if is_list(right) => match &right.kind {
                CheckedKind::List(elements) => {
                    for (element, _) in elements {
                        self.word(left, left_allowed, element);
                    }
                }
                _ if is_constant(left) => self.word(right, &right_allowed.item(), left),
                _ => self.disjoint(node, [left, right], left_allowed, &right_allowed.item()),
            },
            "sets.contains" | "sets.equivalent" | "sets.intersects" | "hasIntersection" | "isSubset" | "intersect"
            | "except"
                if is_list(left) && is_list(right) =>
            {
                self.elements([left, right], [left_allowed, right_allowed]);
            }
            "indexOf" | "lastIndexOf" if is_list(left) => self.word(left, &left_allowed.item(), right),
            "_/_" | "_%_" if matches!(constant(right), Some(Value::Int(0) | Value::Uint(0))) => {
                self.note(Mistake::new(node.range, "division by zero").code("division_by_zero"));
            }
            _ if left.value_type == Type::Timestamp && name.starts_with("get") => self.zone(right),
            _ => {}
        }
    }

    /// A time zone that is written out.
    fn zone(&mut self, zone: &Checked) {
        let Some(Value::String(name)) =
            constant(zone).filter(|value| !matches!(value, Value::String(name) if is_zone(name)))
        else {
            return;
        };
        let mistake =
            Mistake::new(zone.range, format!("`{}` is not a time zone", quoted(name))).code("invalid_time_zone");
        self.note(mistake.hint(match nearest(name, zones()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a name such as `Europe/Berlin`, or an offset such as `+02:00`".to_owned(),
        }));
    }

    /// `==` and `!=` of two values: one written out, or both known.
    fn same(&mut self, node: &Checked, [left, right]: [&Checked; 2], allowed: [&Allowed; 2]) {
        let [left_allowed, right_allowed] = allowed;
        match (is_written_out(left), is_written_out(right)) {
            (true, true) => {}
            (false, true) => self.written(left, left_allowed, right),
            (true, false) => self.written(right, right_allowed, left),
            (false, false) => self.disjoint(node, [left, right], left_allowed, right_allowed),
        }
    }

    /// A literal on one side of a comparison: a word, or a list or map of them.
    fn written(&mut self, other: &Checked, allowed: &Allowed, literal: &Checked) {
        match &literal.kind {
            CheckedKind::List(elements) => {
                elements.iter().for_each(|(element, _)| self.word(other, &allowed.item(), element));
            }
            CheckedKind::Map(entries) => {
                entries.iter().for_each(|(_, value, _)| self.word(other, &allowed.item(), value));
            }
            _ => self.word(other, allowed, literal),
        }
    }

    /// Elements that are written out on one side and never in the list on the other.
    fn elements(&mut self, lists: [&Checked; 2], allowed: [&Allowed; 2]) {
        let [left, right] = lists;
        let [left_allowed, right_allowed] = allowed;
        match (is_written_out(left), is_written_out(right)) {
            (false, true) => self.written(left, left_allowed, right),
            (true, false) => self.written(right, right_allowed, left),
            _ => {}
        }
    }

    /// A literal that is none of the possible values of what it is compared with.
    fn word(&mut self, other: &Checked, allowed: &Allowed, literal: &Checked) {
        let Some(word) = constant(literal).and_then(Word::of).filter(|word| allowed.excludes(word)) else { return };
        if is_written_out(other) {
            return;
        }
        let message = match inside(&other.value_type) {
            Type::List(_) => format!("`{}` never holds `{word}`", self.text(other.range)),
            _ => format!("`{}` is never `{word}`", self.text(other.range)),
        };
        let hint = word_hint(&word, allowed.words().unwrap_or_default(), self.text(other.range));
        self.note(Mistake::new(literal.range, message).code("not_in_enum").hint(hint));
    }

    fn disjoint(&mut self, node: &Checked, [left, right]: [&Checked; 2], one: &Allowed, other: &Allowed) {
        if is_constant(left) || is_constant(right) || !one.is_disjoint(other) {
            return;
        }
        let message = format!("`{}` and `{}` have no value in common", self.text(left.range), self.text(right.range));
        let hint = format!("the one is {}, the other {}", listed(one), listed(other));
        self.note(Mistake::new(node.range, message).code("not_in_enum").hint(hint));
    }

    /// A comparison with `null` of what is never `null`.
    fn with_null(&mut self, node: &Checked, name: &str, [left, right]: [&Checked; 2]) {
        let other = match (constant(left), constant(right)) {
            (Some(Value::Null), None) => right,
            (None, Some(Value::Null)) => left,
            _ => return,
        };
        if matches!(other.value_type, Type::Dyn | Type::Null | Type::Variable(_) | Type::Parameter(_)) {
            return;
        }
        let text = self.text(other.range);
        let message = format!("`{text}` is never `null`");
        let hint = absence_hint(name, other, text);
        self.note(Mistake::new(node.range, message).code("never_null").hint(hint));
    }
}

/// How to ask for what a comparison with `null` was meant to ask.
pub(in crate::cel) fn absence_hint(operator: &str, other: &Checked, text: &str) -> String {
    let not = if operator == "_==_" { "!" } else { "" };
    match &other.kind {
        CheckedKind::Slot(..) | CheckedKind::Select { mode: Access::Plain, .. }
            if !matches!(other.value_type, Type::Optional(_)) =>
        {
            format!("a field that is missing is absent: write `{not}has({text})`")
        }
        _ if matches!(other.value_type, Type::Optional(_)) => format!("write `{not}{text}.hasValue()`"),
        _ => "leave the comparison out: only `dyn` can be `null`".to_owned(),
    }
}

fn word_hint(word: &Word, words: &[Word], field: &str) -> String {
    if word.text() == Some("") {
        return format!("write `!has({field})` to ask whether it is absent");
    }
    let texts = || words.iter().filter_map(Word::text);
    match word.text().and_then(|word| nearest(word, texts()).or_else(|| texts().find(|other| is_begun(word, other)))) {
        Some(near) => format!("did you mean `{}`?", Word::Text(near.into())),
        None => format!("it is {}", listed(&Allowed::only(words.iter().cloned()))),
    }
}

/// Whether one word begins with the other, whatever is between their letters and however these are written.
fn is_begun(left: &str, right: &str) -> bool {
    let plain = |word: &str| -> String {
        word.chars().take(100).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let (left, right) = (plain(left), plain(right));
    left.len().min(right.len()) >= COMMON_MIN && (left.starts_with(&right) || right.starts_with(&left))
}

fn listed(allowed: &Allowed) -> String {
    let words = allowed.words().unwrap_or_default();
    let shown: Vec<_> = words.iter().take(WORDS_SHOWN).map(|word| format!("`{word}`")).collect();
    let one_of = if words.len() > 1 { "one of " } else { "" };
    match words.len().checked_sub(WORDS_SHOWN) {
        Some(more) if more > 0 => format!("{one_of}{} and {more} more", shown.join(", ")),
        _ => format!("{one_of}{}", shown.join(", ")),
    }
}

fn constant(node: &Checked) -> Option<&Value> {
    if let CheckedKind::Constant(value) = &node.kind { Some(value) } else { None }
}

fn is_constant(node: &Checked) -> bool {
    constant(node).is_some()
}

/// Whether it is a literal: a value, a list or a map.
fn is_written_out(node: &Checked) -> bool {
    matches!(node.kind, CheckedKind::Constant(_) | CheckedKind::List(_) | CheckedKind::Map(_))
}

fn is_list(node: &Checked) -> bool {
    matches!(node.value_type, Type::List(_))
}

/// Where `range` and the range of a failure are one, only one of them is told.
pub(super) fn is_same_place(mistakes: &[Mistake], range: Range) -> bool {
    mistakes.iter().any(|mistake| mistake.range == range)
}
