//! What authors are told of an expression. Nobody needs it to decide, so that nothing is kept for it: the source is checked
//! again.

use super::{Program, check};
use crate::{
    cel::{
        estimate::{self, Bound, Expected},
        lint,
        other_names::other_names,
        parse::Range,
        pattern_notes::pattern_notes,
        plan,
        reads::{find, references},
    },
    error::{Detail, Span},
};

impl Program {
    /// What the expression reads, sorted: `facts.age`, `derived.adult`; a variable's name alone where it is read whole.
    /// Made from the source again, since nobody needs it to decide.
    pub fn references(&self) -> Vec<String> {
        let env = &self.inner.env;
        check(env, &self.inner.source).map(|checked| references(env, &checked)).unwrap_or_default()
    }

    /// The bounds of the schema that the estimated cost depends on, the most telling first. Slow: for messages.
    pub fn telling_bounds(&self, expected: Expected) -> Vec<Bound> {
        let Ok(mut checked) = check(&self.inner.env, &self.inner.source) else { return Vec::new() };
        plan::fold(&mut checked);
        estimate::telling_bounds(&self.inner.env, &checked, self.locals(), expected)
    }

    /// Where the expression first reads what is called `wanted`: `derived.adult`. Slow: for messages.
    pub fn place_of(&self, wanted: &str) -> Option<Span> {
        let checked = check(&self.inner.env, &self.inner.source).ok()?;
        find(&self.inner.env, &checked, wanted).map(|range| range.span(&self.inner.source))
    }

    /// What it says and cannot mean: comparisons that never change, literals that always fail. It runs all the same.
    pub fn doubts(&self) -> Vec<Detail> {
        let (env, source) = (&self.inner.env, &*self.inner.source);
        let Ok(mut checked) = check(env, source) else { return Vec::new() };
        let mut mistakes = lint::comparisons(env, source, &checked);
        plan::fold(&mut checked);
        lint::failures(source, &checked, &mut mistakes);
        mistakes.into_iter().map(|mistake| mistake.detail(source)).collect()
    }

    /// What is worth knowing of the functions that it calls, and of its patterns. Slow: for messages.
    pub fn notes(&self) -> Vec<Detail> {
        let source = &*self.inner.source;
        let Ok(checked) = check(&self.inner.env, source) else { return Vec::new() };
        let note = |(range, name, here): (Range, &str, &str)| Detail {
            span: Some(range.span(source)),
            text: Some(range.text(source).to_owned()),
            ..Detail::new("other_name", format!("`{name}` is another name for `{here}`"))
        };
        let names = other_names(&checked).into_iter().map(note);
        names.chain(pattern_notes(&checked, source)).collect()
    }

    /// Whether a pattern that is written in it says what other dialects of regular expressions read otherwise.
    pub fn has_pattern_notes(&self) -> bool {
        self.inner.has_pattern_notes
    }

    /// The fields of type `dyn` of which the schema does not say all, and that the cost depends on, the most telling first.
    /// Slow: for messages.
    pub fn open_fields(&self) -> Vec<String> {
        let Ok(mut checked) = check(&self.inner.env, &self.inner.source) else { return Vec::new() };
        plan::fold(&mut checked);
        estimate::open_fields(&self.inner.env, &checked, self.locals())
    }
}
