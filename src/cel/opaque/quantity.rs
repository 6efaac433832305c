//! Quantities as Kubernetes writes them: `1.5Gi`, `200m`, `3e2`.
//!
//! Whole multiples of a thousand-millionth, rounded away from zero, and within ±(2^63 - 1), as there.

use std::fmt;

/// Thousand-millionths of one.
const ONE: i128 = 1_000_000_000;
/// The greatest quantity that a text gives.
const GREATEST: i128 = (i64::MAX as i128) * ONE;
/// Digits of a text that is read; more say nothing.
const DIGITS_MAX: usize = 100;

/// A number, however its unit was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at_checked(end)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) || number.len() > DIGITS_MAX {
            return None;
        }
        let amount = match suffix {
            "" => scaled(whole, fraction, 0),
            "n" => scaled(whole, fraction, -9),
            "u" => scaled(whole, fraction, -6),
            "m" => scaled(whole, fraction, -3),
            "k" => scaled(whole, fraction, 3),
            "M" => scaled(whole, fraction, 6),
            "G" => scaled(whole, fraction, 9),
            "T" => scaled(whole, fraction, 12),
            "P" => scaled(whole, fraction, 15),
            "E" => scaled(whole, fraction, 18),
            "Ki" => binary(whole, fraction, 10),
            "Mi" => binary(whole, fraction, 20),
            "Gi" => binary(whole, fraction, 30),
            "Ti" => binary(whole, fraction, 40),
            "Pi" => binary(whole, fraction, 50),
            "Ei" => binary(whole, fraction, 60),
            _ => scaled(whole, fraction, exponent(suffix)?),
        };
        Some(Self(if is_negative { -amount } else { amount }))
    }

    /// A whole number.
    pub fn of(whole: i64) -> Self {
        Self(i128::from(whole) * ONE)
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> i64 {
        if self.0 == 0 {
            0
        } else if self.0 < 0 {
            -1
        } else {
            1
        }
    }

    /// The whole number that it is, if it is one of 64 bits.
    pub fn whole(self) -> Option<i64> {
        if self.0 % ONE == 0 { i64::try_from(self.0 / ONE).ok() } else { None }
    }

    /// The nearest double.
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is asked for")]
    pub fn approximate(self) -> f64 {
        (self.0 as f64) / (ONE as f64)
    }

    /// The sum, if it is not out of range.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if it is not out of range.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// `e3`, `E-2`.
fn exponent(suffix: &str) -> Option<i32> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    // One of more digits is out of every range.
    is_number.then(|| digits.parse().unwrap_or(if digits.starts_with('-') { i32::MIN / 2 } else { i32::MAX / 2 }))
}

/// The digits times ten to a power, in thousand-millionths.
fn scaled(whole: &str, fraction: &str, power: i32) -> i128 {
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX / 2);
    // How many digits behind the last one the thousand-millionths end.
    let shift = power.saturating_add(9).saturating_sub(places);
    let kept = digits.len().saturating_sub(usize::try_from(-i64::from(shift)).unwrap_or(0));
    let (kept, rest) = digits.split_at_checked(kept).unwrap_or((&digits, &[]));
    let mut amount = kept.iter().fold(0_i128, |amount, digit| capped(amount * 10 + i128::from(*digit)));
    for _ in 0..shift.clamp(0, 40) {
        amount = capped(amount * 10);
    }
    if rest.iter().any(|digit| *digit != 0) { capped(amount + 1) } else { amount }
}

/// The digits times two to a power, in thousand-millionths.
fn binary(whole: &str, fraction: &str, power: u32) -> i128 {
    // Beyond nine places a digit is less than the unit that is rounded to, unless the power lifts it: twenty more do.
    let fine = scaled(whole, fraction, 9);
    if fine >= GREATEST {
        // The whole part alone: it is large enough that what is behind the point does not matter.
        return scaled(whole, fraction, 0).checked_shl(power).filter(|shifted| *shifted > 0).map_or(GREATEST, capped);
    }
    let shifted = fine.checked_mul(1_i128 << power.min(60)).unwrap_or(i128::MAX);
    capped(shifted / ONE + i128::from(shifted % ONE != 0))
}

fn capped(amount: i128) -> i128 {
    amount.min(GREATEST)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, amount) = if self.0 < 0 { ("-", -self.0) } else { ("", self.0) };
        let fraction = format!("{:09}", amount % ONE);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{point}{fraction}", amount / ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, shown) in [
            ("0", "0"),
            ("1", "1"),
            ("-1.5", "-1.5"),
            ("+.5", "0.5"),
            ("1.", "1"),
            ("200m", "0.2"),
            ("1u", "0.000001"),
            ("0.1n", "0.000000001"),
            ("-0.1n", "-0.000000001"),
            ("1k", "1000"),
            ("1Ki", "1024"),
            ("1.5Gi", "1610612736"),
            ("50Mi", "52428800"),
            ("1E", "1000000000000000000"),
            ("7Ei", "8070450532247928832"),
            ("8Ei", "9223372036854775807"),
            ("-8Ei", "-9223372036854775807"),
            ("3e2", "300"),
            ("3E-2", "0.03"),
            ("1e100", "9223372036854775807"),
            ("0e999999999999", "0"),
            ("1e-999999999999", "0.000000001"),
            ("0.0000000001Ki", "0.000000103"),
        ] {
            assert_eq!(Quantity::parse(text).map(|found| found.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in ["", "-", "+", ".", "1.2.3", "1 k", " 1", "1K", "1kk", "ten", "1e", "1e+", "1ki", "0x1", "١", "1Zi"]
        {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
