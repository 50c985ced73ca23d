//! Decimals against golden values and against plain 128-bit arithmetic.

use depthcast_market::decimal::{DECIMAL_TEXT_MAX, Decimal, DecimalError, parse_mantissa, write_mantissa};
use proptest::prelude::*;

fn print(mantissa: i64, exponent: i8) -> String {
    Decimal { mantissa, exponent }.to_string()
}

fn decimal(mantissa: i64, exponent: i8) -> Result<Decimal, DecimalError> {
    Ok(Decimal { mantissa, exponent })
}

#[test]
fn prints_golden_values() {
    for (mantissa, exponent, text) in [
        (6_173_763_000_000, -8, "61737.63000000"),
        (0, -8, "0.00000000"),
        (1, -8, "0.00000001"),
        (-1, -8, "-0.00000001"),
        (123_456_789, -8, "1.23456789"),
        (99_999_999, -8, "0.99999999"),
        (100_000_000, -8, "1.00000000"),
        (0, 0, "0"),
        (7, 0, "7"),
        (10, 0, "10"),
        (100, 0, "100"),
        (-105, -1, "-10.5"),
        (5, -1, "0.5"),
        (150, -2, "1.50"),
        (7, 3, "7000"),
        (-7, 1, "-70"),
        (0, 5, "0"),
        (i64::MAX, 0, "9223372036854775807"),
        (i64::MIN, 0, "-9223372036854775808"),
        (i64::MAX, -8, "92233720368.54775807"),
        (i64::MIN, -18, "-9.223372036854775808"),
        (1, -18, "0.000000000000000001"),
        (i64::MIN, -19, "-0.9223372036854775808"),
        (0, -20, "0.00000000000000000000"),
        (-42, -21, "-0.000000000000000000042"),
    ] {
        assert_eq!(print(mantissa, exponent), text);
    }
}

#[test]
fn prints_and_parses_at_every_exponent_there_is() {
    for exponent in i8::MIN..=i8::MAX {
        let text = print(-15, exponent);
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        assert_eq!(places, usize::from(exponent.min(0).unsigned_abs()), "{text}");
        let zeros = text.len() - text.trim_end_matches('0').len();
        assert_eq!(zeros, usize::from(exponent.max(0).unsigned_abs()), "{text}");
        let back = parse_mantissa(text.as_bytes(), exponent);
        if text.len() > DECIMAL_TEXT_MAX {
            assert_eq!(back, Err(DecimalError::Overflow));
        } else {
            assert!(matches!(back, Ok(-15) | Err(DecimalError::Overflow)), "{text}");
        }
        assert_eq!(parse_mantissa(b"0.0", exponent), Ok(0));
    }
}

#[test]
fn appends_behind_what_is_there() {
    let mut out = b"p=".to_vec();
    write_mantissa(&mut out, 150, -2);
    write_mantissa(&mut out, 2, 1);
    assert_eq!(out, b"p=1.5020");
}

#[test]
fn parses_golden_values() {
    for (text, expected) in [
        ("61737.63000000", decimal(6_173_763_000_000, -8)),
        ("1.50", decimal(150, -2)),
        ("-1.50", decimal(-150, -2)),
        ("0", decimal(0, 0)),
        ("-0.0", decimal(0, -1)),
        ("007", decimal(7, 0)),
        ("9223372036854775807", decimal(i64::MAX, 0)),
        ("-9223372036854775808", decimal(i64::MIN, 0)),
        ("-9.223372036854775808", decimal(i64::MIN, -18)),
        ("9223372036854775808", Err(DecimalError::Overflow)),
        ("-9223372036854775809", Err(DecimalError::Overflow)),
        ("9.223372036854775808", Err(DecimalError::Overflow)),
        ("99999999999999999999", Err(DecimalError::Overflow)),
        ("0.0000000000000000000", Err(DecimalError::Inexact)),
        ("0.0000000000000000001", Err(DecimalError::Inexact)),
    ] {
        assert_eq!(Decimal::parse(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn parses_mantissas_under_a_given_exponent() {
    for (text, exponent, expected) in [
        ("61737.63000000", -8, Ok(6_173_763_000_000)),
        ("0.00000000", -8, Ok(0)),
        ("9999999999.99999999", -8, Ok(999_999_999_999_999_999)),
        ("99999999999.99999999", -8, Err(DecimalError::Overflow)),
        ("92233720368.54775807", -8, Ok(i64::MAX)),
        ("92233720368.54775808", -8, Err(DecimalError::Overflow)),
        ("-92233720368.54775808", -8, Ok(i64::MIN)),
        ("12.34", -2, Ok(1234)),
        ("1.5", -8, Ok(150_000_000)),
        ("15", -8, Ok(1_500_000_000)),
        ("1.500000000000", -8, Ok(150_000_000)),
        ("1.000000001", -8, Err(DecimalError::Inexact)),
        ("1.5", 0, Err(DecimalError::Inexact)),
        ("1.0", 0, Ok(1)),
        ("1500.0", 2, Ok(15)),
        ("1550", 2, Err(DecimalError::Inexact)),
        ("20000000000000000000", 2, Ok(200_000_000_000_000_000)),
        ("0", 127, Ok(0)),
        ("1", 127, Err(DecimalError::Inexact)),
        ("0.0", -128, Ok(0)),
        ("1.0", -128, Err(DecimalError::Overflow)),
        ("1", -18, Ok(1_000_000_000_000_000_000)),
        ("10", -18, Err(DecimalError::Overflow)),
    ] {
        assert_eq!(
            parse_mantissa(text.as_bytes(), exponent),
            expected,
            "{text} {exponent}"
        );
    }
}

#[test]
fn refuses_what_is_no_plain_decimal() {
    for text in [
        "",
        "-",
        ".",
        "-.",
        ".5",
        "-.5",
        "1.",
        "1e5",
        "+1",
        "--1",
        "1-",
        "1.2.3",
        "1..2",
        "1,5",
        " 1",
        "1 ",
        "0x1",
        "NaN",
        "inf",
        "1.0000000x",
        "x.00000000",
        "1:.00000000",
        "1.0000:000",
        "1./0000000",
        "\u{661}.00000000",
        "1.\u{661}000000",
    ] {
        assert_eq!(
            Decimal::parse(text.as_bytes()),
            Err(DecimalError::Syntax),
            "{text:?}"
        );
        for exponent in [-8, -2, 0, 2] {
            assert_eq!(
                parse_mantissa(text.as_bytes(), exponent),
                Err(DecimalError::Syntax),
                "{text:?} under {exponent}"
            );
        }
    }
}

#[test]
fn the_length_of_a_text_is_bounded() {
    let longest = [b'0'; DECIMAL_TEXT_MAX];
    assert_eq!(Decimal::parse(&longest), decimal(0, 0));
    assert_eq!(parse_mantissa(&longest, -8), Ok(0));
    let longer = [b'0'; DECIMAL_TEXT_MAX + 1];
    assert_eq!(Decimal::parse(&longer), Err(DecimalError::Overflow));
    assert_eq!(parse_mantissa(&longer, -8), Err(DecimalError::Overflow));
}

#[test]
fn rescales_only_without_loss() {
    let rescale = |mantissa, exponent, to| Decimal { mantissa, exponent }.rescale(to);
    assert_eq!(rescale(150, -2, -1), decimal(15, -1));
    assert_eq!(rescale(150, -2, -8), decimal(150_000_000, -8));
    assert_eq!(rescale(155, -2, -1), Err(DecimalError::Inexact));
    assert_eq!(rescale(5000, 0, 3), decimal(5, 3));
    assert_eq!(rescale(i64::MAX, 0, -1), Err(DecimalError::Overflow));
    assert_eq!(rescale(i64::MIN, 0, -1), Err(DecimalError::Overflow));
    assert_eq!(rescale(i64::MIN, -18, -18), decimal(i64::MIN, -18));
    assert_eq!(rescale(1, 127, -128), Err(DecimalError::Overflow));
    assert_eq!(rescale(1, -128, 127), Err(DecimalError::Inexact));
    assert_eq!(rescale(0, -128, 127), decimal(0, 127));
}

/// Mantissas of every magnitude, with the ends among them.
fn any_mantissa() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        (any::<i64>(), 0u32..64).prop_map(|(mantissa, shift)| mantissa >> shift),
        Just(i64::MIN),
        Just(i64::MAX),
        (0i64..10, 0u32..18).prop_map(|(digit, zeros)| digit * 10i64.pow(zeros)),
    ]
}

/// Texts that are, or nearly are, decimals.
fn any_number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,12}\\.[0-9]{8}",
        "-?[0-9]{1,20}(\\.[0-9]{1,18})?",
        "-?[0-9]{1,6}0{0,12}(\\.[0-9]{0,4}0{0,12})?",
        "[-+.0-9e]{0,24}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parsing_what_was_printed_gives_it_back(mantissa in any_mantissa(), exponent in -18i8..=0) {
        let text = print(mantissa, exponent);
        prop_assert_eq!(Decimal::parse(text.as_bytes()), decimal(mantissa, exponent));
        prop_assert_eq!(parse_mantissa(text.as_bytes(), exponent), Ok(mantissa));
    }

    #[test]
    fn printing_is_that_of_wide_arithmetic(mantissa in any_mantissa(), exponent in -18i8..=0) {
        let scale = 10u128.pow(u32::from(exponent.unsigned_abs()));
        let magnitude = u128::from(mantissa.unsigned_abs());
        let sign = if mantissa < 0 { "-" } else { "" };
        let places = usize::from(exponent.unsigned_abs());
        let expected = match places {
            0 => format!("{sign}{magnitude}"),
            _ => format!("{sign}{}.{:0places$}", magnitude / scale, magnitude % scale),
        };
        prop_assert_eq!(print(mantissa, exponent), expected);
    }

    #[test]
    fn rescaling_there_and_back_changes_nothing(mantissa in any_mantissa(), from in -18i8..=18, to in -18i8..=18) {
        let value = Decimal { mantissa, exponent: from };
        match value.rescale(to) {
            Ok(scaled) => {
                prop_assert_eq!(scaled.exponent, to);
                prop_assert_eq!(scaled.rescale(from), Ok(value));
            }
            Err(DecimalError::Overflow) => {
                let factor = 10i128.checked_pow(u32::try_from(i32::from(from) - i32::from(to)).unwrap()).unwrap();
                prop_assert!(i64::try_from(i128::from(mantissa).saturating_mul(factor)).is_err());
            }
            Err(DecimalError::Inexact) => {
                let factor = 10i128.checked_pow(u32::try_from(i32::from(to) - i32::from(from)).unwrap()).unwrap();
                prop_assert_ne!(i128::from(mantissa) % factor, 0);
            }
            Err(DecimalError::Syntax) => prop_assert!(false, "rescaling parses nothing"),
        }
    }

    #[test]
    fn parsing_a_mantissa_is_parsing_and_rescaling(text in any_number_text(), exponent in -18i8..=18) {
        match Decimal::parse(text.as_bytes()) {
            Ok(value) => prop_assert_eq!(
                parse_mantissa(text.as_bytes(), exponent),
                value.rescale(exponent).map(|scaled| scaled.mantissa)
            ),
            Err(DecimalError::Syntax) => {
                prop_assert_eq!(parse_mantissa(text.as_bytes(), exponent), Err(DecimalError::Syntax));
            }
            // The number does not fit under its own places; under others it may.
            Err(DecimalError::Overflow | DecimalError::Inexact) => {
                prop_assert_ne!(parse_mantissa(text.as_bytes(), exponent), Err(DecimalError::Syntax));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_number_or_an_error(text in prop::collection::vec(any::<u8>(), 0..60), exponent in any::<i8>()) {
        let parsed = Decimal::parse(&text);
        let mantissa = parse_mantissa(&text, exponent);
        prop_assert_eq!(
            parsed == Err(DecimalError::Syntax),
            mantissa == Err(DecimalError::Syntax)
        );
    }

    #[test]
    fn any_value_prints_and_rescales_without_panic(mantissa in any_mantissa(), from in any::<i8>(), to in any::<i8>()) {
        let value = Decimal { mantissa, exponent: from };
        prop_assert!(!value.to_string().is_empty());
        if let Ok(scaled) = value.rescale(to) {
            prop_assert_eq!(scaled.rescale(from), Ok(value));
        }
    }
}
