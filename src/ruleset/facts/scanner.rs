//! JSON, piece by piece: what a reader needs that knows what it expects. Knows no schema and builds no tree.
//!
//! It takes what `serde_json` takes and reads the same values, which a property test holds; what is rare is left to
//! `serde_json`: escapes, numbers with exponents or many digits, and values that nobody wants.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::scalar::Number;

/// The text is not JSON; the scanner stands where that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A piece of JSON.
pub(super) type Read<T> = Result<T, Malformed>;

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'j> {
    text: &'j str,
    at: usize,
}

/// Digits whose number fits 64 bits, whatever they are.
const DIGITS_MAX: usize = 18;

/// Up to here a whole number has a `double` of its own, and so has each power of ten below. The quotient of the two is
/// then the `double` nearest to the fraction that was written (Clinger, "How to read floating point numbers
/// accurately", 1990).
const EXACT_MAX: u64 = 1 << 53;
const POWERS_OF_TEN: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

impl<'j> Scanner<'j> {
    pub fn new(text: &'j str) -> Self {
        Self { text, at: 0 }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The first byte of what comes next.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `byte`, which must come next.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Read<()> {
        if self.eat(byte) { Ok(()) } else { Err(Malformed) }
    }

    /// After an entry or an element: whether there is another before `close`, which is taken.
    #[inline]
    pub fn more(&mut self, close: u8) -> Read<bool> {
        if self.eat(b',') {
            return Ok(true);
        }
        self.expect(close).map(|()| false)
    }

    /// Takes a literal, which must stand here.
    #[inline]
    pub fn literal(&mut self, word: &str) -> Read<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a key if it is `name`, an identifier, written without escapes.
    #[inline]
    pub fn eat_key(&mut self, name: &str) -> bool {
        if self.peek() != Some(b'"') {
            return false;
        }
        let start = self.at + 1;
        let end = start + name.len();
        let bytes = self.text.as_bytes();
        let is_name = bytes.get(end) == Some(&b'"') && bytes.get(start..end) == Some(name.as_bytes());
        if is_name {
            self.at = end + 1;
        }
        is_name
    }

    /// Whether a key that begins with this byte, or with an escape, comes next.
    pub fn key_may_begin_with(&mut self, byte: Option<u8>) -> bool {
        self.peek();
        let first = self.text.as_bytes().get(self.at + 1).copied();
        first == byte || first == Some(b'\\')
    }

    /// A string; borrowed unless it is written with escapes.
    #[inline]
    pub fn string(&mut self) -> Read<Cow<'j, str>> {
        self.expect(b'"')?;
        let start = self.at;
        self.at += plain_length(self.text.as_bytes().get(start..).unwrap_or_default());
        match self.byte() {
            Some(b'"') => {
                let text = self.text.get(start..self.at).ok_or(Malformed)?;
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            _ => Err(Malformed),
        }
    }

    #[cold]
    fn escaped(&mut self, start: usize) -> Read<String> {
        while self.byte() == Some(b'\\') {
            self.at += 2;
            self.at += plain_length(self.text.as_bytes().get(self.at..).unwrap_or_default());
        }
        let quoted = self.text.get(start - 1..=self.at).ok_or(Malformed)?;
        let text = serde_json::from_str(quoted).map_err(|_| Malformed)?;
        self.at += 1;
        Ok(text)
    }

    /// A number.
    #[inline]
    pub fn number(&mut self) -> Read<Number> {
        let bytes = self.text.as_bytes();
        let is_negative = self.byte() == Some(b'-');
        let start = self.at + usize::from(is_negative);
        let (whole, end) = digits(bytes, start, 0);
        let length = end - start;
        if length == 0 || (length > 1 && bytes.get(start) == Some(&b'0')) {
            return Err(Malformed);
        }
        match bytes.get(end) {
            Some(b'.') => self.fraction(start, whole, end, is_negative),
            Some(b'e' | b'E') => self.rare_number(),
            _ if length > DIGITS_MAX => self.rare_number(),
            _ => {
                self.at = end;
                Ok(match (is_negative, i64::try_from(whole)) {
                    (true, Ok(0) | Err(_)) => Number::Fraction(-0.0),
                    (true, Ok(whole)) => Number::Negative(-whole),
                    (false, _) => Number::Positive(whole),
                })
            }
        }
    }

    fn fraction(&mut self, start: usize, whole: u64, point: usize, is_negative: bool) -> Read<Number> {
        let bytes = self.text.as_bytes();
        let (mantissa, end) = digits(bytes, point + 1, whole);
        let decimals = end - point - 1;
        if decimals == 0 {
            return Err(Malformed);
        }
        let is_plain = !matches!(bytes.get(end), Some(b'e' | b'E'));
        let power = POWERS_OF_TEN.get(decimals).filter(|_| end - start - 1 <= DIGITS_MAX && mantissa <= EXACT_MAX);
        let Some(power) = power.filter(|_| is_plain) else { return self.rare_number() };
        self.at = end;
        #[expect(clippy::cast_precision_loss, reason = "no greater than a double is exact")]
        let number = mantissa as f64 / power;
        Ok(Number::Fraction(if is_negative { -number } else { number }))
    }

    #[cold]
    fn rare_number(&mut self) -> Read<Number> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        let number: serde_json::Number = serde_json::from_str(text).map_err(|_| Malformed)?;
        self.at += length;
        let whole = number.as_u64().map(Number::Positive).or_else(|| number.as_i64().map(Number::Negative));
        if let Some(whole) = whole {
            return Ok(whole);
        }
        let double = number.as_f64().ok_or(Malformed)?;
        Ok(match written(text) {
            // Of the two zeros the sign would be lost.
            Written::Whole(0) => Number::Fraction(double),
            Written::Whole(whole) => match (u64::try_from(whole), i64::try_from(whole)) {
                (Ok(whole), _) => Number::WholePositive(whole),
                (_, Ok(whole)) => Number::WholeNegative(whole),
                _ => Number::Beyond(double),
            },
            Written::Beyond => Number::Beyond(double),
            Written::Broken => Number::Broken(double),
        })
    }

    /// Passes over a value that nobody wants, however deep it is.
    #[cold]
    pub fn skip(&mut self) -> Read<()> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let skipped = values.next();
        self.at += values.byte_offset();
        match skipped {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err(Malformed),
        }
    }

    /// Passes over what is left of a list, from an element on.
    #[cold]
    pub fn skip_elements(&mut self) -> Read<()> {
        loop {
            self.skip()?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// Passes over what is left of an object, from a value on.
    #[cold]
    pub fn skip_entries(&mut self) -> Read<()> {
        loop {
            self.skip()?;
            if !self.more(b'}')? {
                return Ok(());
            }
            self.string()?;
            self.expect(b':')?;
        }
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Read<()> {
        if self.peek().is_none() { Ok(()) } else { Err(Malformed) }
    }

    /// The line and the column, in characters, where the scanner stands; both from 1.
    #[cold]
    pub fn position(&self) -> (usize, usize) {
        let mut passed = self.at.min(self.text.len());
        while !self.text.is_char_boundary(passed) {
            passed -= 1;
        }
        let passed = self.text.get(..passed).unwrap_or_default();
        let line = passed.rsplit('\n').next().unwrap_or_default();
        (passed.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// Digits from `at` on, as more digits of `number`, and where they end. Too many wrap: whoever calls counts them.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mut number: u64) -> (u64, usize) {
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (number, at)
}

/// What a number is as it is written: its double may be whole by rounding alone.
enum Written {
    Whole(i128),
    /// Whole, and greater than any that fits 64 bits.
    Beyond,
    /// With a fraction.
    Broken,
}

fn written(text: &str) -> Written {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{decimals}");
    let significant = all.trim_matches('0');
    if significant.is_empty() {
        return Written::Whole(0);
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    let extreme = if exponent.starts_with('-') { i128::MIN } else { i128::MAX };
    // The power of ten that the significant digits are multiplied with; lengths of texts fit.
    let power = exponent.parse().unwrap_or(extreme).saturating_add(zeros as i128 - decimals.len() as i128);
    let Ok(power) = u32::try_from(power) else {
        return if power < 0 { Written::Broken } else { Written::Beyond };
    };
    let scaled = |number: i128| number.checked_mul(10_i128.checked_pow(power)?);
    match significant.parse().ok().and_then(scaled) {
        Some(number) => Written::Whole(sign * number),
        None => Written::Beyond,
    }
}

/// Bytes before the first quote, backslash or control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        // Eight bytes at a time: of those that are found the first is always right, and it alone counts.
        const ONES: u64 = 0x0101_0101_0101_0101;
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
        let equal = |byte: u64| below(word ^ (ONES * byte), 1);
        let found = (below(word, 0x20) | equal(0x22) | equal(0x5c)) & (ONES * 0x80);
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = chunks.remainder();
    length + rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).unwrap_or(rest.len())
}
