//! Values that the schema says nothing about: fields of type `dyn`, which are built, and facts that it does not know,
//! which are only looked at.

use std::sync::Arc;

use super::{
    keys::Keys,
    place::Place,
    reader::Reader,
    scalar::Number,
    scanner::{Malformed, Read},
};
use crate::cel::{MapValue, Value};

impl Reader<'_> {
    /// Any JSON. Whole numbers become `int` (`uint` where they are too great), others `double`.
    pub(super) fn any(&mut self, place: &Place) -> Read<Value> {
        if self.is_too_deep(place) {
            return self.scanner.skip().map(|()| Value::Null);
        }
        match self.scanner.peek() {
            Some(b'"') => Ok(Value::from(&*self.scanner.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(match self.scanner.number()? {
                Number::Negative(number) => Value::Int(number),
                Number::Positive(number) => i64::try_from(number).map_or(Value::Uint(number), Value::Int),
                other => Value::Double(other.as_double()),
            }),
            Some(b't') => self.scanner.literal("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.scanner.literal("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.scanner.literal("null").map(|()| Value::Null),
            Some(b'[') => self.any_list(place),
            Some(b'{') => self.any_map(place),
            _ => Err(Malformed),
        }
    }

    fn any_list(&mut self, place: &Place) -> Read<Value> {
        let mut values = Vec::new();
        if !self.begin_list(place)? {
            return Ok(Value::list(values));
        }
        for index in 0.. {
            values.push(self.any(&place.element(index, false))?);
            if !self.scanner.more(b']')? {
                break;
            }
        }
        Ok(Value::list(values))
    }

    fn any_map(&mut self, place: &Place) -> Read<Value> {
        let mut map = MapValue::default();
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            let place = place.key(&key);
            let value = self.any(&place)?;
            if !map.insert(Value::from(&*key), value) {
                self.notes.wrong(&place, "duplicate_key", "stands here twice");
            }
            is_open = self.scanner.more(b'}')?;
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// Looks at any JSON: it must not be too deep, nor have a key twice in an object.
    pub(super) fn pass(&mut self, place: &Place) -> Read<()> {
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

    fn pass_list(&mut self, place: &Place) -> Read<()> {
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

    fn pass_map(&mut self, place: &Place) -> Read<()> {
        let mut keys = Keys::default();
        let mut is_open = self.begin_object(place)?;
        while is_open {
            let key = self.scanner.string()?;
            self.scanner.expect(b':')?;
            let place = place.key(&key);
            if keys.contains(&key) {
                self.notes.wrong(&place, "duplicate_key", "stands here twice");
            }
            self.pass(&place)?;
            keys.insert(key);
            is_open = self.scanner.more(b'}')?;
        }
        Ok(())
    }
}
