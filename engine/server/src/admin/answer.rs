//! From what was asked for to the bytes of an answer: the one place that knows how bodies are written.

use depthcast_wire::json::encode::partial_depth;
use depthcast_wire::json::rest::{TickerForm, TickerParts};
use depthcast_wire::json::{exchange_info, rest};
use depthcast_wire::time_unit::TimeUnit;
use hyper::HeaderMap;

use super::errors::{ApiError, INVALID_TIME_UNIT};
use super::routes::Wanted;
use crate::reactor::questions::{Content, Question, Ticker};

/// The header that chooses the unit of times.
const TIME_UNIT: &str = "x-mbx-time-unit";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Representation {
    /// JSON, with times in this unit.
    Json(TimeUnit),
}

impl Representation {
    /// What a request's headers ask for.
    pub(super) fn of(headers: &HeaderMap) -> Result<Representation, ApiError> {
        let unit = match headers.get(TIME_UNIT).map(|value| value.as_bytes()) {
            None | Some(b"MILLISECOND" | b"millisecond") => TimeUnit::Millisecond,
            Some(b"MICROSECOND" | b"microsecond") => TimeUnit::Microsecond,
            Some(_) => return Err(INVALID_TIME_UNIT),
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
    /// Something is wrong.
    Error(&'a ApiError),
    /// What the market said of what was wanted, at this time (microseconds).
    Market(&'a Wanted, &'a Content, i64),
    /// Nothing is in the list.
    EmptyList,
}

/// The bytes of an answer.
pub(super) fn encode(subject: &Subject<'_>, representation: Representation) -> Vec<u8> {
    let Representation::Json(unit) = representation;
    let mut out = Vec::new();
    match subject {
        Subject::Ping => out.extend_from_slice(b"{}"),
        Subject::Time(now_us) => rest::server_time(&mut out, unit, *now_us),
        Subject::Error(error) => rest::error(&mut out, error.code, &error.message),
        Subject::EmptyList => out.extend_from_slice(b"[]"),
        Subject::Market(wanted, content, now_us) => market_json(&mut out, unit, wanted, content, *now_us),
    }
    out
}

fn market_json(out: &mut Vec<u8>, unit: TimeUnit, wanted: &Wanted, content: &Content, now_us: i64) {
    match content {
        Content::Depth(instrument, top) => partial_depth(out, instrument, top),
        Content::Instruments(instruments) => {
            let now = unit.from_micros(now_us);
            exchange_info::write(out, now, instruments.iter().map(AsRef::as_ref));
        }
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
            assert_eq!(of(Some(bad)), Err(INVALID_TIME_UNIT), "{bad}");
        }
    }
}
