//! Running one migration file, statement by statement, so that a failure names its statement.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, migrate::Migration, postgres::PgDatabaseError};

use super::{
    Error, failed,
    table::{self, Success},
};

/// Characters of a failed statement that are shown.
const SHOWN_CHARS: usize = 400;

/// Applies or undoes a migration, and records that.
pub(super) async fn run(connection: &mut PgConnection, migration: &Migration) -> Result<(), Error> {
    let began = Instant::now();
    if migration.no_tx {
        // Recorded before, because nothing can be undone: what stays `success = false` ended halfway.
        table::record(connection, migration, Success::Begun).await.map_err(failed("record the migration"))?;
        let aftermath = "the statements before it have taken effect, and the migration is marked as dirty; repair \
            what it left, then run `tenet migrate force` with the version that the tables really have";
        statements(connection, migration, aftermath).await?;
        finish(connection, migration).await.map_err(failed("record the migration"))?;
    } else {
        let mut transaction = connection.begin().await.map_err(failed("begin"))?;
        statements(&mut transaction, migration, "nothing of it has taken effect").await?;
        finish(&mut transaction, migration).await.map_err(failed("record the migration"))?;
        transaction.commit().await.map_err(failed("commit the migration"))?;
    }
    let nanoseconds = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
    table::record_time(connection, migration.version, nanoseconds).await.map_err(failed("record the migration"))
}

async fn finish(connection: &mut PgConnection, migration: &Migration) -> Result<(), sqlx::Error> {
    if migration.migration_type.is_down_migration() {
        table::remove(connection, migration.version).await
    } else {
        table::record(connection, migration, Success::Complete).await
    }
}

async fn statements(connection: &mut PgConnection, migration: &Migration, aftermath: &str) -> Result<(), Error> {
    for statement in split(migration.sql.as_str()) {
        // Written by us and embedded in the binary; nothing of it comes from outside.
        let sql = AssertSqlSafe(statement.text.to_owned());
        if let Err(error) = connection.execute(sqlx::raw_sql(sql)).await {
            return Err(Error::Failed {
                file: file_name(migration),
                line: statement.line,
                statement: shown(statement.text),
                reason: reason(&error),
                aftermath: aftermath.to_owned(),
            });
        }
    }
    Ok(())
}

fn file_name(migration: &Migration) -> String {
    let name = migration.description.replace(' ', "_");
    format!("{:06}_{name}{}", migration.version, migration.migration_type.suffix())
}

fn shown(statement: &str) -> String {
    let mut shown: String = statement.chars().take(SHOWN_CHARS).collect();
    if shown.len() < statement.len() {
        shown.push('…');
    }
    shown
}

/// What PostgreSQL says, with everything it adds.
fn reason(error: &sqlx::Error) -> String {
    let Some(postgres) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return error.to_string();
    };
    let mut reason = format!("{} (SQLSTATE {})", postgres.message(), postgres.code());
    for (label, text) in [("detail", postgres.detail()), ("hint", postgres.hint())] {
        if let Some(text) = text {
            reason.push_str(&format!("\n  {label}: {text}"));
        }
    }
    reason
}

/// A statement of a file.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'a> {
    text: &'a str,
    /// The line that it begins at, from 1.
    line: usize,
}

/// The statements of a file: what stands between semicolons outside quotes, dollar quotes and comments. Bodies in
/// `begin atomic … end`, which have bare semicolons, are not known here; use dollar quotes.
fn split(sql: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut rest = sql;
    let mut start = None;
    let offset = |rest: &str| sql.len() - rest.len();
    loop {
        let at = offset(rest);
        let Some(c) = rest.chars().next() else {
            statements.extend(start.and_then(|start| statement(sql, start, at)));
            return statements;
        };
        if let Some(length) = comment_length(rest) {
            rest = after(rest, length);
            continue;
        }
        if c == ';' {
            statements.extend(start.take().and_then(|start| statement(sql, start, at)));
            rest = after(rest, 1);
            continue;
        }
        if !c.is_whitespace() {
            start.get_or_insert(at);
        }
        // The word as a whole: in `e'…'` a backslash escapes, and a `$` inside a word quotes nothing.
        rest = after(rest, quoted_length(rest).or_else(|| word_length(rest)).unwrap_or(c.len_utf8()));
    }
}

fn statement(sql: &str, start: usize, end: usize) -> Option<Statement<'_>> {
    let text = sql.get(start..end)?.trim_end();
    let line = sql.get(..start)?.matches('\n').count() + 1;
    Some(Statement { text, line })
}

/// What follows `length` bytes; nothing if there is no more.
fn after(text: &str, length: usize) -> &str {
    text.get(length..).unwrap_or_default()
}

/// The length of a comment at the start of `text`.
fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with("/*") {
            depth += 1;
            rest = after(rest, 2);
        } else if rest.starts_with("*/") {
            depth -= 1;
            rest = after(rest, 2);
            if depth == 0 {
                break;
            }
        } else {
            rest = after(rest, rest.chars().next().map_or(1, char::len_utf8));
        }
    }
    Some(text.len() - rest.len())
}

/// The length of a quoted thing at the start of `text`; up to the end, if its end is missing.
fn quoted_length(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    match chars.next()?.1 {
        quote @ ('\'' | '"') => Some(closing(text, 1, quote, Backslash::Plain)),
        'e' | 'E' if after(text, 1).starts_with('\'') => Some(closing(text, 2, '\'', Backslash::Escapes)),
        '$' => {
            let tag_length = after(text, 1).find('$')? + 2;
            let tag = text.get(..tag_length)?;
            let name = tag.trim_matches('$');
            let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            let end = after(text, tag_length).find(tag).map_or(text.len(), |at| at + 2 * tag_length);
            is_tag.then_some(end)
        }
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Plain,
    Escapes,
}

/// Where the quote that was opened before `from` is closed; two in a row are one inside.
fn closing(text: &str, from: usize, quote: char, backslash: Backslash) -> usize {
    let mut chars = after(text, from).char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash == Backslash::Escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return from + at + quote.len_utf8();
        }
    }
    text.len()
}

/// The length of a word at the start of `text`.
fn word_length(text: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if !text.starts_with(is_word) {
        return None;
    }
    Some(text.find(|c: char| !is_word(c) && c != '$').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split(sql).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(texts("select 1; select 2;\n;; select 3"), ["select 1", "select 2", "select 3"]);
        assert_eq!(texts(" \n "), [""; 0]);
    }

    #[test]
    fn quotes_and_comments_hide_semicolons() {
        for sql in [
            "select ';'",
            "select 'it''s; ok'",
            "select \"a;b\"\"c;\"",
            "select e'\\';'",
            "select E'a\\\\'",
            "do $$ begin; end $$",
            "do $body_1$ select '$$;' $body_1$",
            "select 1 /* a; /* b; */ c; */ + 1",
            "select 1 -- one; two\n + 1",
            "select a$b$ from t where c$b$ = 1",
            "select 'ä;'",
        ] {
            assert_eq!(texts(&format!("{sql}; select 2")), [sql, "select 2"], "{sql}");
        }
    }

    #[test]
    fn a_parameter_is_no_dollar_quote() {
        assert_eq!(texts("select $1; select $2"), ["select $1", "select $2"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_runs_to_the_end() {
        assert_eq!(texts("select 'a; b"), ["select 'a; b"]);
        assert_eq!(texts("do $$ a; b"), ["do $$ a; b"]);
        assert_eq!(texts("select 1 /* a; b"), ["select 1 /* a; b"]);
    }

    #[test]
    fn a_statement_knows_its_line() {
        let lines: Vec<usize> = split("-- a\n\nselect 1;\n/* b\n */ select 2").iter().map(|s| s.line).collect();
        assert_eq!(lines, [3, 5]);
    }
}
