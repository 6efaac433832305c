//! What a pattern says that other dialects of regular expressions read otherwise.

use std::ops::Range;

use super::Reader;

/// A part of a pattern that may not mean what its author had in mind: where it stands, in bytes, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cel) struct Remark {
    pub(in crate::cel) range: Range<usize>,
    pub(in crate::cel) meaning: Meant,
}

/// What such a part means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum Meant {
    /// `\d`, `\w`, `\s`, `\b`: no digit, letter or space beyond ASCII.
    Ascii,
    /// `\<`, `\>`: no side of a word.
    Angle,
    /// `\b{start}`: no side of a word either.
    Side,
    /// `[a[b]`: no class in a class.
    Bracket,
    /// `[a&&b]`: no operation on classes.
    Operation,
    /// `{,3}`: no repetition.
    Brace,
}

impl Meant {
    /// What to say of a part that is written like this.
    pub(in crate::cel) fn message(self, part: &str) -> String {
        match self {
            Self::Ascii => format!("in a pattern `{part}` stands for ASCII characters only"),
            Self::Angle => format!("in a pattern `{part}` is a character, not the start or end of a word"),
            Self::Side => format!("in a pattern `{part}` is these characters, not the start or end of a word"),
            Self::Bracket => format!("in a class `{part}` is a character, not the start of another class"),
            Self::Operation => format!("in a class `{part}` is these characters, not an operation on classes"),
            Self::Brace => format!("in a pattern `{part}` is these characters, not a repetition"),
        }
    }

    /// What to write instead.
    pub(in crate::cel) fn hint(self) -> Option<&'static str> {
        match self {
            Self::Ascii => Some("those of all scripts are `\\p{Nd}`, `\\pL` and `\\pZ`"),
            Self::Angle | Self::Side => Some("a side of a word of ASCII characters is `\\b`"),
            Self::Bracket | Self::Operation => None,
            Self::Brace => Some("write `{0,n}`"),
        }
    }
}

impl Reader<'_> {
    /// Remarks on what stands from `start` to here.
    pub(super) fn remark(&mut self, start: usize, meaning: Meant) {
        self.remarks.push(Remark { range: start..self.at, meaning });
    }

    /// Remarks on the `length` bytes that come next.
    pub(super) fn remark_next(&mut self, length: usize, meaning: Meant) {
        self.remarks.push(Remark { range: self.at..self.at + length, meaning });
    }
}
