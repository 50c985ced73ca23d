//! The parameters of a query: each is sent once, has a value, and is read by its endpoint; what its value may be is checked
//! here, one function for each kind of value.

use std::cell::Cell;
use std::collections::HashSet;

use depthcast_market::interval::KlineInterval;
use depthcast_wire::stream::SymbolName;

use super::errors::{
    ApiError, DUPLICATE_SYMBOLS, INVALID_STATUS, INVALID_SYMBOL, NUMBER_RANGE, SYMBOL_RANGE, SYMBOLS_RANGE,
    TOO_MANY_PARAMETERS,
};

/// Parameters of one request at most; no endpoint has half as many.
const PARAMETERS_MAX: usize = 32;

/// Characters of a symbol, as the exchange bounds them. This engine's symbols are shorter.
const SYMBOL_CHARS_MAX: usize = 50;

/// Digits of a number.
const DIGITS_MAX: usize = 20;

/// A time from here on is microseconds, one below it milliseconds: 10^14 is March 1973 in the one and the year 5138 in the
/// other.
const MICROSECONDS_FROM: i64 = 100_000_000_000_000;

/// Minutes that the time of a zone may be behind and ahead of UTC.
const ZONE_MINUTES: std::ops::RangeInclusive<i64> = -12 * 60..=14 * 60;

/// Zones differ from UTC by a multiple of this.
const ZONE_MINUTES_STEP: i64 = 15;

/// Microseconds of a minute.
const MINUTE_US: i64 = 60_000_000;

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Parameters {
    sent: Vec<(String, String)>,
    read: Cell<usize>,
}

impl Parameters {
    /// Those of a query, which may be anything.
    pub(super) fn parse(query: &str) -> Result<Parameters, ApiError> {
        let mut sent: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if sent.len() == PARAMETERS_MAX {
                return Err(TOO_MANY_PARAMETERS);
            }
            if sent.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::duplicate(&name));
            }
            sent.push((name.into_owned(), value.into_owned()));
        }
        Ok(Parameters {
            sent,
            read: Cell::new(0),
        })
    }

    /// Whether a parameter is there, without reading it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.sent.iter().any(|(other, _)| other == name)
    }

    /// A parameter that may be there. To be called once for each name.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let Some((_, value)) = self.sent.iter().find(|(other, _)| other == name) else {
            return Ok(None);
        };
        self.read.set(self.read.get() + 1);
        if value.is_empty() {
            return Err(ApiError::empty(name));
        }
        Ok(Some(value))
    }

    /// A parameter that must be there.
    pub(super) fn mandatory(&self, name: &str) -> Result<&str, ApiError> {
        self.optional(name)?.ok_or_else(|| ApiError::missing(name))
    }

    /// Nothing was sent but what was read.
    pub(super) fn all_read(&self) -> Result<(), ApiError> {
        let (read, sent) = (self.read.get(), self.sent.len());
        if read == sent {
            Ok(())
        } else {
            Err(ApiError::unread(read, sent))
        }
    }

    /// Nothing was sent.
    pub(super) fn none(&self) -> Result<(), ApiError> {
        match self.sent.len() {
            0 => Ok(()),
            sent => Err(ApiError::too_many(0, sent)),
        }
    }

    /// The symbol that must be named.
    pub(super) fn symbol(&self) -> Result<SymbolName, ApiError> {
        symbol(self.mandatory("symbol")?)
    }

    /// How many are wanted: more than `most` is taken as that.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, ApiError> {
        match self.number("limit")? {
            None => Ok(default),
            Some(Number::Is(0)) => Err(ApiError::invalid("limit")),
            Some(Number::Is(limit)) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
            Some(Number::Beyond) => Ok(most),
        }
    }

    /// An id.
    pub(super) fn id(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.number(name)? {
            None => Ok(None),
            Some(Number::Is(id)) => Ok(Some(id)),
            Some(Number::Beyond) => Err(ApiError::overflow(name)),
        }
    }

    /// A moment from which on something is wanted, in microseconds.
    pub(super) fn begin(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let time = self.id(name)?;
        Ok(time.map(|time| {
            if time < MICROSECONDS_FROM {
                time * 1000
            } else {
                time
            }
        }))
    }

    /// A moment up to which something is wanted, in microseconds: a millisecond is meant to its end.
    pub(super) fn end(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let time = self.id(name)?;
        Ok(time.map(|time| {
            if time < MICROSECONDS_FROM {
                time * 1000 + 999
            } else {
                time
            }
        }))
    }

    /// How far a time zone (`-1:00`, `05:45`, `8`) is ahead of UTC, in microseconds.
    pub(super) fn zone(&self, name: &str) -> Result<i64, ApiError> {
        match self.optional(name)? {
            None => Ok(0),
            Some(text) => zone_minutes(text)
                .map(|minutes| minutes * MINUTE_US)
                .ok_or_else(|| ApiError::invalid(name)),
        }
    }

    /// A truth.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.optional(name)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::invalid(name)),
        }
    }

    /// Whether symbols that trade are wanted, which all symbols here do; true where no status is asked for.
    pub(super) fn wants_trading(&self) -> Result<bool, ApiError> {
        match self.optional("symbolStatus")? {
            None | Some("TRADING") => Ok(true),
            Some("HALT" | "BREAK") => Ok(false),
            Some(_) => Err(INVALID_STATUS),
        }
    }

    /// The interval, or None where there is no such.
    pub(super) fn interval(&self) -> Result<Option<KlineInterval>, ApiError> {
        self.mandatory("interval").map(KlineInterval::parse)
    }

    fn number(&self, name: &str) -> Result<Option<Number>, ApiError> {
        let Some(text) = self.optional(name)? else {
            return Ok(None);
        };
        if text.len() > DIGITS_MAX || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::illegal(name, NUMBER_RANGE));
        }
        Ok(Some(text.parse().map_or(Number::Beyond, Number::Is)))
    }
}

/// A whole number as it was sent.
enum Number {
    Is(i64),
    /// More than 64 bits hold.
    Beyond,
}

/// A symbol that could be one of this engine's.
pub(super) fn symbol(text: &str) -> Result<SymbolName, ApiError> {
    if !is_legal(text) {
        return Err(ApiError::illegal("symbol", SYMBOL_RANGE));
    }
    SymbolName::new(text).ok_or(INVALID_SYMBOL)
}

/// A list of symbols: JSON without any space in it.
pub(super) fn symbols(text: &str) -> Result<Vec<SymbolName>, ApiError> {
    let names = list(text).filter(|names| names.iter().all(|name| is_legal(name)));
    let names = names.ok_or_else(|| ApiError::illegal("symbols", SYMBOLS_RANGE))?;
    if names.is_empty() {
        return Err(ApiError::empty("symbols"));
    }
    let mut seen = HashSet::with_capacity(names.len());
    if !names.iter().all(|name| seen.insert(*name)) {
        return Err(DUPLICATE_SYMBOLS);
    }
    let all = names
        .into_iter()
        .map(|name| SymbolName::new(name).ok_or(INVALID_SYMBOL));
    all.collect()
}

/// Whether a permission or, in a list, one of several is that for spot trading, which is what symbols here have.
pub(super) fn permits_spot(text: &str) -> Result<bool, ApiError> {
    let names = if text.starts_with('[') {
        list(text)
    } else {
        Some(vec![text])
    };
    match names {
        Some(names) if !names.is_empty() && names.iter().all(|name| is_permission(name)) => {
            Ok(names.contains(&"SPOT"))
        }
        _ => Err(ApiError::invalid("permissions")),
    }
}

fn is_permission(text: &str) -> bool {
    let group = |text: &str| {
        text.strip_prefix("TRD_GRP_")
            .is_some_and(|number| number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    matches!(text, "SPOT" | "MARGIN" | "LEVERAGED") || group(text)
}

/// The names of `["A","B"]`; None where it is not of that form. No name has a quote or a backslash.
fn list(text: &str) -> Option<Vec<&str>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let unquoted = |name: &'_ str| -> bool { !name.contains(['"', '\\']) };
    inside
        .split(',')
        .map(|quoted| {
            let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
            unquoted(name).then_some(name)
        })
        .collect()
}

fn is_legal(text: &str) -> bool {
    let legal = |c: char| (c.is_alphanumeric() && !c.is_ascii_lowercase()) || matches!(c, '_' | '-' | '.');
    (1..=SYMBOL_CHARS_MAX).contains(&text.chars().count()) && text.chars().all(legal)
}

fn zone_minutes(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        // A plus that was not encoded is a space.
        b'+' | b' ' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |digits: &str, most: usize| {
        let is_number = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok()).flatten()
    };
    let minutes = number(minutes, 2).filter(|minutes| *minutes < 60)?;
    let all = sign * (number(hours, 2)? * 60 + minutes);
    (ZONE_MINUTES.contains(&all) && all % ZONE_MINUTES_STEP == 0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_read_as_documented() {
        for (text, minutes) in [
            ("0", 0),
            ("8", 480),
            ("4", 240),
            ("05:45", 345),
            ("-1:00", -60),
            ("-12:00", -720),
            ("+14:00", 840),
            (" 14", 840),
            ("-9:30", -570),
        ] {
            assert_eq!(zone_minutes(text), Some(minutes), "{text}");
        }
        for bad in [
            "", "-", "+", ":", "8:", ":30", "15", "-13", "14:15", "-12:15", "8:60", "008", "1:001", "1.5",
            "8:07", "٨", "--1", "UTC",
        ] {
            assert_eq!(zone_minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_are_json_without_spaces() {
        assert_eq!(list("[]"), Some(vec![]));
        assert_eq!(list(r#"["A"]"#), Some(vec!["A"]));
        assert_eq!(list(r#"["A","B"]"#), Some(vec!["A", "B"]));
        for bad in [
            "",
            "[",
            "A",
            "[A]",
            r#"["A", "B"]"#,
            r#"["A",]"#,
            r#"["A]"#,
            r#"["A"B"]"#,
            r#"["]"#,
        ] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_are_milliseconds_or_microseconds() {
        let time = |query: &str| {
            let parameters = Parameters::parse(query).unwrap();
            (parameters.begin("t").unwrap().unwrap(), {
                let again = Parameters::parse(query).unwrap();
                again.end("t").unwrap().unwrap()
            })
        };
        assert_eq!(
            time("t=1499040000000"),
            (1_499_040_000_000_000, 1_499_040_000_000_999)
        );
        assert_eq!(
            time("t=1499040000000001"),
            (1_499_040_000_000_001, 1_499_040_000_000_001)
        );
        assert_eq!(time("t=99999999999999").0, 99_999_999_999_999_000);
        assert_eq!(time("t=0"), (0, 999));
    }
}
