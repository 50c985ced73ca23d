//! Decimals as an exchange prints them, fast: every number of a feed has the instrument's full precision, so its point
//! stands where the exponent says, and eight decimals can be read as one word.
//!
//! Any other text is left to [`parse_mantissa`], so the result is always the same as its.

use depthcast_market::decimal::{DecimalError, parse_mantissa};

/// The most digits that cannot overflow a 64-bit mantissa.
const DIGITS_MAX: usize = 18;

/// The digits that are read as one word.
const WORD_DIGITS: usize = 8;

/// `text` as a mantissa under `exponent`; as [`parse_mantissa`].
pub(super) fn mantissa(text: &str, exponent: i8) -> Result<i64, DecimalError> {
    match printed_in_full(text.as_bytes(), exponent) {
        Some(mantissa) => Ok(mantissa),
        None => parse_mantissa(text.as_bytes(), exponent),
    }
}

/// A text of digits, a point, and exactly `-exponent` (one or more) digits, together at most [`DIGITS_MAX`].
fn printed_in_full(text: &[u8], exponent: i8) -> Option<i64> {
    if text.len() > DIGITS_MAX + 1 {
        return None;
    }
    let places = usize::try_from(-i32::from(exponent)).ok().filter(|&n| n > 0)?;
    let (whole, fraction) = text.split_at_checked(text.len().checked_sub(places + 1)?)?;
    let (b'.', decimals) = fraction.split_first()? else {
        return None;
    };
    if whole.is_empty() {
        return None;
    }
    let whole = digits(0, whole)?;
    match <[u8; WORD_DIGITS]>::try_from(decimals) {
        Ok(word) => Some(whole * 100_000_000 + eight_digits(word)?),
        Err(_) => digits(whole, decimals),
    }
}

/// `value` with these digits behind it.
fn digits(value: i64, text: &[u8]) -> Option<i64> {
    text.iter().try_fold(value, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + i64::from(digit))
    })
}

/// Eight digits, first digit first: neighbours are joined to pairs, pairs to fours, fours to the whole.
fn eight_digits(text: [u8; WORD_DIGITS]) -> Option<i64> {
    let word = u64::from_le_bytes(text);
    // A digit is 0x30 to 0x39: its upper half is 3, and stays so when 6 is added.
    let upper = 0xf0f0_f0f0_f0f0_f0f0;
    let threes = 0x3030_3030_3030_3030;
    if word & upper != threes || word.wrapping_add(0x0606_0606_0606_0606) & upper != threes {
        return None;
    }
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let whole = (fours * 10_000 + (fours >> 32)) & 0xffff_ffff;
    i64::try_from(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn full_precision_takes_the_fast_way() {
        for (text, exponent, mantissa) in [
            ("61737.63000000", -8, 6_173_763_000_000),
            ("0.00000000", -8, 0),
            ("9999999999.99999999", -8, 999_999_999_999_999_999),
            ("0.12345678", -8, 12_345_678),
            ("1.5", -1, 15),
            ("0.000000000000000001", -18, 1),
        ] {
            assert_eq!(parse_mantissa(text.as_bytes(), exponent), Ok(mantissa), "{text}");
            let fast = printed_in_full(text.as_bytes(), exponent);
            assert_eq!(fast, (text.len() <= DIGITS_MAX + 1).then_some(mantissa), "{text}");
        }
        for text in [
            "",
            ".",
            ".00000000",
            "1",
            "1.5",
            "-1.00000000",
            "1.0000000x",
            "1:.00000000",
            "/1.00000000",
            "1.0000000/",
        ] {
            assert_eq!(printed_in_full(text.as_bytes(), -8), None, "{text}");
        }
        assert_eq!(printed_in_full(b"1.5:", -2), None);
        assert_eq!(printed_in_full(b"5", 0), None);
        assert_eq!(printed_in_full(b"5", 3), None);
        assert_eq!(printed_in_full(b"5.0", i8::MIN), None);
    }

    proptest! {
        #[test]
        fn both_ways_agree(text in "-?[0-9]{0,20}[.]?[0-9]{0,12}[/:x]?", exponent in -20i8..=3) {
            prop_assert_eq!(mantissa(&text, exponent), parse_mantissa(text.as_bytes(), exponent));
        }

        #[test]
        fn both_ways_agree_on_full_precision(text in "[0-9]{0,9}[0-9/:][.][0-9]{0,9}[0-9/:]") {
            let places = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            let exponent = -i8::try_from(places).expect("at most ten");
            prop_assert_eq!(mantissa(&text, exponent), parse_mantissa(text.as_bytes(), exponent));
        }

        #[test]
        fn any_text_gives_a_value_or_an_error(text in any::<String>(), exponent in any::<i8>()) {
            let _ = mantissa(&text, exponent);
        }
    }
}
