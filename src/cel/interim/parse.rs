//! Source text to tree, within limits that hold before any recursion. No types.
//!
//! The Pratt parser gives the tree and is fast; the crate's default parser (ANTLR) knows positions, and is asked only
//! when there is something to report. Both give the same tree.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo};
use cel::parser::{Parser, PrattParser};

use crate::config::limits::{EXPRESSION_DEPTH_MAX, SOURCE_BYTES_MAX};
use crate::error::{Detail, Span};

/// Nodes of an expression's tree, macros expanded.
const NODES_MAX: usize = 1_000;
/// Stack for what recurses with the source: the default parser takes 76 MiB for 4 KiB in a debug build. Virtual memory:
/// only what is touched is taken.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Runs `work` on a thread with a stack that no expression within the limits can overflow.
pub(super) fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("cel".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// The tree of `source`. To be called where the stack is deep enough for the limits.
pub(super) fn parse(source: &str) -> Result<IdedExpr, Vec<Detail>> {
    check_source(source).map_err(|detail| vec![detail])?;
    let parser = PrattParser::new().enable_optional_syntax(true);
    let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse(source)));
    let Ok(Ok(tree)) = parsed else { return Err(syntax_errors(source)) };
    check_tree(&tree).map_err(|detail| vec![detail])?;
    Ok(tree)
}

/// The tree with the positions of its nodes. Needs a big stack.
pub(super) fn parse_with_positions(source: &str) -> Option<(IdedExpr, SourceInfo)> {
    let parser = Parser::new().enable_optional_syntax(true);
    catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(source).ok())).ok().flatten()
}

/// What the default parser has to say. Runs on a big stack of its own: syntax errors are rare.
fn syntax_errors(source: &str) -> Vec<Detail> {
    let found = on_big_stack(|| {
        let parser = Parser::new().enable_optional_syntax(true);
        catch_unwind(AssertUnwindSafe(|| parser.parse(source).err()))
            .ok()
            .flatten()
            .map(|errors| errors.errors.into_iter().map(|error| (error.pos, error.msg)).collect::<Vec<_>>())
    });
    let details: Vec<Detail> = found
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .map(|(place, message)| syntax_error(source, place, &message))
        .collect();
    if details.is_empty() {
        return vec![Detail::new("syntax_error", "the expression is not CEL")];
    }
    details
}

fn syntax_error(source: &str, (line, column): (isize, isize), message: &str) -> Detail {
    let (line, column) = (u32::try_from(line).unwrap_or(1).max(1), u32::try_from(column).unwrap_or(1).max(1));
    let text: Option<char> =
        source.lines().nth(line as usize - 1).and_then(|text| text.chars().nth(column as usize - 1));
    let mut detail = Detail::new("syntax_error", message.trim_start_matches("Syntax error: ").to_owned());
    detail.span = Some(Span { line, column, end_line: line, end_column: column + u32::from(text.is_some()) });
    detail.text = text.map(String::from);
    detail
}

/// Length, nesting of brackets and runs of unary operators: what makes parsers recurse.
fn check_source(source: &str) -> Result<(), Detail> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the expression has {} bytes, of at most {SOURCE_BYTES_MAX}", source.len());
        return Err(Detail::new("expression_too_long", message).hint("split it into derived fields"));
    }
    let (mut depth, mut run) = (0_usize, 0_usize);
    for token in outside_of_literals(source) {
        match token {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '!' | '-' => run += 1,
            token if token.is_whitespace() => {}
            _ => run = 0,
        }
        if depth > EXPRESSION_DEPTH_MAX || run > EXPRESSION_DEPTH_MAX {
            return Err(too_deep());
        }
    }
    Ok(())
}

fn too_deep() -> Detail {
    Detail::new("expression_too_deep", format!("the expression nests more than {EXPRESSION_DEPTH_MAX} deep"))
        .hint("split it into derived fields, or a long sum into a list")
}

/// The characters of `source` that are neither in a string nor in a comment. Errs on the side of too many: a parser
/// comes after it.
fn outside_of_literals(source: &str) -> Vec<char> {
    let mut outside = Vec::with_capacity(source.len());
    let characters: Vec<char> = source.chars().collect();
    let at = |position: usize| characters.get(position).copied();
    let mut position = 0;
    while let Some(character) = at(position) {
        position += 1;
        match character {
            '"' | '\'' => {
                let raw = matches!(at(position.wrapping_sub(2)), Some('r' | 'R'));
                position = end_of_string(&characters, position, character, raw);
                outside.push('s');
            }
            '/' if at(position) == Some('/') => {
                while at(position).is_some_and(|next| next != '\n') {
                    position += 1;
                }
            }
            other => outside.push(other),
        }
    }
    outside
}

/// The position after the string whose first quote stands before `start`.
fn end_of_string(characters: &[char], start: usize, quote: char, raw: bool) -> usize {
    let at = |position: usize| characters.get(position).copied();
    let triple = at(start) == Some(quote) && at(start + 1) == Some(quote);
    let mut position = if triple { start + 2 } else { start };
    while let Some(character) = at(position) {
        position += 1;
        if character == '\\' && !raw {
            position += 1;
        } else if character == quote && !triple {
            return position;
        } else if character == quote && at(position) == Some(quote) && at(position + 1) == Some(quote) {
            return position + 2;
        }
    }
    position
}

/// Depth and size of the tree, without recursion.
fn check_tree(tree: &IdedExpr) -> Result<(), Detail> {
    let mut waiting = vec![(tree, 1_usize)];
    let mut nodes = 0_usize;
    while let Some((node, depth)) = waiting.pop() {
        nodes += 1;
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(too_deep());
        }
        if nodes > NODES_MAX {
            let message = format!("the expression has more than {NODES_MAX} parts");
            return Err(Detail::new("expression_too_large", message).hint("split it into derived fields"));
        }
        waiting.extend(children(node).into_iter().map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The depth of a tree that is within the limits.
pub(super) fn depth(tree: &IdedExpr) -> usize {
    1 + children(tree).into_iter().map(depth).max().unwrap_or(0)
}

/// The direct parts of a node, in the order of evaluation.
pub(super) fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(inner) => {
            vec![&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts_of_entry(&entry.expr)).collect(),
        Expr::Struct(literal) => literal.entries.iter().flat_map(|entry| parts_of_entry(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn parts_of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The tree with every id 0: the parsers number nodes in orders of their own.
#[cfg(test)]
pub(super) fn without_ids(tree: &IdedExpr) -> String {
    let text = format!("{tree:?}");
    let mut parts = text.split("id: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start_matches(|character: char| character.is_ascii_digit()))
}
