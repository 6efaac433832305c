//! A setting, as the outside knows it. All of them are in the table.

use super::{Settings, value::Value};

/// A setting, as the outside knows it.
pub struct Setting {
    /// Section and key in the TOML file: `http.listen`.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// Least and greatest value allowed, where it is a number, a size (in bytes) or a time (in milliseconds).
    pub bounds: Option<(u64, u64)>,
    /// Whether its value must not be printed.
    pub secret: bool,
    /// What its bounds count.
    pub(super) unit: &'static str,
    /// What a value looks like.
    pub(super) expects: &'static str,
    /// Parses a value into the settings; returns its measure if it has bounds.
    pub(super) assign: fn(&mut Settings, &str) -> Option<Option<u64>>,
    /// The value as text.
    pub(super) show: fn(&Settings) -> String,
}

impl Setting {
    /// The value in `settings`, as text; of a secret, only that there is one.
    pub fn show(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }

    /// The default, as text; empty if there is none.
    pub fn default_text(&self) -> String {
        self.show(&Settings::default())
    }
}

/// What the type of a field expects; the field is named and never read.
pub(super) const fn expects<T: Value>(_field: fn(&Settings) -> &T) -> &'static str {
    T::EXPECTS
}

/// What the measure of a field counts.
pub(super) const fn unit<T: Value>(_field: fn(&Settings) -> &T) -> &'static str {
    T::UNIT
}
