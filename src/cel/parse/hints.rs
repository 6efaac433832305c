//! What was meant by a token that stands where none of its kind may: operators and statements of other languages.

/// What to write for a token that is not expected, behind what stands `before` it.
pub(super) fn of_token(token: &str, before: &str) -> Option<&'static str> {
    let previous = before.trim_end();
    let last_word = previous.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    Some(match token.to_ascii_lowercase().as_str() {
        "=" if previous.ends_with(['=', '!']) => "write two signs: `==` or `!=`",
        "=" => "write `==` to compare",
        "&" | "and" => "write `&&`",
        "|" | "or" => "write `||`",
        "in" if previous.ends_with('.') => "a field of this name is written in backticks: .`in`",
        "in" if last_word.eq_ignore_ascii_case("not") => "write `!(value in list)`",
        "in" => "write `in`: `value in list`",
        "true" | "false" | "null" if previous.ends_with('.') => "a field of this name is written in backticks",
        "not" => "write `!`: `!(value in list)`",
        "is" | "eq" | "equals" => "write `==`",
        "ne" | "neq" => "write `!=`",
        "lt" => "write `<`",
        "le" | "lte" => "write `<=`",
        "gt" => "write `>`",
        "ge" | "gte" => "write `>=`",
        ">" if previous.ends_with('<') => "write `!=`",
        "contains" => "write `text.contains(part)`",
        "startswith" => "write `text.startsWith(part)`",
        "endswith" => "write `text.endsWith(part)`",
        "matches" | "like" => "write `text.matches('pattern')`",
        "between" => "write `low <= value && value <= high`",
        "then" | "else" => "write `condition ? value : other`",
        "?" if previous.ends_with('?') => "write `object.?field.orValue(other)`",
        _ if last_word.eq_ignore_ascii_case("not") => "write `!`",
        _ => return None,
    })
}

/// What to write instead of a statement of another language.
pub(super) fn of_reserved_word(word: &str) -> &'static str {
    match word {
        "if" | "else" => "write `condition ? value : other`",
        "for" | "while" | "loop" => "write `list.exists(item, condition)` or `list.all(item, condition)`",
        "let" | "var" | "const" => "write `cel.bind(name, value, expression)`, or make a derived field",
        "return" => "leave it out: an expression is its value",
        _ => "use another name",
    }
}
