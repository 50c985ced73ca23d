//! What follows `capture:` in a feed URL: `PATH?speed=1&start=0&end=hold`.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// The speeds taken: slower than a hundredth nobody waits for, faster than ten thousand is `max`.
pub const SPEEDS: RangeInclusive<f64> = 0.01..=10_000.0;

/// The most subscribers a replay waits for: as many as one machine is built to carry.
pub const START_SUBSCRIBERS_MAX: u32 = 1_000_000;

/// How a capture is replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureOptions {
    /// The file, percent-decoded.
    pub path: PathBuf,
    /// How fast recorded time passes.
    pub speed: Speed,
    /// How many subscribers the replay waits for before its first record.
    pub start_subscribers: u32,
    /// What happens after the last record.
    pub at_end: AtEnd,
}

/// How fast recorded time passes. Only the pace is a float; recorded times themselves are integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many recorded seconds in each second; within [`SPEEDS`].
    Times(f64),
    /// As fast as records are taken.
    Max,
}

/// What happens after the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// The market stands still and subscribers stay.
    Hold,
    /// The capture starts over, as a new epoch.
    Loop,
    /// The engine ends.
    Exit,
}

/// Why a capture URL was refused. The fault is the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureUrlError {
    /// Nothing before the `?`.
    #[error("a capture feed needs the path of a file: capture:PATH?speed=1&start=0&end=hold")]
    NoPath,
    /// A key that captures do not have.
    #[error("a capture feed has no setting {0:?}; it has speed, start and end")]
    UnknownKey(String),
    /// A key given more than once.
    #[error("the capture feed's {0} is given twice")]
    Twice(&'static str),
    /// A value that its key does not take.
    #[error("the capture feed's {key} is {value:?}; it takes {accepted}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value given.
        value: String,
        /// The values it takes.
        accepted: &'static str,
    },
}

impl CaptureOptions {
    /// Parses what follows `capture:`. The path may be percent-encoded, and must be where it has a `?` or a `%`.
    pub fn parse(text: &str) -> Result<CaptureOptions, CaptureUrlError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if path.is_empty() {
            return Err(CaptureUrlError::NoPath);
        }
        let (mut speed, mut start_subscribers, mut at_end) = (None, None, None);
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            match key {
                "speed" => set(&mut speed, "speed", parse_speed(value)?)?,
                "start" => set(&mut start_subscribers, "start", parse_start(value)?)?,
                "end" => set(&mut at_end, "end", parse_end(value)?)?,
                _ => return Err(CaptureUrlError::UnknownKey(key.into())),
            }
        }
        Ok(CaptureOptions {
            path: OsString::from_vec(percent_decode_str(path).collect()).into(),
            speed: speed.unwrap_or(Speed::Times(1.0)),
            start_subscribers: start_subscribers.unwrap_or(0),
            at_end: at_end.unwrap_or(AtEnd::Hold),
        })
    }
}

fn set<T>(place: &mut Option<T>, key: &'static str, value: T) -> Result<(), CaptureUrlError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(CaptureUrlError::Twice(key)),
    }
}

fn parse_speed(value: &str) -> Result<Speed, CaptureUrlError> {
    if value == "max" {
        return Ok(Speed::Max);
    }
    match value.parse::<f64>() {
        Ok(times) if SPEEDS.contains(&times) => Ok(Speed::Times(times)),
        _ => Err(CaptureUrlError::Value {
            key: "speed",
            value: value.into(),
            accepted: "a number from 0.01 to 10000, or max",
        }),
    }
}

fn parse_start(value: &str) -> Result<u32, CaptureUrlError> {
    match value.parse::<u32>() {
        Ok(subscribers) if subscribers <= START_SUBSCRIBERS_MAX => Ok(subscribers),
        _ => Err(CaptureUrlError::Value {
            key: "start",
            value: value.into(),
            accepted: "a number of subscribers from 0 to 1000000",
        }),
    }
}

fn parse_end(value: &str) -> Result<AtEnd, CaptureUrlError> {
    match value {
        "hold" => Ok(AtEnd::Hold),
        "loop" => Ok(AtEnd::Loop),
        "exit" => Ok(AtEnd::Exit),
        _ => Err(CaptureUrlError::Value {
            key: "end",
            value: value.into(),
            accepted: "hold, loop or exit",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        CaptureOptions::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn defaults_fill_what_is_not_given() {
        let defaults = CaptureOptions {
            path: "/data/day.gz".into(),
            speed: Speed::Times(1.0),
            start_subscribers: 0,
            at_end: AtEnd::Hold,
        };
        for text in [
            "/data/day.gz",
            "/data/day.gz?",
            "/data/day.gz?speed=1&start=0&end=hold",
        ] {
            assert_eq!(CaptureOptions::parse(text), Ok(defaults.clone()), "{text}");
        }
        assert_eq!(
            CaptureOptions::parse("day?end=loop&speed=0.5&start=1000000"),
            Ok(CaptureOptions {
                path: "day".into(),
                speed: Speed::Times(0.5),
                start_subscribers: 1_000_000,
                at_end: AtEnd::Loop,
            })
        );
        let max = CaptureOptions::parse("day?speed=max&end=exit").unwrap();
        assert_eq!((max.speed, max.at_end), (Speed::Max, AtEnd::Exit));
    }

    #[test]
    fn the_path_is_percent_decoded() {
        let path = |text| CaptureOptions::parse(text).unwrap().path;
        assert_eq!(path("a%20b%3Fc%25.gz?speed=2"), PathBuf::from("a b?c%.gz"));
        assert_eq!(path("a+b"), PathBuf::from("a+b"));
        assert_eq!(path("%ff").as_os_str().as_encoded_bytes(), [0xff]);
    }

    #[test]
    fn refusals_name_the_key_and_what_it_takes() {
        for text in ["", "?speed=1"] {
            assert!(
                refused(text).starts_with("a capture feed needs the path of a file"),
                "{text}"
            );
        }
        assert_eq!(
            refused("day?rate=1"),
            "a capture feed has no setting \"rate\"; it has speed, start and end"
        );
        assert_eq!(
            refused("day?start=1&start=1"),
            "the capture feed's start is given twice"
        );
        for value in ["", "0", "-1", "nan", "inf", "10001", "0.001", "fast", "MAX"] {
            assert_eq!(
                refused(&format!("day?speed={value}")),
                format!(
                    "the capture feed's speed is {value:?}; it takes a number from 0.01 to 10000, or max"
                )
            );
        }
        for value in ["", "-1", "1000001", "4294967296", "1.5"] {
            assert_eq!(
                refused(&format!("day?start={value}")),
                format!(
                    "the capture feed's start is {value:?}; it takes a number of subscribers from 0 to 1000000"
                )
            );
        }
        assert_eq!(
            refused("day?end"),
            "the capture feed's end is \"\"; it takes hold, loop or exit"
        );
    }

    #[test]
    fn the_values_that_are_named_are_the_ones_that_are_taken() {
        assert_eq!(
            (format!("{SPEEDS:?}"), START_SUBSCRIBERS_MAX),
            ("0.01..=10000.0".into(), 1_000_000)
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_options_or_an_error(text in "[a-z?&=%0-9.]{0,40}|.*") {
            if let Ok(options) = CaptureOptions::parse(&text) {
                prop_assert!(!options.path.as_os_str().is_empty());
            }
        }
    }
}
