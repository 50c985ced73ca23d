//! Numbers of 128 bits: sums and products, wider than the 64 bits of a price, and rounded where they are told with fewer places
//! than they have. One rule everywhere: to the nearest, and halves away from zero.

/// The longest that a number of 128 bits is: a sign, 39 digits and a point, or a zero and a point before as many places as it
/// may be printed with.
const TEXT_MAX: usize = 64;

/// The quotient, rounded; zero where there is none.
pub fn divide(dividend: i128, divisor: i128) -> i128 {
    let (Some(quotient), Some(rest)) = (dividend.checked_div(divisor), dividend.checked_rem(divisor)) else {
        return 0;
    };
    let (rest, whole) = (rest.unsigned_abs(), divisor.unsigned_abs());
    let sign = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
    quotient.saturating_add(if rest >= whole - rest { sign } else { 0 })
}

/// The nearest number of 64 bits.
pub fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Appends a mantissa with `-exponent` decimal places, of which there are none where that is not below zero.
pub fn write(out: &mut Vec<u8>, mantissa: i128, exponent: i8) {
    let places = usize::from(exponent.min(0).unsigned_abs()).min(MOST_PLACES);
    let mut text = [b'0'; TEXT_MAX];
    let (mut at, mut rest, mut written) = (text.len(), mantissa.unsigned_abs(), 0);
    // At least one digit before the point.
    while rest > 0 || written <= places {
        if written == places && places > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    if mantissa < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.extend_from_slice(&text[at..]);
}

/// More decimal places than this no instrument's sums have.
const MOST_PLACES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: i128, exponent: i8) -> String {
        let mut out = Vec::new();
        write(&mut out, value, exponent);
        String::from_utf8(out).expect("digits are text")
    }

    #[test]
    fn numbers_are_printed_with_all_their_places() {
        assert_eq!(text(0, 0), "0");
        assert_eq!(text(0, -3), "0.000");
        assert_eq!(text(7, -8), "0.00000007");
        assert_eq!(text(-95_960, -3), "-95.960");
        assert_eq!(text(14_897_611_427_815, -8), "148976.11427815");
        let lowest = text(i128::MIN, -36);
        assert_eq!(lowest, "-170.141183460469231731687303715884105728");
        assert_eq!(text(i128::MIN, i8::MIN).len(), 1 + 2 + MOST_PLACES);
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(
            [15, 14, -15, -14, 5, 4].map(|n| divide(n, 10)),
            [2, 1, -2, -1, 1, 0]
        );
        assert_eq!([15, -15].map(|n| divide(n, -10)), [-2, 2]);
        assert_eq!((divide(i128::MAX, i128::MAX), divide(1, 0)), (1, 0));
        assert_eq!(divide(i128::MIN, -1), 0, "there is none");
        assert_eq!([i128::MIN, i128::MAX, -7].map(narrow), [i64::MIN, i64::MAX, -7]);
    }

    proptest! {
        #[test]
        fn a_printed_number_reads_as_what_it_was(value in any::<i64>(), places in 0i8..18) {
            let mut plain = Vec::new();
            crate::decimal::write_mantissa(&mut plain, value, -places);
            prop_assert_eq!(text(i128::from(value), -places).into_bytes(), plain);
        }

        #[test]
        fn rounding_is_off_by_half_at_most(value in any::<i64>(), by in 1i128..1_000_000) {
            let value = i128::from(value);
            let rounded = divide(value, by);
            prop_assert!((rounded * by - value).abs() * 2 <= by);
        }
    }
}
