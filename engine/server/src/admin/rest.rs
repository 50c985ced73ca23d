//! The REST endpoints and their answers, as the exchange's public API gives them.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /api/v3/ping` | `{}` |
//! | `GET /api/v3/time` | `{"serverTime":<ms>}` |
//! | `GET /api/v3/exchangeInfo[?symbol=S \| ?symbols=["S",…]]` | the symbols with their filters |
//! | `GET /api/v3/depth?symbol=S[&limit=N]` | the top of the book as it is now |

use bytes::Bytes;
use crossbeam_channel::Sender;
use depthcast_market::instrument::is_symbol_name;
use depthcast_wire::json::encode::partial_depth;
use depthcast_wire::json::exchange_info;
use depthcast_wire::stream::SymbolName;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;

use crate::os::clock::wall_us;
use crate::reactor::messages::{DepthAnswer, MarketRequest};

/// Levels a side of a depth answer where the request does not say.
const DEPTH_LIMIT_DEFAULT: usize = 100;

/// Levels a side of a depth answer at most; a larger limit is taken as this one.
const DEPTH_LIMIT_MAX: usize = 5000;

/// An error as the exchange writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ApiError {
    status: StatusCode,
    code: i32,
    message: &'static str,
}

const INVALID_SYMBOL: ApiError = error(StatusCode::BAD_REQUEST, -1121, "Invalid symbol.");
const NO_SYMBOL: ApiError = error(
    StatusCode::BAD_REQUEST,
    -1102,
    "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
);
const ILLEGAL_SYMBOL: ApiError = error(
    StatusCode::BAD_REQUEST,
    -1100,
    "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
);
const ILLEGAL_LIMIT: ApiError = error(
    StatusCode::BAD_REQUEST,
    -1100,
    "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
);
const STALE: ApiError = error(
    StatusCode::SERVICE_UNAVAILABLE,
    -1008,
    "The book of this symbol is stale or has not begun: its feed is being awaited. Try again.",
);
const OVERLOADED: ApiError = error(
    StatusCode::SERVICE_UNAVAILABLE,
    -1008,
    "The engine is overloaded. Try again.",
);
const NOT_FOUND: ApiError = error(
    StatusCode::NOT_FOUND,
    -1000,
    "No such path. WebSocket streams are at /ws and /stream, SBE under /sbe, REST under /api/v3.",
);
const METHOD: ApiError = error(StatusCode::METHOD_NOT_ALLOWED, -1000, "Use GET or HEAD.");

const fn error(status: StatusCode, code: i32, message: &'static str) -> ApiError {
    ApiError {
        status,
        code,
        message,
    }
}

/// The REST API over a market thread.
#[derive(Debug)]
pub(super) struct Rest {
    market: Sender<MarketRequest>,
}

impl Rest {
    pub(super) fn new(market: Sender<MarketRequest>) -> Rest {
        Rest { market }
    }

    /// The answer to one request. Its body, if it has any, is not looked at.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let result = match *request.method() {
            Method::GET | Method::HEAD => {
                self.route(request.uri().path(), request.uri().query().unwrap_or(""))
                    .await
            }
            _ => Err(METHOD),
        };
        let (status, body) = match result {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => {
                let body = format!(r#"{{"code":{},"msg":"{}"}}"#, error.code, error.message);
                (error.status, body.into_bytes())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=UTF-8"),
        );
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    async fn route(&self, path: &str, query: &str) -> Result<Vec<u8>, ApiError> {
        match path {
            "/api/v3/ping" => Ok(b"{}".to_vec()),
            "/api/v3/time" => Ok(format!(r#"{{"serverTime":{}}}"#, wall_us() / 1000).into_bytes()),
            "/api/v3/exchangeInfo" => self.exchange_info(query).await,
            "/api/v3/depth" => self.depth(query).await,
            _ => Err(NOT_FOUND),
        }
    }

    async fn depth(&self, query: &str) -> Result<Vec<u8>, ApiError> {
        let symbol = query_parameter(query, "symbol")
            .filter(|text| !text.is_empty())
            .ok_or(NO_SYMBOL)?;
        let symbol = symbol_name(&symbol)?;
        let limit = match query_parameter(query, "limit") {
            None => DEPTH_LIMIT_DEFAULT,
            Some(text) => depth_limit(&text)?,
        };
        let (reply, answer) = oneshot::channel();
        self.ask(MarketRequest::Depth { symbol, limit, reply })?;
        match answer.await.map_err(|_| OVERLOADED)? {
            DepthAnswer::UnknownSymbol => Err(INVALID_SYMBOL),
            DepthAnswer::Stale => Err(STALE),
            DepthAnswer::Book(instrument, top) => {
                let mut body = Vec::new();
                partial_depth(&mut body, &instrument, &top);
                Ok(body)
            }
        }
    }

    async fn exchange_info(&self, query: &str) -> Result<Vec<u8>, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.ask(MarketRequest::Instruments { reply })?;
        let mut instruments = answer.await.map_err(|_| OVERLOADED)?;
        if instruments.is_empty() {
            // The feed has not said yet what there is.
            return Err(STALE);
        }
        if let Some(wanted) = wanted_symbols(query)? {
            if !wanted
                .iter()
                .all(|name| instruments.iter().any(|i| i.name() == name.as_str()))
            {
                return Err(INVALID_SYMBOL);
            }
            instruments.retain(|instrument| wanted.iter().any(|name| name.as_str() == instrument.name()));
        }
        let mut body = Vec::new();
        exchange_info::write(&mut body, wall_us() / 1000, instruments.iter().map(AsRef::as_ref));
        Ok(body)
    }

    fn ask(&self, request: MarketRequest) -> Result<(), ApiError> {
        self.market.try_send(request).map_err(|_| OVERLOADED)
    }
}

fn symbol_name(text: &str) -> Result<SymbolName, ApiError> {
    if !is_symbol_name(text.as_bytes()) || text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(ILLEGAL_SYMBOL);
    }
    SymbolName::new(text).ok_or(ILLEGAL_SYMBOL)
}

fn depth_limit(text: &str) -> Result<usize, ApiError> {
    if text.is_empty() || text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ILLEGAL_LIMIT);
    }
    // Twenty digits may pass what a usize holds: far beyond the maximum all the same.
    let limit: usize = text.parse().unwrap_or(DEPTH_LIMIT_MAX);
    if limit == 0 {
        Err(ILLEGAL_LIMIT)
    } else {
        Ok(limit.min(DEPTH_LIMIT_MAX))
    }
}

/// The symbols that `symbol=S` or `symbols=["S","T"]` names; None when neither is there.
fn wanted_symbols(query: &str) -> Result<Option<Vec<SymbolName>>, ApiError> {
    if let Some(one) = query_parameter(query, "symbol") {
        return Ok(Some(vec![symbol_name(&one)?]));
    }
    let Some(list) = query_parameter(query, "symbols") else {
        return Ok(None);
    };
    let inner = list
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(ILLEGAL_SYMBOL)?;
    inner
        .split(',')
        .map(|name| symbol_name(name.trim().trim_matches('"')))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The first value of a query parameter, decoded.
fn query_parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_symbols_are_read_as_the_exchange_reads_them() {
        assert_eq!(depth_limit("7"), Ok(7));
        assert_eq!(depth_limit("5001"), Ok(5000));
        assert_eq!(depth_limit("99999999999999999999"), Ok(5000));
        for bad in ["", "0", "-1", "1.5", "ten", "999999999999999999999"] {
            assert_eq!(depth_limit(bad), Err(ILLEGAL_LIMIT), "{bad}");
        }
        assert_eq!(symbol_name("btcusdt"), Err(ILLEGAL_SYMBOL));
        assert_eq!(symbol_name("BTC/USDT"), Err(ILLEGAL_SYMBOL));
        let names =
            |query| wanted_symbols(query).map(|o| o.map(|v| v.iter().map(ToString::to_string).collect()));
        assert_eq!(names("a=b"), Ok(None::<Vec<String>>));
        assert_eq!(names("symbol=BTCUSDT"), Ok(Some(vec!["BTCUSDT".to_string()])));
        let both = vec!["A".to_string(), "B".to_string()];
        assert_eq!(names("symbols=%5B%22A%22,%22B%22%5D"), Ok(Some(both)));
        assert_eq!(names("symbols=A"), Err(ILLEGAL_SYMBOL));
    }
}
