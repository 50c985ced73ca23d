//! What follows `sim:` in a feed URL: `?symbols=20&rate=10..100&seed=1`.

use std::ops::RangeInclusive;

/// The numbers of symbols taken.
pub const SYMBOLS: RangeInclusive<u32> = 1..=10_000;

/// The book changes a second of one symbol taken.
pub const RATES: RangeInclusive<u32> = 1..=1_000;

/// How a simulated exchange is set up. Its content follows from this and the version alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// How many symbols it lists; within [`SYMBOLS`].
    pub symbols: u32,
    /// Book changes a second of its symbols, from the slowest to the fastest; within [`RATES`].
    pub rate: RangeInclusive<u32>,
    /// What its randomness starts from.
    pub seed: u64,
}

impl Default for SimOptions {
    fn default() -> SimOptions {
        SimOptions {
            symbols: 20,
            rate: 10..=100,
            seed: 1,
        }
    }
}

/// Why the settings of a simulated exchange were refused. The fault is the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimUrlError {
    /// Something before the `?`.
    #[error(
        "a simulated feed has no name or path, but {0:?} stands before its settings: sim:?symbols=20&rate=10..100&seed=1"
    )]
    Path(String),
    /// A key that simulated feeds do not have.
    #[error("a simulated feed has no setting {0:?}; it has symbols, rate and seed")]
    UnknownKey(String),
    /// A key given more than once.
    #[error("the simulated feed's {0} is given twice")]
    Twice(&'static str),
    /// A value that its key does not take.
    #[error("the simulated feed's {key} is {value:?}; it takes {accepted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value given.
        value: String,
        /// The values it takes.
        accepted: &'static str,
    },
}

impl SimOptions {
    /// Parses what follows `sim:`.
    pub fn parse(text: &str) -> Result<SimOptions, SimUrlError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if !path.is_empty() {
            return Err(SimUrlError::Path(path.into()));
        }
        let (mut symbols, mut rate, mut seed) = (None, None, None);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            match key {
                "symbols" => set(&mut symbols, "symbols", parse_symbols(value)?)?,
                "rate" => set(&mut rate, "rate", parse_rate(value)?)?,
                "seed" => set(&mut seed, "seed", parse_seed(value)?)?,
                _ => return Err(SimUrlError::UnknownKey(key.into())),
            }
        }
        let defaults = SimOptions::default();
        Ok(SimOptions {
            symbols: symbols.unwrap_or(defaults.symbols),
            rate: rate.unwrap_or(defaults.rate),
            seed: seed.unwrap_or(defaults.seed),
        })
    }
}

impl SimOptions {
    /// Takes one setting by its key, as a flag of that name gives it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), SimUrlError> {
        match key {
            "symbols" => self.symbols = parse_symbols(value)?,
            "rate" => self.rate = parse_rate(value)?,
            "seed" => self.seed = parse_seed(value)?,
            _ => return Err(SimUrlError::UnknownKey(key.into())),
        }
        Ok(())
    }
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), SimUrlError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SimUrlError::Twice(key)),
    }
}

fn parse_symbols(value: &str) -> Result<u32, SimUrlError> {
    match value.parse() {
        Ok(symbols) if SYMBOLS.contains(&symbols) => Ok(symbols),
        _ => Err(SimUrlError::Value {
            key: "symbols",
            value: value.into(),
            accepted: "a number of symbols from 1 to 10000",
        }),
    }
}

fn parse_rate(value: &str) -> Result<RangeInclusive<u32>, SimUrlError> {
    let (low, high) = value.split_once("..").unwrap_or((value, value));
    match (low.parse::<u32>(), high.parse::<u32>()) {
        (Ok(low), Ok(high)) if RATES.contains(&low) && RATES.contains(&high) && low <= high => Ok(low..=high),
        _ => Err(SimUrlError::Value {
            key: "rate",
            value: value.into(),
            accepted: "book changes a second of each symbol, from 1 to 1000: one number, or slowest..fastest as 10..100",
        }),
    }
}

fn parse_seed(value: &str) -> Result<u64, SimUrlError> {
    value.parse().map_err(|_| SimUrlError::Value {
        key: "seed",
        value: value.into(),
        accepted: "a whole number from 0 to 18446744073709551615",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        SimOptions::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        for text in ["", "?", "?&"] {
            assert_eq!(SimOptions::parse(text), Ok(SimOptions::default()), "{text:?}");
        }
        let some = SimOptions::parse("?seed=7").unwrap();
        assert_eq!(
            some,
            SimOptions {
                seed: 7,
                ..SimOptions::default()
            }
        );
    }

    #[test]
    fn all_settings_are_taken_in_any_order() {
        let options = SimOptions::parse("?rate=5..50&seed=18446744073709551615&symbols=10000").unwrap();
        assert_eq!(
            options,
            SimOptions {
                symbols: 10_000,
                rate: 5..=50,
                seed: u64::MAX,
            }
        );
        assert_eq!(SimOptions::parse("?rate=1000").unwrap().rate, 1_000..=1_000);
    }

    #[test]
    fn errors_name_the_key_and_what_it_takes() {
        assert_eq!(
            error("?symbols=0"),
            "the simulated feed's symbols is \"0\"; it takes a number of symbols from 1 to 10000"
        );
        assert_eq!(
            error("?rate=100..10"),
            "the simulated feed's rate is \"100..10\"; it takes book changes a second of each symbol, from 1 to 1000: \
             one number, or slowest..fastest as 10..100"
        );
        assert_eq!(
            error("?seed=-1"),
            "the simulated feed's seed is \"-1\"; it takes a whole number from 0 to 18446744073709551615"
        );
        assert_eq!(
            error("?speed=2"),
            "a simulated feed has no setting \"speed\"; it has symbols, rate and seed"
        );
        assert_eq!(
            error("?seed=1&seed=1"),
            "the simulated feed's seed is given twice"
        );
        assert!(error("//host?seed=1").starts_with("a simulated feed has no name or path, but \"//host\""));
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        for text in [
            "?symbols=10001",
            "?symbols=",
            "?symbols",
            "?symbols=1.5",
            "?rate=0",
            "?rate=0..5",
            "?rate=5..1001",
            "?rate=..",
            "?rate=1..2..3",
            "?rate=",
            "?seed=18446744073709551616",
            "?seed=x",
        ] {
            assert!(
                matches!(SimOptions::parse(text), Err(SimUrlError::Value { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn the_accepted_values_told_are_the_limits() {
        assert!(error("?symbols=x").contains(&format!("from {} to {}", SYMBOLS.start(), SYMBOLS.end())));
        assert!(error("?rate=x").contains(&format!("from {} to {}", RATES.start(), RATES.end())));
    }

    proptest! {
        #[test]
        fn any_text_gives_options_within_the_limits_or_an_error(
            text in prop_oneof![
                any::<String>(),
                r"\??((symbols|rate|seed|x)?=?[0-9]{0,6}(\.\.)?[0-9]{0,5}&?){0,4}",
            ]
        ) {
            match SimOptions::parse(&text) {
                Ok(options) => {
                    prop_assert!(SYMBOLS.contains(&options.symbols));
                    prop_assert!(options.rate.start() <= options.rate.end());
                    prop_assert!(RATES.contains(options.rate.start()) && RATES.contains(options.rate.end()));
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }

        #[test]
        fn what_is_within_the_limits_is_taken(
            symbols in SYMBOLS,
            (low, high) in RATES.prop_flat_map(|low| (Just(low), low..=*RATES.end())),
            seed in any::<u64>(),
        ) {
            let options = SimOptions::parse(&format!("?symbols={symbols}&rate={low}..{high}&seed={seed}"));
            prop_assert_eq!(options, Ok(SimOptions { symbols, rate: low..=high, seed }));
        }
    }
}
