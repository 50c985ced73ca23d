//! The REST requests of a subscriber: the symbol's precision, the book's snapshot, and which symbols there are.
//!
//! | request | answer that is used |
//! |---|---|
//! | `GET /api/v3/exchangeInfo?symbol=` | tickSize of PRICE_FILTER and stepSize of LOT_SIZE; their decimals are the precision |
//! | `GET /api/v3/depth?symbol=&limit=` | lastUpdateId, bids, asks |
//! | `GET /api/v3/exchangeInfo` | the symbols' names |
//!
//! Source: Binance Spot API documents, "Public REST API".

use std::time::Duration;

use depthcast_market::decimal::Decimal;
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_wire::stream::SymbolName;
use serde::Deserialize;

use crate::error::ClientError;
use crate::url::Url;

/// The most levels a side that a snapshot can be asked for.
pub const SNAPSHOT_LIMIT_MAX: u16 = 5000;

/// The longest body taken: a snapshot of 5,000 levels a side is about 450 KB; the rest is room for servers that list
/// all their symbols in answer to a question about one, at about 1 KB each.
pub const BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The longest list of symbols taken: ten thousand of them at a few KB each.
const LIST_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How much of a server's own error text is repeated, in characters.
const ERROR_TEXT_CHARS_MAX: usize = 200;

/// The error code of an unknown symbol.
const CODE_INVALID_SYMBOL: i64 = -1121;

/// Why a REST request failed. The fault is the server's, or that of what lies in between.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// No answer: no connection, a time-out, or no HTTP.
    #[error("GET {url} got no answer: {source}")]
    Transport {
        /// What was asked for.
        url: String,
        /// Why there was no answer.
        source: Box<ureq::Error>,
    },
    /// An answer that refuses.
    #[error("GET {url} was refused: {status} {text}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The start of the body, on one line.
        text: String,
    },
    /// An answer whose body is not what the request has.
    #[error("GET {url} gave an answer that cannot be read: {what}")]
    Body {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        what: String,
    },
}

impl RestError {
    /// Whether asking again, or connecting again, may help.
    pub fn is_transient(&self) -> bool {
        match self {
            RestError::Transport { .. } => true,
            RestError::Status { status, .. } => *status >= 500 || *status == 429,
            RestError::Body { .. } => false,
        }
    }
}

/// What a request gave.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// What was asked for.
    Given(T),
    /// HTTP 503: the server has no live book now, or is not ready.
    NotReady,
    /// HTTP 429: too many requests lately.
    TooMany(RestError),
}

/// The names of the server's symbols, in its order; those that no stream could be named after are left out.
///
/// Takes `timeout` at the longest.
pub fn symbols(url: &Url, timeout: Duration) -> Result<Vec<SymbolName>, ClientError> {
    let rest = Rest::new(url.clone(), "", timeout);
    let address = url.http("/api/v3/exchangeInfo");
    let body = match rest.get(&address, LIST_BYTES_MAX)? {
        Answer::Given(body) => body,
        Answer::TooMany(error) => return Err(error.into()),
        Answer::NotReady => {
            return Err(RestError::Status {
                url: address,
                status: 503,
                text: "the server is not ready".into(),
            }
            .into());
        }
    };
    let list: SymbolList = serde_json::from_slice(&body).map_err(|error| RestError::Body {
        url: address,
        what: format!("it is no exchangeInfo ({error})"),
    })?;
    let names = list
        .symbols
        .iter()
        .filter_map(|named| SymbolName::new(&named.symbol));
    Ok(names.collect())
}

/// Asks one server.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    agent: ureq::Agent,
    url: Url,
    symbol: Box<str>,
}

impl Rest {
    /// Requests about `symbol` (upper case), none of which takes longer than `timeout`.
    pub(crate) fn new(url: Url, symbol: &str, timeout: Duration) -> Rest {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            // A WebSocket takes no proxy from the environment either: both go to the same server.
            .proxy(None)
            // Requests are minutes apart: a kept connection would only be found closed.
            .max_idle_connections(0)
            .user_agent(concat!("depthcast/", env!("CARGO_PKG_VERSION")))
            .build();
        Rest {
            agent: config.into(),
            url,
            symbol: symbol.into(),
        }
    }

    /// The symbol's precision, tick size and lot size.
    pub(crate) fn instrument(&self) -> Result<Answer<Instrument>, ClientError> {
        let url = self
            .url
            .http(&format!("/api/v3/exchangeInfo?symbol={}", self.symbol));
        Ok(match self.get(&url, BODY_BYTES_MAX)? {
            Answer::Given(body) => Answer::Given(self.read_instrument(&url, &body)?),
            Answer::NotReady => Answer::NotReady,
            Answer::TooMany(error) => Answer::TooMany(error),
        })
    }

    /// The body of a snapshot with up to `limit` levels a side.
    pub(crate) fn depth(&self, limit: u16) -> Result<Answer<Vec<u8>>, ClientError> {
        let query = format!("/api/v3/depth?symbol={}&limit={limit}", self.symbol);
        self.get(&self.url.http(&query), BODY_BYTES_MAX)
    }

    fn get(&self, url: &str, body_bytes_max: u64) -> Result<Answer<Vec<u8>>, ClientError> {
        let transport = |source| RestError::Transport {
            url: url.into(),
            source: Box::new(source),
        };
        let response = self.agent.get(url).call().map_err(transport)?;
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .into_with_config()
            .limit(body_bytes_max)
            .read_to_vec()
            .map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(limit) => RestError::Body {
                    url: url.into(),
                    what: format!("its body is over {limit} bytes"),
                },
                error => transport(error),
            })?;
        let refused = || RestError::Status {
            url: url.into(),
            status,
            text: excerpt(&body),
        };
        match status {
            200 => Ok(Answer::Given(body)),
            503 => Ok(Answer::NotReady),
            429 => Ok(Answer::TooMany(refused())),
            _ if is_unknown_symbol(&body) => Err(self.unknown_symbol()),
            _ => Err(refused().into()),
        }
    }

    fn unknown_symbol(&self) -> ClientError {
        ClientError::UnknownSymbol {
            symbol: self.symbol.clone(),
        }
    }

    fn read_instrument(&self, url: &str, body: &[u8]) -> Result<Instrument, ClientError> {
        let broken = |what: String| RestError::Body {
            url: url.into(),
            what,
        };
        let info: ExchangeInfo = serde_json::from_slice(body)
            .map_err(|error| broken(format!("it is no exchangeInfo ({error})")))?;
        let symbol = info.symbols.iter().find(|symbol| *symbol.symbol == *self.symbol);
        let symbol = symbol.ok_or_else(|| self.unknown_symbol())?;
        let step = |filter_type: &str, pick: fn(&Filter) -> Option<&str>| {
            let filter = symbol
                .filters
                .iter()
                .find(|filter| filter.filter_type == filter_type);
            let text = filter.and_then(pick);
            let text = text.ok_or_else(|| broken(format!("{} has no {filter_type}", self.symbol)))?;
            Decimal::parse(text.as_bytes())
                .map_err(|error| broken(format!("the step {text:?} in {filter_type} is {error}")))
        };
        let tick_size = step("PRICE_FILTER", |filter| filter.tick_size.as_deref())?;
        let lot_size = step("LOT_SIZE", |filter| filter.step_size.as_deref())?;
        let exponents = Exponents {
            price: tick_size.exponent,
            qty: lot_size.exponent,
        };
        let instrument = Instrument::new(&self.symbol, exponents, tick_size.mantissa, lot_size.mantissa);
        Ok(instrument.map_err(|error| broken(error.to_string()))?)
    }

    /// The error of a snapshot whose body cannot be read.
    pub(crate) fn bad_snapshot(&self, what: &dyn std::fmt::Display) -> RestError {
        RestError::Body {
            url: self.url.http("/api/v3/depth"),
            what: what.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct ExchangeInfo {
    symbols: Vec<SymbolInfo>,
}

#[derive(Deserialize)]
struct SymbolList {
    symbols: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    symbol: String,
}

#[derive(Deserialize)]
struct SymbolInfo {
    symbol: String,
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    filter_type: String,
    tick_size: Option<String>,
    step_size: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
}

fn is_unknown_symbol(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Refusal { code }| code == CODE_INVALID_SYMBOL)
}

/// The start of a server's text, on one line, without what a terminal would obey.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim().chars().take(ERROR_TEXT_CHARS_MAX);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
