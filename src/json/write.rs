//! The one writer of answers that are not one value: objects and lists member by member, straight into bytes, which may
//! be taken away piece by piece while the document goes on.
//!
//! It puts the commas; that what is opened is closed is for the caller to see to.

use std::mem;

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::Serialize;

/// JSON being written.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Whether the next value follows another one in the same object or list.
    follows: bool,
}

impl Writer {
    /// An empty document, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), follows: false }
    }

    /// Begins an object.
    pub fn begin_object(&mut self) {
        self.begin(b'{');
    }

    /// Ends the object.
    pub fn end_object(&mut self) {
        self.end(b'}');
    }

    /// Begins a list.
    pub fn begin_list(&mut self) {
        self.begin(b'[');
    }

    /// Ends the list.
    pub fn end_list(&mut self) {
        self.end(b']');
    }

    /// Begins a member of an object; its value comes next. A key that would need escapes is not one of ours.
    pub fn key(&mut self, key: &'static str) {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        self.follows = false;
    }

    /// A value.
    pub fn value(&mut self, value: &(impl Serialize + ?Sized)) {
        self.raw(|bytes| {
            // The keys of what we write are strings, and memory does not fail.
            if let Err(error) = serde_json::to_writer(bytes, value) {
                tracing::error!(%error, "an answer could not be written");
            }
        });
    }

    /// A member of an object.
    pub fn member(&mut self, key: &'static str, value: &(impl Serialize + ?Sized)) {
        self.key(key);
        self.value(value);
    }

    /// A time within the years 1 to 9999, as `serde` writes it: every decision has one, and formatting it digit by digit
    /// takes a tenth of the instructions.
    pub fn time(&mut self, time: DateTime<Utc>) {
        let time = time.naive_utc();
        self.raw(|bytes| {
            bytes.push(b'"');
            digits::<4>(bytes, u32::try_from(time.year()).unwrap_or_default());
            let parts = [
                (b'-', time.month()),
                (b'-', time.day()),
                (b'T', time.hour()),
                (b':', time.minute()),
                (b':', time.second()),
            ];
            for (before, number) in parts {
                bytes.push(before);
                digits::<2>(bytes, number);
            }
            let nanos = time.nanosecond();
            if nanos != 0 {
                bytes.push(b'.');
                match (nanos % 1_000_000, nanos % 1_000) {
                    (0, _) => digits::<3>(bytes, nanos / 1_000_000),
                    (_, 0) => digits::<6>(bytes, nanos / 1_000),
                    _ => digits::<9>(bytes, nanos),
                }
            }
            bytes.extend_from_slice(b"Z\"");
        });
    }

    /// A value that writes itself.
    pub fn raw(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        write(&mut self.bytes);
        self.follows = true;
    }

    /// Ends a line, and with it the document: another may follow.
    pub fn end_line(&mut self) {
        self.bytes.push(b'\n');
        self.follows = false;
    }

    /// Bytes that were written and not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written since bytes were last taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Takes the bytes written so far; the document goes on.
    pub fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// The rest of the document.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn begin(&mut self, bracket: u8) {
        self.separate();
        self.bytes.push(bracket);
        self.follows = false;
    }

    fn end(&mut self, bracket: u8) {
        self.bytes.push(bracket);
        self.follows = true;
    }

    fn separate(&mut self) {
        if self.follows {
            self.bytes.push(b',');
        }
    }
}

/// So many decimal digits, with zeros in front.
fn digits<const COUNT: usize>(bytes: &mut Vec<u8>, mut number: u32) {
    let mut text = [b'0'; COUNT];
    for digit in text.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    bytes.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_written_as_serde_writes_it(
            seconds in -62_135_596_800..=253_402_300_799_i64,
            nanos in prop_oneof![Just(0), 0..1_000_000_000_u32],
            unit in prop_oneof![Just(1), Just(1_000), Just(1_000_000)],
        ) {
            let time = DateTime::from_timestamp(seconds, nanos / unit * unit).unwrap();
            let mut writer = Writer::default();
            writer.time(time);
            prop_assert_eq!(String::from_utf8(writer.into_bytes()).unwrap(), serde_json::to_string(&time).unwrap());
        }
    }

    #[test]
    fn members_are_separated_however_they_are_nested() {
        let mut writer = Writer::with_capacity(8);
        let mut text = Vec::new();
        writer.begin_object();
        writer.member("a", &1);
        writer.key("list");
        writer.begin_list();
        for number in 0..3 {
            writer.begin_object();
            writer.end_object();
            writer.value(&number);
            text.extend(writer.take());
        }
        writer.end_list();
        writer.key("empty");
        writer.begin_list();
        writer.end_list();
        writer.key("b");
        writer.raw(|bytes| bytes.extend_from_slice(b"null"));
        writer.end_object();
        writer.end_line();
        writer.begin_object();
        writer.end_object();
        text.extend(writer.into_bytes());
        let text = String::from_utf8(text).unwrap();
        let (first, second) = text.split_once('\n').unwrap();
        let expected = json!({"a": 1, "list": [{}, 0, {}, 1, {}, 2], "empty": [], "b": null});
        assert_eq!(serde_json::from_str::<Value>(first).unwrap(), expected);
        assert_eq!(second, "{}");
    }
}
