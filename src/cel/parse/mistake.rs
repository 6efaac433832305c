//! Something wrong with an expression, before it is turned into a [`Detail`] with lines and columns.

use super::ast::Range;
use crate::error::Detail;

#[derive(Debug, Clone)]
pub(in crate::cel) struct Mistake {
    pub(in crate::cel) code: &'static str,
    pub(in crate::cel) range: Range,
    pub(in crate::cel) message: String,
    pub(in crate::cel) hint: Option<String>,
}

impl Mistake {
    pub(in crate::cel) fn new(range: Range, message: impl Into<String>) -> Self {
        Self { code: "syntax_error", range, message: message.into(), hint: None }
    }

    pub(in crate::cel) fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    pub(in crate::cel) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(in crate::cel) fn detail(self, source: &str) -> Detail {
        let mut detail = Detail::new(self.code, self.message);
        detail.hint = self.hint;
        detail.span = Some(self.range.span(source));
        detail.text = Some(self.range.text(source).to_owned());
        detail
    }
}
