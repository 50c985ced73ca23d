//! Decimals that are sums and products: wider than the 64 bits of a price, and rounded where they are printed with fewer
//! places than they have. One rule everywhere: to the nearest, and halves away from zero.

/// The longest that a number of 128 bits is: a sign, 39 digits and a point, or a zero and a point before as many places as it
/// may be printed with.
const TEXT_MAX: usize = 64;

/// Appends `value` with so many decimal places, which are its last digits.
pub(super) fn write_wide(out: &mut Vec<u8>, value: i128, places: u32) {
    let mut text = [b'0'; TEXT_MAX];
    let (mut at, mut rest, mut written) = (text.len(), value.unsigned_abs(), 0);
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
    if value < 0 {
        at -= 1;
        text[at] = b'-';
    }
    out.extend_from_slice(&text[at..]);
}

/// `value` of `from` decimal places as one of `to`.
pub(super) fn with_places(value: i128, from: u32, to: u32) -> i128 {
    match from.checked_sub(to) {
        Some(fewer) => divided(value, 10i128.pow(fewer.min(PLACES_MAX))),
        None => value.saturating_mul(10i128.pow((to - from).min(PLACES_MAX))),
    }
}

/// More places than this no power of ten of 128 bits has.
const PLACES_MAX: u32 = 38;

/// `value / by`, where `by` is above zero.
pub(super) fn divided(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, (value % by).abs());
    if rest >= by - rest {
        quotient + value.signum()
    } else {
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: i128, places: u32) -> String {
        let mut out = Vec::new();
        write_wide(&mut out, value, places);
        String::from_utf8(out).expect("digits are text")
    }

    #[test]
    fn numbers_are_printed_with_all_their_places() {
        assert_eq!(text(0, 0), "0");
        assert_eq!(text(0, 3), "0.000");
        assert_eq!(text(7, 8), "0.00000007");
        assert_eq!(text(-95_960, 3), "-95.960");
        assert_eq!(text(14_897_611_427_815, 8), "148976.11427815");
        let lowest = text(i128::MIN, 36);
        assert_eq!(lowest, "-170.141183460469231731687303715884105728");
        assert!(text(i128::MIN, 0).len() < TEXT_MAX);
    }

    #[test]
    fn halves_go_away_from_zero() {
        assert_eq!(
            [15, 14, -15, -14, 5, 4].map(|n| divided(n, 10)),
            [2, 1, -2, -1, 1, 0]
        );
        assert_eq!(divided(i128::MAX, i128::MAX), 1);
        assert_eq!(with_places(123_456, 4, 2), 1_235);
        assert_eq!(with_places(123, 2, 5), 123_000);
        assert_eq!(with_places(i128::MAX, 0, 8), i128::MAX);
    }

    proptest! {
        #[test]
        fn a_printed_number_reads_as_what_it_was(value in any::<i64>(), places in 0u32..18) {
            let mut plain = Vec::new();
            depthcast_market::decimal::write_mantissa(&mut plain, value, -(places as i8));
            prop_assert_eq!(text(i128::from(value), places).into_bytes(), plain);
        }

        #[test]
        fn rounding_is_off_by_half_at_most(value in any::<i64>(), by in 1i128..1_000_000) {
            let value = i128::from(value);
            let rounded = divided(value, by);
            prop_assert!((rounded * by - value).abs() * 2 <= by);
        }
    }
}
