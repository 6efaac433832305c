//! Pages of lists, and the cursors between them. A cursor names the last row of a page, not a number of rows.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::Error;
use crate::config::limits;

/// A page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Opaque; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// From where on: what an earlier page answered.
    pub cursor: Option<String>,
    /// Rows at most.
    pub limit: u32,
}

/// The position of a row in a list ordered by time and id.
pub(super) type Moment = (DateTime<Utc>, Uuid);

impl PageRequest {
    /// Rows to read: one more than asked for tells whether there is another page.
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.size()) + 1
    }

    fn size(&self) -> u32 {
        self.limit.clamp(1, limits::PAGE_SIZE_MAX)
    }

    /// The position after which the page of `list` begins.
    pub fn after<K: DeserializeOwned>(&self, list: &str) -> Result<Option<K>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Error::CursorInvalid)?;
        let (named, key): (String, K) = serde_json::from_slice(&bytes).map_err(|_| Error::CursorInvalid)?;
        if named != list {
            return Err(Error::CursorInvalid);
        }
        Ok(Some(key))
    }

    /// The position, split in two for a list ordered by time and id.
    pub(super) fn after_moment(&self, list: &str) -> Result<(Option<DateTime<Utc>>, Option<Uuid>), Error> {
        let Some((micros, id)) = self.after::<(i64, Uuid)>(list)? else { return Ok((None, None)) };
        let time = DateTime::from_timestamp_micros(micros).ok_or(Error::CursorInvalid)?;
        Ok((Some(time), Some(id)))
    }

    /// The page of `list` that `rows` begin, each with a key of its own.
    pub fn page<T, K: Serialize>(&self, list: &str, mut items: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next_cursor = items.last().filter(|_| more).and_then(|last| cursor(list, &key(last)));
        Page { items, next_cursor }
    }

    /// The cursor of `list` that goes on after `key`.
    pub fn cursor_at(list: &str, key: &impl Serialize) -> Option<String> {
        cursor(list, key)
    }

    /// The same for a list ordered by time and id.
    pub(super) fn page_of_moments<T>(&self, list: &str, items: Vec<T>, moment: impl Fn(&T) -> Moment) -> Page<T> {
        self.page(list, items, |item| {
            let (time, id) = moment(item);
            (time.timestamp_micros(), id)
        })
    }
}

fn cursor(list: &str, key: &impl Serialize) -> Option<String> {
    // Strings, numbers and ids always have a JSON form.
    serde_json::to_vec(&(list, key)).ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cursor: Option<String>, limit: u32) -> PageRequest {
        PageRequest { cursor, limit }
    }

    #[test]
    fn a_cursor_leads_on_from_the_last_row() {
        let page = request(None, 2).page("names", vec!["a", "b", "c"], |name| name.to_string());
        assert_eq!(page.items, ["a", "b"]);
        assert_eq!(request(page.next_cursor, 2).after::<String>("names").unwrap().as_deref(), Some("b"));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let page = request(None, 2).page("names", vec!["a", "b"], |name| name.to_string());
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        let page = request(None, 1).page("names", vec!["a", "b"], |name| name.to_string());
        assert!(matches!(request(page.next_cursor, 1).after::<String>("rules"), Err(Error::CursorInvalid)));
        for forged in ["", "x", "bnVsbA", "WyJuYW1lcyIsMV0", "=="] {
            let after = request(Some(forged.to_owned()), 1).after::<String>("names");
            assert!(matches!(after, Err(Error::CursorInvalid)), "{forged}");
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_is_refused() {
        let cursor = cursor("rules", &(i64::MAX, Uuid::nil())).unwrap();
        assert!(matches!(request(Some(cursor), 1).after_moment("rules"), Err(Error::CursorInvalid)));
    }

    #[test]
    fn a_page_is_never_empty_nor_beyond_the_limit() {
        assert_eq!(request(None, 0).rows(), 2);
        assert_eq!(request(None, u32::MAX).rows(), i64::from(limits::PAGE_SIZE_MAX) + 1);
    }
}
