//! From what was asked for to the bytes of an answer: the one place that knows how bodies are written.

use std::sync::Arc;

use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode::partial_depth;
use depthcast_wire::json::rest::{TickerForm, TickerParts};
use depthcast_wire::json::{exchange_info, rest};
use depthcast_wire::listing::{Listing, Terms};
use depthcast_wire::sbe::{EncodeError, rest as sbe};
use depthcast_wire::time_unit::TimeUnit;
use hyper::HeaderMap;
use hyper::header::ACCEPT;

use super::errors::{ApiError, INVALID_SBE_HEADER, INVALID_TIME_UNIT, UNSUPPORTED_SCHEMA};
use super::routes::Wanted;
use crate::reactor::questions::{Content, Question, Ticker};

/// The header that chooses the unit of times.
const TIME_UNIT: &str = "x-mbx-time-unit";

/// The header that names a schema of SBE, as `<id>:<version>`.
pub(super) const SBE_SCHEMA: &str = "x-mbx-sbe";

/// The media type of SBE.
const SBE_TYPE: &str = "application/sbe";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Representation {
    /// JSON, with times in this unit.
    Json(TimeUnit),
    /// Simple Binary Encoding.
    Sbe,
}

impl Representation {
    /// What a request's headers ask for; with an error how that is to be told.
    pub(super) fn of(headers: &HeaderMap) -> Result<Representation, (ApiError, Representation)> {
        if accepts(headers, SBE_TYPE) {
            match named_schema(headers) {
                Ok(_) => return Ok(Representation::Sbe),
                // Who takes JSON as well gets that.
                Err(_) if accepts(headers, "application/json") => {}
                Err(error) => return Err((error, Representation::Sbe)),
            }
        }
        let unit = match headers.get(TIME_UNIT).map(|value| value.as_bytes()) {
            None | Some(b"MILLISECOND" | b"millisecond") => TimeUnit::Millisecond,
            Some(b"MICROSECOND" | b"microsecond") => TimeUnit::Microsecond,
            Some(_) => return Err((INVALID_TIME_UNIT, Representation::default())),
        };
        Ok(Representation::Json(unit))
    }

    /// Of representations that are the same for an answer, always the same one.
    pub(super) fn canonical_for(self, wanted: &Wanted) -> Representation {
        let has_times = !matches!(wanted.question, Question::Depth { .. })
            && !matches!(wanted.ticker, Some(TickerForm::Price | TickerForm::Book));
        match self {
            Representation::Json(_) if !has_times => Representation::default(),
            representation => representation,
        }
    }

    /// As the header names it.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Representation::Json(_) => "application/json;charset=UTF-8",
            Representation::Sbe => SBE_TYPE,
        }
    }
}

impl Default for Representation {
    fn default() -> Representation {
        Representation::Json(TimeUnit::Millisecond)
    }
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    /// We are there.
    Ping,
    /// It is so late, microseconds.
    Time(i64),
    /// What the market said of what was wanted.
    Market(&'a Wanted, &'a Content),
    /// These instruments, on these terms, at this time (microseconds).
    Description(&'a [Arc<Instrument>], Terms, i64),
    /// No tickers of this form.
    NoTickers(TickerForm),
}

/// The bytes of an answer. An error is a market's that is too large for its message.
pub(super) fn encode(subject: &Subject<'_>, representation: Representation) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    match representation {
        Representation::Json(unit) => json(&mut out, unit, subject),
        Representation::Sbe => binary(&mut out, subject)?,
    }
    Ok(out)
}

/// An error in either. `now_us` is the time, for who is told to wait.
pub(super) fn encode_error(error: &ApiError, representation: Representation, now_us: i64) -> Vec<u8> {
    let mut out = Vec::new();
    match representation {
        Representation::Json(_) => rest::error(&mut out, error.code, &error.message),
        Representation::Sbe => {
            let retry_after_us = error.retry_after_s.map(|seconds| {
                let wait_us = i64::try_from(seconds)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000_000);
                now_us.saturating_add(wait_us)
            });
            // All codes are of four digits.
            let code = i16::try_from(error.code).unwrap_or(i16::MIN);
            let told_at = retry_after_us.map(|_| now_us);
            sbe::error(&mut out, code, &error.message, told_at, retry_after_us);
        }
    }
    out
}

fn json(out: &mut Vec<u8>, unit: TimeUnit, subject: &Subject<'_>) {
    match subject {
        Subject::Ping => out.extend_from_slice(b"{}"),
        Subject::Time(now_us) => rest::server_time(out, unit, *now_us),
        Subject::NoTickers(_) => out.extend_from_slice(b"[]"),
        Subject::Description(instruments, terms, now_us) => {
            let now = unit.from_micros(*now_us);
            exchange_info::write(out, now, *terms, instruments.iter().map(AsRef::as_ref));
        }
        Subject::Market(wanted, content) => market_json(out, unit, wanted, content),
    }
}

fn binary(out: &mut Vec<u8>, subject: &Subject<'_>) -> Result<(), EncodeError> {
    match subject {
        Subject::Ping => sbe::ping(out),
        Subject::Time(now_us) => sbe::server_time(out, *now_us),
        Subject::NoTickers(form) => return several_tickers(out, *form, &[]),
        Subject::Description(instruments, terms, _) => {
            let listings: Vec<Listing<'_>> = instruments.iter().map(|it| Listing::of(it)).collect();
            return sbe::exchange_info(out, *terms, &listings);
        }
        Subject::Market(wanted, content) => return market_binary(out, wanted, content),
    }
    Ok(())
}

fn market_binary(out: &mut Vec<u8>, wanted: &Wanted, content: &Content) -> Result<(), EncodeError> {
    match content {
        Content::Depth(instrument, top) => sbe::depth(out, instrument, top),
        // They are described, which takes terms as well.
        Content::Instruments(_) => Ok(()),
        Content::Trades(instrument, trades) => sbe::trades(out, instrument, trades),
        Content::AggTrades(instrument, trades) => sbe::agg_trades(out, instrument, trades),
        Content::Klines(instrument, candles) => sbe::klines(out, instrument, candles),
        Content::AveragePrice(instrument, average) => {
            sbe::average_price(out, instrument, average);
            Ok(())
        }
        Content::Tickers(tickers) => {
            let days: Vec<sbe::Day<'_>> = tickers.iter().map(day).collect();
            let form = wanted.ticker.unwrap_or(TickerForm::Full);
            match (days.as_slice(), wanted.is_of_one()) {
                ([one], true) => {
                    match form {
                        TickerForm::Full => sbe::day_full(out, *one),
                        TickerForm::Mini => sbe::day_mini(out, *one),
                        TickerForm::Price => sbe::price_ticker(out, *one),
                        TickerForm::Book => sbe::book_ticker(out, *one),
                    }
                    Ok(())
                }
                (all, _) => several_tickers(out, form, all),
            }
        }
    }
}

fn several_tickers(out: &mut Vec<u8>, form: TickerForm, all: &[sbe::Day<'_>]) -> Result<(), EncodeError> {
    match form {
        TickerForm::Full => sbe::days_full(out, all),
        TickerForm::Mini => sbe::days_mini(out, all),
        TickerForm::Price => sbe::price_tickers(out, all),
        TickerForm::Book => sbe::book_tickers(out, all),
    }
}

fn day(ticker: &Ticker) -> sbe::Day<'_> {
    sbe::Day {
        instrument: &ticker.instrument,
        statistics: &ticker.statistics,
        best: ticker.best.as_ref(),
    }
}

/// Whether a request's headers name this media type.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    let mut types = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|item| item.split(';').next().unwrap_or_default().trim());
    types.any(|it| it.eq_ignore_ascii_case(media_type))
}

/// The version of the schema that a request's headers name, where it is one of those that can be written: what older versions
/// have is the same in the newest.
fn named_schema(headers: &HeaderMap) -> Result<u16, ApiError> {
    let named = headers.get(SBE_SCHEMA).and_then(|value| value.to_str().ok());
    let (id, version) = named
        .and_then(|named| named.split_once(':'))
        .and_then(|(id, version)| Some((id.parse::<u16>().ok()?, version.parse::<u16>().ok()?)))
        .ok_or(INVALID_SBE_HEADER)?;
    if id != sbe::SCHEMA_ID || version > sbe::SCHEMA_VERSION {
        return Err(UNSUPPORTED_SCHEMA);
    }
    Ok(version)
}

/// Whether a request that is answered in SBE names an older version of the schema than it is answered in.
pub(super) fn names_old_schema(headers: &HeaderMap) -> bool {
    named_schema(headers).is_ok_and(|version| version < sbe::SCHEMA_VERSION)
}

fn market_json(out: &mut Vec<u8>, unit: TimeUnit, wanted: &Wanted, content: &Content) {
    match content {
        Content::Depth(instrument, top) => partial_depth(out, instrument, top),
        // They are described, which takes terms as well.
        Content::Instruments(_) => {}
        Content::Trades(instrument, trades) => rest::trades(out, instrument, unit, trades),
        Content::AggTrades(instrument, trades) => rest::agg_trades(out, instrument, unit, trades),
        Content::Klines(instrument, candles) => rest::klines(out, instrument, unit, candles),
        Content::AveragePrice(instrument, average) => rest::average_price(out, instrument, unit, average),
        Content::Tickers(tickers) => {
            let form = wanted.ticker.unwrap_or(TickerForm::Full);
            match tickers.as_slice() {
                [one] if wanted.is_of_one() => rest::ticker(out, form, unit, &parts(one)),
                all => rest::tickers(out, form, unit, all.iter().map(parts)),
            }
        }
    }
}

fn parts(ticker: &Ticker) -> TickerParts<'_> {
    TickerParts {
        instrument: &ticker.instrument,
        statistics: &ticker.statistics,
        best: ticker.best.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_unit_of_times_is_that_of_the_header() {
        let of = |unit: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(unit) = unit {
                headers.insert(TIME_UNIT, HeaderValue::from_static(unit));
            }
            Representation::of(&headers)
        };
        let (ms, us) = (
            Ok(Representation::Json(TimeUnit::Millisecond)),
            Ok(Representation::Json(TimeUnit::Microsecond)),
        );
        assert_eq!(of(None), ms);
        assert_eq!(of(Some("MILLISECOND")), ms);
        assert_eq!(of(Some("microsecond")), us);
        assert_eq!(of(Some("MICROSECOND")), us);
        for bad in ["", "Microsecond", "us", "NANOSECOND"] {
            let error = (INVALID_TIME_UNIT, Representation::default());
            assert_eq!(of(Some(bad)), Err(error), "{bad}");
        }
    }

    #[test]
    fn sbe_is_for_those_who_name_its_schema_and_json_for_those_who_take_both() {
        let of = |accept: &'static str, schema: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            if let Some(schema) = schema {
                headers.insert(SBE_SCHEMA, HeaderValue::from_static(schema));
            }
            let chosen = Representation::of(&headers);
            let is_old = chosen == Ok(Representation::Sbe) && names_old_schema(&headers);
            (chosen, is_old)
        };
        let json = Ok(Representation::default());
        for (accept, schema, expected) in [
            ("application/sbe", "3:4", (Ok(Representation::Sbe), false)),
            (
                "text/html, Application/SBE;q=0.9",
                "3:4",
                (Ok(Representation::Sbe), false),
            ),
            (
                "application/json, application/sbe",
                "3:4",
                (Ok(Representation::Sbe), false),
            ),
            ("application/sbe", "3:0", (Ok(Representation::Sbe), true)),
            ("*/*", "3:4", (json.clone(), false)),
            ("application/json, application/sbe", "9:9", (json.clone(), false)),
            ("application/json, application/sbe", "x", (json, false)),
        ] {
            assert_eq!(of(accept, Some(schema)), expected, "{accept} {schema}");
        }
        for (schema, error) in [
            (None, INVALID_SBE_HEADER),
            (Some("3"), INVALID_SBE_HEADER),
            (Some("3:4:5"), INVALID_SBE_HEADER),
            (Some("-3:4"), INVALID_SBE_HEADER),
            (Some("3:99999"), INVALID_SBE_HEADER),
            (Some("3:5"), UNSUPPORTED_SCHEMA),
            (Some("1:0"), UNSUPPORTED_SCHEMA),
        ] {
            let refused = (Err((error, Representation::Sbe)), false);
            assert_eq!(of("application/sbe", schema), refused, "{schema:?}");
        }
    }
}
