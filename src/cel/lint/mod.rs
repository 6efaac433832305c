//! What an expression says and cannot mean: comparisons that never change, literals that always fail.
//!
//! Such an expression is valid CEL and runs. Whoever writes one is told; what is stored keeps running. The possible values
//! of each sub-expression follow the words of enumerations (`values`), what fails always is found by computing it
//! (`failures`).

mod compare;
mod failures;
mod values;

use std::collections::HashMap;

use super::{
    allowed::Allowed,
    check::{Checked, CheckedKind},
    env::Env,
    parse::{Mistake, Range},
};

pub(super) use compare::absence_hint;
pub(super) use failures::failures;

/// The comparisons of a checked expression that never change, before anything in it is computed.
pub(super) fn comparisons(env: &Env, source: &str, checked: &Checked) -> Vec<Mistake> {
    let mut lint = Lint::new(env, source);
    lint.visit(checked);
    lint.mistakes
}

/// The possible values of a checked expression, as far as they come from what it reads.
pub(super) fn allowed(env: &Env, source: &str, checked: &Checked) -> Allowed {
    let makes_values = match &checked.kind {
        CheckedKind::Call { function, .. } => !values::passes_on(function.name),
        _ => false,
    };
    if makes_values || reads_nothing(checked) { Allowed::default() } else { Lint::new(env, source).visit(checked) }
}

struct Lint<'a> {
    env: &'a Env,
    source: &'a str,
    /// The possible values of the variables of loops and bindings.
    locals: HashMap<u32, Allowed>,
    mistakes: Vec<Mistake>,
}

impl<'a> Lint<'a> {
    fn new(env: &'a Env, source: &'a str) -> Self {
        Self { env, source, locals: HashMap::new(), mistakes: Vec::new() }
    }

    fn note(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    fn text(&self, range: Range) -> &str {
        range.text(self.source)
    }
}

/// Whether an expression is made of constants alone: a setting, of which nobody says that it stays what it is.
fn reads_nothing(node: &Checked) -> bool {
    let is_read = matches!(
        node.kind,
        CheckedKind::Slot(..) | CheckedKind::OptionalSlot(..) | CheckedKind::HasSlot(_) | CheckedKind::Object(..)
    );
    let mut reads_nothing = !is_read;
    node.children(&mut |child| reads_nothing = reads_nothing && self::reads_nothing(child));
    reads_nothing
}
