//! Sub-expressions of constants that end with an error whenever they are evaluated.

use super::compare::is_same_place;
use crate::cel::{check::Checked, parse::Mistake, plan};

/// Adds what always fails in an expression whose constants were folded, unless it was found already.
pub(in crate::cel) fn failures(source: &str, folded: &Checked, mistakes: &mut Vec<Mistake>) {
    if let Some(fault) = plan::failure(folded).filter(|_| !is_same_place(mistakes, folded.range)) {
        let error = fault.into_error(source, None);
        mistakes.push(Mistake::new(folded.range, error.message).code(error.code));
    }
    folded.children(&mut |child| failures(source, child, mistakes));
}
