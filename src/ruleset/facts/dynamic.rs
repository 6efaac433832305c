//! Values that the schema says nothing about: fields of type `dyn`, which are built, and facts that it does not know,
//! which are only looked at.

use std::sync::Arc;

use super::{
    keys::SeenKeys,
    place::FactPath,
    reader::Reader,
    scalar::Number,
    scanner::{Malformed, Read},
};
use crate::{
    cel::{MapValue, Value},
    domain::Bounds,
};

impl Reader<'_> {
    /// Any JSON that keeps to `bounds`, with `around` lists and maps around it that count. Whole numbers become `int`
    /// (`uint` where they are too great), others `double`.
    pub(super) fn any(&mut self, bounds: &Bounds, place: &FactPath, around: u64) -> Read<Value> {
        if self.is_too_deep(place) {
            return self.scanner.skip().map(|()| Value::Null);
        }
        match self.scanner.peek() {
            Some(b'"') => {
                let text = self.scanner.string()?;
                self.keep_to_length(bounds, place, &text);
                Ok(Value::from(&*text))
            }
            Some(b'-' | b'0'..=b'9') => Ok(match self.scanner.number()? {
                Number::Negative(number) => Value::Int(number),
                Number::Positive(number) => i64::try_from(number).map_or(Value::Uint(number), Value::Int),
                other => Value::Double(other.as_double()),
            }),
            Some(b't') => self.scanner.literal("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.scanner.literal("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.scanner.literal("null").map(|()| Value::Null),
            Some(b'[' | b'{') if bounds.max_depth.is_some_and(|most| around >= most) => {
                let most = bounds.max_depth.unwrap_or_default();
                self.notes.wrong(place, "too_deep", format_args!("has at most {most} lists and maps around a value"));
                self.scanner.skip().map(|()| Value::Null)
            }
            Some(b'[') => self.any_list(bounds, place, around + 1),
            Some(b'{') => self.any_map(bounds, place, around + 1),
            _ => Err(Malformed),
        }
    }

    fn keep_to_length(&mut self, bounds: &Bounds, place: &FactPath, text: &str) {
        let Some(most) = bounds.max_length else { return };
        if text.len() as u64 > most && text.chars().count() as u64 > most {
            self.notes.wrong(place, "too_long", format_args!("has at most {most} characters"));
        }
    }

    fn any_list(&mut self, bounds: &Bounds, place: &FactPath, around: u64) -> Read<Value> {
        let mut values = Vec::new();
        if !self.begin_list(place)? {
            return Ok(Value::list(values));
        }
        let most = bounds.max_items.unwrap_or(u64::MAX);
        for index in 0.. {
            if index as u64 >= most {
                self.notes.wrong(place, "too_many_items", format_args!("has at most {most} elements"));
                self.scanner.skip_elements()?;
                break;
            }
            values.push(self.any(bounds, &place.element(index, false), around)?);
            if !self.scanner.more(b']')? {
                break;
            }
        }
        Ok(Value::list(values))
    }

    fn any_map(&mut self, bounds: &Bounds, place: &FactPath, around: u64) -> Read<Value> {
        let mut map = MapValue::default();
        let most = bounds.max_items.unwrap_or(u64::MAX);
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            let name = Value::from(&*key);
            if map.len() as u64 >= most && map.get(&name).is_none() {
                self.notes.wrong(place, "too_many_items", format_args!("has at most {most} entries"));
                self.scanner.skip_entries()?;
                break;
            }
            let inner = place.key(&key);
            self.keep_to_length(bounds, &inner, &key);
            let value = self.any(bounds, &inner, around)?;
            if !map.insert(name, value) {
                self.notes.wrong(&inner, "duplicate_key", "is a duplicate key");
            }
            is_open = self.scanner.more(b'}')?;
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// Looks at any JSON: it must not be too deep, nor have a key twice in an object.
    pub(super) fn pass(&mut self, place: &FactPath) -> Read<()> {
        if self.is_too_deep(place) {
            return self.scanner.skip();
        }
        match self.scanner.peek() {
            Some(b'"') => self.scanner.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.scanner.number().map(drop),
            Some(b't') => self.scanner.literal("true"),
            Some(b'f') => self.scanner.literal("false"),
            Some(b'n') => self.scanner.literal("null"),
            Some(b'[') => self.pass_list(place),
            Some(b'{') => self.pass_map(place),
            _ => Err(Malformed),
        }
    }

    fn pass_list(&mut self, place: &FactPath) -> Read<()> {
        let mut is_open = self.begin_list(place)?;
        for index in 0.. {
            if !is_open {
                break;
            }
            self.pass(&place.element(index, false))?;
            is_open = self.scanner.more(b']')?;
        }
        Ok(())
    }

    fn pass_map(&mut self, place: &FactPath) -> Read<()> {
        let mut keys = SeenKeys::default();
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            let place = place.key(&key);
            if keys.contains(&key) {
                self.notes.wrong(&place, "duplicate_key", "is a duplicate key");
            }
            self.pass(&place)?;
            keys.insert(key);
            is_open = self.scanner.more(b'}')?;
        }
        Ok(())
    }
}
