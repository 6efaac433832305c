//! The one writer of answers that are not one value: objects and lists member by member, straight into bytes, which may
//! be taken away piece by piece while the document goes on.
//!
//! It puts the commas; that what is opened is closed is for the caller to see to.

use std::mem;

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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
