//! Exact fixed-point decimals: an i64 mantissa times a power of ten. Parsing, printing and rescaling lose nothing;
//! what would lose or overflow is an error. No float ever touches a price.

use std::fmt;

/// The longest text that can be a decimal here: sign, 19 digits, point, and room for redundant zeros.
pub const DECIMAL_TEXT_MAX: usize = 48;

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
    /// Parses `-?digits(.digits)?`, keeping the number of decimal places given: `"1.50"` is 150e-2.
    pub fn parse(text: &[u8]) -> Result<Decimal, DecimalError> {
        let places = text
            .iter()
            .position(|&b| b == b'.')
            .map_or(0, |point| text.len() - point - 1);
        if text.len() > DECIMAL_TEXT_MAX {
            return Err(DecimalError::Overflow);
        }
        let exponent = i8::try_from(places)
            .map(|p| -p)
            .map_err(|_| DecimalError::Overflow)?;
        Ok(Decimal {
            mantissa: parse_mantissa(text, exponent)?,
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
    if text.len() > DECIMAL_TEXT_MAX {
        return Err(DecimalError::Overflow);
    }
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    // The value is built negative: i64 reaches one further below zero than above.
    let mut value: i64 = 0;
    let mut places: Option<i32> = None;
    let mut any = false;
    let wanted = -i32::from(exponent);
    for &b in digits {
        match b {
            b'0'..=b'9' => {
                any = true;
                if let Some(n) = &mut places {
                    if *n >= wanted {
                        if b != b'0' {
                            return Err(DecimalError::Inexact);
                        }
                        continue;
                    }
                    *n += 1;
                }
                value = value
                    .checked_mul(10)
                    .and_then(|v| v.checked_sub(i64::from(b - b'0')))
                    .ok_or(DecimalError::Overflow)?;
            }
            b'.' if places.is_none() && any => {
                places = Some(0);
                any = false;
            }
            _ => return Err(DecimalError::Syntax),
        }
    }
    if !any {
        return Err(DecimalError::Syntax);
    }
    let shift = wanted - places.unwrap_or(0);
    let value = if value == 0 {
        0
    } else if shift >= 0 {
        pow10(shift.unsigned_abs())
            .and_then(|f| value.checked_mul(f))
            .ok_or(DecimalError::Overflow)?
    } else {
        // A positive exponent: the text must end in that many zeros.
        let factor = pow10(shift.unsigned_abs()).ok_or(DecimalError::Inexact)?;
        if value % factor != 0 {
            return Err(DecimalError::Inexact);
        }
        value / factor
    };
    if negative {
        Ok(value)
    } else {
        value.checked_neg().ok_or(DecimalError::Overflow)
    }
}

/// Appends `mantissa * 10^exponent` with exactly `-exponent` decimal places: `(6173763000000, -8)` is
/// `61737.63000000`. A positive exponent appends that many zeros.
pub fn write_mantissa(out: &mut Vec<u8>, mantissa: i64, exponent: i8) {
    if mantissa < 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = mantissa.unsigned_abs();
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let places = usize::from(exponent.min(0).unsigned_abs());
    let digits = &digits[at..];
    if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        // Zero has no digits and never gets here, so the zeros of a positive exponent follow a real number.
        out.extend(std::iter::repeat_n(
            b'0',
            usize::from(exponent.max(0).unsigned_abs()),
        ));
        if places > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(b'0');
        if places > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', places - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}
