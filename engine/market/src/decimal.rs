//! Exact fixed-point decimals: an i64 mantissa times a power of ten. Parsing, printing and rescaling lose nothing;
//! what would lose or overflow is an error. No float ever touches a price.

use std::fmt;
use std::io::Write;

/// The longest text that can be a decimal here: sign, 19 digits, point, and room for redundant zeros.
pub const DECIMAL_TEXT_MAX: usize = 48;

/// The most decimal places a [`Decimal`] has: 10^18 is the largest power of ten in an i64.
const PLACES_MAX: usize = 18;

/// `mantissa * 10^exponent`.
///
/// Two decimals of different exponents are different values of this type even where they name the same number:
/// `1.50` keeps its two places. Compare after [`Decimal::rescale`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub mantissa: i64,
    /// The power of ten, -18 to 18.
    pub exponent: i8,
}

/// Why a number was refused. The fault is with whoever wrote the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not of the form `-?digits(.digits)?`.
    #[error("not a plain decimal number")]
    Syntax,
    /// More digits than a 64-bit mantissa holds.
    #[error("too large for a 64-bit mantissa")]
    Overflow,
    /// Digits that the target precision cannot hold.
    #[error("more decimal places than the precision holds")]
    Inexact,
}

impl Decimal {
    /// Parses `-?digits(.digits)?`, keeping the number of decimal places given: `"1.50"` is 150e-2. More than 18 places are
    /// [`DecimalError::Inexact`], zeros or not.
    pub fn parse(text: &[u8]) -> Result<Decimal, DecimalError> {
        let number = Number::split(text)?;
        if number.fraction.len() > PLACES_MAX {
            return Err(DecimalError::Inexact);
        }
        let exponent = -(number.fraction.len() as i8);
        Ok(Decimal {
            mantissa: number.mantissa(exponent)?,
            exponent,
        })
    }

    /// The same number under another exponent, or an error where digits would be lost or overflow.
    pub fn rescale(self, exponent: i8) -> Result<Decimal, DecimalError> {
        let shift = i32::from(self.exponent) - i32::from(exponent);
        let mantissa = if self.mantissa == 0 {
            0
        } else if shift >= 0 {
            let factor = pow10(shift.unsigned_abs()).ok_or(DecimalError::Overflow)?;
            self.mantissa.checked_mul(factor).ok_or(DecimalError::Overflow)?
        } else {
            // A non-zero mantissa has at most 19 digits, so a larger shift always loses some.
            let factor = pow10(shift.unsigned_abs()).ok_or(DecimalError::Inexact)?;
            if self.mantissa % factor != 0 {
                return Err(DecimalError::Inexact);
            }
            self.mantissa / factor
        };
        Ok(Decimal { mantissa, exponent })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(DECIMAL_TEXT_MAX);
        write_mantissa(&mut text, self.mantissa, self.exponent);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn pow10(n: u32) -> Option<i64> {
    10i64.checked_pow(n)
}

/// Parses a decimal text straight to a mantissa under `exponent`: `("1.5", -8)` is 150000000.
///
/// Trailing zeros past the precision are accepted (they lose nothing); other digits past it are
/// [`DecimalError::Inexact`].
pub fn parse_mantissa(text: &[u8], exponent: i8) -> Result<i64, DecimalError> {
    match parse_full_precision(text, exponent) {
        Some(mantissa) => Ok(mantissa),
        None => Number::split(text)?.mantissa(exponent),
    }
}

/// The form in which exchanges print: no sign, and exactly as many places as the mantissa holds. Anything else, faulty or
/// not, is `None` and left to [`Number`]; this only has to be right and quick where it answers.
fn parse_full_precision(text: &[u8], exponent: i8) -> Option<i64> {
    /// 18 digits and a point: whatever they are, they fit an i64, so nothing has to be checked on the way.
    const TEXT_MAX: usize = 19;
    let places = usize::from(exponent.min(0).unsigned_abs());
    if text.len() > TEXT_MAX || places == 0 {
        return None;
    }
    let (whole, fraction) = text.split_at_checked(text.len().checked_sub(places + 1)?)?;
    let (b'.', fraction) = fraction.split_first()? else {
        return None;
    };
    if whole.is_empty() {
        return None;
    }
    let whole = digits_value(0, whole)?;
    match fraction.first_chunk::<8>() {
        Some(eight) if places == 8 => Some(whole * 100_000_000 + eight_digits(*eight)?),
        _ => digits_value(whole, fraction),
    }
}

/// `value` followed by these digits; the caller sees to it that they fit.
fn digits_value(value: i64, digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(value, |value, &b| {
        let digit = b.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + i64::from(digit))
    })
}

/// The value of eight digits at once: the bytes of one word are joined to pairs, to fours, to eight.
fn eight_digits(text: [u8; 8]) -> Option<i64> {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(*b"00000000");
    // A byte above 9 has its high bit set, or gets it when 0x76 is added.
    if (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & HIGH_BITS != 0 {
        return None;
    }
    // The first digit is the lowest byte. Each step puts the value of two neighbours in the place of the second.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some(((fours & 0xffff) * 10_000 + (fours >> 32)) as i64)
}

/// A text taken apart: every byte of `whole` and `fraction` is a digit, and `whole` has at least one.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Number<'a> {
    fn split(text: &'a [u8]) -> Result<Number<'a>, DecimalError> {
        if text.len() > DECIMAL_TEXT_MAX {
            return Err(DecimalError::Overflow);
        }
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
            Some(point) if point + 1 < digits.len() => (&digits[..point], &digits[point + 1..]),
            Some(_) => return Err(DecimalError::Syntax),
            None => (digits, &digits[..0]),
        };
        if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return Err(DecimalError::Syntax);
        }
        Ok(Number {
            negative,
            whole,
            fraction,
        })
    }

    fn mantissa(&self, exponent: i8) -> Result<i64, DecimalError> {
        let wanted_places = usize::from(exponent.min(0).unsigned_abs());
        let whole_kept = self
            .whole
            .len()
            .saturating_sub(usize::from(exponent.max(0).unsigned_abs()));
        let (whole, whole_lost) = self.whole.split_at(whole_kept);
        let (fraction, fraction_lost) = self.fraction.split_at(wanted_places.min(self.fraction.len()));
        if whole_lost.iter().chain(fraction_lost).any(|&b| b != b'0') {
            return Err(DecimalError::Inexact);
        }
        // The value is built negative: i64 reaches one further below zero than above.
        let value = whole.iter().chain(fraction).try_fold(0i64, |value, &b| {
            value.checked_mul(10)?.checked_sub(i64::from(b - b'0'))
        });
        let value = match value.ok_or(DecimalError::Overflow)? {
            0 => 0,
            value => pow10((wanted_places - fraction.len()) as u32)
                .and_then(|factor| value.checked_mul(factor))
                .ok_or(DecimalError::Overflow)?,
        };
        if self.negative {
            Ok(value)
        } else {
            value.checked_neg().ok_or(DecimalError::Overflow)
        }
    }
}

/// The two digits of 0 to 99, one after the other: printing takes half the divisions with them.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + (n / 10) as u8;
        pairs[2 * n + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
};

/// Appends `mantissa * 10^exponent` with exactly `-exponent` decimal places: `(6173763000000, -8)` is
/// `61737.63000000`. A positive exponent appends that many zeros.
pub fn write_mantissa(out: &mut Vec<u8>, mantissa: i64, exponent: i8) {
    let places = usize::from(exponent.min(0).unsigned_abs());
    if places > PLACES_MAX {
        return write_small(out, mantissa, places);
    }
    // Written from its end: sign, at most 19 digits and the point, or 18 places after "0." at the least.
    let mut text = [b'0'; 24];
    let mut at = text.len();
    let mut rest = mantissa.unsigned_abs();
    if places > 0 {
        let point = at - places - 1;
        while at > point + 2 {
            at -= 2;
            rest = put_pair(&mut text, at, rest);
        }
        if at > point + 1 {
            text[point + 1] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        text[point] = b'.';
        at = point;
    }
    while rest >= 100 {
        at -= 2;
        rest = put_pair(&mut text, at, rest);
    }
    if rest >= 10 {
        at -= 2;
        put_pair(&mut text, at, rest);
    } else {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    if mantissa < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.extend_from_slice(&text[at..]);
    if exponent > 0 && mantissa != 0 {
        out.extend(std::iter::repeat_n(b'0', usize::from(exponent.unsigned_abs())));
    }
}

/// Puts the last two digits of `rest` at `at` and returns what is before them.
fn put_pair(text: &mut [u8; 24], at: usize, rest: u64) -> u64 {
    let pair = (rest % 100) as usize * 2;
    text[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    rest / 100
}

/// Appends a number with at least as many places as a mantissa can have digits, so that it is zero up to the point.
fn write_small(out: &mut Vec<u8>, mantissa: i64, places: usize) {
    let sign = if mantissa < 0 { "-" } else { "" };
    let digits = mantissa.unsigned_abs();
    write!(out, "{sign}0.{digits:0places$}").expect("writing to a vector does not fail");
}
